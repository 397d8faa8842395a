/**
 * Policy change: finds what in a new policy may not be intended, because it takes something away that the one in use
 * gives. Lowering copies and removing stores can cost existing copies: these need the operator's confirmation before
 * they are in force. Changes that cost no copy that is wanted now are only reported: another name of the cluster; a
 * source that leaves, which is archived as it was and no longer backed up; and a shorter `keep`, by which snapshots are
 * unlisted later, and held for their time.
 *
 * Pure. A store is its path: another path is another disk as far as anybody can tell, so a changed path counts as a
 * removal.
 */
import type { Member } from '../core/cluster-config.js';
import { ClusterError } from '../core/fault.js';
import { type SourceId, sourceIdOf, splitSourceId } from '../core/ids.js';
import type { ArchivedSource } from './configuration.js';
import type { KeepRules, Policy, SourceSetting } from './policy.js';

export interface PolicyDoubt {
  readonly kind: 'copies-lowered' | 'store-removed';
  /** One line for people: what is reduced, from what to what. */
  readonly text: string;
}

type Named = Pick<Member, 'host' | 'name'>;

export interface PolicyChange {
  readonly before: Policy;
  readonly after: Policy;
  readonly archived: readonly ArchivedSource[];
  readonly members: readonly (Named & Pick<Member, 'state' | 'trust'>)[];
}

/** What is reduced or removed when `after` replaces `before`. */
export function doubtsOf({ before, after, archived, members }: PolicyChange): readonly PolicyDoubt[] {
  const doubts: PolicyDoubt[] = [];
  const returning = sourcesOf(after, members);
  for (const { source, copies } of archived) {
    const next = returning.get(source);
    if (next !== undefined && next.copies < copies) {
      const { origin } = splitSourceId(source);
      const name = members.find(member => member.host === origin)?.name ?? origin;
      doubts.push({
        kind: 'copies-lowered',
        text: `${name}/${next.name} (archived): copies ${copies} → ${next.copies}`,
      });
    }
  }
  const revoked = new Set(revokedIn(before, members));
  for (const [name, host] of before.hosts) {
    const next = after.hosts.get(name);
    for (const source of host.sources) {
      const other = next?.sources.find(({ name: otherName }) => otherName === source.name);
      if (other !== undefined && other.copies < source.copies)
        doubts.push({
          kind: 'copies-lowered',
          text: `${name}/${source.name}: copies ${source.copies} → ${other.copies}`,
        });
    }
    for (const { path, draining } of host.stores) {
      // The copies of a revoked host count no more, and nobody is served by it.
      if (!revoked.has(name) && !next?.stores.some(store => store.path === path)) {
        const falls = draining ? 'copies that are only there are no longer served' : 'its copies no longer count';
        doubts.push({ kind: 'store-removed', text: `${name}: the store ${path} is removed; ${falls}` });
      }
    }
  }
  return doubts;
}

/**
 * @param notes other messages about the policy: one of them may show that it is not intended
 * @throws ClusterError NEEDS_YES that lists everything, unless the operator has confirmed it.
 */
export function demandYes(
  doubts: readonly PolicyDoubt[],
  { yes, notes }: { readonly yes: boolean; readonly notes: readonly string[] },
): void {
  if (doubts.length === 0 || yes) return;
  const lines = [...doubts.map(({ text }) => text), ...notes].map(line => `  ${line}`).join('\n');
  throw new ClusterError(
    'NEEDS_YES',
    `this may not be intended; nothing was changed. Repeat the command with --yes to do it:\n${lines}`,
    {
      blame: 'operator',
    },
  );
}

/** Messages about the change that need no confirmation. */
export const warningsOf = (change: PolicyChange): readonly string[] => [
  ...warnOfName(change),
  ...warnOfLeaving(change),
  ...warnOfKeep(change),
  ...warnOfRevoked(change),
  ...warnOfUntrusted(change),
];

/** It is most likely the policy of another cluster. */
const warnOfName = ({ before, after }: PolicyChange): readonly string[] =>
  after.cluster === before.cluster
    ? []
    : [`cluster: its name was ${before.cluster}, and is now ${after.cluster}, on every host`];

/** A misspelt host name is the likeliest way to end its backups by mistake. */
function warnOfLeaving({ before, after, members }: PolicyChange): readonly string[] {
  const stays = sourcesOf(after, members);
  return members.flatMap(({ host, name }) =>
    (before.hosts.get(name)?.sources ?? [])
      .filter(source => !stays.has(sourceIdOf(host, source.name)))
      .map(
        ({ name: source, path }) =>
          `${name}/${source} (${path}) is no longer in the policy, so it is no longer backed up. Its snapshots and their copies stay as they are`,
      ),
  );
}

const warnOfRevoked = ({ after, members }: PolicyChange): readonly string[] =>
  revokedIn(after, members).map(
    name => `hosts.${name} was revoked: its section does nothing. Take it out; its sources are archived then`,
  );

const warnOfUntrusted = ({ after, members }: PolicyChange): readonly string[] =>
  members.flatMap(({ name, state, trust }) => {
    const lends = (after.hosts.get(name)?.stores.length ?? 0) > 0;
    if (trust === 'trusted' || state === 'revoked' || !lends) return [];
    return [`hosts.${name} is untrusted: its stores get no copies, and lend no room`];
  });

const revokedIn = ({ hosts }: Policy, members: PolicyChange['members']): readonly string[] =>
  members.flatMap(({ name, state }) => (state === 'revoked' && hosts.has(name) ? [name] : []));

function* warnOfKeep({ before, after, members }: PolicyChange): Generator<string> {
  const now = sourcesOf(after, members);
  for (const [source, { keep }] of sourcesOf(before, members)) {
    const next = now.get(source);
    if (next === undefined) continue;
    // Each kind keeps its own snapshots, so what only this one kept may go, even if the others now keep more.
    const shorter = (Object.keys(keep) as (keyof KeepRules)[])
      .filter(kind => next.keep[kind] < keep[kind])
      .map(kind => `${kind} ${keep[kind]} → ${next.keep[kind]}`);
    const { origin } = splitSourceId(source);
    const name = members.find(({ host }) => host === origin)?.name ?? origin;
    if (shorter.length > 0)
      yield `${name}/${next.name}: keep ${shorter.join(', ')}; snapshots that nothing else keeps are no longer listed after its next snapshot. 'cluster forget ${name}/${next.name} --dry-run' on ${name} shows which`;
  }
}

/** The sources of members, as the policy has them. */
export function sourcesOf(policy: Policy, members: readonly Named[]): ReadonlyMap<SourceId, SourceSetting> {
  const sources = new Map<SourceId, SourceSetting>();
  for (const { host, name } of members) {
    for (const source of policy.hosts.get(name)?.sources ?? []) sources.set(sourceIdOf(host, source.name), source);
  }
  return sources;
}

/** Sources that leave the policy stay in force as they were; one that comes back is no longer archived. */
export function archive({ before, after, archived, members }: PolicyChange): readonly ArchivedSource[] {
  const stays = sourcesOf(after, members);
  const kept = archived.filter(({ source }) => !stays.has(source));
  const leaves = [...sourcesOf(before, members)].filter(([source]) => !stays.has(source));
  return [...kept, ...leaves.map(([source, { copies }]) => ({ source, copies }))];
}

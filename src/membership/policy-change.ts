/**
 * Policy change: finds what in a new policy may not be intended, because it takes something away that the one in use
 * gives. One rule for all that is taken from a member: a section that is left out, a source that is archived, fewer
 * copies, a store that is removed. It is listed, and wants the operator's confirmation before it is in force. Changes
 * that take nothing away at once are only reported: another name of the cluster; a shorter `keep`, by which snapshots
 * are unlisted later, and held for their time; a new name that may be a misspelt one.
 *
 * Pure. A store is its path: another path is another disk as far as anybody can tell, so a changed path counts as a
 * removal. A section of no member gives nothing, so nothing is lost with it: a misspelt name is put right unasked.
 */
import type { Member } from '../core/cluster-config.js';
import { ClusterError } from '../core/fault.js';
import { type SourceId, sourceIdOf, splitSourceId } from '../core/ids.js';
import type { ArchivedSource } from './configuration.js';
import { nearNames } from './near-name.js';
import type { KeepRules, Policy, SourceSetting } from './policy.js';

type Named = Pick<Member, 'host' | 'name'>;

export interface PolicyChange {
  readonly before: Policy;
  readonly after: Policy;
  readonly archived: readonly ArchivedSource[];
  readonly members: readonly (Named & Pick<Member, 'state' | 'trust'>)[];
}

/** What is taken away when `after` replaces `before`: one line each, for people. */
export const lossesOf = (change: PolicyChange): readonly string[] => [
  ...sectionsLost(change),
  ...sourcesLost(change),
  ...copiesLost(change),
  ...storesLost(change),
];

/** The section of a revoked host does nothing, and is to be taken out. */
const sectionsLost = ({ before, after, members }: PolicyChange): readonly string[] =>
  members
    .filter(({ name, state }) => state !== 'revoked' && before.hosts.has(name) && !after.hosts.has(name))
    .map(({ name }) => `hosts.${name} is left out: nothing is set for this member any more`);

/** A misspelt host name is the likeliest way to end its backups by mistake. */
function sourcesLost({ before, after, members }: PolicyChange): readonly string[] {
  const stays = sourcesOf(after, members);
  return members.flatMap(({ host, name }) =>
    (before.hosts.get(name)?.sources ?? [])
      .filter(source => !stays.has(sourceIdOf(host, source.name)))
      .map(
        ({ name: source, path }) =>
          `${name}/${source} (${path}) is no longer in the policy: it is archived, and no longer backed up. Its snapshots and their copies stay as they are`,
      ),
  );
}

function* copiesLost({ before, after, archived, members }: PolicyChange): Generator<string> {
  const next = sourcesOf(after, members);
  const nameOf = (source: SourceId): string => {
    const { origin, source: name } = splitSourceId(source);
    return `${members.find(({ host }) => host === origin)?.name ?? origin}/${name}`;
  };
  for (const { source, copies } of archived) {
    const fewer = next.get(source)?.copies ?? copies;
    if (fewer < copies) yield `${nameOf(source)} (archived): copies ${copies} → ${fewer}`;
  }
  for (const [source, { copies }] of sourcesOf(before, members)) {
    const fewer = next.get(source)?.copies ?? copies;
    if (fewer < copies) yield `${nameOf(source)}: copies ${copies} → ${fewer}`;
  }
}

function* storesLost({ before, after, members }: PolicyChange): Generator<string> {
  for (const { name, state } of members) {
    // The copies of a revoked host count no more, and nobody is served by it.
    if (state === 'revoked') continue;
    const stays = new Set(after.hosts.get(name)?.stores.map(({ path }) => path));
    for (const { path, draining } of before.hosts.get(name)?.stores ?? []) {
      const falls = draining ? 'copies that are only there are no longer served' : 'its copies no longer count';
      if (!stays.has(path)) yield `${name}: the store ${path} is removed; ${falls}`;
    }
  }
}

/**
 * @param notes other messages about the policy: one of them may show that it is not intended
 * @throws ClusterError NEEDS_YES that lists everything, unless the operator has confirmed it.
 */
export function demandYes(
  losses: readonly string[],
  { yes, notes }: { readonly yes: boolean; readonly notes: readonly string[] },
): void {
  if (losses.length === 0 || yes) return;
  const lines = [...losses, ...notes].map(line => `  ${line}`).join('\n');
  throw new ClusterError(
    'NEEDS_YES',
    `this may not be intended; nothing was changed. 'cluster config apply' and 'rollback' do it with --yes:\n${lines}`,
    {
      blame: 'operator',
    },
  );
}

/** Messages about the change that need no confirmation. */
export const warningsOf = (change: PolicyChange): readonly string[] => [
  ...warnOfName(change),
  ...warnOfNewSources(change),
  ...warnOfKeep(change),
  ...warnOfRevoked(change),
  ...warnOfUntrusted(change),
];

/** It is most likely the policy of another cluster. */
const warnOfName = ({ before, after }: PolicyChange): readonly string[] =>
  after.cluster === before.cluster
    ? []
    : [`cluster: its name was ${before.cluster}, and is now ${after.cluster}, on every host`];

/** The same folder under another name is another source: it begins anew, and the one that it was is archived. */
function warnOfNewSources({ before, after, members }: PolicyChange): readonly string[] {
  const near = nearNames();
  return members.flatMap(({ name }) => {
    const had = before.hosts.get(name)?.sources.map(source => source.name) ?? [];
    const has = after.hosts.get(name)?.sources.map(source => source.name) ?? [];
    const left = had.filter(source => !has.includes(source));
    return has
      .filter(source => !had.includes(source))
      .flatMap(source => {
        const meant = near(source, left);
        return meant === undefined ? [] : [`${name}/${source} is new: did you mean ${name}/${meant}?`];
      });
  });
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

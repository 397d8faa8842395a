/**
 * Policy change: what a new policy takes away from the one in use. Copies lowered and stores removed can cost copies of
 * what is there, so they want the operator's word. Sources that leave are archived, which costs nothing that is there; but they
 * are backed up no longer, so that is said.
 *
 * Pure. A store is its path: another path is another disk as far as anybody can tell, so a changed one counts as removed.
 */
import { ClusterError } from '../core/fault.js';
import { type SourceId, sourceIdOf, splitSourceId } from '../core/ids.js';
import type { ArchivedSource, ConfigurationMember } from './configuration.js';
import type { Policy, SourceSetting } from './policy.js';

export interface PolicyLoss {
  readonly kind: 'copies-lowered' | 'store-removed';
  /** One line for people: what falls, from what to what. */
  readonly text: string;
}

type Named = Pick<ConfigurationMember, 'host' | 'name'>;

export interface PolicyChange {
  readonly before: Policy;
  readonly after: Policy;
  readonly archived: readonly ArchivedSource[];
  readonly members: readonly Named[];
}

/** What falls when `after` takes the place of `before`. Sources that leave are not among it: they are archived as they were. */
export function lossesOf({ before, after, archived, members }: PolicyChange): readonly PolicyLoss[] {
  const losses: PolicyLoss[] = [];
  const returning = sourcesOf(after, members);
  for (const { source, copies } of archived) {
    const next = returning.get(source);
    if (next !== undefined && next.copies < copies) {
      const { origin } = splitSourceId(source);
      const name = members.find(member => member.host === origin)?.name ?? origin;
      losses.push({
        kind: 'copies-lowered',
        text: `${name}/${next.name} (archived): copies ${copies} → ${next.copies}`,
      });
    }
  }
  for (const [name, host] of before.hosts) {
    const next = after.hosts.get(name);
    for (const source of host.sources) {
      const copies = next?.sources.find(other => other.name === source.name)?.copies;
      if (copies !== undefined && copies < source.copies) {
        losses.push({ kind: 'copies-lowered', text: `${name}/${source.name}: copies ${source.copies} → ${copies}` });
      }
    }
    for (const { path, draining } of host.stores) {
      if (!next?.stores.some(store => store.path === path)) {
        const falls = draining ? 'what is only there yet is served no longer' : 'its copies no longer count';
        losses.push({ kind: 'store-removed', text: `${name}: the store ${path} leaves; ${falls}` });
      }
    }
  }
  return losses;
}

/** @throws ClusterError NEEDS_YES that lists what falls, unless the operator has said yes. */
export function demandYes(losses: readonly PolicyLoss[], yes: boolean): void {
  if (losses.length === 0 || yes) return;
  const lines = losses.map(loss => `  ${loss.text}`).join('\n');
  throw new ClusterError(
    'NEEDS_YES',
    `this lowers what is kept; nothing was changed. Repeat it with --yes to do it:\n${lines}`,
    {
      blame: 'operator',
    },
  );
}

/** What is said of sources that leave. A host's name that was misspelt is the likeliest way to end its backups unmeant. */
export function warnOfLeaving({ before, after, members }: PolicyChange): readonly string[] {
  const stays = sourcesOf(after, members);
  return members.flatMap(({ host, name }) =>
    (before.hosts.get(name)?.sources ?? [])
      .filter(source => !stays.has(sourceIdOf(host, source.name)))
      .map(
        source =>
          `${name}/${source.name} (${source.path}) is in the policy no longer: it is backed up no more. Its snapshots and their copies stay as they are`,
      ),
  );
}

/** The sources of members, as the policy has them. */
export function sourcesOf(policy: Policy, members: readonly Named[]): ReadonlyMap<SourceId, SourceSetting> {
  const sources = new Map<SourceId, SourceSetting>();
  for (const { host, name } of members) {
    for (const source of policy.hosts.get(name)?.sources ?? []) sources.set(sourceIdOf(host, source.name), source);
  }
  return sources;
}

/** Sources that leave stay in force as they were; one that comes back is archived no longer. */
export function archive({ before, after, archived, members }: PolicyChange): readonly ArchivedSource[] {
  const stays = sourcesOf(after, members);
  const kept = archived.filter(({ source }) => !stays.has(source));
  const leaves = [...sourcesOf(before, members)].filter(([source]) => !stays.has(source));
  return [...kept, ...leaves.map(([source, { copies }]) => ({ source, copies }))];
}

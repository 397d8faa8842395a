/**
 * Config planning: what would come of a policy before it is in force: what it changes and takes away, and the hosts and
 * stores as they would be, from which the simulator can tell what would move. Nothing is changed, and no key is needed.
 */
import type { Member } from '../core/cluster-config.js';
import { type SourceId, splitSourceId } from '../core/ids.js';
import type { PolicyPlanned } from '../membership/admin.js';
import type { Policy, StoreSetting } from '../membership/policy.js';
import { plannedStores } from './planned-stores.js';
import type { ConfigPlanReport, HostReport } from './service.js';

export interface PlanningOptions {
  readonly planned: PolicyPlanned;
  /** As they are now. */
  readonly hosts: readonly HostReport[];
  readonly copiesNow: (source: SourceId) => number | undefined;
}

export function configPlan({ planned, hosts, copiesNow }: PlanningOptions): ConfigPlanReport {
  const { changed, changes, losses, notes, before, after, clusterConfig } = planned;
  const told = { changed, changes, losses, warnings: notes };
  const members = new Map(clusterConfig.members.map(member => [member.host, member]));
  const copies = clusterConfig.sources.map(({ source, copies: wanted }) => ({ source, copies: wanted }));
  const isSame =
    hosts.every(host => isPlacedAlike(host, members.get(host.id), { before, after })) &&
    copies.every(({ source, copies: wanted }) => copiesNow(source) === wanted);
  if (isSame) return told;
  const guesses: string[] = [];
  const then = hosts.map((host): HostReport => {
    const { domain = host.domain, roaming = host.roaming } = members.get(host.id) ?? {};
    const settings = { before: storesOf(before, host.name), after: storesOf(after, host.name) };
    const planned = plannedStores(host, settings);
    guesses.push(...planned.guesses);
    return { ...host, domain, roaming, stores: planned.stores };
  });
  const fresh = copies.filter(({ source }) => copiesNow(source) === undefined);
  guesses.push(
    ...fresh.map(({ source }) => `${sourceText(source, members)} is new: how much it is nobody has seen yet`),
  );
  return { ...told, moves: { hosts: then, copies, timing: after.timing, guesses } };
}

/** Nothing that the places of copies depend on is another. */
function isPlacedAlike(
  { name, domain, roaming }: HostReport,
  member: Member | undefined,
  { before, after }: { readonly before: Policy; readonly after: Policy },
): boolean {
  const isWhereItWas = member === undefined || (member.domain === domain && member.roaming === roaming);
  return isWhereItWas && JSON.stringify(storesOf(before, name)) === JSON.stringify(storesOf(after, name));
}

const storesOf = ({ hosts }: Policy, name: string): readonly StoreSetting[] => hosts.get(name)?.stores ?? [];

function sourceText(source: SourceId, members: ReadonlyMap<string, Member>): string {
  const { origin, source: name } = splitSourceId(source);
  return `${members.get(origin)?.name ?? origin}/${name}`;
}

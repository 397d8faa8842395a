/**
 * Lending: in how many domains the copies of a source can be, however little room is left there. Two copies in one
 * domain count once.
 *
 * A host that has not been heard since our start lends if the policy has a store for it: otherwise each start would tell,
 * for some seconds, that nobody lends.
 */
import { type HostId, type SourceId, splitSourceId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { Membership } from '../membership/membership.js';
import type { OwnStores } from './own-stores.js';
import type { Roster } from './roster.js';

export interface LendingOptions {
  readonly roster: Roster;
  readonly known: Pick<Known, 'host'>;
  readonly membership: { readonly configuration: Pick<Membership['configuration'], 'policy'> };
  readonly stores: Pick<OwnStores, 'reports'>;
}

/** @param without a host to leave out, as if it lent nothing */
export function domainsFor(source: SourceId, options: LendingOptions, without?: HostId): number {
  const { roster, stores } = options;
  const domains = new Set<string>();
  for (const { host, domain, state, trust } of roster.members()) {
    if (state !== 'active' || trust !== 'trusted') continue;
    if (host === splitSourceId(source).origin || host === without) continue;
    const lends =
      host === roster.self
        ? stores.reports().some(({ draining, lentBytes }) => !draining && lentBytes > 0)
        : otherLends(host, options);
    if (lends) domains.add(domain);
  }
  return domains.size;
}

function otherLends(host: HostId, { roster, known, membership }: LendingOptions): boolean {
  const view = known.host(host);
  if (view?.heartbeat !== undefined) return view.weightMiB > 0;
  const { stores = [] } = membership.configuration.policy.hosts.get(roster.nameOf(host)) ?? {};
  return stores.some(({ draining }) => !draining);
}

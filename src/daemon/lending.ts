/**
 * Lending: in how many domains the copies of a source can be, however little room is left there. Two copies in one
 * domain count once.
 */
import { type HostId, type SourceId, splitSourceId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { OwnStores } from './own-stores.js';
import type { Roster } from './roster.js';

export interface LendingOptions {
  readonly roster: Roster;
  readonly known: Pick<Known, 'host'>;
  readonly stores: Pick<OwnStores, 'reports'>;
}

/** @param without a host to leave out, as if it lent nothing */
export function domainsFor(source: SourceId, { roster, known, stores }: LendingOptions, without?: HostId): number {
  const domains = new Set<string>();
  for (const { host, domain, state, trust } of roster.members()) {
    if (state !== 'active' || trust !== 'trusted') continue;
    if (host === splitSourceId(source).origin || host === without) continue;
    const lends =
      host === roster.self
        ? stores.reports().some(({ draining, lentBytes }) => !draining && lentBytes > 0)
        : (known.host(host)?.weightMiB ?? 0) > 0;
    if (lends) domains.add(domain);
  }
  return domains.size;
}

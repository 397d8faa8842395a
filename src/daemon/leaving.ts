/**
 * Leaving: whether this host may leave its cluster without a loss, and what of it would be lost.
 *
 * A membership ends only by a version of the configuration, which an admin signs: nothing that a host says of itself
 * ends it, for a thief of the host could say it too. So a host that leaves is emptied first (`drain`), has all of its
 * own snapshots copied, and is then revoked by an admin. This file says how far that is.
 */
import { splitSourceId } from '../core/ids.js';
import { adminHosts } from '../membership/admin.js';
import type { Membership } from '../membership/membership.js';
import type { Configuring } from './configuring.js';
import type { LeaveReport, SourceReport, StatusReport } from './service.js';

export interface LeavingOptions {
  readonly status: StatusReport;
  readonly configuring: Pick<Configuring, 'homeless'>;
  readonly membership: Pick<Membership, 'admin' | 'configuration'>;
  /** Wanted parcels in the stores of this host. */
  readonly left: number;
}

export function leaveReport({ status, configuring, membership, left }: LeavingOptions): LeaveReport {
  const { host, hostId, hosts, pausedUntilMs } = status;
  const self = hosts.find(one => one.id === hostId);
  const own = status.sources.filter(
    ({ sourceId, archived, lastSnapshot }) =>
      splitSourceId(sourceId).origin === hostId && (archived !== true || lastSnapshot !== undefined),
  );
  const lends = self?.trust === 'trusted' && self.stores.length > 0;
  const away = self?.stores.filter(({ mounted }) => !mounted) ?? [];
  const unread = self?.stores.filter(store => store.unread === true) ?? [];
  const isDrained = self?.state === 'draining' || !lends;
  const uncopied = own.filter(source => !isCopied(source)).map(({ source }) => source);
  return {
    host,
    state: self?.state ?? 'revoked',
    trust: self?.trust ?? 'trusted',
    parcelsLeft: left,
    uncopied,
    isDrained,
    isReady: isDrained && left === 0 && uncopied.length === 0 && away.length + unread.length === 0,
    isAlone: hosts.every(
      ({ id, state }) => id === hostId || state === 'dead' || state === 'suspect' || state === 'revoked',
    ),
    atStake: [
      ...(isDrained ? [] : configuring.homeless(host)),
      ...away.map(
        ({ path, because }) => `the store ${path} ${because ?? 'is not mounted'}: nobody can see what is on it`,
      ),
      ...unread.map(({ path }) => `the store ${path} is being read again: what is on it does not count before`),
      ...own.flatMap(uncopiedText),
    ],
    asOf: own.flatMap(({ source, archived, lastSnapshot }) =>
      archived === true || lastSnapshot === undefined
        ? []
        : [{ source, timeMs: lastSnapshot.timeMs, partial: lastSnapshot.partial }],
    ),
    adminHosts: adminHosts(membership.configuration),
    isAdmin: membership.admin.isAdmin,
    ...(pausedUntilMs === undefined ? {} : { pausedUntilMs }),
  };
}

/** Its newest snapshot is protected, and every older one that is listed has its copies. */
const isCopied = ({ lastSnapshot, parcels }: SourceReport): boolean =>
  lastSnapshot?.protected === true && parcels.under === 0;

function uncopiedText(report: SourceReport): readonly string[] {
  const { source, lastSnapshot, parcels } = report;
  if (isCopied(report)) return [];
  if (lastSnapshot === undefined) return [`source ${source} has no snapshot: nothing of it is copied`];
  if (parcels.under === 0) return [`source ${source}: its holders have yet to hear of the last snapshot`];
  return [`source ${source}: ${parcels.under === 1 ? '1 parcel has' : `${parcels.under} parcels have`} too few copies`];
}

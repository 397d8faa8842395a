/**
 * Missing: the copies that parcels lack, whether they can be made at all, and how soon at best.
 *
 * A copy needs a host that has the parcel, a holder or its origin, and a domain without a copy that contains an active,
 * trusted host which has a store and is not the origin. Besides that it needs only room and time.
 */
import type { HostId } from '../../src/core/ids.js';
import type { ParcelModel } from '../catalog-model.js';
import type { CopyWatch } from '../copy-watch.js';
import { type BoundHost, lowerBoundS, sum } from '../lower-bound.js';
import type { SimHost } from '../sim-host.js';
import type { World } from '../world.js';

export interface Missing {
  readonly parcels: number;
  /** Of all missing copies. */
  readonly bytes: number;
  /** Of those missing copies for which there are domains. */
  readonly makeableBytes: number;
  /** Parcels that want more copies than there are domains for, and how many domains the worst of them has. */
  readonly placeless: { readonly parcels: number; readonly wanted: number; readonly domains: number } | undefined;
  /** Parcels that neither a host nor their origin has any more; the origin has those of the newest snapshots alone. */
  readonly gone: number;
  /**
   * The least time in which the links can make the makeable copies, in seconds; Infinity when there is too little room.
   */
  readonly boundS: number;
}

/** @param isAtOrigin whether its origin has the parcel, besides all copies */
export function missingOf(world: World, watch: CopyWatch, isAtOrigin: (parcel: ParcelModel) => boolean): Missing {
  const takers = takersOf(world);
  const own = new Map<HostId, number>();
  const barred = new Map<HostId, number>();
  let parcels = 0;
  let bytes = 0;
  let makeableBytes = 0;
  let onceBytes = 0;
  let placeless: Missing['placeless'];
  let gone = 0;
  for (const { parcel, copies, copiesWanted: wanted, holders } of watch.watched()) {
    const { origin, ref } = parcel;
    if (copies >= wanted) continue;
    parcels += 1;
    bytes += (wanted - copies) * ref.bytes;
    if (holders.size === 0 && !isAtOrigin(parcel)) {
      gone += 1;
      continue;
    }
    const domains = takers.domainsFor(origin);
    if (domains < wanted) {
      const { parcels: before, ...fewest } = placeless ?? { parcels: 0, wanted, domains };
      placeless = { ...(domains < fewest.domains ? { wanted, domains } : fewest), parcels: before + 1 };
    }
    if (copies >= Math.min(wanted, domains)) continue;
    makeableBytes += (Math.min(wanted, domains) - copies) * ref.bytes;
    onceBytes += ref.bytes;
    if (holders.size === 0) addTo(own, origin, ref.bytes);
    for (const host of takers.barred(origin, holders)) addTo(barred, host, ref.bytes);
  }
  const bound = world.hosts
    .filter(({ lost }) => !lost)
    .map(
      ({ id, stores, uploadBytesPerS, downloadBytesPerS }): BoundHost => ({
        uploadBytesPerS,
        downloadBytesPerS,
        roomBytes: sum(stores.map(({ lentBytes, usedBytes }) => lentBytes - usedBytes)),
        ownBytes: own.get(id) ?? 0,
        takesBytes: takers.has(id) ? onceBytes - (barred.get(id) ?? 0) : 0,
      }),
    );
  return { parcels, bytes, makeableBytes, placeless, gone, boundS: lowerBoundS(bound, makeableBytes) };
}

function addTo(sums: Map<HostId, number>, host: HostId, bytes: number): void {
  sums.set(host, (sums.get(host) ?? 0) + bytes);
}

interface Takers {
  has(host: HostId): boolean;
  /** How many domains could hold a copy of a parcel of this origin. */
  domainsFor(origin: HostId): number;
  /** The takers that cannot have another copy of a parcel with this origin and these holders. */
  barred(origin: HostId, holders: Iterable<SimHost>): ReadonlySet<HostId>;
}

/** Finds the hosts that may be given copies. */
function takersOf(world: World): Takers {
  const domainOf = new Map(
    world.config.members.flatMap(({ host, state, trust, domain }) =>
      state === 'active' && trust === 'trusted' ? [[host, domain]] : [],
    ),
  );
  const byDomain = new Map<string, HostId[]>();
  for (const { id, lost, stores } of world.hosts) {
    const domain = domainOf.get(id);
    if (lost || stores.length === 0 || domain === undefined) continue;
    byDomain.set(domain, [...(byDomain.get(domain) ?? []), id]);
  }
  const inDomainOf = (host: HostId): readonly HostId[] => byDomain.get(domainOf.get(host) ?? '') ?? [];
  const isAlone = (host: HostId): boolean => inDomainOf(host).length === 1 && inDomainOf(host)[0] === host;
  return {
    has: host => inDomainOf(host).includes(host),
    domainsFor: origin => byDomain.size - (isAlone(origin) ? 1 : 0),
    barred: (origin, holders) => new Set([origin, ...[...holders].flatMap(({ id }) => inDomainOf(id))]),
  };
}

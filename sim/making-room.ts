/**
 * Making room: could one of the hosts that lack a parcel make room for it by handing families to another host
 * (src/core/relocating.ts)? As seen by an observer who knows all disks, and bounded like the hosts' own search: one move
 * of one or several whole families from one store to one store of another host. Chains of moves are not looked for.
 */
import type { Member } from '../src/core/cluster-config.js';
import type { ParcelId } from '../src/core/ids.js';
import type { ParcelModel } from './catalog-model.js';
import type { SimHost } from './sim-host.js';
import type { StoreDisk } from './store-disk.js';
import type { World } from './world.js';

interface Place {
  readonly host: SimHost;
  readonly domain: string;
  readonly roaming: boolean;
}

interface FamilyHere {
  readonly parcels: readonly ParcelModel[];
  /** What whoever takes it must have free, and what its leaving frees here. */
  readonly bytes: number;
  readonly freedBytes: number;
}

/** @returns the number of the host that could do it; undefined when none could */
export function whoCanMakeRoom(world: World, parcel: ParcelModel): number | undefined {
  const { config } = world;
  const memberOf = new Map(config.members.map(member => [member.host, member]));
  const places = world.hosts.flatMap((host): Place[] => {
    const member = host.lost || host.isClone ? undefined : memberOf.get(host.id);
    if (member === undefined || !mayKeep(member)) return [];
    return [{ host, domain: member.domain, roaming: member.roaming }];
  });
  const holding = domainsWith(places, [parcel.ref.id]);
  const copiesWanted = new Map<ParcelId, number>();
  for (const { parcel: listed, copiesWanted: copies } of world.listed()) copiesWanted.set(listed.ref.id, copies);
  // A parcel that is short itself cannot leave, for not enough hosts could grant that.
  const mayLeave = ({ parcels }: FamilyHere): boolean =>
    parcels.every(({ ref: { id } }) => world.copies(id) >= (copiesWanted.get(id) ?? Number.POSITIVE_INFINITY));
  for (const from of places) {
    if (from.host.id === parcel.origin || holding.has(from.domain)) continue;
    for (const store of from.host.stores) {
      const needBytes = parcel.ref.bytes - store.freeBytes;
      const families = familiesIn(world, store).filter(mayLeave);
      for (const to of places)
        if (
          to !== from &&
          frees(
            families.filter(family => mayTake(to, from, family, places)),
            { to, needBytes },
          )
        )
          return from.host.number;
    }
  }
  return undefined;
}

const mayKeep = (member: Member): boolean => member.state === 'active' && member.trust === 'trusted';

function familiesIn(world: World, store: StoreDisk): FamilyHere[] {
  const byKey = new Map<string, ParcelModel[]>();
  for (const id of store.present) {
    const parcel = world.catalog.parcel(id);
    if (parcel === undefined) continue;
    const family = byKey.get(parcel.ref.key) ?? [];
    family.push(parcel);
    byKey.set(parcel.ref.key, family);
  }
  return [...byKey.values()].map(parcels => {
    const bytes = parcels.reduce((sum, { ref }) => sum + ref.bytes, 0);
    // The store keeps a shared part once.
    const sharers = parcels.flatMap(({ shared }) => shared ?? []);
    const sharedBytes = sharers.slice(1).reduce((sum, shared) => sum + shared.bytes, 0);
    return { parcels, bytes, freedBytes: bytes - sharedBytes };
  });
}

function mayTake(to: Place, from: Place, { parcels }: FamilyHere, places: readonly Place[]): boolean {
  if (to.roaming || parcels.some(({ origin }) => origin === to.host.id)) return false;
  const others = places.filter(({ host }) => host !== from.host);
  return !domainsWith(
    others,
    parcels.map(({ ref }) => ref.id),
  ).has(to.domain);
}

/** Whether enough of these families fit into one store there: a single one, or else the largest first. */
function frees(
  families: readonly FamilyHere[],
  { to, needBytes }: { readonly to: Place; readonly needBytes: number },
): boolean {
  const roomBytes = Math.max(0, ...to.host.stores.map(({ freeBytes }) => freeBytes));
  if (families.some(({ bytes, freedBytes }) => bytes <= roomBytes && freedBytes >= needBytes)) return true;
  let leftBytes = roomBytes;
  let freedBytes = 0;
  for (const family of families.toSorted((a, b) => b.bytes - a.bytes)) {
    if (family.bytes > leftBytes) continue;
    leftBytes -= family.bytes;
    freedBytes += family.freedBytes;
  }
  return freedBytes >= needBytes;
}

function domainsWith(places: readonly Place[], parcels: readonly ParcelId[]): ReadonlySet<string> {
  const domains = new Set<string>();
  for (const { host, domain } of places)
    if (host.stores.some(store => parcels.some(parcel => store.present.has(parcel)))) domains.add(domain);
  return domains;
}

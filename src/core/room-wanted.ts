/**
 * Room wanted: which listed parcels stay short of copies because no host that could take them has room for them? A
 * person is told so, as waiting does not help.
 *
 * A host counts as a place for a parcel as long as it may yet take it: it has room, has claimed it, or has not been
 * heard since our start. One that is only suspect still has the room that it last reported. Hosts that are missing
 * altogether are another matter: no more copies are asked for than there are domains that lend room.
 *
 * What a store would take because it has most of the files already (fitting.ts) is known of our own stores alone: a
 * parcel that another host would take for that reason may be told of for as long as it waits there for its turn.
 *
 * It only reads, and in turns, between which the machine may take steps: each row is looked at once, as it is then.
 * Driven by known.ts, and turn by turn by the daemon's room-watch.ts.
 */
import type { Claims } from './claims.js';
import { type ClusterConfig, type Member, mayTakeCopies } from './cluster-config.js';
import type { Fitting } from './fitting.js';
import type { Holdings } from './holdings.js';
import type { Hosts } from './hosts.js';
import type { HostId, SourceId } from './ids.js';
import { FLAG, type ParcelTable, type Row } from './parcel-table.js';
import type { Placement } from './placement.js';
import type { Pursuing } from './pursuing.js';
import type { Relocating } from './relocating.js';
import type { Room } from './room.js';
import type { Wanted } from './wanted.js';

/** Of one source: what has no place. */
export interface RoomWanted {
  readonly parcels: number;
  /** What the copies that have no place would take. */
  readonly bytes: number;
  /** The largest of the parcels, and the most room in one store of a host that could take it. */
  readonly largestBytes: number;
  readonly freeBytes: number;
}

export interface RoomWantedContext {
  readonly self: { readonly host: HostId; readonly member: () => Member | undefined };
  readonly table: ParcelTable;
  readonly holdings: Pick<Holdings, 'hostOf'>;
  readonly hosts: Pick<Hosts, 'others'>;
  readonly placement: Pick<Placement, 'domainOf' | 'storeCounts'>;
  readonly wanted: Pick<Wanted, 'copiesWanted' | 'originsOf' | 'sourceOf'>;
  readonly claims: Pick<Claims, 'on'>;
  readonly room: Pick<Room, 'hangsAny' | 'roomiest' | 'size'>;
  readonly fitting: Pick<Fitting, 'placeFor'>;
  readonly pursuing: Pick<Pursuing, 'isAfter'>;
  readonly relocating: Pick<Relocating, 'size'>;
  readonly nowMs: () => number;
  readonly config: () => ClusterConfig;
}

/**
 * How many rows, and lenders of a row, are looked at in one turn: a millisecond or two, where all at once may take
 * seconds, for a million rows that are short.
 */
const LOOKS_A_TURN = 10_000;

/** A host that lends room, and is not dead. */
interface Lender {
  readonly host: HostId;
  readonly domain: string;
  /** The most in one of its stores; infinite while nothing has been heard of them. */
  readonly freeBytes: number;
}

/** Yields between two turns. @returns only sources with such parcels */
export function* roomWanted(of: RoomWantedContext): Generator<void, ReadonlyMap<SourceId, RoomWanted>> {
  const { table, wanted } = of;
  const found = new Map<SourceId, RoomWanted>();
  const lenders = lendersOf(of);
  const roomiest = roomiestDomains(lenders);
  // A move that makes room begins only after this long: until then nobody can say that there is none.
  const shortBeforeMs = of.nowMs() - of.config().timing.relocateMs;
  let looks = 0;
  // By the numbers of the rows, which stay: the places in `short` change as rows leave it.
  for (let row = 0; row < table.size && table.short.size > 0; row += 1) {
    looks += 1;
    if (looks >= LOOKS_A_TURN) {
      yield;
      looks = 0;
    }
    // Also what is not short, which has no such time.
    if (!(table.shortSinceMs(row) <= shortBeforeMs)) continue;
    const source = wanted.sourceOf(row);
    if (source === undefined || !table.has(row, FLAG.listed)) continue;
    const bytes = table.bytes(row);
    // Most of a long queue fits, and needs no closer look: so many domains have room that copies and origins may lie in
    // the roomiest of them.
    const taken = (wanted.copiesWanted(row) ?? 0) - 1 + wanted.originsOf(row).length;
    if ((roomiest[taken] ?? Number.NEGATIVE_INFINITY) >= bytes) continue;
    looks += lenders.length;
    const { copies, freeBytes } = withoutPlace(of, row, lenders);
    if (copies <= 0) continue;
    const before = found.get(source);
    const isLargest = before === undefined || bytes > before.largestBytes;
    found.set(source, {
      parcels: (before?.parcels ?? 0) + 1,
      bytes: (before?.bytes ?? 0) + copies * bytes,
      largestBytes: isLargest ? bytes : before.largestBytes,
      freeBytes: isLargest ? freeBytes : before.freeBytes,
    });
  }
  return found;
}

function lendersOf({ self, hosts, room }: RoomWantedContext): readonly Lender[] {
  const lenders: Lender[] = [];
  const own = self.member();
  if (mayTakeCopies(own) && room.size > 0)
    lenders.push({ host: self.host, domain: own.domain, freeBytes: room.roomiest()?.freeBytes ?? 0 });
  for (const { id, member, heartbeat, reports, liveness, isSetAside, freeBytes } of hosts.others()) {
    if (!mayTakeCopies(member) || liveness === 'dead' || isSetAside) continue;
    const isUnheard = heartbeat === undefined;
    if (!isUnheard && reports.size === 0) continue;
    lenders.push({ host: id, domain: member.domain, freeBytes: isUnheard ? Number.POSITIVE_INFINITY : freeBytes });
  }
  return lenders;
}

/** The most room in one store of each domain, the roomiest first. */
function roomiestDomains(lenders: readonly Lender[]): readonly number[] {
  const most = new Map<string, number>();
  for (const { domain, freeBytes } of lenders) most.set(domain, Math.max(freeBytes, most.get(domain) ?? 0));
  return [...most.values()].sort((a, b) => b - a);
}

/** How many copies of a row that is short have no place, and the most room of those who could take it and do not. */
function withoutPlace(
  of: RoomWantedContext,
  row: Row,
  lenders: readonly Lender[],
): { readonly copies: number; readonly freeBytes: number } {
  const { self, table, wanted, claims, room, fitting, pursuing, relocating } = of;
  const origins = wanted.originsOf(row);
  const bytes = table.bytes(row);
  const claimants = claims.on(row);
  const holders = holderDomains(of, row, origins);
  const domains = new Set<string>();
  const places = new Set<string>();
  let mostBytes = 0;
  for (const { host, domain, freeBytes } of lenders) {
    if (origins.includes(host)) continue;
    domains.add(domain);
    if (holders.has(domain)) continue;
    const isOwn = host === self.host;
    const takes = isOwn
      ? fitting.placeFor(row) !== undefined || pursuing.isAfter(row) || relocating.size > 0 || room.hangsAny()
      : freeBytes >= bytes || claimants.includes(host);
    if (takes) places.add(domain);
    else mostBytes = Math.max(mostBytes, freeBytes);
  }
  const copiesWanted = Math.min(wanted.copiesWanted(row) ?? 0, domains.size);
  return { copies: copiesWanted - holders.size - places.size, freeBytes: mostBytes };
}

/**
 * Also those of hosts that are suspect and whose copies count no more, as only one live place is left: what is missing
 * there is the host, and not room.
 */
function holderDomains(
  { table, holdings, placement }: RoomWantedContext,
  row: Row,
  origins: readonly HostId[],
): ReadonlySet<string> {
  const domains = new Set<string>();
  for (const slot of table.holders(row, [])) {
    const host = holdings.hostOf(slot);
    const domain = placement.domainOf(host);
    if (domain !== undefined && !origins.includes(host) && placement.storeCounts(slot)) domains.add(domain);
  }
  return domains;
}

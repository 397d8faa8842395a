/**
 * Relocate: should this host move something away to make room for a parcel that fits nowhere?
 *
 * Files are never cut, so a cluster can have room in total but not for one parcel in any single store. Then a host that
 * lacks the parcel hands one or several families of smaller parcels to a host that has room for them. Hosts take turns
 * at this in rank order, and the one that does it claims the parcel, so that others leave it alone.
 *
 * Pure: same view, same verdict. Driven by relocating.ts for each parcel that is short of copies and does not fit here.
 */
export interface RelocateView {
  readonly nowMs: number;
  /** Since when copies have been short. */
  readonly shortSinceMs: number;
  /** A parcel must have been needed this long before anything is moved for it. */
  readonly patienceMs: number;
  /** The number of live hosts that lack the parcel and rank before this one. */
  readonly rank: number;
  readonly turnMs: number;
  readonly copiesWanted: number;
  readonly copies: number;
  /** Live claims of others. */
  readonly claims: number;
  /** A live host that lacks the parcel has room for it. */
  readonly fitsElsewhere: boolean;
  /** This host is already moving something for it. */
  readonly underWay: boolean;
  /** The number of running moves from this host. */
  readonly outgoing: number;
  /** Suitable families are here, and a host that may take them exists. */
  readonly hasMove: boolean;
}

export type RelocateVerdict =
  | { readonly act: 'relocate' }
  | { readonly act: 'wait'; readonly untilMs: number; readonly because: 'young' | 'turn' }
  | { readonly act: 'decline'; readonly because: 'enough' | 'fits-elsewhere' | 'under-way' | 'busy' | 'no-move' };

/** The most moves from one host at once, and into one. */
export const RELOCATIONS_MAX = 2;
/** A family is moved at most once in this time, in ms. */
export const FAMILY_REST_MS = 3_600_000;
/**
 * A family that was refused is offered again after this many times the patience, and the others before it, one each
 * time that the host that refused may be asked again: what was refused may be just the family, or just the moment.
 */
export const REFUSED_RESTS = 10;

export function decideRelocate(view: RelocateView): RelocateVerdict {
  if (view.underWay) return { act: 'decline', because: 'under-way' };
  if (view.copies + view.claims >= view.copiesWanted) return { act: 'decline', because: 'enough' };
  if (view.fitsElsewhere) return { act: 'decline', because: 'fits-elsewhere' };
  const ripeMs = view.shortSinceMs + view.patienceMs;
  if (view.nowMs < ripeMs) return { act: 'wait', untilMs: ripeMs, because: 'young' };
  const turn = Math.max(0, view.rank - (view.copiesWanted - view.copies - view.claims - 1));
  const dueMs = ripeMs + turn * view.turnMs;
  if (view.nowMs < dueMs) return { act: 'wait', untilMs: dueMs, because: 'turn' };
  if (view.outgoing >= RELOCATIONS_MAX) return { act: 'decline', because: 'busy' };
  if (!view.hasMove) return { act: 'decline', because: 'no-move' };
  return { act: 'relocate' };
}

/** A family that this host holds in one store: either all of it moves, or none. */
export interface Family<Row> {
  readonly rows: readonly Row[];
  readonly bytes: number;
}

export interface Taker<Host> {
  readonly host: Host;
  readonly freeBytes: number;
}

/** The families that one host is asked to take over. */
export interface ChosenMove<Row, Host> {
  readonly families: readonly Family<Row>[];
  readonly to: Host;
}

/**
 * The smallest family that makes enough room, and the roomiest host that may take it; if no single family will do,
 * several smaller ones to one host.
 * @param families in order of their bytes, smallest first
 * @param parcelsMax the most parcels of one move
 */
export function chooseMove<Row, Host>(choice: MoveChoice<Row, Host>): ChosenMove<Row, Host> | undefined {
  const { needBytes, families } = choice;
  let low = 0;
  let high = families.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((families[middle]?.bytes ?? 0) < needBytes) low = middle + 1;
    else high = middle;
  }
  return chooseOne(choice, low) ?? chooseSeveral(choice, low);
}

interface MoveChoice<Row, Host> {
  readonly needBytes: number;
  readonly families: readonly Family<Row>[];
  readonly takersOf: (family: Family<Row>) => readonly Taker<Host>[];
  readonly parcelsMax: number;
}

function chooseOne<Row, Host>(
  { families, takersOf }: MoveChoice<Row, Host>,
  from: number,
): ChosenMove<Row, Host> | undefined {
  for (const family of families.slice(from, from + FAMILIES_TRIED_MAX)) {
    let best: Taker<Host> | undefined;
    for (const taker of takersOf(family)) {
      if (taker.freeBytes >= family.bytes && (best === undefined || taker.freeBytes > best.freeBytes)) best = taker;
    }
    if (best !== undefined) return { families: [family], to: best.host };
  }
  return undefined;
}

/**
 * The largest families first, so that few move; to the first host that reaches enough. @param to the first family that
 * is not considered
 */
function chooseSeveral<Row, Host>(
  { needBytes, families, takersOf, parcelsMax }: MoveChoice<Row, Host>,
  to: number,
): ChosenMove<Row, Host> | undefined {
  const loads = new Map<Host, { families: Family<Row>[]; bytes: number; parcels: number }>();
  for (const family of families.slice(Math.max(0, to - SEVERAL_TRIED_MAX), to).reverse()) {
    for (const { host, freeBytes } of takersOf(family)) {
      if (freeBytes < needBytes) continue;
      const load = loads.get(host) ?? { families: [], bytes: 0, parcels: 0 };
      if (load.bytes + family.bytes > freeBytes || load.parcels + family.rows.length > parcelsMax) continue;
      load.families.push(family);
      load.bytes += family.bytes;
      load.parcels += family.rows.length;
      if (load.bytes >= needBytes) return { families: load.families, to: host };
      loads.set(host, load);
    }
  }
  return undefined;
}

/**
 * The most families considered for one move: of those that make enough room, the smallest are the likeliest to fit
 * elsewhere.
 */
const FAMILIES_TRIED_MAX = 64;
/**
 * The same when several families must go: more than one move has parcels, because most may already be where they would
 * go.
 */
const SEVERAL_TRIED_MAX = 1024;

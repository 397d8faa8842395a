/**
 * Relocating: this host's own moves of families to roomier hosts, to make room here for a parcel, and its answers to
 * hosts that want to move a family here.
 *
 *   short, fits nowhere --decideRelocate--> offered --accepted--> moving --taker holds all--> leaving --all dropped-->
 *   the room is kept for the parcel until it is claimed
 *
 * A moved parcel is fetched and verified there before it is dropped here, and dropped only by the rules of a drop (dropping.ts): a
 * move that ends at any point leaves a copy too many, never one too few. Moves live only in memory.
 *
 * Driven by the machine.
 */
import type { Claims } from './claims.js';
import { type ClusterConfig, type Member, mayHoldCopies } from './cluster-config.js';
import type { Effect, Input, MoveEnd } from './effects.js';
import type { HeldHere } from './held-here.js';
import type { Holdings } from './holdings.js';
import type { HostId, StoreId } from './ids.js';
import type { Marks } from './marks.js';
import type { OtherHolders } from './other-holders.js';
import type { ParcelTable, Row } from './parcel-table.js';
import type { Placement } from './placement.js';
import {
  type ChosenMove,
  chooseMove,
  decideRelocate,
  FAMILY_REST_MS,
  type Family,
  REFUSED_RESTS,
  RELOCATIONS_MAX,
} from './relocate.js';
import type { Room } from './room.js';
import type { Voice } from './voice.js';
import type { Wanted } from './wanted.js';

/** A move may take this long, in ms, plus a second for each MB that moves. */
const MOVE_MS = 60_000;
const MOVE_BYTES_PER_MS = 1_000;
/**
 * A move out of a store that hangs ends after this, in ms: a disk that slept has long been awake by then, and what has
 * been moved is not moved again for an hour.
 */
const HANGS_MS = 60_000;
/**
 * A host that accepted a family and did not get it is not asked again for this long, in ms: longer than the family rests, so
 * that another host is asked the next time. It may have less room than it says, and would go on looking the roomiest.
 */
const TAKER_REST_MS = 2 * FAMILY_REST_MS;
/** How long the room that a move has made is kept for its parcel, in ms. */
const KEEP_ROOM_MS = 60_000;
/**
 * A parcel that fits nowhere is looked at more and more rarely: after this share of the time it has been short, but at
 * least every `REST_MS_MAX`.
 */
const REST_PART = 1 / 8;
const REST_MS_MAX = 30 * 60_000;
/** The most parcels of one offer: a larger family stays where it is. */
export const OFFERED_PARCELS_MAX = 512;

interface Move {
  readonly offer: number;
  /** The parcel that needs room. */
  readonly row: Row;
  readonly store: StoreId;
  readonly to: HostId;
  /** The first row of each of its families. */
  readonly firsts: readonly Row[];
  /** Those parcels of the families that are still here. */
  readonly rows: Set<Row>;
  stage: 'offered' | 'moving' | 'leaving';
  readonly untilMs: number;
  renewClaimMs: number;
  /** Rows of which the other host says neither that it has them nor that it fetches them → since when. */
  readonly silentSinceMs: Map<Row, number>;
}

/** What pursuing does for it. */
export interface Taking {
  /** Begins to fetch the parcel whatever its copies. @returns false when there is no room for it, or it cannot be had. */
  takeOver(row: Row): boolean;
  /** … and not after all, though it has been taken. */
  giveUp(row: Row): void;
  /** The parcel is still on its way. */
  isAfter(row: Row): boolean;
  /** It has told others that it is about to fetch the parcel. */
  claims(row: Row): boolean;
}

/** What relocating must know of its machine. */
export interface RelocatingContext {
  readonly self: HostId;
  readonly table: ParcelTable;
  readonly others: OtherHolders;
  readonly wanted: Wanted;
  readonly nowMs: () => number;
  readonly config: () => ClusterConfig;
  readonly memberOf: (host: HostId) => Member | undefined;
  readonly holdings: Pick<Holdings, 'slotsOf'>;
  readonly placement: Pick<Placement, 'storeCounts'>;
  readonly here: Pick<HeldHere, 'rowsIn' | 'isHeld' | 'isHeldToStay'>;
  readonly room: Pick<Room, 'byFreeRoom' | 'hangsSinceMs' | 'reserveIfFree' | 'release'>;
  readonly claims: Pick<Claims, 'on'>;
  readonly voice: Pick<Voice, 'claim' | 'withdraw'>;
  readonly pursuing: () => Taking;
  readonly isDropping: (row: Row) => boolean;
  readonly emit: (effect: Effect) => void;
  readonly marks: Pick<Marks, 'lookAgain' | 'lookLater'>;
}

export class Relocating {
  readonly #of: RelocatingContext;
  readonly #byRow = new Map<Row, Move>();
  readonly #byOffer = new Map<number, Move>();
  /** Rows of the families that are being moved away. */
  readonly #moving = new Map<Row, Move>();
  readonly #kept = new Map<Row, { readonly store: StoreId; readonly bytes: number; readonly untilMs: number }>();
  /** First row of each family that was moved or refused → when it may be tried again. */
  readonly #rests = new Map<Row, number>();
  /** Host that refused an offer → when it may be asked again. */
  readonly #refusals = new Map<HostId, number>();
  readonly #incoming = new Map<number, readonly Row[]>();
  /** Rows taken over from other hosts, and until when the other host, not this one, is to drop its copy. */
  readonly #taken = new Map<Row, number>();
  readonly #families = new Map<StoreId, readonly Family<Row>[]>();
  #nextOffer = 1;
  /** When another host gained the room that a move of ours was to make: its next heartbeat will say so. */
  #roomElsewhereMs = Number.NEGATIVE_INFINITY;

  constructor(context: RelocatingContext) {
    this.#of = context;
  }

  /** Our copies have changed. */
  holdingsChanged(): void {
    this.#families.clear();
  }

  get size(): number {
    return this.#byOffer.size;
  }

  /** The copy is at another host now and is leaving this one: neither age nor turn delays its drop. */
  isLeaving(row: Row): boolean {
    return this.#moving.get(row)?.stage === 'leaving';
  }

  /** Until when a copy that was taken over stays: the host that handed it over drops its own first. */
  keepUntilMs(row: Row): number {
    return this.#taken.get(row) ?? Number.NEGATIVE_INFINITY;
  }

  /** The room that was made for the row. */
  roomFor(row: Row): { readonly store: StoreId; readonly needBytes: number } | undefined {
    const kept = this.#kept.get(row);
    return kept === undefined ? undefined : { store: kept.store, needBytes: kept.bytes };
  }

  /**
   * Releases that room: before the row is claimed, or when the row no longer needs it.
   * @returns the store in which the room was, for which the row is still claimed
   */
  giveRoomBack(row: Row): StoreId | undefined {
    const kept = this.#kept.get(row);
    if (kept === undefined) return undefined;
    this.#kept.delete(row);
    this.#of.room.release(kept.store, kept.bytes);
    return kept.store;
  }

  // ------------------------------------------------------------------------------------------------------------ outgoing

  /** A row that is short of copies and does not fit here. */
  considerStuck(row: Row, { copies, claims }: { readonly copies: number; readonly claims: number }): void {
    const { table, others, wanted, config, nowMs, marks } = this.#of;
    const copiesWanted = wanted.copiesWanted(row);
    if (copiesWanted === undefined || this.#byRow.has(row)) return;
    const { timing } = config();
    const { rank, fitsElsewhere } = others.lackers(row, wanted.originsOf(row));
    const view = {
      nowMs: nowMs(),
      shortSinceMs: Math.max(table.shortSinceMs(row), this.#roomElsewhereMs),
      patienceMs: timing.relocateMs,
      rank,
      turnMs: timing.stepMs,
      copiesWanted,
      copies,
      claims,
      fitsElsewhere,
      underWay: false,
      outgoing: this.#byOffer.size,
    };
    // The costly search for a move is made only if everything else says yes.
    const verdict = decideRelocate({ ...view, hasMove: true });
    const move = verdict.act === 'relocate' ? this.#chooseMove(row) : undefined;
    if (verdict.act === 'wait') marks.lookAgain(row, verdict.untilMs);
    else if (move === undefined) marks.lookLater(row, nowMs() + restOf(timing.relocateMs, view));
    else this.#begin(row, move);
  }

  /** Out of the store that needs the least more room, if it has what may go, else out of another one. */
  #chooseMove(row: Row): (ChosenMove<Row, HostId> & { readonly store: StoreId }) | undefined {
    const { table, others, wanted, room } = this.#of;
    for (const [host, untilMs] of this.#refusals) if (untilMs <= this.#of.nowMs()) this.#refusals.delete(host);
    for (const { store, freeBytes } of room.byFreeRoom()) {
      const chosen = chooseMove({
        needBytes: table.bytes(row) - freeBytes,
        families: this.#familiesIn(store),
        parcelsMax: OFFERED_PARCELS_MAX,
        takersOf: ({ rows }: Family<Row>) => {
          const [first] = rows;
          const mayGo =
            first !== undefined &&
            (this.#rests.get(first) ?? 0) <= this.#of.nowMs() &&
            rows.every(each => wanted.copiesWanted(each) !== undefined && !this.#moving.has(each));
          if (!mayGo) return [];
          return others.takersOf(rows, wanted.originsOf(first)).filter(({ host }) => !this.#refusals.has(host));
        },
      });
      if (chosen !== undefined) return { ...chosen, store };
    }
    return undefined;
  }

  /** The families in a store, the smallest first. Recomputed when our copies have changed. */
  #familiesIn(store: StoreId): readonly Family<Row>[] {
    const known = this.#families.get(store);
    if (known !== undefined) return known;
    const byKey = new Map<number, { rows: Row[]; bytes: number }>();
    for (const row of this.#of.here.rowsIn(store)) {
      const key = this.#of.table.familyNumber(row);
      const family = byKey.get(key) ?? { rows: [], bytes: 0 };
      family.rows.push(row);
      family.bytes += this.#of.table.bytes(row);
      byKey.set(key, family);
    }
    const list = [...byKey.values()].filter(({ rows }) => rows.length <= OFFERED_PARCELS_MAX);
    list.sort((a, b) => a.bytes - b.bytes || (a.rows[0] ?? 0) - (b.rows[0] ?? 0));
    this.#families.set(store, list);
    return list;
  }

  #begin(row: Row, { store, families, to }: ChosenMove<Row, HostId> & { readonly store: StoreId }): void {
    const { table, config, nowMs, emit, marks } = this.#of;
    const rows = families.flatMap(family => family.rows);
    const firsts = families.flatMap(family => family.rows.slice(0, 1));
    const bytes = families.reduce((sum, family) => sum + family.bytes, 0);
    const move: Move = {
      offer: this.#nextOffer,
      row,
      store,
      to,
      firsts,
      rows: new Set(rows),
      stage: 'offered',
      untilMs: nowMs() + MOVE_MS + Math.ceil(bytes / MOVE_BYTES_PER_MS),
      renewClaimMs: nowMs() + config().timing.claimMs / 3,
      silentSinceMs: new Map(),
    };
    this.#nextOffer += 1;
    this.#byRow.set(row, move);
    this.#byOffer.set(move.offer, move);
    for (const each of rows) this.#moving.set(each, move);
    for (const [rested, untilMs] of this.#rests) if (untilMs <= nowMs()) this.#rests.delete(rested);
    for (const first of firsts) this.#rests.set(first, nowMs() + FAMILY_REST_MS);
    this.#sayClaim(row, store);
    marks.lookAgain(row, Math.min(move.renewClaimMs, move.untilMs));
    const parcels = rows.map(each => table.id(each));
    emit({ do: 'offer-relocation', offer: move.offer, to, needed: table.id(row), parcels });
  }

  answered({ offer, accepted }: Extract<Input, { is: 'relocation-answered' }>): void {
    const move = this.#byOffer.get(offer);
    if (move?.stage !== 'offered') return;
    const { nowMs, config, marks } = this.#of;
    if (accepted) {
      move.stage = 'moving';
      for (const row of move.rows) marks.lookAgain(row);
      return;
    }
    // It may be busy, or have no room now that we have not heard of: neither is for long.
    const { relocateMs } = config().timing;
    this.#refusals.set(move.to, nowMs() + relocateMs);
    for (const first of move.firsts) this.#rests.set(first, nowMs() + REFUSED_RESTS * relocateMs);
    this.#end(move, 'refused');
  }

  /** Looks at a row that may need room or be moving away. `isShort`: it still needs a copy. */
  consider(row: Row, isShort: boolean): void {
    const { nowMs, config, marks, here, room, pursuing } = this.#of;
    if (nowMs() >= (this.#taken.get(row) ?? Number.POSITIVE_INFINITY)) this.#taken.delete(row);
    const kept = this.#kept.get(row);
    if (kept !== undefined && (!isShort || nowMs() >= kept.untilMs)) this.#keepNoLonger(row);
    const own = this.#byRow.get(row);
    if (own !== undefined) {
      if (!isShort || here.isHeldToStay(row) || pursuing().isAfter(row)) this.#end(own, 'not-needed');
      else if (nowMs() >= own.untilMs) this.#endLate(own);
      else if (nowMs() >= room.hangsSinceMs(own.store) + HANGS_MS) this.#end(own, 'store-takes-no-more');
      else {
        if (nowMs() >= own.renewClaimMs) {
          own.renewClaimMs = nowMs() + config().timing.claimMs / 3;
          this.#sayClaim(row, own.store);
        }
        marks.lookAgain(row, Math.min(own.renewClaimMs, own.untilMs));
      }
    }
    const move = this.#moving.get(row);
    if (move === undefined) return;
    if (!here.isHeld(row)) {
      // The log may tell of a drop before its bytes are gone: their room is known when the drop is over.
      if (this.#of.isDropping(row)) return;
      this.#moving.delete(row);
      move.rows.delete(row);
      if (move.rows.size === 0) this.#finish(move);
    } else if (move.stage === 'moving') this.#follow(move, row);
    else if (move.stage === 'leaving' && !this.#mayLeave(row)) {
      // Another holder dropped its copy first. It has the room now, and our claim would keep it from using it.
      this.#roomElsewhereMs = nowMs();
      this.#end(move, 'left-elsewhere');
    }
  }

  /** Has the other host got all rows, is it at this one, or has it given it up? */
  #follow(move: Move, row: Row): void {
    const { nowMs, config, marks, table, claims } = this.#of;
    if ([...move.rows].every(each => this.#holds(move.to, each))) {
      move.stage = 'leaving';
      for (const each of move.rows) {
        table.setSurplusSince(each, Number.NaN);
        marks.lookAgain(each);
      }
    } else if (this.#holds(move.to, row) || claims.on(row).includes(move.to)) {
      move.silentSinceMs.delete(row);
    } else {
      const sinceMs = move.silentSinceMs.get(row) ?? nowMs();
      move.silentSinceMs.set(row, sinceMs);
      // A claim can come late, and that of a fetch that waits its turn is not renewed.
      const untilMs = sinceMs + config().timing.claimMs;
      if (nowMs() >= untilMs) this.#endUntaken(move, 'given-up');
      else marks.lookAgain(row, untilMs);
    }
  }

  #mayLeave(row: Row): boolean {
    const { others, wanted, memberOf } = this.#of;
    const granters = others.grantersOf(row, wanted.originsOf(row));
    const domains = new Set(granters.map(host => memberOf(host)?.domain));
    return domains.size >= (wanted.copiesWanted(row) ?? 0);
  }

  /**
   * All of it has left: its room is reserved for the parcel, which stays claimed, or else others would make room for it
   * before it is fetched.
   */
  #finish(move: Move): void {
    const { table, room, nowMs, marks } = this.#of;
    const { row, store } = move;
    const bytes = table.bytes(row);
    if (room.reserveIfFree(store, bytes)) {
      const untilMs = nowMs() + KEEP_ROOM_MS;
      this.#kept.set(row, { store, bytes, untilMs });
      marks.lookAgain(row, untilMs);
      this.#sayClaim(row, store);
    }
    this.#end(move, 'made-room');
  }

  #endLate(move: Move): void {
    if (move.stage === 'moving') this.#endUntaken(move, 'late');
    else this.#end(move, 'late');
  }

  /** The other host did not get it. */
  #endUntaken(move: Move, because: MoveEnd): void {
    this.#refusals.set(move.to, this.#of.nowMs() + TAKER_REST_MS);
    this.#end(move, because);
  }

  #end(move: Move, because: MoveEnd): void {
    this.#byRow.delete(move.row);
    this.#byOffer.delete(move.offer);
    for (const row of move.rows) this.#moving.delete(row);
    if (!this.#kept.has(move.row)) this.#withdrawClaim(move.row, move.store);
    const { marks, emit } = this.#of;
    marks.lookAgain(move.row);
    emit({ do: 'note-move-ended', offer: move.offer, because });
  }

  #sayClaim(row: Row, store: StoreId): void {
    const { voice, table, config } = this.#of;
    voice.claim(store, table.id(row), config().timing.claimMs);
  }

  #withdrawClaim(row: Row, store: StoreId): void {
    const { voice, table, pursuing } = this.#of;
    if (!pursuing().claims(row)) voice.withdraw(store, table.id(row));
  }

  /** In a store of the host that counts. */
  #holds(host: HostId, row: Row): boolean {
    const { holdings, table, placement } = this.#of;
    return holdings.slotsOf(host).some(slot => table.isHeldBy(row, slot) && placement.storeCounts(slot));
  }

  /** The store is gone or drains: room in it is of no use, and claims for it would only keep others waiting. */
  storeTakesNoMore(store: StoreId): void {
    this.#endAll('store-takes-no-more', store);
  }

  /** The host is paused: it will not fetch what it makes room for. */
  pause(): void {
    this.#endAll('paused');
  }

  /** @param store default: any */
  #endAll(because: MoveEnd, store?: StoreId): void {
    for (const move of [...this.#byOffer.values()]) if ((store ?? move.store) === move.store) this.#end(move, because);
    for (const [row, kept] of [...this.#kept]) if ((store ?? kept.store) === kept.store) this.#keepNoLonger(row);
  }

  #keepNoLonger(row: Row): void {
    const store = this.giveRoomBack(row);
    if (store !== undefined) this.#withdrawClaim(row, store);
  }

  // ------------------------------------------------------------------------------------------------------------ incoming

  /** Accepts all parcels or none. */
  offered({ ask, from, parcels }: Extract<Input, { is: 'relocation-offered' }>): void {
    const { table, wanted, config, nowMs, here, emit, marks } = this.#of;
    const pursuing = this.#of.pursuing();
    for (const [known, rows] of this.#incoming)
      if (!rows.some(row => pursuing.isAfter(row))) this.#incoming.delete(known);
    const rows = parcels.slice(0, OFFERED_PARCELS_MAX).flatMap(parcel => table.find(parcel) ?? []);
    const acceptable =
      this.#mayHandOver(from) &&
      this.#incoming.size < RELOCATIONS_MAX &&
      rows.length === parcels.length &&
      rows.every(row => wanted.copiesWanted(row) !== undefined && !here.isHeld(row) && !pursuing.isAfter(row));
    const accepted = acceptable && this.#takesAll(rows);
    if (accepted) {
      this.#incoming.set(ask, rows);
      for (const row of rows) {
        const untilMs = nowMs() + config().timing.regrabMs + Math.ceil(table.bytes(row) / MOVE_BYTES_PER_MS);
        this.#taken.set(row, untilMs);
        marks.lookAgain(row, untilMs);
      }
    }
    emit({ do: 'answer-relocation', ask, to: from, accepted });
  }

  #takesAll(rows: readonly Row[]): boolean {
    const pursuing = this.#of.pursuing();
    const refused = rows.findIndex(row => !pursuing.takeOver(row));
    if (refused < 0) return true;
    // No host will drop these.
    for (const row of rows.slice(0, refused)) pursuing.giveUp(row);
    return false;
  }

  /** A host that may hold no parcel has none to hand over, and would only make us fetch. */
  #mayHandOver(host: HostId): boolean {
    return mayHoldCopies(this.#of.memberOf(host));
  }
}

const restOf = (
  leastMs: number,
  { nowMs, shortSinceMs }: { readonly nowMs: number; readonly shortSinceMs: number },
): number => Math.max(leastMs, Math.min(REST_MS_MAX, (nowMs - shortSinceMs) * REST_PART));

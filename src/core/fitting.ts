/**
 * Fitting: which of our stores takes a parcel, how much of it must be written there, and which parcels fit in none.
 *
 * A parcel goes where its family is, otherwise to the roomiest store; room that a relocation made for it is its own.
 * Blobs shared with its family are there already. What is missing is measured, once for each state of the family here:
 * it may be nothing, as after a folder was renamed, or fit where the whole does not.
 *
 * Driven by pursuing.ts.
 */
import type { Effect, Input } from './effects.js';
import type { Holdings } from './holdings.js';
import type { HostId, StoreId } from './ids.js';
import type { Marks } from './marks.js';
import { MinQueue } from './min-queue.js';
import type { ParcelTable, Row } from './parcel-table.js';
import { NO_ROOM_BACK_OFF_MS } from './pursuit.js';
import type { Relocating } from './relocating.js';
import type { Room } from './room.js';

/**
 * Parcels measured at once: a renamed folder may make a hundred thousand new ones, and each is measured by its record,
 * which may have to come from another host.
 */
const MEASURES_MAX = 64;

export interface FittingContext {
  readonly self: HostId;
  readonly table: ParcelTable;
  readonly holdings: Holdings;
  readonly room: Room;
  readonly relocating: Pick<Relocating, 'roomFor'>;
  readonly nowMs: () => number;
  readonly emit: (effect: Effect) => void;
  readonly marks: Pick<Marks, 'mark' | 'lookAgain'>;
}

export class Fitting {
  readonly #of: FittingContext;
  /** Missing bytes of parcels that are short of copies and whose family is here. */
  readonly #measured = new Map<
    Row,
    {
      readonly store: StoreId;
      readonly missingBytes: number;
      readonly atHand: boolean;
      readonly untilMs: number;
    }
  >();
  readonly #measuring = new Set<Row>();
  /** Rows to be measured while `MEASURES_MAX` are. */
  readonly #toMeasure = new Set<Row>();
  /** Rows being measured whose family here has changed meanwhile: the result will be out of date. */
  readonly #outdated = new Set<Row>();
  /** Rows that are short of copies and too large for the room that is left. */
  readonly #noRoom = new Set<Row>();
  /** The same rows by the bytes they need, the smallest first; also some that have found room since. */
  readonly #queue = new MinQueue();
  /** The bytes by which a row is queued: once. */
  readonly #queuedBytes = new Map<Row, number>();

  constructor(context: FittingContext) {
    this.#of = context;
  }

  /**
   * A parcel that is short of copies does not fit, and would if less were held: no drop makes room for a parcel that is
   * larger than each of our stores.
   */
  get lacksRoom(): boolean {
    for (let row = this.#queue.firstItem; row !== undefined; row = this.#queue.firstItem) {
      if (this.#noRoom.has(row)) return this.#queue.first <= this.#of.room.mostLentBytes;
      this.#queue.take(Number.POSITIVE_INFINITY);
      this.#queuedBytes.delete(row);
    }
    return false;
  }

  /** The store that takes a row: the one that holds its family, else the roomiest that has room. */
  placeFor(row: Row): { readonly store: StoreId; readonly needBytes: number } | undefined {
    const { table, room, relocating } = this.#of;
    const kept = relocating.roomFor(row);
    // Unless the store lends less by now: then the reserved room no longer exists.
    if (kept !== undefined && room.takesNew(kept.store) && !room.isOver(kept.store)) return kept;
    const measured = this.#measured.get(row);
    return room.placeFor(
      store => (measured?.store === store ? measured.missingBytes : table.bytes(row)),
      store => this.#holdsFamily(row, store),
    );
  }

  /** The row is short of copies and fits nowhere. */
  lacks(row: Row): void {
    this.#noRoom.add(row);
    this.#enqueue(row);
    this.lookForFiles(row);
  }

  get isMeasuring(): boolean {
    return this.#measuring.size > 0;
  }

  /** When last measured, this store had all of the row: a copy there takes no bytes. */
  lacksNothing({ row, store }: { readonly row: Row; readonly store: StoreId }): boolean {
    const measured = this.#measured.get(row);
    return measured?.store === store && measured.missingBytes === 0 && this.isAtHand(row);
  }

  /** When last measured, our stores had all of the row. */
  isAtHand(row: Row): boolean {
    const measured = this.#measured.get(row);
    return measured?.atHand === true && this.#of.room.takesNew(measured.store);
  }

  /** The row fits, or is no longer short, until a later look finds otherwise. */
  lacksNoMore(row: Row): void {
    this.#noRoom.delete(row);
  }

  /** Forgets the measurement: another part of the family may be here the next time. */
  forgetMeasure(row: Row): void {
    this.#measured.delete(row);
    this.#toMeasure.delete(row);
  }

  /** A copy of the row has come to one of our stores or left it: what was measured for its family no longer holds. */
  copiesChanged(row: Row): void {
    if (this.#measured.size === 0 && this.#measuring.size === 0) return;
    for (const other of this.#of.table.familyOf(row)) {
      if (this.#measuring.has(other)) this.#outdated.add(other);
      // It may fit by less than was missing, or no longer fit.
      if (this.#measured.delete(other)) this.#of.marks.mark(other);
    }
  }

  /** Some room has become free. */
  roomIsFree(): void {
    // With thousands that fit nowhere, those larger than any room are skipped: this runs after each fetch and each
    // drop.
    const freeBytes = this.#of.room.roomiest()?.freeBytes ?? Number.NEGATIVE_INFINITY;
    const looked: Row[] = [];
    for (let row = this.#queue.take(freeBytes); row !== undefined; row = this.#queue.take(freeBytes)) {
      this.#queuedBytes.delete(row);
      if (!this.#noRoom.has(row)) continue;
      if (this.placeFor(row) !== undefined) this.#of.marks.mark(row);
      looked.push(row);
    }
    for (const row of looked) this.#enqueue(row);
  }

  #enqueue(row: Row): void {
    const needBytes = this.#measured.get(row)?.missingBytes ?? this.#of.table.bytes(row);
    // A measurement may have made it smaller since: then its old place in the queue is ignored.
    if ((this.#queuedBytes.get(row) ?? Number.POSITIVE_INFINITY) <= needBytes) return;
    this.#queuedBytes.set(row, needBytes);
    this.#queue.push(row, needBytes);
  }

  /**
   * Takes a measurement. If nothing could be measured, nothing is assumed to be saved, and it is measured again later.
   */
  measured({ parcel, store, missingBytes, atHand }: Extract<Input, { is: 'measured' }>): void {
    const { table, nowMs, marks } = this.#of;
    const row = table.find(parcel);
    if (row === undefined) return;
    this.#measuring.delete(row);
    this.#measureNext();
    if (this.#outdated.delete(row)) {
      marks.mark(row);
      return;
    }
    const untilMs = missingBytes === undefined ? nowMs() + NO_ROOM_BACK_OFF_MS : Number.POSITIVE_INFINITY;
    this.#measured.set(row, { store, missingBytes: missingBytes ?? table.bytes(row), atHand, untilMs });
    if (untilMs !== Number.POSITIVE_INFINITY) marks.lookAgain(row, untilMs);
    marks.mark(row);
  }

  /** Has the row measured if a store of ours holds its family, and so perhaps most of its files. */
  lookForFiles(row: Row): void {
    if (this.#measuring.has(row) || this.#toMeasure.has(row)) return;
    if (this.#of.nowMs() < (this.#measured.get(row)?.untilMs ?? Number.NEGATIVE_INFINITY)) return;
    const store = this.#storeToMeasure(row);
    if (store === undefined) return;
    if (this.#measuring.size >= MEASURES_MAX) this.#toMeasure.add(row);
    else this.#measure(row, store);
  }

  #measure(row: Row, store: StoreId): void {
    this.#measuring.add(row);
    this.#of.emit({ do: 'measure', parcel: this.#of.table.id(row), store });
  }

  #measureNext(): void {
    for (const row of this.#toMeasure) {
      if (this.#measuring.size >= MEASURES_MAX) return;
      this.#toMeasure.delete(row);
      const store = this.#storeToMeasure(row);
      if (store !== undefined) this.#measure(row, store);
    }
  }

  /** The store that holds the row's family and takes it; if none of those takes any, the one that would. */
  #storeToMeasure(row: Row): StoreId | undefined {
    const { room } = this.#of;
    let isFamilyHere = false;
    for (const { store } of room.stores()) {
      if (!this.#holdsFamily(row, store)) continue;
      if (room.takesNew(store)) return store;
      isFamilyHere = true;
    }
    return isFamilyHere ? this.placeFor(row)?.store : undefined;
  }

  #holdsFamily(row: Row, store: StoreId): boolean {
    const { self, table, holdings } = this.#of;
    const slot = holdings.slotOf(self, store);
    if (slot === undefined) return false;
    // A plain loop: this runs at every look at a row that is short.
    for (let other = table.firstOfFamily(row); other >= 0; other = table.nextOfFamily(other))
      if (other !== row && table.isHeldBy(other, slot)) return true;
    return false;
  }
}

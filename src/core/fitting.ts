/**
 * Fitting: which store of ours takes a parcel, and which parcels fit in none.
 *
 * A parcel goes where its family is, else where most room is; room that was made for it by a relocation is its own. Where
 * the whole does not fit, what is missing of it may: blobs that the family has are there already, and are measured, once for
 * what lies here of the family.
 *
 * Driven by pursuing.ts.
 */
import type { Effect, Input } from './effects.js';
import type { Holdings } from './holdings.js';
import type { HostId, StoreId } from './ids.js';
import { MinQueue } from './min-queue.js';
import type { ParcelTable, Row } from './parcel-table.js';
import { NO_ROOM_BACK_OFF_MS } from './pursuit.js';
import type { Relocating } from './relocating.js';
import type { Room } from './room.js';

export interface FittingContext {
  readonly self: HostId;
  readonly table: ParcelTable;
  readonly holdings: Holdings;
  readonly room: Room;
  readonly relocating: () => Pick<Relocating, 'roomFor'>;
  readonly nowMs: () => number;
  readonly emit: (effect: Effect) => void;
  /** Looks at the row in this step. */
  readonly mark: (row: Row) => void;
  /** … at `atMs`. */
  readonly lookAgain: (row: Row, atMs: number) => void;
}

export class Fitting {
  readonly #of: FittingContext;
  /** Missing bytes of parcels whose family is here, where the full size would not fit. */
  readonly #measured = new Map<
    Row,
    { readonly store: StoreId; readonly missingBytes: number; readonly untilMs: number }
  >();
  readonly #measuring = new Set<Row>();
  /** … while the family here became another: what comes is of before. */
  readonly #outdated = new Set<Row>();
  /** Short, and too large for the room that is left. */
  readonly #noRoom = new Set<Row>();
  /** … by the bytes that they lack, the smallest first; also such as have found room since. */
  readonly #queue = new MinQueue();
  /** By what a row stands in the queue: once. */
  readonly #queuedBytes = new Map<Row, number>();

  constructor(context: FittingContext) {
    this.#of = context;
  }

  /** Something that is short does not fit, and would where less was held: for what is larger than every store of ours no drop makes room. */
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
    const kept = relocating().roomFor(row);
    // Unless the store lends less since: what was reserved is not there then.
    if (kept !== undefined && room.takesNew(kept.store) && !room.isOver(kept.store)) return kept;
    const measured = this.#measured.get(row);
    return room.placeFor(
      store => (measured?.store === store ? measured.missingBytes : table.bytes(row)),
      store => this.#holdsFamily(row, store),
    );
  }

  /** The row is short and fits nowhere. */
  lacks(row: Row): void {
    this.#noRoom.add(row);
    this.#enqueue(row);
    this.#measureIfFamilyIsHere(row);
  }

  /** Until a look finds it so again. */
  lacksNoMore(row: Row): void {
    this.#noRoom.delete(row);
  }

  /** What of the family lies here may be another part of it the next time. */
  forgetMeasure(row: Row): void {
    this.#measured.delete(row);
  }

  /** A copy of the row has come to one of our stores, or has left it: what was measured beside it is not so any more. */
  copiesChanged(row: Row): void {
    if (this.#measured.size === 0 && this.#measuring.size === 0) return;
    for (const other of this.#of.table.familyOf(row)) {
      if (this.#measuring.has(other)) this.#outdated.add(other);
      // It may fit by less than was missing, or not any more.
      if (this.#measured.delete(other)) this.#of.mark(other);
    }
  }

  /** Some room is free that was not. */
  roomIsFree(): void {
    // Where thousands fit nowhere, those that are larger than any room are not looked at: each fetch and each drop comes by here.
    const freeBytes = this.#of.room.roomiest()?.freeBytes ?? Number.NEGATIVE_INFINITY;
    const looked: Row[] = [];
    for (let row = this.#queue.take(freeBytes); row !== undefined; row = this.#queue.take(freeBytes)) {
      this.#queuedBytes.delete(row);
      if (!this.#noRoom.has(row)) continue;
      if (this.placeFor(row) !== undefined) this.#of.mark(row);
      looked.push(row);
    }
    for (const row of looked) this.#enqueue(row);
  }

  #enqueue(row: Row): void {
    const needBytes = this.#measured.get(row)?.missingBytes ?? this.#of.table.bytes(row);
    // A measure that has come since makes it smaller: then its old place is the one in vain.
    if ((this.#queuedBytes.get(row) ?? Number.POSITIVE_INFINITY) <= needBytes) return;
    this.#queuedBytes.set(row, needBytes);
    this.#queue.push(row, needBytes);
  }

  /** What is missing of a row in a store of ours; what could not be told is taken for nothing saved, and asked again later. */
  measured({ parcel, store, missingBytes }: Extract<Input, { is: 'measured' }>): void {
    const { table, nowMs, mark, lookAgain } = this.#of;
    const row = table.find(parcel);
    if (row === undefined) return;
    this.#measuring.delete(row);
    if (this.#outdated.delete(row)) {
      mark(row);
      return;
    }
    const untilMs = missingBytes === undefined ? nowMs() + NO_ROOM_BACK_OFF_MS : Number.POSITIVE_INFINITY;
    this.#measured.set(row, { store, missingBytes: missingBytes ?? table.bytes(row), untilMs });
    if (untilMs !== Number.POSITIVE_INFINITY) lookAgain(row, untilMs);
    mark(row);
  }

  #measureIfFamilyIsHere(row: Row): void {
    const { table, room, nowMs, emit } = this.#of;
    if (this.#measuring.has(row) || nowMs() < (this.#measured.get(row)?.untilMs ?? Number.NEGATIVE_INFINITY)) return;
    for (const { store } of room.stores()) {
      if (!room.takesNew(store) || !this.#holdsFamily(row, store)) continue;
      this.#measuring.add(row);
      emit({ do: 'measure', parcel: table.id(row), store });
      return;
    }
  }

  #holdsFamily(row: Row, store: StoreId): boolean {
    const { self, table, holdings } = this.#of;
    const slot = holdings.slotOf(self, store);
    if (slot === undefined) return false;
    // Asked at every look at what is short.
    for (let other = table.firstOfFamily(row); other >= 0; other = table.nextOfFamily(other))
      if (other !== row && table.isHeldBy(other, slot)) return true;
    return false;
  }
}

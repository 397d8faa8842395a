/** Held here: what the stores of this host hold, by their own logs. Except for `isOurs`, only mounted stores count. */
import type { Holdings } from './holdings.js';
import type { HostId, StoreId } from './ids.js';
import type { ParcelTable, Row } from './parcel-table.js';
import type { Room } from './room.js';

export interface HeldHereContext {
  readonly self: HostId;
  readonly table: ParcelTable;
  readonly holdings: Pick<Holdings, 'slotOf' | 'slotsOf'>;
  readonly room: Pick<Room, 'stores' | 'size' | 'isBetterKept'>;
}

export class HeldHere {
  readonly #of: HeldHereContext;

  constructor(context: HeldHereContext) {
    this.#of = context;
  }

  isHeld(row: Row): boolean {
    return this.heldIn(row) !== undefined;
  }

  /** The first store of ours that holds the row. */
  heldIn(row: Row): StoreId | undefined {
    for (const { store } of this.#of.room.stores()) if (this.#holds(store, row)) return store;
    return undefined;
  }

  /** Whether a store of ours that answers holds the row: it can be copied from there. */
  isReadable(row: Row): boolean {
    for (const { store, hangsSinceMs } of this.#of.room.stores())
      if (hangsSinceMs === Number.POSITIVE_INFINITY && this.#holds(store, row)) return true;
    return false;
  }

  /** Whether a store of ours that is not to be emptied holds the row. */
  isHeldToStay(row: Row): boolean {
    for (const { store, draining } of this.#of.room.stores()) if (!draining && this.#holds(store, row)) return true;
    return false;
  }

  isHeldTwice(row: Row): boolean {
    if (this.#of.room.size < 2) return false;
    let holding = 0;
    for (const { store } of this.#of.room.stores()) if (this.#holds(store, row)) holding += 1;
    return holding > 1;
  }

  /** The stores of ours that hold the row, in the order in which they should keep it. */
  allThatHold(row: Row): readonly StoreId[] {
    const { room } = this.#of;
    const holding = [...room.stores()].filter(({ store }) => this.#holds(store, row));
    holding.sort((a, b) => Number(room.isBetterKept(b, a)) - Number(room.isBetterKept(a, b)));
    return holding.map(({ store }) => store);
  }

  /** Every row in a store of ours. */
  *rowsIn(store: StoreId): IterableIterator<Row> {
    const { self, table, holdings } = this.#of;
    const slot = holdings.slotOf(self, store);
    if (slot !== undefined) yield* table.heldBy(slot);
  }

  /** Whether the log of a store of ours, mounted or not, names the row. */
  isOurs(row: Row): boolean {
    const { self, table, holdings } = this.#of;
    return holdings.slotsOf(self).some(slot => table.isHeldBy(row, slot));
  }

  #holds(store: StoreId, row: Row): boolean {
    const { self, table, holdings } = this.#of;
    const slot = holdings.slotOf(self, store);
    return slot !== undefined && table.isHeldBy(row, slot);
  }
}

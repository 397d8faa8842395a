/**
 * Marks: which rows are to be looked at in this step, and which of them later.
 *
 * Whatever may have changed a decision about a parcel marks its row; marked rows are looked at before the step ends, so that a
 * step costs what changed and not the whole.
 */
import type { Holdings } from './holdings.js';
import type { HostId } from './ids.js';
import { MinQueue } from './min-queue.js';
import { FLAG, type ParcelTable, type Row } from './parcel-table.js';
import { RowSet } from './row-set.js';
import type { Wanted } from './wanted.js';

export interface MarksContext {
  readonly table: ParcelTable;
  readonly holdings: Pick<Holdings, 'slotsOf'>;
  readonly wanted: Pick<Wanted, 'originsOf'>;
  readonly nowMs: () => number;
}

export class Marks {
  readonly #of: MarksContext;
  readonly #marked = new RowSet();
  readonly #due = new MinQueue();

  constructor(context: MarksContext) {
    this.#of = context;
  }

  /** When the first of the later ones is to be looked at; Infinity while there is none. */
  get firstDueMs(): number {
    return this.#due.first;
  }

  mark(row: Row): void {
    this.#marked.add(row);
  }

  /** @param atMs in this step where it is not given. */
  lookAgain(row: Row, atMs?: number): void {
    if (atMs === undefined) this.#marked.add(row);
    else this.#due.push(row, atMs);
  }

  /**
   * … for who asks so at every look: once, however many looks there are until then. Else each look would leave another one
   * behind, and that one another.
   */
  lookLater(row: Row, atMs: number): void {
    const { table, nowMs } = this.#of;
    const dueMs = table.lookAtMs(row);
    if (dueMs > nowMs() && dueMs <= atMs) return;
    table.setLookAt(row, atMs);
    this.#due.push(row, atMs);
  }

  /** Whatever lies in a store of the host. */
  heldBy(host: HostId): void {
    const { table, holdings } = this.#of;
    for (const slot of holdings.slotsOf(host)) for (const row of table.heldBy(slot)) this.#marked.add(row);
  }

  short(): void {
    const { short } = this.#of.table;
    for (let place = 0; place < short.size; place += 1) this.#marked.add(short.at(place));
  }

  /** The wanted rows of a host's own sources: its live files are places too. */
  from(origin: HostId): void {
    const { table, wanted } = this.#of;
    for (let row = 0; row < table.size; row += 1) {
      if (table.has(row, FLAG.wanted) && wanted.originsOf(row).includes(origin)) this.#marked.add(row);
    }
  }

  wanted(): void {
    const { table } = this.#of;
    for (let row = 0; row < table.size; row += 1) if (table.has(row, FLAG.wanted)) this.#marked.add(row);
  }

  /** Those whose time has come. */
  due(): void {
    const nowMs = this.#of.nowMs();
    for (let row = this.#due.take(nowMs); row !== undefined; row = this.#due.take(nowMs)) this.#marked.add(row);
  }

  /** One of them, marked no more: a look at it may mark it again. */
  take(): Row | undefined {
    return this.#marked.take();
  }
}

/**
 * Marks: which rows are to be looked at in this step, and which later.
 *
 * Whatever may change a decision about a parcel marks its row. Marked rows are looked at before the step ends, so that
 * a step costs as much as has changed, not as much as there is.
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

  /** When the first postponed row is to be looked at; Infinity when there is none. */
  get firstDueMs(): number {
    return this.#due.first;
  }

  mark(row: Row): void {
    this.#marked.add(row);
  }

  /** @param atMs default: in this step */
  lookAgain(row: Row, atMs?: number): void {
    if (atMs === undefined) this.#marked.add(row);
    else this.#due.push(row, atMs);
  }

  /**
   * As `lookAgain`, but keeps only the earliest time; for callers that ask on every look. Otherwise each look would
   * leave another one behind, and that one yet another.
   */
  lookLater(row: Row, atMs: number): void {
    const { table, nowMs } = this.#of;
    const dueMs = table.lookAtMs(row);
    if (dueMs > nowMs() && dueMs <= atMs) return;
    table.setLookAt(row, atMs);
    this.#due.push(row, atMs);
  }

  /** Marks everything in the host's stores. */
  heldBy(host: HostId): void {
    const { table, holdings } = this.#of;
    for (const slot of holdings.slotsOf(host)) for (const row of table.heldBy(slot)) this.#marked.add(row);
  }

  short(): void {
    const { short } = this.#of.table;
    for (let place = 0; place < short.size; place += 1) this.#marked.add(short.at(place));
  }

  /** Marks the wanted rows of a host's own sources: its live files are places too. */
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

  /** Marks the rows whose time has come. */
  due(): void {
    const nowMs = this.#of.nowMs();
    for (let row = this.#due.take(nowMs); row !== undefined; row = this.#due.take(nowMs)) this.#marked.add(row);
  }

  /** Takes one marked row out: a look at it may mark it again. */
  take(): Row | undefined {
    return this.#marked.take();
  }
}

/**
 * Ready: rows that this host may claim now, most important first, one queue for each source that would give them.
 *
 * What a slow source has is claimed no faster than it can give it: else its parcels, which may be the most important ones,
 * would take all the room that claims have, and links to everybody else would lie idle.
 */
import { grown } from './grown.js';
import type { HostId } from './ids.js';
import { MinQueue } from './min-queue.js';
import type { Row } from './parcel-table.js';

export interface ReadyRow {
  readonly row: Row;
  readonly source: HostId;
  readonly importance: number;
}

export class Ready {
  readonly #queues = new Map<HostId, MinQueue>();
  /** By row: as last pushed; NaN for one that is not here. An entry of a queue that says something else is out of date. */
  #importance = new Float64Array(64).fill(Number.NaN);
  #size = 0;

  /** Rows that wait here. */
  get size(): number {
    return this.#size;
  }

  has(row: Row): boolean {
    return !Number.isNaN(this.#importance[row] ?? Number.NaN);
  }

  /** Puts a row here, or says anew how important it is and who would give it. */
  push(row: Row, importance: number, source: HostId): void {
    if (row >= this.#importance.length) this.#importance = grown(this.#importance, row + 1, Number.NaN);
    if (this.#importance[row] === importance) return;
    if (!this.has(row)) this.#size += 1;
    this.#importance[row] = importance;
    let queue = this.#queues.get(source);
    if (queue === undefined) {
      queue = new MinQueue();
      this.#queues.set(source, queue);
    }
    queue.push(row, importance);
  }

  remove(row: Row): void {
    if (!this.has(row)) return;
    this.#importance[row] = Number.NaN;
    this.#size -= 1;
  }

  /** The most important row that may be taken, from whichever source, taken out. */
  take(mayTake: (source: HostId, importance: number) => boolean): ReadyRow | undefined {
    let best: { readonly source: HostId; readonly queue: MinQueue; readonly importance: number } | undefined;
    for (const [source, queue] of this.#queues) {
      this.#skipOutdated(queue);
      const importance = queue.first;
      if (queue.size === 0) this.#queues.delete(source);
      else if ((best === undefined || importance < best.importance) && mayTake(source, importance))
        best = { source, queue, importance };
    }
    if (best === undefined) return undefined;
    const { source, queue, importance } = best;
    const row = queue.take(importance) as Row;
    this.remove(row);
    return { row, source, importance };
  }

  #skipOutdated(queue: MinQueue): void {
    for (let row = queue.firstItem; row !== undefined; row = queue.firstItem) {
      if (this.#importance[row] === queue.first) return;
      queue.take(Number.POSITIVE_INFINITY);
    }
  }
}

/**
 * Ready: rows that this host may claim now, most important first, one queue for each origin.
 *
 * What a slow origin has is claimed no faster than it can give it: else its parcels, which may be the most important ones,
 * would take all the room that claims have, and links to everybody else would lie idle.
 */
import type { HostId } from './ids.js';
import { MinQueue } from './min-queue.js';
import type { Row } from './parcel-table.js';
import { RowSet } from './row-set.js';

export class Ready {
  readonly #queues = new Map<HostId, MinQueue>();
  readonly #rows = new RowSet();

  get size(): number {
    return this.#rows.size;
  }

  /** How many origins have rows here. */
  get origins(): number {
    return this.#queues.size;
  }

  has(row: Row): boolean {
    return this.#rows.has(row);
  }

  /** A row's importance is that of its first push until it is taken. */
  push(row: Row, importance: number, origin: HostId): void {
    if (this.#rows.has(row)) return;
    this.#rows.add(row);
    let queue = this.#queues.get(origin);
    if (queue === undefined) {
      queue = new MinQueue();
      this.#queues.set(origin, queue);
    }
    queue.push(row, importance);
  }

  /** The most important row of all origins that `mayTake`, taken out. */
  take(mayTake: (origin: HostId) => boolean): Row | undefined {
    let best: { readonly origin: HostId; readonly queue: MinQueue } | undefined;
    for (const [origin, queue] of this.#queues) {
      if ((best === undefined || queue.first < best.queue.first) && mayTake(origin)) best = { origin, queue };
    }
    const row = best?.queue.take(Number.POSITIVE_INFINITY);
    if (best === undefined || row === undefined) return undefined;
    if (best.queue.size === 0) this.#queues.delete(best.origin);
    this.#rows.delete(row);
    return row;
  }
}

/**
 * Min queue: rows ordered by a number (when they are due, or how important they are). A binary heap over typed arrays,
 * as it may hold one entry per parcel.
 *
 * Outdated entries are not removed; the caller that takes one out must check whether it still holds.
 */
import { grown } from './grown.js';

export class MinQueue {
  #priorities = new Float64Array(64);
  #items = new Int32Array(64);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The least priority; Infinity when there is none. */
  get first(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#priorities[0] ?? 0);
  }

  /** The item of the least priority; undefined when there is none. */
  get firstItem(): number | undefined {
    return this.#size === 0 ? undefined : this.#items[0];
  }

  /** Keeps the arrays for reuse. */
  clear(): void {
    this.#size = 0;
  }

  push(item: number, priority: number): void {
    if (this.#size === this.#items.length) {
      this.#priorities = grown(this.#priorities, this.#size + 1, 0);
      this.#items = grown(this.#items, this.#size + 1, 0);
    }
    let at = this.#size;
    this.#size += 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((this.#priorities[parent] ?? 0) <= priority) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#priorities[at] = priority;
    this.#items[at] = item;
  }

  /** The first item, taken out, if its priority is at most `limit`. */
  take(limit: number): number | undefined {
    if (this.#size === 0 || this.first > limit) return undefined;
    const item = this.#items[0];
    this.#size -= 1;
    const lastPriority = this.#priorities[this.#size] ?? 0;
    const lastItem = this.#items[this.#size] ?? 0;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && (this.#priorities[child + 1] ?? 0) < (this.#priorities[child] ?? 0)) child += 1;
      if ((this.#priorities[child] ?? 0) >= lastPriority) break;
      this.#move(child, at);
      at = child;
    }
    this.#priorities[at] = lastPriority;
    this.#items[at] = lastItem;
    return item;
  }

  #move(from: number, to: number): void {
    this.#priorities[to] = this.#priorities[from] ?? 0;
    this.#items[to] = this.#items[from] ?? 0;
  }
}

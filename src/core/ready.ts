/**
 * Ready: rows that this host may claim now, most important first, in one queue per source.
 *
 * A slow source's parcels are claimed no faster than it can give them: otherwise, being perhaps the most important,
 * they would use up the budget for claims, while the links to all other sources lie idle.
 */
import { grown } from './grown.js';
import type { HostId } from './ids.js';
import { MinQueue } from './min-queue.js';
import { Numbering } from './numbering.js';
import type { Row } from './parcel-table.js';

export interface ReadyRow {
  readonly row: Row;
  readonly source: HostId;
  readonly importance: number;
}

const NO_ROW = -1;

export class Ready {
  readonly #sources = new Numbering<HostId>();
  /** By a source's number; undefined if none of its rows wait here. */
  readonly #queues: (MinQueue | undefined)[] = [];
  /** The first row of each source when `take` last looked. */
  readonly #firsts: Row[] = [];
  /**
   * By row: the importance last pushed; NaN for a row that is not here. Queue entries with another value are out of
   * date.
   */
  #importance = new Float64Array(64).fill(Number.NaN);
  #size = 0;
  #version = 0;

  /** Rises when the first row of a source may have changed: until then `take` finds what it found before. */
  get version(): number {
    return this.#version;
  }

  /** Rows that wait here. */
  get size(): number {
    return this.#size;
  }

  has(row: Row): boolean {
    return !Number.isNaN(this.#importance[row] ?? Number.NaN);
  }

  /** Adds a row, or updates its importance and source. */
  push(row: Row, importance: number, source: HostId): void {
    if (row >= this.#importance.length) this.#importance = grown(this.#importance, row + 1, Number.NaN);
    if (this.#importance[row] === importance) return;
    if (!this.has(row)) this.#size += 1;
    const number = this.#sources.numberOf(source);
    const queue = this.#queues[number] ?? new MinQueue();
    this.#queues[number] = queue;
    if (importance < queue.first || this.#firsts.includes(row)) this.#version += 1;
    this.#importance[row] = importance;
    queue.push(row, importance);
  }

  remove(row: Row): void {
    if (!this.has(row)) return;
    if (this.#firsts.includes(row)) this.#version += 1;
    this.#importance[row] = Number.NaN;
    this.#size -= 1;
  }

  /** Takes out the most important row that may be taken, from whichever source. */
  take(mayTake: (source: HostId, importance: number) => boolean): ReadyRow | undefined {
    let best = NO_ROW;
    let bestImportance = Number.POSITIVE_INFINITY;
    for (let number = 0; number < this.#queues.length; number += 1) {
      const queue = this.#queues[number];
      if (queue === undefined) continue;
      this.#skipOutdated(queue);
      const first = queue.firstItem;
      this.#firsts[number] = first ?? NO_ROW;
      if (first === undefined) this.#queues[number] = undefined;
      else if (queue.first < bestImportance && mayTake(this.#sources.idOf(number), queue.first)) {
        best = number;
        bestImportance = queue.first;
      }
    }
    const row = this.#queues[best]?.take(bestImportance);
    if (row === undefined) return undefined;
    this.remove(row);
    return { row, source: this.#sources.idOf(best), importance: bestImportance };
  }

  #skipOutdated(queue: MinQueue): void {
    for (let row = queue.firstItem; row !== undefined; row = queue.firstItem) {
      if (this.#importance[row] === queue.first) return;
      queue.take(Number.POSITIVE_INFINITY);
    }
  }
}

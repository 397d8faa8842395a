/**
 * Row set: a set of rows of the parcel table, as typed arrays. A `Set` of numbers takes some 40 bytes per entry and
 * frees them late; this takes 4 per row of the table and 4 per entry.
 */

import { grown } from './grown.js';

const ABSENT = -1;

export class RowSet {
  #rows = new Int32Array(64);
  /** By row: its place in `#rows`. */
  #places = new Int32Array(64).fill(ABSENT);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(row: number): boolean {
    return (this.#places[row] ?? ABSENT) !== ABSENT;
  }

  add(row: number): void {
    if (this.has(row)) return;
    if (row >= this.#places.length) this.#places = grown(this.#places, row + 1, ABSENT);
    if (this.#size === this.#rows.length) this.#rows = grown(this.#rows, this.#size + 1, 0);
    this.#rows[this.#size] = row;
    this.#places[row] = this.#size;
    this.#size += 1;
  }

  /** The row's place, from 0 to `size` − 1. The last row takes the place of a row that is deleted. */
  placeOf(row: number): number | undefined {
    const place = this.#places[row] ?? ABSENT;
    return place === ABSENT ? undefined : place;
  }

  delete(row: number): void {
    const place = this.#places[row] ?? ABSENT;
    if (place === ABSENT) return;
    this.#size -= 1;
    const last = this.#rows[this.#size] as number;
    this.#rows[place] = last;
    this.#places[last] = place;
    this.#places[row] = ABSENT;
  }

  /** Takes out any row; undefined when there is none. The order means nothing. */
  take(): number | undefined {
    if (this.#size === 0) return undefined;
    const row = this.#rows[this.#size - 1] as number;
    this.delete(row);
    return row;
  }

  /** The row at a place from 0 to `size` − 1. Places change when rows are deleted. */
  at(place: number): number {
    return this.#rows[place] as number;
  }
}

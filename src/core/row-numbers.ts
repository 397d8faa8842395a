/**
 * Row numbers: a number for some rows, when most have none: 4 bytes per row of the table, and 12 more per row with a
 * number.
 */
import { grown } from './grown.js';
import { RowSet } from './row-set.js';

export class RowNumbers {
  readonly #rows = new RowSet();
  /** By the row's place in `#rows`. */
  #numbers = new Float64Array(64);

  get rows(): Pick<RowSet, 'size' | 'has' | 'at'> {
    return this.#rows;
  }

  /** NaN for a row without a number. */
  get(row: number): number {
    const place = this.#rows.placeOf(row);
    return place === undefined ? Number.NaN : (this.#numbers[place] as number);
  }

  set(row: number, number: number): void {
    const place = this.#rows.placeOf(row) ?? this.#rows.size;
    this.#rows.add(row);
    if (place === this.#numbers.length) this.#numbers = grown(this.#numbers, place + 1, 0);
    this.#numbers[place] = number;
  }

  delete(row: number): void {
    const place = this.#rows.placeOf(row);
    if (place === undefined) return;
    // The last row takes its place.
    this.#numbers[place] = this.#numbers[this.#rows.size - 1] as number;
    this.#rows.delete(row);
  }
}

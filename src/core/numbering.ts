/**
 * Numbering: dense numbers from 0 for ids, in order of arrival, so that their data can be kept in arrays. Nothing is
 * removed.
 */
import { assert } from './fault.js';

export class Numbering<Id> {
  readonly #numbers = new Map<Id, number>();
  readonly #ids: Id[] = [];

  get size(): number {
    return this.#ids.length;
  }

  /** Undefined for an id without a number. */
  find(id: Id): number | undefined {
    return this.#numbers.get(id);
  }

  /** The id's number, assigned now if it had none. */
  numberOf(id: Id): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const number = this.#ids.length;
    this.#numbers.set(id, number);
    this.#ids.push(id);
    return number;
  }

  idOf(number: number): Id {
    const id = this.#ids[number];
    assert(id !== undefined, `nothing has the number ${number}`);
    return id;
  }
}

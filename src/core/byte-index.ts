/**
 * Byte index: dense numbers for fixed-width byte strings (parcel ids, keys), so that the machine's tables can be typed
 * arrays. A JavaScript `Map` of hex strings costs some 200 bytes an entry; this costs the width plus about 6, and up
 * to a quarter more than that while there is room for others.
 *
 * Open addressing with linear probing. The strings are parts of hashes, so their first four bytes are the hash.
 * Numbers are given in order of arrival and never change; nothing is ever removed.
 */
import { assert } from './fault.js';
import { grown, grownLength } from './grown.js';
import { idWords } from './rendezvous.js';

/** The slots are enlarged when more than this share is taken, so that probes stay short. */
const LOAD_PERCENT_MAX = 75;

export class ByteIndex {
  readonly #width: number;
  #bytes: Uint8Array;
  #slots: Int32Array;
  #size = 0;

  constructor(width: number, capacity = 64) {
    assert(width >= 4, 'a byte index needs at least four bytes to hash by');
    this.#width = width;
    this.#bytes = new Uint8Array(width * capacity);
    this.#slots = new Int32Array(128).fill(-1);
  }

  get size(): number {
    return this.#size;
  }

  /** The number of `key`, or −1. */
  find(key: Uint8Array): number {
    return this.#slots[this.#slotOf(key)] ?? -1;
  }

  /** The number of `key`, assigned now if it had none. */
  add(key: Uint8Array): number {
    assert(key.length === this.#width, `expected ${this.#width} bytes, got ${key.length}`);
    const slot = this.#slotOf(key);
    const known = this.#slots[slot] ?? -1;
    if (known >= 0) return known;
    const number = this.#size;
    this.#size += 1;
    if (this.#size * this.#width > this.#bytes.length) {
      this.#bytes = grown(this.#bytes, this.#size * this.#width, 0);
    }
    this.#bytes.set(key, number * this.#width);
    this.#slots[slot] = number;
    if (this.#size * 100 > this.#slots.length * LOAD_PERCENT_MAX) this.#rehash();
    return number;
  }

  /** The bytes of a number that `add` gave. A view: copy it to keep it. */
  at(number: number): Uint8Array {
    assert(number >= 0 && number < this.#size, `no entry ${number}`);
    return this.#bytes.subarray(number * this.#width, (number + 1) * this.#width);
  }

  /** The first 16 bytes of a number, as four words, into `into`. */
  words(number: number, into?: Int32Array<ArrayBuffer>): Int32Array {
    return idWords(this.#bytes, number * this.#width, into);
  }

  /** The slot that holds `key`, or the empty one where it belongs. */
  #slotOf(key: Uint8Array): number {
    const slots = this.#slots;
    const hash = (key[0] ?? 0) | ((key[1] ?? 0) << 8) | ((key[2] ?? 0) << 16) | ((key[3] ?? 0) << 24);
    // The number of slots is no power of two, so the hash is scaled to the slots instead of masked.
    let slot = Math.floor(((hash >>> 0) / 2 ** 32) * slots.length);
    for (;;) {
      const number = slots[slot] as number;
      if (number < 0 || this.#equals(number, key)) return slot;
      slot += 1;
      if (slot === slots.length) slot = 0;
    }
  }

  #equals(number: number, key: Uint8Array): boolean {
    const start = number * this.#width;
    for (let i = 0; i < this.#width; i += 1) if (this.#bytes[start + i] !== key[i]) return false;
    return true;
  }

  #rehash(): void {
    this.#slots = new Int32Array(grownLength(this.#slots.length, 0)).fill(-1);
    for (let number = 0; number < this.#size; number += 1) this.#slots[this.#slotOf(this.at(number))] = number;
  }
}

/**
 * Byte index: dense numbers for fixed-width byte strings (parcel ids, keys), so that the machine's tables can be typed
 * arrays. A JavaScript `Map` of hex strings costs some 200 bytes an entry; this costs the width plus about 6, and up
 * to a quarter more than that while there is room for others.
 *
 * Open addressing with linear probing. The strings look like hashes, but a page may list any that its signer likes: ones
 * that all belong into one slot would make each look at them as long as there are many. So their slot is by a secret
 * hash: multilinear over 16-bit characters (Lemire & Kaser, "Strongly universal string hashing is fast", 2014), which
 * gives two strings the same 32 bits with a chance of at most 2^-17, whoever chose them, and a finalizer, so that what is
 * near in it is not near in the slots. What the index answers does not depend on the secret.
 *
 * Numbers are given in order of arrival and never change; nothing is ever removed.
 */
import { assert } from './fault.js';
import { grown, grownLength } from './grown.js';
import { idWords, mix } from './rendezvous.js';

/** The slots are enlarged when more than this share is taken, so that probes stay short. */
const LOAD_PERCENT_MAX = 75;

/** The widest string, in bytes. */
const WIDTH_MAX = 32;
/** One 32-bit word for each 16-bit character of the widest string. */
export const SECRET_WORDS = WIDTH_MAX / 2;
/** For indexes that nobody else decides what to put into, and wherever two runs are to take the same time. */
const NO_SECRET = Int32Array.from({ length: SECRET_WORDS }, (_, word) => mix(word + 1));

export class ByteIndex {
  readonly #width: number;
  #bytes: Uint8Array;
  #slots: Int32Array;
  #size = 0;

  readonly #secret: Int32Array;

  /**
   * @param width bytes of each string: even, at most 32
   * @param capacity strings that there is room for at first
   * @param secret SECRET_WORDS random words
   */
  constructor(
    width: number,
    {
      capacity = 64,
      secret = NO_SECRET,
    }: { readonly capacity?: number; readonly secret?: Int32Array | undefined } = {},
  ) {
    assert(
      width % 2 === 0 && width <= WIDTH_MAX,
      `a byte index is for an even width of up to ${WIDTH_MAX}, not ${width}`,
    );
    assert(secret.length === SECRET_WORDS, `a secret has ${SECRET_WORDS} words, not ${secret.length}`);
    this.#width = width;
    this.#secret = secret;
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
    // The number of slots is no power of two, so the hash is scaled to the slots instead of masked.
    let slot = Math.floor((this.#hash(key) / 2 ** 32) * slots.length);
    for (;;) {
      const number = slots[slot] as number;
      if (number < 0 || this.#equals(number, key)) return slot;
      slot += 1;
      if (slot === slots.length) slot = 0;
    }
  }

  /** 0 to 2^32 − 1. */
  #hash(key: Uint8Array): number {
    const secret = this.#secret;
    let sum = 0;
    for (let i = 0; i < this.#width; i += 2)
      sum = (sum + Math.imul(secret[i >> 1] as number, (key[i] as number) | ((key[i + 1] as number) << 8))) | 0;
    return mix(sum) >>> 0;
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

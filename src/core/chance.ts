/**
 * Chance: a seeded generator, handed in wherever jitter is wanted. The machine itself has no dice, so the same seed
 * gives the same run.
 *
 * sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state, passes BigCrush. Not for keys or nonces.
 */
export class Chance {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** `seed`: three 32-bit integers; taken as unsigned. */
  constructor(seed: readonly [number, number, number]) {
    [this.#a, this.#b, this.#c] = [seed[0] | 0, seed[1] | 0, seed[2] | 0];
    // The first dozen outputs still show the seed.
    for (let round = 0; round < 12; round += 1) this.uint32();
  }

  /** 0 to 2^32 − 1. */
  uint32(): number {
    const out = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + out;
    return out >>> 0;
  }

  /** An integer from 0 to `below` − 1; `below` from 1 to 2^32. */
  below(below: number): number {
    return Math.floor((this.uint32() / 0x1_0000_0000) * below);
  }

  /** `value`, moved by up to `percent` % either way, in whole units. */
  jitter(value: number, percent: number): number {
    const spread = Math.floor((value * percent) / 100);
    return value - spread + this.below(2 * spread + 1);
  }
}

/**
 * Chance streams: one seed, split by name into independent generators.
 *
 * A new draw in `net` shifts nothing in `disk/3`, so that a seed keeps showing what it showed while the simulator
 * grows. The words of a stream's seed are the hash of the run's seed and the stream's name.
 */
import { Chance } from '../src/core/chance.js';
import { hash } from '../src/core/hash.js';

export class ChanceStreams {
  readonly seed: number;
  readonly #streams = new Map<string, Chance>();

  constructor(seed: number) {
    this.seed = seed;
  }

  of(name: string): Chance {
    const known = this.#streams.get(name);
    if (known !== undefined) return known;
    const words = Buffer.from(hash(Buffer.from(`scatterhoard/sim/1 ${this.seed} ${name}`)));
    const stream = new Chance([words.readUInt32LE(0), words.readUInt32LE(4), words.readUInt32LE(8)]);
    this.#streams.set(name, stream);
    return stream;
  }
}

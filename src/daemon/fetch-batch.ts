/**
 * Fetch batch: some of a large blob's chunks, in order, and which parts of them must be asked for. Made by
 * chunk-fetch.ts.
 */
import type { ByteRange } from '../core/byte-range.js';
import type { Chunk } from '../core/recipe.js';
import { RANGES_PER_FETCH_MAX } from '../net/wire-ranges.js';
import type { ChunkPlace } from '../store/recipe-index.js';

/** Bytes of one ask. On a gigabit line the round trip is 1 % of the time that these bytes take. */
const BATCH_BYTES = 64 * 1024 * 1024;
/** From a batch's first byte to its last, copied chunks included. Each chunk of the batch is listed in memory. */
const BATCH_SPAN_BYTES = 1024 * 1024 * 1024;
/**
 * Bytes copied at most between two chunks of one ask, and before the next batch is asked for. Meanwhile the sender
 * waits, and it gives up after a minute (net/bulk-stream.ts). So a disk that does 300 kB/s is fast enough; at 500 MB/s
 * the copy takes 16 ms, as long as a far round trip.
 */
export const COPIED_BYTES_MAX = 8 * 1024 * 1024;

/** A part of a chunk: copied from a place on this host, or asked for. */
export interface Piece {
  readonly at: number;
  readonly bytes: number;
  readonly from: ChunkPlace | undefined;
}

export interface Step {
  readonly chunk: Chunk;
  readonly offset: number;
  /** Where a blob on this host is said to have the chunk, or where it came before in the new blob. */
  readonly place: ChunkPlace | undefined;
  /** What is known of its parts; undefined if the chunk is taken as a whole. */
  pieces?: readonly Piece[];
}

export class Batch {
  readonly steps: Step[] = [];
  /** Bytes of the chunks that are not on this host. */
  #bytes = 0;
  /** Bytes of the chunks copied here since the last one that is not on this host. */
  #copiedBytes = 0;

  add(step: Step): void {
    this.steps.push(step);
    const { place, chunk } = step;
    if (place === undefined) this.#bytes += chunk.bytes;
    this.#copiedBytes = place === undefined ? 0 : this.#copiedBytes + chunk.bytes;
  }

  takes({ chunk, offset, place }: Step): boolean {
    const begin = this.steps[0]?.offset ?? offset;
    if (offset + chunk.bytes - begin > BATCH_SPAN_BYTES) return false;
    return place !== undefined || (this.#bytes + chunk.bytes <= BATCH_BYTES && this.#copiedBytes <= COPIED_BYTES_MAX);
  }

  /**
   * The ranges to ask for, adjoining parts merged. When the parts are too many for one ask, chunks are asked for whole.
   */
  ranges(): readonly ByteRange[] {
    const ranges = rangesOf(this.steps);
    if (ranges.length <= RANGES_PER_FETCH_MAX) return ranges;
    for (const step of this.steps) delete step.pieces;
    return rangesOf(this.steps);
  }
}

function rangesOf(steps: readonly Step[]): readonly ByteRange[] {
  const ranges: { offset: number; bytes: number }[] = [];
  for (const { chunk, offset, place, pieces = [{ at: 0, bytes: chunk.bytes, from: place }] } of steps) {
    for (const { at, bytes, from } of pieces) {
      if (from !== undefined) continue;
      const last = ranges.at(-1);
      if (last !== undefined && last.offset + last.bytes === offset + at) last.bytes += bytes;
      else ranges.push({ offset: offset + at, bytes });
    }
  }
  return ranges;
}

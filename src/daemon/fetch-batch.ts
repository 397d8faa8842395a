/**
 * Fetch batch: some of a large blob's chunks, in order, and what of them has to be asked for. Made by chunk-fetch.ts.
 */
import type { ByteRange } from '../core/byte-range.js';
import type { Chunk } from '../core/recipe.js';
import { RANGES_PER_FETCH_MAX } from '../net/wire-ranges.js';
import type { ChunkPlace } from '../store/recipe-index.js';

/** Of one ask: its round trip is 1 % of the time that this takes on a gigabit. */
const BATCH_BYTES = 64 * 1024 * 1024;
/** From a batch's first byte to its last, with what is copied between: at 20 MB/s less than its sender waits for a reader. */
const BATCH_SPAN_BYTES = 1024 * 1024 * 1024;

/** A part of a chunk: from a place here, or to be asked for. */
export interface Piece {
  readonly at: number;
  readonly bytes: number;
  readonly from: ChunkPlace | undefined;
}

export interface Step {
  readonly chunk: Chunk;
  readonly offset: number;
  /** Where a blob of ours is said to have it. */
  readonly place: ChunkPlace | undefined;
  /** What is known of its parts; undefined: it is taken as a whole. */
  pieces?: readonly Piece[];
}

export class Batch {
  readonly steps: Step[] = [];
  /** Of chunks that are not here. */
  #bytes = 0;

  add(step: Step): void {
    this.steps.push(step);
    if (step.place === undefined) this.#bytes += step.chunk.bytes;
  }

  takes({ chunk, offset, place }: Step): boolean {
    const begin = this.steps[0]?.offset ?? offset;
    if (offset + chunk.bytes - begin > BATCH_SPAN_BYTES) return false;
    return place !== undefined || this.#bytes + chunk.bytes <= BATCH_BYTES;
  }

  /** What has to be asked for, adjoining parts in one. Should the parts be too many for one ask, chunks are asked for whole. */
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

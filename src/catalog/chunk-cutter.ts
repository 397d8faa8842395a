/**
 * Chunk cutter: where a large file is cut into chunks, by its content, so that an insertion moves only the cuts around it.
 *
 * FastCDC (Xia et al., USENIX ATC 2016) with normalized chunking of level 2: a gear hash over the last 32 bytes, no cut before
 * 256 KiB, a rarer one before 1 MiB than after it, always one at 4 MiB. A file of which a recipe could not list so many
 * chunks is cut into larger ones. Both ends of a transfer must cut alike for a
 * chunk to be found again, so the table and the masks never change; a different cut costs bytes on the wire, never a
 * wrong byte.
 */
import { hash } from '../core/hash.js';
import { CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, PIECE_BYTES_MAX, PIECE_BYTES_MIN } from '../core/recipe.js';

interface CutSizes {
  readonly min: number;
  readonly normal: number;
  readonly max: number;
  /**
   * The upper bits of the hash, since the most bytes have gone into them. A cut is rarer before the normal size than
   * after it.
   */
  readonly maskBefore: number;
  readonly maskAfter: number;
}

/** A cut is 1 in 2^22 before the normal size, 1 in 2^18 after it. */
const CHUNKS: CutSizes = {
  min: CHUNK_BYTES_MIN,
  normal: 1024 * 1024,
  max: CHUNK_BYTES_MAX,
  maskBefore: ~0 << 10,
  maskAfter: ~0 << 14,
};
/** 1 in 2^20 from 2 MiB on: 2.9 MiB on average, so that a recipe can list 3.1 TB, and at least 2.2 TB. */
export const LARGE_CHUNKS: CutSizes = {
  min: 2 * 1024 * 1024,
  normal: 2 * 1024 * 1024,
  max: CHUNK_BYTES_MAX,
  maskBefore: ~0 << 12,
  maskAfter: ~0 << 12,
};
/**
 * From this size on: some 875,000 chunks of the smaller kind, which leaves room for content that has more cuts. A file
 * that grows beyond it shares no chunk with what it was, and is sent whole once.
 */
const LARGE_CHUNKS_FROM_BYTES = 1_000_000_000_000;

export const chunkSizesOf = (fileBytes: number): CutSizes =>
  fileBytes < LARGE_CHUNKS_FROM_BYTES ? CHUNKS : LARGE_CHUNKS;

/** 1 in 2^15 and 1 in 2^11. */
export const PIECES: CutSizes = {
  min: PIECE_BYTES_MIN,
  normal: 8 * 1024,
  max: PIECE_BYTES_MAX,
  maskBefore: ~0 << 17,
  maskAfter: ~0 << 21,
};

/** Random 32-bit numbers: for each byte value, the first four bytes of BLAKE3 of the value and a label. */
const GEAR = Int32Array.from({ length: 256 }, (_, byte) => {
  const digest = hash(Buffer.from(`scatterhoard/gear/1/${byte}`));
  return new DataView(digest.buffer, digest.byteOffset).getInt32(0);
});

export class ChunkCutter {
  /** Bytes in the open chunk. */
  #length = 0;
  #hash = 0;
  readonly #sizes: CutSizes;

  /** @param sizes default: those of chunks */
  constructor(sizes: CutSizes = CHUNKS) {
    this.#sizes = sizes;
  }

  /**
   * The end of the open chunk within `bytes`, searched from `from` on; −1 when the chunk continues beyond them. After
   * an end, the next call begins a new chunk there.
   */
  next(bytes: Uint8Array, from: number): number {
    const { min, normal, max, maskBefore, maskAfter } = this.#sizes;
    let at = from;
    // Nothing is cut before the least size, and the hash depends only on the last 32 bytes.
    const skip = Math.min(bytes.length - at, Math.max(0, min - 32 - this.#length));
    at += skip;
    const begin = at - this.#length - skip;
    let gear = this.#hash;
    for (const stop = Math.min(bytes.length, begin + min); at < stop; at += 1)
      gear = ((gear << 1) + (GEAR[bytes[at] as number] as number)) | 0;
    for (const stop = Math.min(bytes.length, begin + normal); at < stop; at += 1) {
      gear = ((gear << 1) + (GEAR[bytes[at] as number] as number)) | 0;
      if ((gear & maskBefore) === 0) return this.#cutAfter(at);
    }
    for (const stop = Math.min(bytes.length, begin + max); at < stop; at += 1) {
      gear = ((gear << 1) + (GEAR[bytes[at] as number] as number)) | 0;
      if ((gear & maskAfter) === 0) return this.#cutAfter(at);
    }
    if (at === begin + max) return this.#cutAfter(at - 1);
    this.#length = at - begin;
    this.#hash = gear | 0;
    return -1;
  }

  #cutAfter(last: number): number {
    this.#length = 0;
    this.#hash = 0;
    return last + 1;
  }
}

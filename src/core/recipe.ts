/**
 * Recipe: a large blob as the list of its chunks, each by its BLAKE3 and its length.
 *
 * It lets a fetch check what comes chunk by chunk, go on where it was, and take from the own disk what lies there already. It
 * is a hint and no part of the catalog: it comes from whoever serves, and the blob's own hash decides in the end. So all that
 * is demanded here is that it can be used: the chunks are of possible lengths and together as long as the blob.
 *
 * Packed, everywhere: 36 bytes a chunk, its hash and then its length (u32, big-endian), in the blob's order. A page is some of
 * them. Cut by catalog/chunk-cutter.ts; the wire is protocols/fetch.
 */

import type { ByteRange } from './byte-range.js';

/** What has a recipe: files of this size are parcels of their own (catalog/cut.ts). */
export const RECIPE_BLOB_BYTES_MIN = 8 * 1024 * 1024;
/** Each chunk but a blob's last. */
export const CHUNK_BYTES_MIN = 256 * 1024;
export const CHUNK_BYTES_MAX = 4 * 1024 * 1024;
/**
 * Pieces: what a chunk is cut into when one that is missing is compared with what lies in its place in an older version. Small,
 * so that little but the change itself has to come; 0.4 % of what is compared goes over the wire for it.
 */
export const PIECE_BYTES_MIN = 2 * 1024;
export const PIECE_BYTES_MAX = 32 * 1024;
/** Compared at one ask. */
export const COMPARED_BYTES_MAX = 64 * 1024 * 1024;
/** A recipe is held in memory while it is used: 36 MiB at this many, for a file of 1.2 TB. A longer file goes without. */
export const RECIPE_CHUNKS_MAX = 1024 * 1024;
/** Of one page: 144 KiB, and well below what one message may have. */
export const PAGE_CHUNKS_MAX = 4096;

const HASH_BYTES = 32;
const PACKED_BYTES = HASH_BYTES + 4;

export interface Chunk {
  /** BLAKE3: 32 bytes. */
  readonly hash: Uint8Array;
  readonly bytes: number;
}

export function packChunks(chunks: readonly Chunk[]): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(chunks.length * PACKED_BYTES);
  const view = new DataView(packed.buffer);
  for (const [n, { hash, bytes }] of chunks.entries()) {
    packed.set(hash, n * PACKED_BYTES);
    view.setUint32(n * PACKED_BYTES + HASH_BYTES, bytes);
  }
  return packed;
}

/** The chunks of packed bytes that were checked. */
export function* chunksOf(packed: Uint8Array): Generator<Chunk> {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = 0; at < packed.length; at += PACKED_BYTES)
    yield { hash: packed.subarray(at, at + HASH_BYTES), bytes: view.getUint32(at + HASH_BYTES) };
}

/** Cuts a packed recipe into pages of this many chunks, the last with what is left. */
export function* pagesOf(packed: Uint8Array, chunks: number = PAGE_CHUNKS_MAX): Generator<Uint8Array> {
  const bytes = chunks * PACKED_BYTES;
  for (let at = 0; at < packed.length; at += bytes) yield packed.subarray(at, at + bytes);
}

/** Looks at a recipe page by page, as it comes. Throws a RangeError on what is no recipe of a blob of this size. */
export class RecipeCheck {
  readonly #blobBytes: number;
  #bytes = 0;
  #chunks = 0;
  #isOver = false;

  constructor(blobBytes: number) {
    this.#blobBytes = blobBytes;
  }

  take(page: Uint8Array): void {
    if (page.length % PACKED_BYTES !== 0) throw new RangeError(`a page of ${page.length} bytes`);
    if (page.length > PAGE_CHUNKS_MAX * PACKED_BYTES) throw new RangeError('more chunks than a page may have');
    for (const { bytes } of chunksOf(page)) {
      if (this.#isOver) throw new RangeError('a chunk after one that only the last may be as short as');
      if (bytes === 0 || bytes > CHUNK_BYTES_MAX) throw new RangeError(`a chunk of ${bytes} bytes`);
      this.#isOver = bytes < CHUNK_BYTES_MIN;
      this.#chunks += 1;
      this.#bytes += bytes;
      if (this.#bytes > this.#blobBytes)
        throw new RangeError(`more chunks than a blob of ${this.#blobBytes} bytes has`);
      if (this.#chunks > RECIPE_CHUNKS_MAX) throw new RangeError('more chunks than a recipe may have');
    }
  }

  end(): void {
    if (this.#bytes !== this.#blobBytes)
      throw new RangeError(`chunks of ${this.#bytes} bytes for a blob of ${this.#blobBytes}`);
  }
}

/** The same for the pieces of some ranges, each cut by itself. */
export class PiecesCheck {
  /** What is left of each range, the present one first. */
  readonly #left: number[];

  constructor(ranges: readonly ByteRange[]) {
    this.#left = ranges.map(({ bytes }) => bytes);
  }

  take(page: Uint8Array): void {
    if (page.length % PACKED_BYTES !== 0) throw new RangeError(`a page of ${page.length} bytes`);
    for (const { bytes } of chunksOf(page)) {
      const left = this.#left[0] ?? 0;
      if (bytes === 0 || bytes > PIECE_BYTES_MAX || bytes > left) throw new RangeError(`a piece of ${bytes} bytes`);
      if (bytes < PIECE_BYTES_MIN && bytes < left)
        throw new RangeError('a piece that only the last may be as short as');
      if (bytes === left) this.#left.shift();
      else this.#left[0] = left - bytes;
    }
  }

  end(): void {
    if (this.#left.length > 0) throw new RangeError(`no pieces for ${this.#left.length} ranges`);
  }
}

/** Whether packed bytes are a whole recipe of a blob of this size. */
export function isRecipe(packed: Uint8Array, blobBytes: number): boolean {
  const check = new RecipeCheck(blobBytes);
  try {
    for (const page of pagesOf(packed)) check.take(page);
    check.end();
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/**
 * Recipe: a large blob as the list of its chunks, each by its BLAKE3 and its length.
 *
 * With it a fetch can check bytes chunk by chunk as they arrive, resume, and reuse what is already on its own disk. A
 * recipe is a hint and not part of the catalog: it comes from the serving host, and the blob's own hash decides in the
 * end. So it is only checked for being usable: the chunks have possible lengths and together are as long as the blob.
 *
 * Packed, everywhere: 36 bytes a chunk, its hash and then its length (u32, big-endian), in the blob's order. A page is
 * a run of chunks. Cut by catalog/chunk-cutter.ts; the wire is protocols/fetch.
 */

import type { ByteRange } from './byte-range.js';

/** Blobs of at least this size have a recipe: such files are parcels of their own (catalog/cut.ts). */
export const RECIPE_BLOB_BYTES_MIN = 8 * 1024 * 1024;
/** An older version from this size on is worth taking chunks from: a file that has grown to a blob with a recipe had less. */
export const OLDER_BLOB_BYTES_MIN = 1024 * 1024;
/** Of each chunk but a blob's last. */
export const CHUNK_BYTES_MIN = 256 * 1024;
export const CHUNK_BYTES_MAX = 4 * 1024 * 1024;
/**
 * Pieces: a missing chunk is cut into these to be compared with the bytes at its place in an older version. They are
 * small, so that little more than the change itself must be sent; comparing costs 0.4 % of the compared bytes on the
 * wire.
 */
export const PIECE_BYTES_MIN = 2 * 1024;
export const PIECE_BYTES_MAX = 32 * 1024;
/** The most bytes compared per request. */
export const COMPARED_BYTES_MAX = 64 * 1024 * 1024;
/**
 * A recipe is in memory while it is used: 36 MiB at this many chunks, for a file of 3.1 TB (catalog/chunk-cutter.ts). A
 * longer file has none: it is fetched whole, and from its beginning after each interruption.
 */
export const RECIPE_CHUNKS_MAX = 1024 * 1024;
/** Chunks per page: 144 KiB, well below the limit of a message. */
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

/** The chunks of packed bytes, which must have been checked. */
export function* chunksOf(packed: Uint8Array): Generator<Chunk> {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = 0; at < packed.length; at += PACKED_BYTES)
    yield { hash: packed.subarray(at, at + HASH_BYTES), bytes: view.getUint32(at + HASH_BYTES) };
}

/** Cuts a packed recipe into pages of this many chunks; the last has the rest. */
export function* pagesOf(packed: Uint8Array, chunks: number = PAGE_CHUNKS_MAX): Generator<Uint8Array> {
  const bytes = chunks * PACKED_BYTES;
  for (let at = 0; at < packed.length; at += bytes) yield packed.subarray(at, at + bytes);
}

/**
 * Checks a recipe page by page as it arrives. @throws RangeError when it cannot be the recipe of a blob of this size
 */
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
      if (this.#isOver) throw new RangeError('a chunk that is too short and not the last');
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

/** The same for the pieces of several ranges, each of which is cut by itself. */
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
        throw new RangeError('a piece that is too short and not the last of its range');
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

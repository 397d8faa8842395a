/**
 * Repeats: where in a file that is being put together a chunk has come before. Of a disk image that is half zeros, or of an archive
 * with the same file in it twice, each chunk comes over the wire once, and is copied from the new file's own beginning after that.
 *
 * Driven by chunk-fetch.ts.
 */
import type { BlobId } from '../core/ids.js';
import type { Chunk } from '../core/recipe.js';
import type { ChunkPlace } from '../store/recipe-index.js';

/** The last so many chunks that differ, of some 16 GiB: 2 MB for each fetch. */
const CHUNKS_MAX = 16 * 1024;
/** Of a hash: two chunks that share so much of it would be found out when they are copied. */
const KEY_BYTES = 16;

export class Repeats {
  readonly #blob: BlobId;
  /** The one that came least lately is first. */
  readonly #offsets = new Map<string, number>();

  constructor(blob: BlobId) {
    this.#blob = blob;
  }

  /** Of each chunk in order. @returns where it has come before */
  take({ hash }: Chunk, offset: number): ChunkPlace | undefined {
    const key = Buffer.from(hash.subarray(0, KEY_BYTES)).toString('latin1');
    const before = this.#offsets.get(key);
    this.#offsets.delete(key);
    this.#offsets.set(key, offset);
    const [oldest] = this.#offsets.keys();
    if (oldest !== undefined && this.#offsets.size > CHUNKS_MAX) this.#offsets.delete(oldest);
    return before === undefined ? undefined : { blob: this.#blob, offset: before };
  }
}

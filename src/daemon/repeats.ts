/**
 * Repeats: where in a file that is being assembled a chunk came before. Each chunk of a disk image that is half zeros,
 * or of an archive that has the same file twice, comes over the wire once and is then copied from the new file's own
 * beginning.
 *
 * Driven by chunk-fetch.ts.
 */
import type { BlobId } from '../core/ids.js';
import type { Chunk } from '../core/recipe.js';
import type { ChunkPlace } from '../store/recipe-index.js';

/** How many different chunks are remembered, the latest: those of some 16 GiB, in 2 MB for each fetch. */
const CHUNKS_MAX = 16 * 1024;
/** The part of a hash that is compared: if two chunks shared it, copying would find that out. */
const KEY_BYTES = 16;

export class Repeats {
  readonly #blob: BlobId;
  /** In the order in which the chunks last came. */
  readonly #offsets = new Map<string, number>();

  constructor(blob: BlobId) {
    this.#blob = blob;
  }

  /** To be called with each chunk, in order. @returns where it came before */
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

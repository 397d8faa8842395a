/**
 * Chunk buffers: carry chunks to a store's thread. A buffer is handed over with its chunk and comes back when the chunk
 * is written.
 *
 * A buffer that stays in the thread is freed by that thread's own collector, which runs seldom because hardly anything
 * else is allocated there: eight fetches that hold 16 MiB at once took 55.
 *
 * Driven by assembly.ts.
 */

/** Sizes are powers of two from here on, so that most buffers fit most chunks. */
const LEAST_BYTES = 256 * 1024;
/** How much is kept for reuse, a store: more than usually waits for its thread. */
const SPARE_BYTES_MAX = 8 * 1024 * 1024;

export class ChunkBuffers {
  readonly #spare: ArrayBuffer[] = [];
  #spareBytes = 0;

  /** `bytes` bytes with arbitrary content, at the beginning of a buffer of their own. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    const wholeBytes = sizeFor(bytes);
    const at = this.#spare.findLastIndex(({ byteLength }) => byteLength === wholeBytes);
    const [buffer] = at < 0 ? [] : this.#spare.splice(at, 1);
    if (buffer === undefined) return Buffer.allocUnsafeSlow(wholeBytes).subarray(0, bytes);
    this.#spareBytes -= wholeBytes;
    return new Uint8Array(buffer, 0, bytes);
  }

  /** Takes back a buffer that nobody uses any longer. */
  giveBack(buffer: ArrayBuffer): void {
    // The oldest go first, so that the kept buffers are not all of a size that is no longer asked for.
    while (this.#spareBytes + buffer.byteLength > SPARE_BYTES_MAX) {
      const oldest = this.#spare.shift();
      if (oldest === undefined) return;
      this.#spareBytes -= oldest.byteLength;
    }
    this.#spare.push(buffer);
    this.#spareBytes += buffer.byteLength;
  }
}

const sizeFor = (bytes: number): number => Math.max(LEAST_BYTES, 2 ** Math.ceil(Math.log2(bytes)));

/**
 * Chunk buffers: what chunks come into on their way to a store's thread, handed over, and back when they are written.
 *
 * A buffer that is left in the thread is freed by that thread's own collector, which runs seldom, for hardly anything else is
 * made there: eight fetches that hold 16 MiB at once took 55.
 *
 * Driven by assembly.ts.
 */

/** Sizes are powers of two from here on, so that most buffers fit most chunks. */
const LEAST_BYTES = 256 * 1024;
/** Kept for later, of one store: more than lies ahead of its thread as a rule. */
const SPARE_BYTES_MAX = 8 * 1024 * 1024;

export class ChunkBuffers {
  readonly #spare: ArrayBuffer[] = [];
  #spareBytes = 0;

  /** So many bytes, of whatever content, at the beginning of a buffer of their own. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    const wholeBytes = sizeFor(bytes);
    const at = this.#spare.findLastIndex(({ byteLength }) => byteLength === wholeBytes);
    const [buffer] = at < 0 ? [] : this.#spare.splice(at, 1);
    if (buffer === undefined) return Buffer.allocUnsafeSlow(wholeBytes).subarray(0, bytes);
    this.#spareBytes -= wholeBytes;
    return new Uint8Array(buffer, 0, bytes);
  }

  /** Nobody uses it any more. */
  giveBack(buffer: ArrayBuffer): void {
    // Some size that is asked for no more must not be all that is kept.
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

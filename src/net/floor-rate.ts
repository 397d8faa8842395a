/**
 * Floor rate: does an answer come fast enough to be waited for?
 *
 * A stream on which nothing moves is given up (bulk-stream.ts). A byte now and then counts as movement, and would make
 * the caller wait for ever although other peers have everything. So during the waiting a certain amount of content
 * must come in a certain time. Only the waiting counts: time that this host's own pace, disk or reader takes is not
 * the peer's.
 *
 * The floor is far below what an honest host gives. On 1 Mbit/s, 64 streams have 2 KiB/s each; at the lowest rate that
 * `limits` accepts, 256 kB/s, they have four. A peer that is merely slower than others loses its place as
 * protocols/fetch/fetch.md says.
 * Driven by the fetch protocol's callers, one for each answer.
 */
import { ClusterError } from '../core/fault.js';
import { STALL_MS_MAX } from './bulk-stream.js';

/** Half of a data part, because parts count only when they are whole. */
export const FLOOR_BYTES = 128 * 1024;
/** The bytes must come within this many stall times: 5 min, so at least 0.4 KiB/s, and a part of 256 KiB at 0.9. */
const FLOOR_STALLS = 5;

export class FloorRate {
  readonly #withinMs: number;
  #waitedMs = 0;
  #bytes = 0;

  constructor({ stallMs = STALL_MS_MAX }: { readonly stallMs?: number } = {}) {
    this.#withinMs = FLOOR_STALLS * stallMs;
  }

  /**
   * What the peer gives next.
   * @throws ClusterError STREAM_STALLED (passing): then leave the stream, because a read is still pending.
   */
  async next<T>(parts: AsyncIterator<T, void, undefined>): Promise<IteratorResult<T, void>> {
    const sinceMs = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const tooSlow = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#tooSlow()), Math.max(0, this.#withinMs - this.#waitedMs));
    });
    try {
      return await Promise.race([parts.next(), tooSlow]);
    } finally {
      clearTimeout(timer);
      this.#waitedMs += performance.now() - sinceMs;
    }
  }

  /** This many bytes of the content have come, or were announced. */
  moved(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < FLOOR_BYTES) return;
    this.#bytes = 0;
    this.#waitedMs = 0;
  }

  #tooSlow(): ClusterError {
    return new ClusterError(
      'STREAM_STALLED',
      `a peer gave ${this.#bytes} bytes in ${this.#withinMs / 1000} s; it was given up`,
      { blame: 'passing' },
    );
  }
}

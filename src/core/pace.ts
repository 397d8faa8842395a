/**
 * Pace: bytes a second that arrive while any transfer is running. Idle time does not count: a host that had nothing to
 * fetch is no slower for that.
 *
 * A pace rises at once and fades slowly: a link can carry again what it has carried once, and a source may share its
 * link with others for a while. Bytes arrive in lumps, as transfers report them; a window spans several of these.
 */

/** Bytes are counted over this long before they count as a pace, in ms: about two reports of a transfer. */
const WINDOW_MS = 3_000;
/** A pace that is not reached again fades to nothing in this much busy time, in ms. */
const FADE_MS = 86_400_000;

export class Pace {
  #running = 0;
  #atMs = Number.NEGATIVE_INFINITY;
  #windowBytes = 0;
  #windowMs = 0;
  /** The pace of the last window. */
  #lastBytesPerS = 0;
  /** The best pace that has not faded yet, and how much busy time ago it was measured. */
  #bestBytesPerS = 0;
  #bestAgeMs = 0;

  /** A transfer begins. */
  began(nowMs: number): void {
    this.#advance(nowMs);
    this.#running += 1;
  }

  /** A transfer ends, whole or not. */
  ended(nowMs: number): void {
    this.#advance(nowMs);
    this.#running = Math.max(0, this.#running - 1);
  }

  /** `bytes`: those that came since the last report. */
  came(bytes: number, nowMs: number): void {
    this.#advance(nowMs);
    this.#windowBytes += bytes;
    if (this.#windowMs < WINDOW_MS) return;
    this.#lastBytesPerS = (this.#windowBytes * 1000) / this.#windowMs;
    if (this.#lastBytesPerS >= this.#fadedBytesPerS()) {
      this.#bestBytesPerS = this.#lastBytesPerS;
      this.#bestAgeMs = 0;
    }
    this.#windowBytes = 0;
    this.#windowMs = 0;
  }

  /** 0 until enough has arrived to tell. */
  get bytesPerS(): number {
    return Math.max(this.#lastBytesPerS, this.#fadedBytesPerS());
  }

  #fadedBytesPerS(): number {
    return this.#bestBytesPerS * Math.max(0, 1 - this.#bestAgeMs / FADE_MS);
  }

  #advance(nowMs: number): void {
    if (this.#running > 0) {
      const spanMs = Math.max(0, nowMs - this.#atMs);
      this.#windowMs += spanMs;
      this.#bestAgeMs += spanMs;
    }
    this.#atMs = Math.max(this.#atMs, nowMs);
  }
}

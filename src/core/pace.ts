/**
 * Pace: bytes a second that come while anything is under way. Time in which nothing is does not count: a host that had
 * nothing to fetch is no slower for that.
 *
 * It rises at once and fades: what a link has once brought it can bring, and whoever is fetched from shares its link with
 * others for a while. Bytes come in lumps, as transfers tell of them; a window takes several of these together.
 */

/** Bytes are counted over so long before they are believed, in ms: some two lumps of a transfer's news. */
const WINDOW_MS = 3_000;
/** A pace that was not reached again fades away in so much busy time, in ms. */
const FADE_MS = 86_400_000;

export class Pace {
  #running = 0;
  #atMs = Number.NEGATIVE_INFINITY;
  #windowBytes = 0;
  #windowMs = 0;
  /** The last window's … */
  #lastBytesPerS = 0;
  /** … and the best that has not faded yet, and how much busy time ago it was. */
  #bestBytesPerS = 0;
  #bestAgeMs = 0;

  /** A transfer begins. */
  began(nowMs: number): void {
    this.#advance(nowMs);
    this.#running += 1;
  }

  /** … and ends, whole or not. */
  ended(nowMs: number): void {
    this.#advance(nowMs);
    this.#running = Math.max(0, this.#running - 1);
  }

  /** Bytes that came since the last news. */
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

  /** 0 while too little has come to tell. */
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

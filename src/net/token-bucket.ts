/**
 * Token bucket: allows a certain amount per second, and a certain amount at once after a pause. Time is handed in.
 */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  constructor({
    perSecond,
    burst,
    nowMs,
  }: { readonly perSecond: number; readonly burst: number; readonly nowMs: number }) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#atMs = nowMs;
  }

  /** Takes `amount` if there is that much; a refusal takes nothing. A clock that goes back adds nothing. */
  take(amount: number, nowMs: number): boolean {
    const gained = (Math.max(0, nowMs - this.#atMs) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#atMs = nowMs;
    if (amount > this.#tokens) return false;
    this.#tokens -= amount;
    return true;
  }
}

/**
 * Steady clock: a host's own running time, as its machine is told. It never goes back, but it may run fast or slow
 * relative to the world's time, and it stands still while the host is suspended.
 */
export class SteadyClock {
  #hostMs: number;
  #worldMs: number;
  /** Host milliseconds per millisecond of the world. */
  #rate = 1;
  /** When it was stopped, by the world's time; undefined while it runs. */
  #stoppedMs: number | undefined;

  constructor({ hostMs, worldMs }: { readonly hostMs: number; readonly worldMs: number }) {
    this.#hostMs = hostMs;
    this.#worldMs = worldMs;
  }

  nowMs(worldMs: number): number {
    return this.#stoppedMs !== undefined ? this.#hostMs : this.#hostMs + (worldMs - this.#worldMs) * this.#rate;
  }

  /** When, in the world's time, the clock will show `hostMs` if nothing changes. Infinity while it stands still. */
  worldMsAt(hostMs: number): number {
    return this.#stoppedMs !== undefined
      ? Number.POSITIVE_INFINITY
      : this.#worldMs + (hostMs - this.#hostMs) / this.#rate;
  }

  drift(worldMs: number, percent: number): void {
    this.#settle(worldMs);
    this.#rate = 1 + percent / 100;
  }

  stop(worldMs: number): void {
    this.#settle(worldMs);
    this.#stoppedMs = worldMs;
  }

  /** @returns how long it stood still, by the world's time. */
  resume(worldMs: number): number {
    this.#settle(worldMs);
    const stoodMs = worldMs - (this.#stoppedMs ?? worldMs);
    this.#stoppedMs = undefined;
    return stoodMs;
  }

  #settle(worldMs: number): void {
    this.#hostMs = this.nowMs(worldMs);
    this.#worldMs = worldMs;
  }
}

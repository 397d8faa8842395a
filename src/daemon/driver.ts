/**
 * Driver: runs the host machine on real time. It stamps inputs, keeps the one timer that the machine asks for, and hands
 * every effect to the part that carries it out.
 *
 * Nothing tells a program that the computer slept. Where the wall clock has gone on and the steady clock has not, it
 * slept, or a person has set the clock; the machine hears of that before anything else.
 *
 * An effect may cause an input at once; inputs are queued, so that one step ends before the next begins.
 */
import type { Effect, Input } from '../core/effects.js';
import type { Machine } from '../core/machine.js';
import { TIMER_MS_MAX } from '../platform/long-timer.js';
import type { Clock } from './clock.js';

/** A smaller difference, in ms, is a clock that was corrected. */
const SLEPT_MS_LEAST = 60_000;

/** An input before it is stamped. */
export type Unstamped = Input extends infer I ? (I extends Input ? Omit<I, 'nowMs'> : never) : never;

export class Driver {
  readonly #machine: Machine;
  readonly #clock: Clock;
  readonly #carryOut: (effect: Effect) => void;
  readonly #queue: Unstamped[] = [];
  #stepping = false;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** The wall clock minus the steady clock, at the last input. */
  #aheadMs: number;

  constructor({
    machine,
    clock,
    carryOut,
  }: {
    readonly machine: Machine;
    readonly clock: Clock;
    /** Must not throw: a failure comes back as an input. */
    readonly carryOut: (effect: Effect) => void;
  }) {
    this.#machine = machine;
    this.#clock = clock;
    this.#carryOut = carryOut;
    this.#aheadMs = clock.wallMs() - clock.nowMs();
  }

  tell(input: Unstamped): void {
    if (this.#stopped) return;
    this.#noteSleep();
    this.#queue.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        for (const effect of this.#machine.step({ ...next, nowMs: this.#clock.nowMs() } as Input)) {
          if (effect.do === 'wake') this.#wakeAt(effect.atMs);
          else this.#carryOut(effect);
        }
      }
    } finally {
      this.#stepping = false;
    }
  }

  #noteSleep(): void {
    const aheadMs = this.#clock.wallMs() - this.#clock.nowMs();
    const forMs = aheadMs - this.#aheadMs;
    this.#aheadMs = aheadMs;
    if (forMs >= SLEPT_MS_LEAST) this.#queue.push({ is: 'was-off', forMs });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #wakeAt(atMs: number): void {
    clearTimeout(this.#timer);
    if (atMs === Number.POSITIVE_INFINITY) return;
    // When woken early, the machine asks again.
    const delayMs = Math.min(TIMER_MS_MAX, Math.max(0, Math.ceil(atMs - this.#clock.nowMs())));
    this.#timer = setTimeout(() => this.tell({ is: 'wake' }), delayMs);
  }
}

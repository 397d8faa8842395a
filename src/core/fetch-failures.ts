/**
 * Fetch failures: how often the fetch of each parcel has failed, and how long the parcel then rests. Each rest is
 * longer, because a try at what nobody can give costs every host a claim and the message that it has ended.
 *
 * Driven by pursuing.ts.
 */
import type { FetchFailure } from './effects.js';
import type { Row } from './parcel-table.js';
import { BACK_OFF_MS, BACK_OFF_MS_MAX, HOPELESS_BACK_OFF_MS_MAX, SOURCE_TRIES_MAX } from './pursuit.js';

/** Enough to exceed any limit of a rest. */
const DOUBLINGS_MAX = 16;

export class FetchFailures {
  readonly #byRow = new Map<Row, { tries: number; untilMs: number }>();

  /** The rows with a failed fetch. */
  rows(): IterableIterator<Row> {
    return this.#byRow.keys();
  }

  /** Until when the row rests; -Infinity if no rest was set. */
  untilMs(row: Row): number {
    return this.#byRow.get(row)?.untilMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Counts one more failure. */
  count(row: Row): void {
    const failure = this.#byRow.get(row);
    if (failure === undefined) this.#byRow.set(row, { tries: 1, untilMs: Number.NEGATIVE_INFINITY });
    else failure.tries += 1;
  }

  /** How long the row should rest now, in ms. */
  restMs(row: Row, because: FetchFailure): number {
    const tries = this.#byRow.get(row)?.tries ?? 1;
    if (because === 'gone') return backOffMs(tries, HOPELESS_BACK_OFF_MS_MAX);
    // A parcel that as many sources have refused as one claim asks rests twice as long each time.
    const claims = Math.ceil(tries / SOURCE_TRIES_MAX);
    const mostMs = BACK_OFF_MS_MAX * 2 ** Math.min(claims - 1, DOUBLINGS_MAX);
    return backOffMs(tries, Math.min(HOPELESS_BACK_OFF_MS_MAX, mostMs));
  }

  rest(row: Row, untilMs: number): void {
    this.#byRow.set(row, { tries: this.#byRow.get(row)?.tries ?? 1, untilMs });
  }

  /** Another host may be able to give it now. */
  restEnds(row: Row, nowMs: number): void {
    const failure = this.#byRow.get(row);
    if (failure !== undefined) failure.untilMs = nowMs;
  }

  delete(row: Row): void {
    this.#byRow.delete(row);
  }
}

/** The rest after this many failures in a row, in ms. */
export const backOffMs = (tries: number, mostMs = BACK_OFF_MS_MAX): number =>
  Math.min(mostMs, BACK_OFF_MS * 2 ** Math.min(tries - 1, DOUBLINGS_MAX));

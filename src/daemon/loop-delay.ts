/**
 * Loop delay: how late this service's event loop comes round, as heartbeats and grants feel it. The report covers the
 * last one to two minutes: what the histogram holds at the end of a minute is kept while the next one is filled.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * How often the loop is looked at, in ms. A histogram records this much when nothing is late. Each look wakes the
 * process: a hundred a second take 0.6 % of a core, more than all else does at rest; ten take 0.04 %, and are two
 * thirds of all wakes at rest (measured). A delay is recorded too short by the time since the last look. That is less
 * than this interval, and no heartbeat or grant would feel it.
 */
export const RESOLUTION_MS = 250;
const PERIOD_MS = 60_000;
const NS_PER_MS = 1e6;

export interface LoopDelayReport {
  /** In ms: one of a hundred looks was later than this. 0 when nothing was late. */
  readonly p99Ms: number;
  readonly maxMs: number;
}

export class LoopDelay {
  #filled: IntervalHistogram = begin();
  #kept: LoopDelayReport | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => {
      this.#kept = reportOf(this.#filled);
      this.#filled.disable();
      this.#filled = begin();
    }, PERIOD_MS);
    this.#timer.unref();
  }

  report(): LoopDelayReport {
    const now = reportOf(this.#filled);
    return {
      p99Ms: Math.max(now.p99Ms, this.#kept?.p99Ms ?? 0),
      maxMs: Math.max(now.maxMs, this.#kept?.maxMs ?? 0),
    };
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#filled.disable();
  }
}

function begin(): IntervalHistogram {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return histogram;
}

function reportOf(histogram: IntervalHistogram): LoopDelayReport {
  const late = (ns: number): number => Math.max(0, Math.round(ns / NS_PER_MS - RESOLUTION_MS));
  return { p99Ms: late(histogram.percentile(99)), maxMs: late(histogram.max) };
}

/**
 * Loop delay: how late this service's event loop comes round, as heartbeats and grants feel it. The report covers the
 * last one to two minutes: the histogram of one minute is kept while the next one is filled.
 */
import { type Histogram, type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

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
  /**
   * In ms: for a hundredth of the time the loop was later than this, or did not come round at all. 0 when nothing was
   * late.
   */
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

const reportOf = (histogram: Histogram): LoopDelayReport => lateness(histogram, RESOLUTION_MS);

/**
 * Counts by time and not by looks. If the loop stands still for 5 s, that is one look of two hundred in a minute, but a
 * twelfth of the minute.
 *
 * @param histogram of the times from one look to the next
 */
export function lateness(
  histogram: Pick<Histogram, 'count' | 'mean' | 'max' | 'percentile'>,
  resolutionMs: number,
): LoopDelayReport {
  const { count, mean, max } = histogram;
  let p99Ns = max;
  // From the longest down, until they make up a hundredth of all the time: at most a hundredth of the looks.
  let longNs = 0;
  for (let look = count; look > 0 && longNs <= (count * mean) / 100; look -= 1) {
    p99Ns = histogram.percentile((100 * look) / count);
    longNs += p99Ns;
  }
  const late = (ns: number): number => Math.max(0, Math.round(ns / NS_PER_MS - resolutionMs));
  return { p99Ms: late(p99Ns), maxMs: late(max) };
}

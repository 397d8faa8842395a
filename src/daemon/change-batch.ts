/**
 * Change batch: decides when a source with noticed changes is scanned.
 *
 * It is scanned once it has been quiet for a while after a change, and at the latest a minute after the first one. A
 * scan sees everything noticed before it began; what is noticed later belongs to the next batch. After a run the
 * source rests, longer after a longer run, so that a folder that is always written to is not always scanned. A failed
 * run is repeated.
 *
 * Changes noticed while one of the source's own hooks runs do not count. What `before` writes is in the scan that
 * follows, and a dump that each run rewrites would cause the next run, for ever.
 *
 * Pure: the time is handed in, and steady. Driven by source-watch.ts.
 */

/** Quiet time after the last change, in ms: a program saves a file in several steps, which lie closer together. */
export const QUIET_MS = 2_000;
/** Longest wait after the first change, in ms: a copy that takes hours is backed up while it runs. */
export const BATCH_MS_MAX = 60_000;
/** Shortest rest between two runs, in ms: each run leaves a snapshot on every host. */
export const REST_MS_MIN = 10_000;
/** The rest is this many times as long as the last run: scanning takes at most a fifth of the time. */
export const REST_FACTOR = 4;
/** Longest rest, in ms: a first run reads everything, and the next does not. */
export const REST_MS_MAX = 3_600_000;
/** Rest after a run that failed, in ms. */
export const FAILED_REST_MS = 5 * 60_000;

interface Noticed {
  readonly firstMs: number;
  readonly lastMs: number;
}

export class ChangeBatch {
  #noticed: Noticed | undefined;
  /** What the scan that is under way will see. */
  #inScan: Noticed | undefined;
  #runs = 0;
  #hooks = 0;
  #restUntilMs = Number.NEGATIVE_INFINITY;

  changed(nowMs: number): void {
    if (this.#hooks === 0) this.#noticed = { firstMs: this.#noticed?.firstMs ?? nowMs, lastMs: nowMs };
  }

  /** A run was asked for, by anybody. Nothing is due until it has ended. */
  runComes(): void {
    this.#runs += 1;
  }

  scanBegins(): void {
    this.#inScan = this.#noticed;
    this.#noticed = undefined;
  }

  runEnds({
    nowMs,
    tookMs,
    failed,
  }: {
    readonly nowMs: number;
    readonly tookMs: number;
    readonly failed: boolean;
  }): void {
    this.#runs -= 1;
    if (failed) this.#noticed = joined(this.#inScan, this.#noticed);
    this.#inScan = undefined;
    const restMs = Math.min(REST_MS_MAX, Math.max(REST_MS_MIN, REST_FACTOR * tookMs));
    this.putOff(nowMs + (failed ? Math.max(restMs, FAILED_REST_MS) : restMs));
  }

  hookBegins(): void {
    this.#hooks += 1;
  }

  hookEnds(): void {
    this.#hooks -= 1;
  }

  /** Nothing is due before this time. */
  putOff(untilMs: number): void {
    this.#restUntilMs = untilMs;
  }

  /** When the next run is due. Undefined when nothing is noticed that a run does not already cover. */
  get dueMs(): number | undefined {
    if (this.#noticed === undefined || this.#runs > 0) return undefined;
    const { firstMs, lastMs } = this.#noticed;
    return Math.max(this.#restUntilMs, Math.min(lastMs + QUIET_MS, firstMs + BATCH_MS_MAX));
  }
}

function joined(earlier: Noticed | undefined, later: Noticed | undefined): Noticed | undefined {
  if (earlier === undefined || later === undefined) return earlier ?? later;
  return { firstMs: earlier.firstMs, lastMs: later.lastMs };
}

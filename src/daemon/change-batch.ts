/**
 * Change batch: when is a source in whose folder changes are noticed to be scanned?
 *
 * Once it has been quiet for a while after a change, and a minute after the first at the latest. A scan sees all that was
 * noticed before it began; what is noticed later is the next batch. After a run the source rests, the longer the longer the run
 * took, so that what is written to all the time is not scanned all the time. A run that failed is made again.
 *
 * What is noticed while one of the source's own hooks runs does not count: what `before` writes is in the scan that follows, and
 * a dump that each run makes anew would bring about the next run, for ever.
 *
 * Pure: the time is handed in, and steady. Driven by source-watch.ts.
 */

/** After the last change: what saves a file writes it in several steps, which lie closer together. In ms. */
export const QUIET_MS = 2_000;
/** After the first change: what is copied in for hours is backed up meanwhile. In ms. */
export const BATCH_MS_MAX = 60_000;
/** Between two runs, in ms: each leaves a snapshot with everybody. */
export const REST_MS_MIN = 10_000;
/** … and so many times as long as the last run took: a fifth of the time at the most goes into scanning. */
export const REST_FACTOR = 4;
/** … but no longer than this, in ms: a first run reads everything, and the next does not. */
export const REST_MS_MAX = 3_600_000;
/** After a run that failed, in ms. */
export const FAILED_REST_MS = 5 * 60_000;

interface Noticed {
  readonly firstMs: number;
  readonly lastMs: number;
}

export class ChangeBatch {
  #noticed: Noticed | undefined;
  /** What the scan that is under way sees. */
  #inScan: Noticed | undefined;
  #runs = 0;
  #hooks = 0;
  #restUntilMs = Number.NEGATIVE_INFINITY;

  changed(nowMs: number): void {
    if (this.#hooks === 0) this.#noticed = { firstMs: this.#noticed?.firstMs ?? nowMs, lastMs: nowMs };
  }

  /** A run was asked for, by whomever. Nothing is due until it has ended. */
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

  /** Nothing is due before. */
  putOff(untilMs: number): void {
    this.#restUntilMs = untilMs;
  }

  /** When the next run is due. Undefined: nothing was noticed that is not seen to already. */
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

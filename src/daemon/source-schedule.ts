/**
 * Source schedule: when the next snapshot of a source is due by its policy, and a call when it is due.
 *
 * That depends on the newest listed snapshot, so a restart, or a snapshot that a person asked for, puts the next one
 * where it belongs. A snapshot from the future (the clock was wrong then) does not put the next one off: it counts as
 * taken when it was first seen to be ahead. It never counts as later than that, or a snapshot due every other day
 * would be put off for ever.
 */
import type { SourceId } from '../core/ids.js';
import type { SourceSetting } from '../membership/policy.js';
import { dueAfter, lateness } from '../membership/schedule.js';

/**
 * A machine that slept, a clock that was set and a snapshot that came meanwhile are noticed within this, in ms: timers
 * stand still while a machine sleeps, and no program hears of its waking. A look that finds nothing new costs
 * microseconds.
 */
const LOOK_MS_MAX = 60_000;

export interface SourceScheduleOptions {
  readonly source: SourceId;
  /** Time of the newest listed snapshot; undefined when there is none, and then one is due at once. */
  readonly lastMs: () => number | undefined;
  readonly wallMs: () => number;
  readonly onDue: () => void;
}

type DueSetting = Pick<SourceSetting, 'schedule' | 'jitterMs'>;

export class SourceSchedule {
  readonly #options: SourceScheduleOptions;
  #timer: NodeJS.Timeout | undefined;
  /** The newest snapshot's time, and when it counts as taken: at that time, or earlier. */
  #last: { readonly timeMs: number; readonly takenMs: number } | undefined;

  constructor(options: SourceScheduleOptions) {
    this.#options = options;
  }

  /**
   * Replaces what was armed before.
   * @param notBeforeMs by the wall clock
   * @returns whether the next snapshot will ever be due
   */
  arm({ schedule, jitterMs }: DueSetting, notBeforeMs = 0): boolean {
    const { source, wallMs, onDue } = this.#options;
    const lateMs = lateness(source, jitterMs);
    let takenMs = this.#lastTakenMs();
    const afterLast = (): number => (takenMs === undefined ? 0 : dueAfter(schedule, takenMs, lateMs));
    let dueMs = afterLast();
    const isDue = (): boolean => wallMs() >= Math.max(notBeforeMs, dueMs);
    const wait = (): void => {
      this.rest();
      this.#timer = setTimeout(look, Math.min(LOOK_MS_MAX, Math.max(0, notBeforeMs - wallMs(), dueMs - wallMs())));
    };
    const look = (): void => {
      const nowTakenMs = this.#lastTakenMs();
      // croner takes a while for times of the day, and most looks find the same as the one before.
      if (nowTakenMs !== takenMs) {
        takenMs = nowTakenMs;
        dueMs = afterLast();
      }
      if (isDue()) onDue();
      else wait();
    };
    wait();
    return dueMs !== Number.POSITIVE_INFINITY;
  }

  /** Calls nothing until it is armed again. */
  rest(): void {
    clearTimeout(this.#timer);
  }

  #lastTakenMs(): number | undefined {
    const timeMs = this.#options.lastMs();
    if (timeMs === undefined) return undefined;
    const before = this.#last?.timeMs === timeMs ? this.#last.takenMs : timeMs;
    this.#last = { timeMs, takenMs: Math.min(before, this.#options.wallMs()) };
    return this.#last.takenMs;
  }
}

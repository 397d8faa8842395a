/**
 * Source schedule: when the next snapshot of a source is due by its policy, and a call when it is.
 *
 * The newest listed snapshot says it, so that a restart, or a snapshot that a person asked for, puts the next one where it belongs. A
 * snapshot from the future (the clock was wrong then) does not put it off.
 */
import type { SourceId } from '../core/ids.js';
import type { SourceSetting } from '../membership/policy.js';
import { dueAfter, lateness } from '../membership/schedule.js';

/** A clock that is set meanwhile is noticed within this, in ms. */
const LOOK_MS_MAX = 86_400_000;

export interface SourceScheduleOptions {
  readonly source: SourceId;
  /** Of the newest listed snapshot; undefined when there is none, and then one is due at once. */
  readonly lastMs: () => number | undefined;
  readonly wallMs: () => number;
  readonly onDue: () => void;
}

export class SourceSchedule {
  readonly #options: SourceScheduleOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SourceScheduleOptions) {
    this.#options = options;
  }

  /** In place of what was armed before. @param notBeforeMs by the wall clock */
  arm(setting: Pick<SourceSetting, 'schedule' | 'jitterMs'>, notBeforeMs = 0): void {
    this.rest();
    const { source, onDue } = this.#options;
    const wallMs = this.#options.wallMs();
    const lastMs = this.#options.lastMs();
    const { schedule, jitterMs } = setting;
    const dueMs =
      lastMs === undefined
        ? notBeforeMs
        : Math.max(notBeforeMs, dueAfter(schedule, Math.min(lastMs, wallMs), lateness(source, jitterMs)));
    this.#timer = setTimeout(
      () => {
        if (this.#options.wallMs() < dueMs) this.arm(setting, notBeforeMs);
        else onDue();
      },
      Math.min(LOOK_MS_MAX, Math.max(0, dueMs - wallMs)),
    );
  }

  /** Until it is armed again. */
  rest(): void {
    clearTimeout(this.#timer);
  }
}

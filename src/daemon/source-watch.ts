/**
 * Source watch: has a source backed up when something in its folder changes. folder-watch.ts notices changes and
 * change-batch.ts puts them into batches; this drives both, with the clock.
 *
 * The beginning of watching counts as a change, because earlier changes were not noticed. Watching begins again with a
 * run in three cases: the last attempt failed; another folder stands under the source's name, or other stores must be
 * left out; or an hour has passed, because the kernel may have dropped changes, and new folders with them. Where
 * watching cannot begin, there is an alarm, and only the source's schedule applies.
 */
import { setImmediate as loopTurn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { errorCode } from '../catalog/error-code.js';
import type { ForbiddenFolder } from '../catalog/forbidden-folder.js';
import { SEEN_MAX } from '../core/hold.js';
import type { SourceId } from '../core/ids.js';
import type { SourceSetting } from '../membership/policy.js';
import { scheduleText } from '../membership/schedule.js';
import type { Alarms } from './alarms.js';
import { ChangeBatch, FAILED_REST_MS } from './change-batch.js';
import type { Clock } from './clock.js';
import { FolderWatch } from './folder-watch.js';
import { holdText } from './hold-text.js';

/** How long a watch lasts before it begins again, in ms; that takes 3 s for 30,000 folders. */
export const ANEW_AFTER_MS = 3_600_000;
/** A head lists 4096 snapshots; those without their copies cannot be unlisted: hourly ones need room for months. */
export const LISTED_MAX = 1_000;
/** How much of the room for snapshots in their hold is left to the schedule: six weeks of hourly ones. */
export const ROOM_MIN = 1_024;

export interface SourceWatchOptions {
  readonly source: SourceId;
  readonly setting: Pick<SourceSetting, 'name' | 'path' | 'exclude' | 'crossMounts' | 'schedule' | 'holdDays'>;
  /** Stores and state folders: never watched. */
  readonly forbidden: () => readonly ForbiddenFolder[];
  readonly clock: Clock;
  readonly alarms: Alarms;
  /** Snapshots of the source that are listed now. */
  readonly listed: () => number;
  /** How many more snapshots a head may list, given what is in its hold. */
  readonly room: () => number;
  /** The source must be backed up now: `runComes` and `run` follow. */
  readonly onDue: () => void;
}

export class SourceWatch {
  readonly #options: SourceWatchOptions;
  readonly #batch = new ChangeBatch();
  readonly #ended = new AbortController();
  #folder: FolderWatch | undefined;
  #beganMs = 0;
  #leftOut: readonly ForbiddenFolder[] = [];
  #timer: NodeJS.Timeout | undefined;
  readonly #begun: Promise<void>;

  constructor(options: SourceWatchOptions) {
    this.#options = options;
    this.#begun = this.#begin().then(() => this.#changed());
  }

  close(): void {
    this.#ended.abort(new Error('the source is no longer watched'));
    clearTimeout(this.#timer);
    this.#folder?.close();
    for (const code of ['NOT_WATCHED', 'SNAPSHOTS_MANY'] as const)
      this.#options.alarms.clear(code, this.#options.source);
  }

  /** A run was asked for; `run` follows. */
  runComes(): void {
    this.#batch.runComes();
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const beganMs = clock.nowMs();
    let failed = true;
    try {
      const done = await work();
      failed = false;
      return done;
    } finally {
      const nowMs = clock.nowMs();
      this.#batch.runEnds({ nowMs, tookMs: nowMs - beganMs, failed });
      this.#arm();
    }
  }

  /** Called before a run's scan: every change after it has begun is noticed. */
  async scanBegins(): Promise<void> {
    await this.#begun;
    this.#batch.scanBegins();
    const { clock, forbidden } = this.#options;
    const isOld = clock.nowMs() - this.#beganMs >= ANEW_AFTER_MS || !isDeepStrictEqual(forbidden(), this.#leftOut);
    try {
      if (!isOld && (await this.#folder?.catchUp())) return;
    } catch (error) {
      this.#fail(error);
      return;
    }
    await this.#begin();
  }

  /** Changes during one of the source's hooks are taken to be made by that hook. */
  async deafDuring<T>(hook: () => Promise<T>): Promise<T> {
    this.#batch.hookBegins();
    try {
      return await hook();
    } finally {
      // The hook's last changes may be heard of only in the loop's next turn.
      await loopTurn();
      await loopTurn();
      this.#batch.hookEnds();
    }
  }

  async #begin(): Promise<void> {
    const { setting, forbidden, clock, alarms, source } = this.#options;
    this.#folder?.close();
    this.#folder = undefined;
    this.#leftOut = forbidden();
    try {
      this.#folder = await FolderWatch.begin({
        path: setting.path,
        exclude: setting.exclude,
        crossMounts: setting.crossMounts,
        forbidden: this.#leftOut,
        onChange: () => this.#changed(),
        signal: this.#ended.signal,
      });
      this.#beganMs = clock.nowMs();
      alarms.clear('NOT_WATCHED', source);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    const { setting, alarms, source } = this.#options;
    this.#folder?.close();
    this.#folder = undefined;
    if (this.#ended.signal.aborted) return;
    alarms.raise(
      'NOT_WATCHED',
      source,
      `source ${setting.name}: changes in ${setting.path} are not noticed, because ${faultText(error)}. Snapshots are taken only ${scheduleText(setting.schedule)}, and each run tries again to watch the folder`,
    );
  }

  #changed(): void {
    this.#batch.changed(this.#options.clock.nowMs());
    this.#arm();
  }

  #arm(): void {
    const { dueMs } = this.#batch;
    if (dueMs === undefined || this.#timer !== undefined || this.#ended.signal.aborted) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#look();
      },
      Math.max(0, dueMs - this.#options.clock.nowMs()),
    );
  }

  #look(): void {
    const { source, clock, alarms, onDue } = this.#options;
    const { dueMs } = this.#batch;
    if (dueMs !== undefined && dueMs <= clock.nowMs()) {
      const tooMany = this.#tooMany();
      if (tooMany === undefined) {
        alarms.clear('SNAPSHOTS_MANY', source);
        onDue();
        return;
      }
      alarms.raise('SNAPSHOTS_MANY', source, tooMany);
      this.#batch.putOff(clock.nowMs() + FAILED_REST_MS);
    }
    this.#arm();
  }

  /** Why no snapshot is taken for a change now. */
  #tooMany(): string | undefined {
    const { listed, room, setting } = this.#options;
    const { name, schedule, holdDays } = setting;
    const instead = `so that no more are taken at each change, only ${scheduleText(schedule)}`;
    if (listed() >= LISTED_MAX)
      return `source ${name}: ${LISTED_MAX} or more snapshots are listed, ${instead}. That ends once 'cluster forget' can unlist some: see what it says with --dry-run`;
    if (room() < ROOM_MIN)
      return `source ${name}: nearly ${SEEN_MAX} snapshots are listed or in their hold, which is the most there can be, ${instead}. Each change has brought one, and each is held for ${holdText(holdDays)}: a shorter \`hold\`, or no \`watch\`, leaves room`;
    return undefined;
  }
}

function faultText(error: unknown): string {
  const code = errorCode(error);
  switch (code) {
    case 'ENOSPC':
      return 'the kernel watches no more folders for this user (ENOSPC): raise fs.inotify.max_user_watches with sysctl, or exclude folders';
    case 'EMFILE':
      return 'too many programs of this user watch something, or too many files are open (EMFILE): raise fs.inotify.max_user_instances with sysctl';
    case 'ENOENT':
      return 'it does not exist (ENOENT)';
    default:
      return `it cannot be watched (${code})`;
  }
}

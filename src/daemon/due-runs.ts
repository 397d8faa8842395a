/**
 * Due runs: the snapshots of one source that are taken by themselves, at its times and after its changes. The schedule
 * continues from the last of them; after a run that failed, the next one waits a little. One that falls into a pause is
 * taken when that is over.
 */
import type { Logger } from 'pino';
import type { SourceId } from '../core/ids.js';
import type { SourceSetting } from '../membership/policy.js';
import type { Alarms } from './alarms.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Clock } from './clock.js';
import type { Pausing } from './pausing.js';
import { SourceSchedule } from './source-schedule.js';

/** The wait after a run that failed, in ms. */
const RETRY_MS = 5 * 60_000;

export interface DueRunsOptions {
  readonly source: SourceId;
  readonly catalog: Pick<CatalogKeeper, 'get'>;
  readonly clock: Clock;
  readonly pausing: Pick<Pausing, 'isPaused' | 'whenOver'>;
  readonly alarms: Alarms;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Takes a snapshot, after any run that is under way. */
  readonly run: () => Promise<unknown>;
}

export class DueRuns {
  readonly #options: DueRunsOptions;
  readonly #schedule: SourceSchedule;
  #setting: SourceSetting | undefined;
  /** Runs under way or waiting. The schedule continues when the last of them has ended. */
  #underWay = 0;
  /** A run waits for the end of a pause. */
  #isPutOff = false;

  constructor(options: DueRunsOptions) {
    this.#options = options;
    const { source, catalog, clock } = options;
    this.#schedule = new SourceSchedule({
      source,
      lastMs: () => catalog.get(source)?.head.snapshots.at(-1)?.timeMs,
      wallMs: () => clock.wallMs(),
      onDue: () => this.take(),
    });
  }

  configure(setting: SourceSetting): void {
    this.#setting = setting;
    this.#arm();
  }

  /** A run is due now. */
  take(): void {
    const { source, clock, pausing, log, run } = this.#options;
    if (this.#setting === undefined || this.#isPutOff) return;
    this.#schedule.rest();
    if (pausing.isPaused) {
      this.#isPutOff = true;
      pausing.whenOver(() => {
        this.#isPutOff = false;
        this.take();
      });
      return;
    }
    this.#underWay += 1;
    run().then(
      () => {
        this.#underWay -= 1;
        this.#arm();
      },
      (error: unknown) => {
        this.#underWay -= 1;
        log.warn({ code: 'BACKUP_FAILED', source, err: error }, 'a snapshot that was due was not taken');
        this.#arm(clock.wallMs() + RETRY_MS);
      },
    );
  }

  /** The source is no longer configured. */
  close(): void {
    this.#setting = undefined;
    this.#schedule.rest();
  }

  #arm(notBeforeMs = 0): void {
    const { source, alarms, signal } = this.#options;
    const setting = this.#setting;
    if (setting === undefined || this.#underWay > 0 || this.#isPutOff || signal.aborted) return;
    if (this.#schedule.arm(setting, notBeforeMs)) alarms.clear('NEVER_DUE', source);
    else
      alarms.raise(
        'NEVER_DUE',
        source,
        `source ${setting.name}: none of its times in the policy (\`at\`) ever comes, so that no snapshot is taken by itself; write them in another way, or \`every\` in their place`,
      );
  }
}

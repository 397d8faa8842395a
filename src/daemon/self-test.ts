/**
 * Self-test: once a day of running time each origin restores a few of its files from their copies (drill.ts), so that
 * nobody learns only when it matters that they cannot be restored. A file that fails although a holder is up raises an
 * alarm, until a test finds no such file; `status` reports the files that fail because hosts are off anyway. A test in
 * which nothing came proves nothing, and ends no alarm. One that falls into a pause is left out.
 *
 * Most files that are tried are not large, for the sake of the network; a large one is, now and then, or if there are no
 * others. Only the whole of a file shows that it is right. What is larger still is left to `cluster drill`.
 */
import type { Logger } from 'pino';
import { RUN_BYTES_MAX } from '../catalog/cut.js';
import { escapePath } from '../catalog/path-text.js';
import type { ObjectId, ParcelId, SourceId } from '../core/ids.js';
import type { Alarms } from './alarms.js';
import type { Drilled, DrillLimits } from './drill.js';
import type { Pausing } from './pausing.js';

const EVERY_MS = 24 * 3_600_000;
/** Wait after a start: hosts that start together must find each other first. */
const FIRST_MS = 3_600_000;
/** Files per source: 300 in a month, which find with 95 % probability that one file in a hundred is lost. */
const FILES = 10;
/** Of each of them. It shuts out no run of small files. A larger file would cost the network more than it proves. */
const FILE_BYTES_MAX = RUN_BYTES_MAX;
/** Of a larger one: no more than the others may have together. Some films and disk images stay above it. */
const LARGE_BYTES_MAX = FILES * FILE_BYTES_MAX;
/** In one test of so many a large file is tried: about once a week. */
const LARGE_ONCE_IN = 7;

export interface SelfTestOptions {
  readonly ownSources: () => Iterable<SourceId>;
  readonly newestProtected: (source: SourceId, signal: AbortSignal) => Promise<ObjectId | undefined>;
  readonly drill: (snapshot: ObjectId, limits: DrillLimits, signal: AbortSignal) => AsyncIterable<Drilled>;
  /** A random whole number from 0, below `count`. */
  readonly below: (count: number) => number;
  /** True when some other host that is up says that it holds the parcel. */
  readonly hasReachableHolder: (parcel: ParcelId) => boolean;
  readonly nameOf: (source: SourceId) => string;
  readonly pausing: Pick<Pausing, 'isPaused'>;
  readonly alarms: Alarms;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class SelfTest {
  readonly #options: SelfTestOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: SelfTestOptions) {
    this.#options = options;
  }

  start(): void {
    this.#next(FIRST_MS);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#running;
    clearTimeout(this.#timer);
  }

  /** Tests all sources of this host, unless it is paused. */
  async run(): Promise<void> {
    const { ownSources, pausing, log, signal } = this.#options;
    if (pausing.isPaused) return;
    for (const source of [...ownSources()]) {
      try {
        await this.#test(source);
      } catch (error) {
        if (signal.aborted) return;
        log.warn(
          { code: 'SELF_TEST_NOT_DONE', source, err: error },
          'a source could not be tested; it will be tested tomorrow',
        );
      }
    }
  }

  async #test(source: SourceId): Promise<void> {
    const { ownSources, newestProtected, drill, below, hasReachableHolder, nameOf, alarms, log, signal } =
      this.#options;
    const snapshot = await newestProtected(source, signal);
    if (snapshot === undefined) return;
    let right = 0;
    let away = 0;
    const wrong: Drilled[] = [];
    const tried = (): number => right + away + wrong.length;
    const tryThese = async (limits: DrillLimits): Promise<void> => {
      for await (const drilled of drill(snapshot, limits, signal)) {
        if (drilled.failure === undefined) right += 1;
        else if (hasReachableHolder(drilled.parcel)) wrong.push(drilled);
        else away += 1;
      }
    };
    await tryThese({ files: FILES, bytes: FILE_BYTES_MAX });
    if (tried() === 0 || below(LARGE_ONCE_IN) === 0)
      await tryThese({ files: 1, bytes: LARGE_BYTES_MAX, moreThanBytes: FILE_BYTES_MAX });
    log.info(
      { code: 'SELF_TESTED', source, snapshot, right, away, wrong: wrong.length },
      tried() > 0
        ? 'files were restored as a test'
        : 'nothing could be restored as a test: the source is empty, or its files are all too large for a test; cluster drill tries any',
    );
    // The source left the policy meanwhile, and its alarms with it.
    if (![...ownSources()].includes(source)) return;
    const [first] = wrong;
    if (first === undefined) {
      if (right > 0) alarms.clear('SELF_TEST_FAILED', source);
    } else
      alarms.raise(
        'SELF_TEST_FAILED',
        source,
        `${wrong.length} of ${right + wrong.length} files of ${nameOf(source)} could not be restored in a test, although hosts that are up say that they hold them, such as ${first.path === undefined ? `all in parcel ${first.parcel}` : escapePath(first.path)} (${first.failure?.hosts.join(', ')}). Look at their disks, and run: cluster scrub, on each`,
      );
  }

  #next(inMs: number): void {
    this.#timer = setTimeout(() => {
      this.#running = this.run().finally(() => {
        if (!this.#options.signal.aborted) this.#next(EVERY_MS);
      });
    }, inMs).unref();
  }
}

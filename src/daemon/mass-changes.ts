/**
 * Mass changes: pulls the brake of a source that lost or changed so much that a person should look: in one run, or
 * within a day in steps that are each too small for that, as when somebody encrypts a tenth of the files every hour.
 *
 * A file that was only renamed or moved has neither left nor changed: where the paths alone say that it is too much,
 * its content is looked for, which reads all that the snapshot has.
 *
 * For the second case a run's snapshot is compared with one that is a day old, which is in its hold if it is no longer
 * listed. How often a file changed does not count: ten files that are written all day are ten.
 *
 * Comparing reads the records of everything that changed within the day. An upper bound saves that: what the last
 * comparison found, plus what the runs since have lost, is never less than what a comparison would find now. The
 * comparison is made when that sum is too large, which on average costs a run no more than its own changes. The sum is
 * kept in memory alone: after a start the first run with a change is compared.
 *
 * Driven by the origin, in each run of a source, before its snapshot is listed.
 */
import type { Logger } from 'pino';
import { contentLost, type FilesLost, filesLost } from '../catalog/files-lost.js';
import { MalformedObject } from '../catalog/malformed-object.js';
import { ObjectMissing, readSnapshot } from '../catalog/read-object.js';
import { type ChangeView, isMassChange } from '../catalog/retention.js';
import { DAY_MS } from '../core/day.js';
import type { ObjectId, SourceId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { Brakes } from './brakes.js';

interface DatedSnapshot {
  readonly id: ObjectId;
  readonly timeMs: number;
}

export interface RunToLookAt extends ChangeView {
  readonly snapshot: ObjectId;
  readonly timeMs: number;
  /** The snapshots before this one, listed or in their hold; its files are counted against the last of them. */
  readonly wanted: readonly DatedSnapshot[];
}

export class MassChanges {
  readonly #brakes: Brakes;
  readonly #objects: ObjectReader;
  readonly #log: Logger;
  /** The most files by which the last snapshot may differ from the one a day before it. */
  readonly #lostMax = new Map<SourceId, number>();

  constructor({
    brakes,
    objects,
    log,
  }: {
    readonly brakes: Brakes;
    readonly objects: ObjectReader;
    readonly log: Logger;
  }) {
    this.#brakes = brakes;
    this.#objects = objects;
    this.#log = log;
  }

  /**
   * A pulled brake is durable when this returns.
   * @returns whether this run has pulled it
   * @throws the signal's reason
   */
  async look(source: SourceId, run: RunToLookAt, signal: AbortSignal): Promise<boolean> {
    const { snapshot, timeMs, filesBefore, filesGone, filesChanged } = run;
    if (isMassChange(run)) {
      const lost = await this.#lostSinceLast(source, run, signal);
      if (isMassChange({ ...run, ...lost })) {
        await this.#brakes.pull(source, { snapshot, timeMs, filesBefore, ...lost });
        return true;
      }
    }
    // A run without changes needs no look: the last snapshot had one.
    return filesGone + filesChanged > 0 && (await this.#lookAtDay(source, run, signal));
  }

  /** A person has looked and accepts this snapshot and all before it. */
  async accept(source: SourceId, timeMs: number): Promise<void> {
    this.#lostMax.delete(source);
    await this.#brakes.release(source, timeMs);
  }

  /** Its content; where the last snapshot cannot be read, all that left or changed by its path. */
  async #lostSinceLast(source: SourceId, run: RunToLookAt, signal: AbortSignal): Promise<FilesLost> {
    const { snapshot, filesGone, filesChanged, wanted } = run;
    const last = wanted.at(-1);
    if (last === undefined) return { filesGone, filesChanged };
    try {
      return await contentLost(this.#objects, { before: last.id, after: snapshot }, signal);
    } catch (error) {
      if (!(error instanceof ObjectMissing || error instanceof MalformedObject)) throw error;
      this.#log.warn(
        { code: 'LAST_NOT_COMPARED', source, err: error },
        'whether what left has only got another place is not known, for a part of the last snapshot is lost',
      );
      return { filesGone, filesChanged };
    }
  }

  async #lookAtDay(source: SourceId, run: RunToLookAt, signal: AbortSignal): Promise<boolean> {
    const { snapshot, timeMs, brakePercent } = run;
    if (this.#brakes.on(source) !== undefined) {
      this.#lostMax.delete(source);
      return false;
    }
    const dayAgo = aDayBefore(run, this.#brakes.acceptedMs(source));
    if (dayAgo === undefined) return false;
    const lostMax = (this.#lostMax.get(source) ?? Number.POSITIVE_INFINITY) + run.filesGone + run.filesChanged;
    this.#lostMax.set(source, lostMax);
    try {
      const filesBefore = (await readSnapshot(this.#objects, dayAgo.id)).files;
      const isMass = (lost: FilesLost): boolean => isMassChange({ filesBefore, brakePercent, ...lost });
      if (!isMass({ filesGone: lostMax, filesChanged: 0 })) return false;
      const pair = { before: dayAgo.id, after: snapshot };
      const byPath = await filesLost(this.#objects, pair, signal);
      this.#lostMax.set(source, byPath.filesGone + byPath.filesChanged);
      if (!isMass(byPath)) return false;
      const lost = await contentLost(this.#objects, pair, signal);
      if (!isMass(lost)) return false;
      await this.#brakes.pull(source, { snapshot, timeMs, filesBefore, ...lost, sinceSnapshotMs: dayAgo.timeMs });
      return true;
    } catch (error) {
      if (!(error instanceof ObjectMissing)) throw error;
      this.#log.warn(
        { code: 'DAY_NOT_COMPARED', source, err: error },
        'how much changed within a day is not known, because a part of the older snapshot is lost; the next run tries again',
      );
      return false;
    }
  }
}

/**
 * The newest snapshot that is at least a day older; while there is none, the oldest of all. None from before the last
 * that a person accepted.
 */
function aDayBefore({ timeMs, wanted }: RunToLookAt, acceptedMs = 0): DatedSnapshot | undefined {
  const before = wanted
    .filter(other => other.timeMs < timeMs && other.timeMs >= acceptedMs)
    .sort((a, b) => a.timeMs - b.timeMs);
  return before.findLast(other => other.timeMs <= timeMs - DAY_MS) ?? before[0];
}

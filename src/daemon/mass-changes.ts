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
 * Comparing reads the records of everything that changed within the day, and where paths are not enough, all of the
 * snapshot. An upper bound saves that (loss-bound.ts): the comparison is made when the bound is too large, which on
 * average costs a run no more than its own changes.
 *
 * Files that left before anybody had a copy are cut out of the last snapshot (torn-files.ts). They may only have got
 * another name, which nobody knows before the next run: so that run is compared with the snapshot as it was taken.
 *
 * Driven by the origin, in each run of a source, before its snapshot is listed.
 */
import type { Logger } from 'pino';
import { contentLost, type FilesLost, filesLost } from '../catalog/files-lost.js';
import { MalformedObject } from '../catalog/malformed-object.js';
import { ifReadable, ObjectMissing, readSnapshot } from '../catalog/read-object.js';
import { beforeRecuts } from '../catalog/recut.js';
import { type ChangeView, isMassChange } from '../catalog/retention.js';
import type { Snapshot } from '../catalog/snapshot.js';
import { DAY_MS } from '../core/day.js';
import type { ObjectId, SourceId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { Brakes } from './brakes.js';
import { LossBound } from './loss-bound.js';

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

/** What has left or changed since the last snapshot as it was taken, by its paths. */
interface SinceTaken extends ChangeView {
  /** That snapshot; undefined when there is none, or none that can be read. */
  readonly taken: ObjectId | undefined;
}

type CutOut = Pick<SinceTaken, 'taken'> & Pick<Snapshot, 'missed' | 'stale'>;

export class MassChanges {
  readonly #brakes: Brakes;
  readonly #objects: ObjectReader;
  readonly #log: Logger;
  /** For each source the snapshot a day before the last run, and how much of it is lost at most. */
  readonly #days = new Map<SourceId, { readonly dayAgo: ObjectId; readonly bound: LossBound }>();

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
    const { snapshot, timeMs } = run;
    const since = await this.#sinceTaken(source, run);
    if (isMassChange(since)) {
      const lost = await this.#lostSinceTaken(source, run, since, signal);
      if (isMassChange({ ...since, ...lost })) {
        const { filesBefore } = since;
        await this.#brakes.pull(source, { snapshot, timeMs, filesBefore, ...lost });
        return true;
      }
    }
    const { filesGone, filesChanged } = since;
    this.#days.get(source)?.bound.left(filesGone + filesChanged);
    // A run in which nothing left needs no look: the last snapshot had one.
    return filesGone + filesChanged > 0 && (await this.#lookAtDay(source, run, signal));
  }

  /** A person has looked and accepts this snapshot and all before it. */
  async accept(source: SourceId, timeMs: number): Promise<void> {
    await this.#brakes.release(source, timeMs);
  }

  /** With what was cut out of the last snapshot since it was taken. */
  async #sinceTaken(source: SourceId, run: RunToLookAt): Promise<SinceTaken> {
    const { filesBefore, filesGone, filesChanged, brakePercent, wanted } = run;
    const { taken, missed, stale } = await this.#cutOut(source, wanted.at(-1)?.id);
    return {
      taken,
      filesBefore: filesBefore + missed,
      filesGone: filesGone + missed,
      filesChanged: filesChanged + stale,
      brakePercent,
    };
  }

  /** How many files were cut out of a snapshot since it was taken, or were set back to older content. */
  async #cutOut(source: SourceId, last: ObjectId | undefined): Promise<CutOut> {
    let cut = { missed: 0, stale: 0 };
    try {
      if (last === undefined) return { taken: last, ...cut };
      const newest = { id: last, snapshot: await readSnapshot(this.#objects, last) };
      const { missed, stale, recutOf } = newest.snapshot;
      // While the snapshot as it was taken is not read, all that this one lacks counts as cut out.
      if (recutOf !== undefined) cut = { missed, stale };
      const { id: taken, snapshot } = await beforeRecuts(this.#objects, newest);
      const since = (now: number, then: number): number => Math.max(0, now - then);
      return { taken, missed: since(missed, snapshot.missed), stale: since(stale, snapshot.stale) };
    } catch (error) {
      this.#tellLastLost(source, error);
      return { taken: undefined, ...cut };
    }
  }

  /** Its content; where the last snapshot cannot be read, all that left or changed by its path. */
  async #lostSinceTaken(
    source: SourceId,
    { snapshot }: RunToLookAt,
    { taken, filesGone, filesChanged }: SinceTaken,
    signal: AbortSignal,
  ): Promise<FilesLost> {
    if (taken === undefined) return { filesGone, filesChanged };
    try {
      const lost = await contentLost(this.#objects, { before: taken, after: snapshot }, signal);
      return { filesGone: lost.filesGone, filesChanged: lost.filesChanged };
    } catch (error) {
      this.#tellLastLost(source, error);
      return { filesGone, filesChanged };
    }
  }

  #tellLastLost(source: SourceId, error: unknown): void {
    if (!(error instanceof ObjectMissing || error instanceof MalformedObject)) throw error;
    this.#log.warn(
      { code: 'LAST_NOT_COMPARED', source, err: error },
      'whether what left has only got another place is not known, for a part of the last snapshot is lost',
    );
  }

  async #lookAtDay(source: SourceId, run: RunToLookAt, signal: AbortSignal): Promise<boolean> {
    const { snapshot, timeMs, brakePercent } = run;
    if (this.#brakes.on(source) !== undefined) return false;
    const dayAgo = aDayBefore(run, this.#brakes.acceptedMs(source));
    if (dayAgo === undefined) return false;
    try {
      const filesBefore = (await readSnapshot(this.#objects, dayAgo.id)).files;
      const isMass = (lost: FilesLost): boolean => isMassChange({ filesBefore, brakePercent, ...lost });
      const lostMax = await this.#lostMax(source, dayAgo.id, signal);
      if (!isMass({ filesGone: lostMax, filesChanged: 0 })) return false;
      const pair = { before: dayAgo.id, after: snapshot };
      const byPath = await filesLost(this.#objects, pair, signal);
      const lost = isMass(byPath) ? await contentLost(this.#objects, pair, signal) : byPath;
      this.#days.set(source, { dayAgo: dayAgo.id, bound: new LossBound(lost) });
      if (!isMass(lost)) return false;
      const { filesGone, filesChanged } = lost;
      const sinceSnapshotMs = dayAgo.timeMs;
      await this.#brakes.pull(source, { snapshot, timeMs, filesBefore, filesGone, filesChanged, sinceSnapshotMs });
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

  /** So many files of the snapshot a day ago are lost at most. */
  async #lostMax(source: SourceId, dayAgo: ObjectId, signal: AbortSignal): Promise<number> {
    const day = this.#days.get(source);
    if (day === undefined) return Number.POSITIVE_INFINITY;
    const { bound } = day;
    if (day.dayAgo !== dayAgo) {
      const pair = { before: dayAgo, after: day.dayAgo };
      const isNew = await ifReadable(filesLost(this.#objects, pair, signal));
      if (isNew === undefined) return Number.POSITIVE_INFINITY;
      bound.dayMoved(isNew.filesGone + isNew.filesChanged);
      this.#days.set(source, { dayAgo, bound });
    }
    return bound.atMost;
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

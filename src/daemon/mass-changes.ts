/**
 * Mass changes: pulls the brake of a source of which so much left or changed that a person should look: in one run, or within a day in
 * steps that are each too small for that, as of somebody who encrypts a tenth of the files in each hour.
 *
 * For the latter a run's snapshot is compared with one that is a day old, which is in its hold if it is not listed any more. How often a
 * file changed does not count: ten that are written all day are ten.
 *
 * Comparing reads the records of all that changed within the day. What the runs since the last time had lost, together with what was
 * found then, is never less than what would be found now; so it is made when that sum is too much, which costs a run no more
 * than its own changes on the average. That sum is in memory alone: after a start the first run with a change is compared.
 *
 * Driven by the origin, in each run of a source, before its snapshot is listed.
 */
import type { Logger } from 'pino';
import { type FilesLost, filesLost } from '../catalog/files-lost.js';
import { ObjectMissing, readSnapshot } from '../catalog/read-object.js';
import { type ChangeView, isMassChange } from '../catalog/retention.js';
import type { ObjectId, SourceId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { Brakes } from './brakes.js';

const DAY_MS = 86_400_000;

interface DatedSnapshot {
  readonly id: ObjectId;
  readonly timeMs: number;
}

export interface RunToLookAt extends ChangeView {
  readonly snapshot: ObjectId;
  readonly timeMs: number;
  /** What there was before it, listed or in its hold. */
  readonly wanted: readonly DatedSnapshot[];
}

export class MassChanges {
  readonly #brakes: Brakes;
  readonly #objects: ObjectReader;
  readonly #log: Logger;
  /** By how many files the last snapshot differs from that of a day before, at the most. */
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

  /** What is pulled is durable when this returns. @returns whether this run has pulled it @throws the signal's reason */
  async look(source: SourceId, run: RunToLookAt, signal: AbortSignal): Promise<boolean> {
    const { snapshot, timeMs, filesBefore, filesGone, filesChanged } = run;
    const change = { snapshot, timeMs, filesBefore, filesGone, filesChanged };
    if (isMassChange(run)) {
      await this.#brakes.pull(source, change);
      return true;
    }
    // What is as it was in the last snapshot was looked at with that one.
    return filesGone + filesChanged > 0 && (await this.#lookAtDay(source, run, signal));
  }

  /** A person has looked, and meant are this snapshot and all before it. */
  async accept(source: SourceId, timeMs: number): Promise<void> {
    this.#lostMax.delete(source);
    await this.#brakes.release(source, timeMs);
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
      const lost = await filesLost(this.#objects, { before: dayAgo.id, after: snapshot }, signal);
      this.#lostMax.set(source, lost.filesGone + lost.filesChanged);
      if (!isMass(lost)) return false;
      await this.#brakes.pull(source, { snapshot, timeMs, filesBefore, ...lost, sinceSnapshotMs: dayAgo.timeMs });
      return true;
    } catch (error) {
      if (!(error instanceof ObjectMissing)) throw error;
      this.#log.warn(
        { code: 'DAY_NOT_COMPARED', source, err: error },
        'how much changed within a day is not known, for a part of the older snapshot is lost; the next run tries again',
      );
      return false;
    }
  }
}

/** The newest that is a day older; while none is, the oldest of all. Nothing from before what a person has accepted. */
function aDayBefore({ timeMs, wanted }: RunToLookAt, acceptedMs = 0): DatedSnapshot | undefined {
  const before = wanted
    .filter(other => other.timeMs < timeMs && other.timeMs >= acceptedMs)
    .sort((a, b) => a.timeMs - b.timeMs);
  return before.findLast(other => other.timeMs <= timeMs - DAY_MS) ?? before[0];
}

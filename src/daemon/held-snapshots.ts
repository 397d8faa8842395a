/**
 * Held snapshots: which snapshots of each source this host has seen listed, and which of them it keeps wanted although
 * a later head does not list them (core/hold.ts). What was seen is durable, in `<source>.seen` beside the source's
 * head.
 *
 * Driven by the catalog keeper, while it has the source's turn.
 */
import type { Logger } from 'pino';
import type { Head } from '../catalog/head.js';
import { readSnapshot } from '../catalog/read-object.js';
import { DAY_MS } from '../core/day.js';
import { ClusterError } from '../core/fault.js';
import { decideHold, SEEN_MAX } from '../core/hold.js';
import type { ObjectId, ParcelId, SourceId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { Alarms } from './alarms.js';
import type { Forgotten } from './forgotten.js';
import { headChange, type WantedSnapshots } from './head-change.js';
import { fullNameOf, type Roster } from './roster.js';
import { readSeen, type SeenListed, writeSeen } from './seen-snapshots.js';

export interface HeldSnapshotsOptions {
  readonly fileOf: (source: SourceId) => string;
  readonly objects: ObjectReader;
  readonly forgotten: Pick<Forgotten, 'isReleased'>;
  /** This host's running time, in which holds are counted. */
  readonly runMs: () => number;
  /** Somebody holds the parcel, or may hold it: then no re-cut takes the parcel out of its hold. */
  readonly hasCopy: (parcel: ParcelId) => boolean;
  readonly roster: Pick<Roster, 'nameOf'>;
  readonly alarms: Alarms;
  readonly log: Logger;
}

export interface Holding {
  /** Every snapshot that was seen listed and is not let go. */
  readonly seen: readonly SeenListed[];
  /** Those of them that are not listed. */
  readonly held: readonly ObjectId[];
  /** When the next hold ends, in running time; Infinity for never. */
  readonly nextRunMs: number;
}

export class HeldSnapshots {
  readonly #options: HeldSnapshotsOptions;
  /** As on this host's disk. */
  readonly #seen = new Map<SourceId, readonly SeenListed[]>();

  constructor(options: HeldSnapshotsOptions) {
    this.#options = options;
  }

  /** As far as the file can be read. */
  seenOf(source: SourceId): readonly SeenListed[] {
    let seen = this.#seen.get(source);
    if (seen !== undefined) return seen;
    try {
      seen = readSeen(this.#options.fileOf(source), this.#options.runMs());
    } catch (error) {
      this.#options.log.error(
        { code: 'HOLDS_DAMAGED', source, err: error },
        'the list of snapshots that were seen listed cannot be read',
      );
      this.#options.alarms.raise(
        'HOLDS_DAMAGED',
        source,
        `the list of held snapshots of ${fullNameOf(source, this.#options.roster)} cannot be read: snapshots that its head no longer lists are held for gcGrace and no longer`,
      );
      seen = [];
    }
    this.#seen.set(source, seen);
    return seen;
  }

  /** How many more snapshots a head that lists these may list; below 0 when these are too many. */
  roomBeside(source: SourceId, listed: readonly ObjectId[]): number {
    const { runMs, forgotten } = this.#options;
    const seen = this.seenOf(source);
    const { held } = decideHold({
      runMs: runMs(),
      listed: new Set(listed),
      seen,
      isReleased: snapshot => forgotten.isReleased(snapshot),
    });
    return SEEN_MAX - held.length - listed.length;
  }

  /**
   * What is held once this head is in force. Changes nothing. `head`: undefined where it wants nothing.
   * @param recuts whether snapshots that a re-cut has replaced may be let go
   * @param anew what is held from now on, however long ago it was first seen listed
   * @throws ClusterError HOLDS_FULL (peer)
   */
  async judge(
    head: Head | undefined,
    { recuts, anew = new Set() }: { readonly recuts: boolean; readonly anew?: ReadonlySet<ObjectId> },
  ): Promise<Holding> {
    const { runMs, forgotten } = this.#options;
    const listed = head?.snapshots.map(({ id }) => id) ?? [];
    const saw = head === undefined ? [] : await this.#sawListed(head, anew);
    const hold = {
      runMs: runMs(),
      listed: new Set(listed),
      isReleased: (snapshot: ObjectId) => forgotten.isReleased(snapshot),
    };
    const first = decideHold({ ...hold, seen: saw });
    if (head !== undefined) this.#mustFit(head.source, saw.length - first.release.length);
    const released = new Set(first.release.map(({ id }) => id));
    if (recuts && head !== undefined) {
      const held = first.held.map(({ id }) => id);
      for (const id of await this.#recutWithoutCopy(head, saw, { listed, held })) released.add(id);
    }
    const seen = saw.filter(({ id }) => !released.has(id));
    const { held, nextRunMs } = decideHold({ ...hold, seen });
    return { seen, held: held.map(({ id }) => id), nextRunMs };
  }

  /** Durable when this returns. */
  async keep(source: SourceId, seen: readonly SeenListed[]): Promise<void> {
    const before = this.seenOf(source);
    const had = new Map(before.map(({ id, seenRunMs }) => [id, seenRunMs]));
    if (before.length === seen.length && seen.every(({ id, seenRunMs }) => had.get(id) === seenRunMs)) return;
    await writeSeen(this.#options.fileOf(source), seen);
    this.#seen.set(source, seen);
  }

  /** Every snapshot that was seen listed so far, including those of this head. */
  async #sawListed({ source, snapshots }: Head, anew: ReadonlySet<ObjectId>): Promise<readonly SeenListed[]> {
    const seenRunMs = Math.floor(this.#options.runMs());
    const seen = this.seenOf(source).map(one => (anew.has(one.id) ? { ...one, seenRunMs } : one));
    const known = new Set(seen.map(({ id }) => id));
    for (const { id, timeMs } of snapshots) {
      if (known.has(id)) continue;
      const { holdDays } = await readSnapshot(this.#options.objects, id);
      seen.push({ id, timeMs, holdMs: holdDays * DAY_MS, seenRunMs });
    }
    return seen;
  }

  /** @throws ClusterError HOLDS_FULL */
  #mustFit(source: SourceId, count: number): void {
    const { alarms, roster } = this.#options;
    if (count <= SEEN_MAX) {
      alarms.clear('HOLDS_FULL', subjectOf(source));
      return;
    }
    const why = `source ${fullNameOf(source, roster)} has ${count} snapshots that are listed or in their hold, which is counted in this host's running time (at most ${SEEN_MAX}): its newer heads are refused. Either its snapshots are too frequent for their hold, or this host is on too seldom; if neither, its origin may be compromised`;
    alarms.raise('HOLDS_FULL', subjectOf(source), why);
    throw new ClusterError('HOLDS_FULL', why, { blame: 'peer' });
  }

  /**
   * A re-cut takes out of a snapshot what nobody can give any longer, and replaces it at the same time. What was cut
   * out would stay wanted, in vain, for as long as the hold. So the old snapshot is let go if nobody holds what only
   * it has: then there is no copy that the hold could keep. If there were one, a hijacked origin could use "re-cuts"
   * to get rid of it.
   */
  async #recutWithoutCopy(
    head: Head,
    saw: readonly SeenListed[],
    wanted: WantedSnapshots,
  ): Promise<readonly ObjectId[]> {
    const timeOf = new Map(saw.map(({ id, timeMs }) => [id, timeMs]));
    const released: ObjectId[] = [];
    for (const id of wanted.held) {
      if (!(await this.#hasRecutAt(head, timeOf.get(id)))) continue;
      const before = wanted.held.filter(other => !released.includes(other));
      const { change, lost } = await headChange(
        this.#options.objects,
        { ...wanted, held: before, lost: new Set() },
        { ...wanted, held: before.filter(other => other !== id) },
      );
      const pages = lost.has(id) ? [] : (await readSnapshot(this.#options.objects, id)).pages;
      // Nobody knows whether somebody holds what cannot be read.
      if (lost.has(id) || pages.some(page => lost.has(page))) continue;
      if (!change.remove.some(parcel => this.#options.hasCopy(parcel))) released.push(id);
    }
    return released;
  }

  async #hasRecutAt({ snapshots }: Head, at: number | undefined): Promise<boolean> {
    for (const { id, timeMs } of snapshots) {
      if (timeMs === at && (await readSnapshot(this.#options.objects, id)).recutOf !== undefined) return true;
    }
    return false;
  }
}

/** Not the source itself: where it is ours, its runs have an alarm of the same code about it (snapshot-runs.ts). */
const subjectOf = (source: SourceId): string => `heads of ${source}`;

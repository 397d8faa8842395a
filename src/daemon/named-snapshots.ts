/**
 * Named snapshots: which snapshot a person means, and what is reported about it.
 *
 * A name may mean a snapshot that the head lists. An id may also mean one that is no longer listed but in its hold
 * here: an origin in foreign hands may have left such snapshots out, and then they are its history.
 */
import type { ListedSnapshot } from '../catalog/head.js';
import { escapePath } from '../catalog/path-text.js';
import { ifReadable, readSnapshot } from '../catalog/read-object.js';
import { isPartial } from '../catalog/snapshot.js';
import { type ChosenSnapshot, chooseSnapshot, type SourceSpec, type WantedSnapshot } from '../catalog/source-spec.js';
import { findEntry } from '../catalog/walk.js';
import { walkReadable } from '../catalog/walk-readable.js';
import { ClusterError, messageOf } from '../core/fault.js';
import { type HostId, type ObjectId, type ParcelId, type SourceId, splitSourceId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import { isProtected, type Protections, type Reach } from './protection.js';
import type { Roster } from './roster.js';
import type { Resolved, SnapshotReport, Unreachable } from './service.js';
import type { SourceNames } from './source-names.js';

export interface NamedSnapshotsOptions {
  readonly catalog: CatalogKeeper;
  /** Also reads records: from this host or from any host that has them. */
  readonly objects: ObjectReader;
  /** Snapshots and pages: what is lost or damaged on this host is fetched from a host that has it, and kept again. */
  readonly mending: ObjectReader;
  readonly names: SourceNames;
  readonly protections: Protections;
  readonly roster: Roster;
}

export class NamedSnapshots {
  readonly #of: NamedSnapshotsOptions;

  constructor(options: NamedSnapshotsOptions) {
    this.#of = options;
  }

  /** As the head in force lists them, oldest first. */
  listed(source: SourceId): readonly ListedSnapshot[] {
    return this.#of.catalog.get(source)?.head.snapshots ?? [];
  }

  /** No longer listed but still kept here; oldest first. No head stands for them: any holder's copy counts. */
  held(source: SourceId): readonly ListedSnapshot[] {
    const held = this.#of.catalog.heldSnapshots(source);
    return held.map(({ id, timeMs }) => ({ id, timeMs, complete: true, firstSeq: 0 }));
  }

  /** Also works for a snapshot that cannot be read: the report on the others must not wait until a disk is mended. */
  async report(source: SourceId, listed: ListedSnapshot, signal: AbortSignal): Promise<SnapshotReport> {
    const { mending, protections, roster } = this.#of;
    const named = {
      id: listed.id,
      source: this.#of.names.nameOf(source),
      sourceId: source,
      origin: roster.nameOf(splitSourceId(source).origin),
      timeMs: listed.timeMs,
    };
    try {
      const snapshot = await readSnapshot(mending, listed.id);
      const { files, bytes, stale, missed } = snapshot;
      const isSafe = isProtected(await protections.of(source, listed, signal));
      return { ...named, files, bytes, partial: isPartial(snapshot), stale, missed, protected: isSafe };
    } catch (error) {
      signal.throwIfAborted();
      const unreadable = messageOf(error);
      const unknown = { files: 0, bytes: 0, stale: 0, missed: 0 };
      return { ...named, ...unknown, partial: !listed.complete, protected: false, unreadable };
    }
  }

  /** @throws ClusterError NO_SNAPSHOT */
  newest(source: SourceId): ListedSnapshot {
    const newest = this.listed(source).at(-1);
    if (newest !== undefined) return newest;
    const name = this.#of.names.nameOf(source);
    const held = heldText(name, this.held(source));
    const text =
      held === ''
        ? `source ${name} has no snapshot yet; take one with: backup ${name}`
        : `source ${name} has no snapshot that is listed${held}`;
    throw new ClusterError('NO_SNAPSHOT', text, { blame: 'operator' });
  }

  /**
   * The snapshot that a spec names. `latest` is the newest one whose parcels all have a copy on a host that is up.
   *
   * @param under unreachable files are counted at and below this path; default: all
   */
  async choose(
    source: SourceId,
    spec: WantedSnapshot,
    signal: AbortSignal,
    under?: Buffer,
  ): Promise<{ listed: ListedSnapshot; newer?: NonNullable<Resolved['newer']>; unreachable?: Unreachable }> {
    const snapshots = this.listed(source);
    if (spec.kind !== 'latest') {
      const held = this.held(source);
      const choice = chooseSnapshot(spec, spec.kind === 'id' ? [...snapshots, ...held] : snapshots);
      if (choice.kind !== 'chosen') throw notChosen({ source: this.#of.names.nameOf(source), spec, held }, choice);
      const listed = choice.snapshot;
      const whole = await this.#of.protections.reach(listed, signal);
      const isPart = whole.parcels > 0 && under !== undefined && under.length > 0;
      const reach = isPart ? await this.#reachBelow(listed.id, under, signal) : whole;
      return reach.parcels === 0 ? { listed } : { listed, unreachable: this.#unreachable(reach) };
    }
    const newest = this.newest(source);
    let newer: Reach | undefined;
    for (const listed of [...snapshots].reverse()) {
      const reach = await this.#of.protections.reach(listed, signal);
      if (reach.parcels === 0) {
        if (newer === undefined) return { listed };
        const snapshot = await this.report(source, newest, signal);
        return { listed, newer: { snapshot, unreachable: this.#unreachable(newer) } };
      }
      newer ??= reach;
    }
    const { hosts } = this.#unreachable(newer ?? { parcels: 0, bytes: 0, hosts: new Set() });
    const advice = hosts.length > 0 ? `switch on: ${hosts.join(', ')}` : 'no host is known to hold what is missing';
    throw new ClusterError(
      'UNREACHABLE',
      `no snapshot of ${this.#of.names.nameOf(source)} has a reachable copy of everything; ${advice}. To restore the part that is reachable, name the snapshot: ${this.#of.names.nameOf(source)}@${newest.id.slice(0, 8)}`,
      { blame: 'passing' },
    );
  }

  /**
   * The same where it is asked who has the copies: there `latest` is the newest one, though nobody has a copy of it.
   * @throws ClusterError NO_SNAPSHOT, and what `choose` throws
   */
  async chooseThoughAway(
    source: SourceId,
    spec: WantedSnapshot,
    signal: AbortSignal,
    under?: Buffer,
  ): Promise<Awaited<ReturnType<NamedSnapshots['choose']>>> {
    return spec.kind === 'latest' ? { listed: this.newest(source) } : this.choose(source, spec, signal, under);
  }

  /** Covers the files whose names can be read; any others are reported where they are listed. */
  async #reachBelow(snapshot: ObjectId, under: Buffer, signal: AbortSignal): Promise<Reach> {
    const { objects, protections } = this.#of;
    const unreachable = new Set<ParcelId>();
    const hosts = new Set<HostId>();
    let bytes = 0;
    for await (const item of walkReadable(objects, snapshot, { under, signal })) {
      if (item.is !== 'entry' || item.entry.kind !== 'file' || item.entry.size === 0) continue;
      const away = protections.away(item.parcel);
      if (away === undefined) continue;
      unreachable.add(item.parcel);
      bytes += item.entry.size;
      for (const host of away) hosts.add(host);
    }
    return { parcels: unreachable.size, bytes, hosts };
  }

  #unreachable({ parcels, bytes, hosts }: Reach): Unreachable {
    // Nobody takes a byte from a host that was revoked, though it be switched on.
    const waited = [...hosts].filter(host => this.#of.roster.peerOf(host) !== undefined);
    return { parcels, bytes, hosts: waited.map(host => this.#of.roster.nameOf(host)).sort() };
  }

  /** @throws ClusterError PATH_UNKNOWN */
  async needPath(source: SourceId, snapshot: ObjectId, { path }: SourceSpec): Promise<void> {
    if (path.length === 0 || (await this.#mayHave(snapshot, path))) return;
    throw new ClusterError(
      'PATH_UNKNOWN',
      `snapshot ${snapshot.slice(0, 8)} of ${this.#of.names.nameOf(source)} has no such path: ${escapePath(path)}`,
      { blame: 'operator' },
    );
  }

  async #mayHave(snapshot: ObjectId, path: Buffer): Promise<boolean> {
    const { objects } = this.#of;
    const isThere = await ifReadable(findEntry(objects, snapshot, path).then(found => found !== undefined));
    if (isThere !== undefined) return isThere;
    // A gap may contain the path.
    for await (const _ of walkReadable(objects, snapshot, { under: path })) return true;
    return false;
  }
}

/** What to do about unlisted snapshots that nobody has looked at; empty where there are none. */
function heldText(source: string, { length }: readonly ListedSnapshot[]): string {
  if (length === 0) return '';
  const are = length === 1 ? '1 that is no longer listed is' : `${length} that are no longer listed are`;
  return `; ${are} still held here, and can be had by id; see: snapshots ${source} --held`;
}

interface NotFound {
  readonly source: string;
  readonly spec: WantedSnapshot;
  readonly held: readonly ListedSnapshot[];
}

function notChosen(
  { source, spec, held }: NotFound,
  choice: Exclude<ChosenSnapshot<ListedSnapshot>, { kind: 'chosen' }>,
): ClusterError {
  if (choice.kind === 'ambiguous') {
    const text = `${choice.snapshots.length} snapshots of ${source} have an id that begins like this; give more digits`;
    return new ClusterError('SNAPSHOT_AMBIGUOUS', text, { blame: 'operator' });
  }
  const older = spec.kind === 'time' ? held.filter(({ timeMs }) => timeMs < spec.beforeMs) : [];
  const text =
    older.length > 0
      ? `source ${source} has no snapshot from that time or before that is listed${heldText(source, older)}`
      : `source ${source} has no ${spec.kind === 'id' ? `snapshot ${spec.prefix}` : 'snapshot from that time or before'}; see: snapshots ${source}`;
  return new ClusterError('SNAPSHOT_UNKNOWN', text, { blame: 'operator' });
}

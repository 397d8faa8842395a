/**
 * Protecting: takes a snapshot that a person asks for, and reports its protection step by step until it is protected.
 *
 * Meanwhile the snapshot may be cut again, as files change before anybody has a copy. Its protection is then that of
 * the snapshot that replaced it.
 */
import type { ListedSnapshot } from '../catalog/head.js';
import { readSnapshot } from '../catalog/read-object.js';
import { ClusterError } from '../core/fault.js';
import { type ObjectId, type SourceId, splitSourceId } from '../core/ids.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Clock } from './clock.js';
import type { NamedSnapshots } from './named-snapshots.js';
import type { Orders } from './orders.js';
import { pause } from './pause.js';
import { isProtected, type Protections } from './protection.js';
import type { Roster } from './roster.js';
import type { BackupRequest, ProtectionReport, SnapshotName, SnapshotTaken } from './service.js';
import type { SourceNames } from './source-names.js';
import { REPORT_EVERY_MS } from './status-reports.js';

/** A snapshot of a few parcels is looked at this often, in ms, because somebody waits … */
const LOOK_EVERY_MS_MIN = 25;
/** … and others after this many times as long as a look takes, so that the service stays free for the copying. */
const LOOK_RESTS = 10;
/** How often one snapshot may be cut again while somebody waits for it. */
const RECUTS_MAX = 64;
/** How many of the unreadable paths are reported with a snapshot. */
const UNREAD_TOLD_MAX = 20;

export interface ProtectingOptions {
  readonly orders: Orders;
  readonly catalog: CatalogKeeper;
  readonly protections: Protections;
  readonly roster: Roster;
  readonly names: SourceNames;
  readonly snapshots: NamedSnapshots;
  readonly clock: Pick<Clock, 'nowMs'>;
}

export class Protecting {
  readonly #options: ProtectingOptions;

  constructor(options: ProtectingOptions) {
    this.#options = options;
  }

  async backup(
    { source, acceptChanges, acceptMissing = false }: BackupRequest,
    signal: AbortSignal,
  ): Promise<SnapshotTaken> {
    const id = this.#options.names.named(source);
    const taken = await this.#options.orders.backup(id, { acceptChanges, acceptMissing }, signal);
    const listed = {
      id: taken.snapshot,
      timeMs: taken.timeMs,
      complete: taken.stale + taken.missed === 0,
      firstSeq: Number.MAX_SAFE_INTEGER,
    };
    return {
      id: taken.snapshot,
      source: this.#options.names.nameOf(id),
      sourceId: id,
      origin: this.#options.roster.nameOf(splitSourceId(id).origin),
      timeMs: taken.timeMs,
      files: taken.files,
      bytes: taken.bytes,
      partial: !listed.complete,
      protected: false,
      unchanged: taken.unchanged,
      stale: taken.stale,
      missed: taken.missed,
      unread: taken.unread.slice(0, UNREAD_TOLD_MAX),
      unentered: taken.unentered,
      braked: taken.braked,
      letGo: taken.letGo,
    };
  }

  async *reports({ sourceId, snapshot }: SnapshotName, signal: AbortSignal): AsyncGenerator<ProtectionReport> {
    const { clock } = this.#options;
    let told = '';
    let wanted = snapshot;
    let wasListed = false;
    for (;;) {
      const begunMs = clock.nowMs();
      const listed = await this.#listedOrRecut(sourceId, wanted);
      if (listed === undefined && wasListed) {
        const text = `snapshot ${wanted.slice(0, 8)} of ${this.#options.names.nameOf(sourceId)} is no longer listed; see: snapshots ${this.#options.names.nameOf(sourceId)}`;
        throw new ClusterError('SNAPSHOT_GONE', text, { blame: 'passing' });
      }
      if (listed !== undefined) {
        wasListed = true;
        wanted = listed.id;
        const protection = await this.#options.protections.of(sourceId, listed, signal);
        const report: ProtectionReport = {
          snapshot: await this.#options.snapshots.report(sourceId, listed, signal),
          copies: protection.copiesWanted,
          parcels: {
            wanted: protection.parcels,
            haveMin: protection.haveMin,
            under: protection.under,
            toCopy: protection.toCopy,
          },
          missingBytes: protection.missingBytes,
        };
        const text = JSON.stringify(report);
        if (text !== told) yield report;
        told = text;
        if (isProtected(protection)) return;
      }
      await pause(restMs(clock.nowMs() - begunMs), signal);
    }
  }

  /** The listed snapshot of this id, or the one that replaced it; undefined while its head is still on its way here. */
  async #listedOrRecut(source: SourceId, snapshot: ObjectId): Promise<ListedSnapshot | undefined> {
    const { catalog } = this.#options;
    const snapshots = catalog.get(source)?.head.snapshots ?? [];
    const listed = snapshots.find(({ id }) => id === snapshot);
    if (listed !== undefined) return listed;
    for (const candidate of snapshots) if (await this.#replaces(candidate.id, snapshot)) return candidate;
    return undefined;
  }

  /** A re-cut may itself have been cut again before anybody looked. */
  async #replaces(id: ObjectId, replaced: ObjectId): Promise<boolean> {
    const { objects } = this.#options.catalog;
    let current: ObjectId | undefined = id;
    for (let hops = 0; hops < RECUTS_MAX && current !== undefined && (await objects.has(current)); hops += 1) {
      current = (await readSnapshot(objects, current)).recutOf;
      if (current === replaced) return true;
    }
    return false;
  }
}

/** How long to wait before the next look, after one that took so long. */
export const restMs = (tookMs: number): number =>
  Math.min(REPORT_EVERY_MS, Math.max(LOOK_EVERY_MS_MIN, LOOK_RESTS * tookMs));

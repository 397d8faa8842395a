/**
 * Catalog sweeper: takes out of the state folder's catalog, and out of each mounted store's, what nothing leads to any more; and out of
 * the store's blobs what no copy lists.
 *
 * Reached are the snapshots that a head in force lists or that are in their hold, those of this host's own heads and of the heads
 * that a store keeps, their pages, and the records of the parcels in them; a store's own rules spare the records of what it holds.
 * All else goes when it has been unreached for `gcGrace` of this host's running time. When in doubt nothing goes: no folder is swept
 * while a head cannot be read, a snapshot that should be here is not, or heads are being made or taken.
 *
 * Blobs that belong to no copy may be the last of a parcel that is short of copies: these are spared (short-blobs.ts); and while a
 * parcel that has no copy at all has no record here either, no blob goes.
 */
import type { Logger } from 'pino';
import { decodeHead, type ListedSnapshot } from '../catalog/head.js';
import { fingerprintOf } from '../catalog/inherit-keys.js';
import { readPage, readSnapshot } from '../catalog/read-object.js';
import type { SourceHistory } from '../catalog/source-history.js';
import type { ObjectId, ParcelId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { ObjectFolder, Swept } from '../store/object-folder.js';
import type { Store } from '../store/store.js';
import type { StraySweep } from '../store/stray-sweep.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Origin } from './origin.js';
import type { ShortBlobs } from './short-blobs.js';

/** Sweeps in one `gcGrace`: what is to go goes at most a quarter of it late. */
const SWEEPS_PER_GRACE = 4;
/** A sweep lists every object: 30,000, those of a million files, in some 0.2 s. */
const EVERY_MS_MAX = 6 * 3_600_000;
const EVERY_MS_MIN = 1_000;
/** Sooner after a start, for a host that is never on for long. */
const FIRST_MS_MAX = 10 * 60_000;
/** What is in doubt is looked at again after this. */
const AGAIN_MS = 60_000;

export interface CatalogSweeperOptions {
  readonly catalog: Pick<CatalogKeeper, 'sources' | 'wantedSnapshots' | 'get' | 'isUnsettled' | 'isForgotten'>;
  readonly history: Pick<SourceHistory, 'heads' | 'isDamaged'>;
  readonly origin: Pick<Origin, 'isBusy'>;
  /** The state folder's. */
  readonly objects: ObjectFolder;
  /** From here and from the mounted stores. */
  readonly reader: ObjectReader;
  readonly stores: () => Iterable<Store>;
  readonly isListed: (parcel: ParcelId) => boolean;
  readonly short: Pick<ShortBlobs, 'look'>;
  readonly runMs: () => number;
  readonly graceMs: () => number;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class CatalogSweeper {
  readonly #options: CatalogSweeperOptions;
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(options: CatalogSweeperOptions) {
    this.#options = options;
  }

  /** Also when the configuration has changed: its `gcGrace` may be shorter. */
  start(): void {
    this.#next(Math.min(FIRST_MS_MAX, this.#everyMs()));
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#sweeping;
    clearTimeout(this.#timer);
  }

  /** @returns false when nothing was looked at, because what is wanted is about to change. */
  async sweep(): Promise<boolean> {
    const { catalog, history, origin, objects, stores, isListed, log } = this.#options;
    if (catalog.isUnsettled || history.isDamaged || origin.isBusy) return false;
    const reached = await this.#reached();
    const sweep = {
      isReached: (id: ObjectId) => reached.has(fingerprintOf(id)) || isListed(id as ParcelId),
      runMs: this.#options.runMs(),
      graceMs: this.#options.graceMs(),
      signal: this.#options.signal,
    };
    this.#tell(await objects.sweep(sweep), undefined);
    const short = await this.#options.short.look();
    const sweepStore = async (store: Store): Promise<void> => {
      try {
        if (short.isComplete) await this.#sweepStrays(store, { ...sweep, isSpared: short.has });
        const kept = await this.#reachedIn(store, reached);
        this.#tell(
          await store.sweepObjects({
            ...sweep,
            isReached: id => reached.has(fingerprintOf(id)) || kept.has(fingerprintOf(id)),
          }),
          store,
        );
      } catch (error) {
        this.#options.signal.throwIfAborted();
        log.warn(
          { code: 'CATALOG_NOT_SWEPT', store: store.id, err: error },
          'the catalog of a store was not cleared of what nothing leads to; it is tried again',
        );
      }
    };
    // Side by side: a disk that hangs must not hold up the others. Nothing of theirs goes on when this has ended.
    const swept = await Promise.allSettled([...stores()].map(sweepStore));
    for (const end of swept) if (end.status === 'rejected') throw end.reason;
    return true;
  }

  async #sweepStrays(store: Store, sweep: StraySweep): Promise<void> {
    const { strays, trashed } = await store.sweepStrays(sweep);
    if (trashed === 0) return;
    this.#options.log.info(
      { code: 'STRAYS_SWEPT', store: store.id, trashed, strays },
      'blobs that belong to no copy were moved to the trash',
    );
  }

  #tell({ removed, unreached }: Swept, store: Store | undefined): void {
    if (removed === 0) return;
    this.#options.log.info(
      { code: 'CATALOG_SWEPT', store: store?.id, removed, unreached },
      'catalog objects that nothing leads to were removed',
    );
  }

  /**
   * Of snapshots and pages, and of records where the machine does not know of them: fingerprints, 40 bytes each. What shares one with
   * something reached stays, and does no harm.
   */
  async #reached(): Promise<Set<number>> {
    const { catalog, history, reader } = this.#options;
    const reached = new Set<number>();
    for (const source of [...catalog.sources()]) await this.#reach(catalog.wantedSnapshots(source), reader, reached);
    for (const { head, hash } of history.heads()) {
      if (catalog.get(head.source)?.hash === hash || catalog.isForgotten(head)) continue;
      // Not in force yet: nobody has told the machine of its parcels.
      for (const { id } of head.snapshots) {
        await this.#reach([id], reader, reached);
        for (const page of (await readSnapshot(reader, id)).pages)
          for (const parcel of await readPage(reader, page)) reached.add(fingerprintOf(parcel.id));
      }
    }
    return reached;
  }

  /** What the heads lead to that the store keeps itself: they may be others than those in force. */
  async #reachedIn(store: Store, known: ReadonlySet<number>): Promise<Set<number>> {
    const kept = new Set<number>();
    for (const source of await store.heads()) {
      const sealed = await store.head(source);
      const listed: readonly ListedSnapshot[] = sealed === undefined ? [] : decodeHead(sealed).snapshots;
      const others = listed.map(({ id }) => id).filter(id => !known.has(fingerprintOf(id)));
      await this.#reach(others, store.objects, kept);
    }
    return kept;
  }

  async #reach(snapshots: readonly ObjectId[], reader: ObjectReader, reached: Set<number>): Promise<void> {
    for (const id of snapshots) {
      const { pages } = await readSnapshot(reader, id);
      reached.add(fingerprintOf(id));
      for (const page of pages) reached.add(fingerprintOf(page));
    }
  }

  #everyMs(): number {
    return Math.min(EVERY_MS_MAX, Math.max(EVERY_MS_MIN, this.#options.graceMs() / SWEEPS_PER_GRACE));
  }

  #next(inMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#sweeping = this.#run();
    }, inMs).unref();
  }

  async #run(): Promise<void> {
    const { log, signal } = this.#options;
    let isDone = false;
    try {
      isDone = await this.sweep();
    } catch (error) {
      if (signal.aborted) return;
      log.warn(
        { code: 'CATALOG_NOT_SWEPT', err: error },
        'the catalog was not cleared of what nothing leads to; it is tried again',
      );
    }
    if (!signal.aborted) this.#next(isDone ? this.#everyMs() : Math.min(AGAIN_MS, this.#everyMs()));
  }
}

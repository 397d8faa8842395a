/**
 * Catalog sweeper: removes what nothing leads to any longer from the state folder's catalog and from that of each
 * mounted store, and removes the blobs that no copy lists from the stores.
 *
 * Reached are: the snapshots that a head in force lists or that are in their hold; those of this host's own heads and
 * of the heads that a store keeps; their pages; and the records of the parcels in them. A store's own rules spare the
 * records of what it holds. Everything else goes once it has been unreached for `gcGrace` of this host's running time.
 * When in doubt nothing goes: no folder is swept while a head cannot be read, a snapshot that should be here is
 * missing, or heads are being made or taken.
 *
 * Blobs that belong to no copy may be the last of a parcel that is short of copies. Those are spared (short-blobs.ts).
 * While a parcel without any copy also has no record here, no blob goes at all.
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

/** Sweeps in one `gcGrace`: an object goes at most a quarter of it late. */
const SWEEPS_PER_GRACE = 4;
/** A sweep lists every object: the 30,000 of a million files take some 0.2 s. */
const EVERY_MS_MAX = 6 * 3_600_000;
const EVERY_MS_MIN = 1_000;
/** The first sweep after a start comes sooner, for the sake of a host that is never on for long. */
const FIRST_MS_MAX = 10 * 60_000;
/** After this a catalog in doubt is looked at again. */
const AGAIN_MS = 60_000;

export interface CatalogSweeperOptions {
  readonly catalog: Pick<CatalogKeeper, 'sources' | 'wantedSnapshots' | 'get' | 'isUnsettled' | 'isForgotten'>;
  readonly history: Pick<SourceHistory, 'heads' | 'isDamaged'>;
  readonly origin: Pick<Origin, 'isBusy'>;
  /** The catalog of the state folder. */
  readonly objects: ObjectFolder;
  /** Reads from the state folder and from the mounted stores. */
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

  /** Also called when the configuration has changed: its `gcGrace` may be shorter. */
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
          'catalog objects of a store that nothing leads to could not be removed; this is tried again',
        );
      }
    };
    // All stores at once: a disk that hangs must not hold up the others. When this ends, no sweep of a store is still
    // running.
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
   * Fingerprints (40 bytes each) of snapshots and pages, and of the records that the machine does not know of. An
   * object that shares its fingerprint with a reached one stays, which does no harm.
   */
  async #reached(): Promise<Set<number>> {
    const { catalog, history, reader } = this.#options;
    const reached = new Set<number>();
    for (const source of [...catalog.sources()]) await this.#reach(catalog.wantedSnapshots(source), reader, reached);
    for (const { head, hash } of history.heads()) {
      if (catalog.get(head.source)?.hash === hash || catalog.isForgotten(head)) continue;
      // Not in force yet: the machine has not been told of its parcels.
      for (const { id } of head.snapshots) {
        await this.#reach([id], reader, reached);
        for (const page of (await readSnapshot(reader, id)).pages)
          for (const parcel of await readPage(reader, page)) reached.add(fingerprintOf(parcel.id));
      }
    }
    return reached;
  }

  /** What is reached from the heads that the store itself keeps: they may differ from those in force. */
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
        'catalog objects that nothing leads to could not be removed; this is tried again',
      );
    }
    if (!signal.aborted) this.#next(isDone ? this.#everyMs() : Math.min(AGAIN_MS, this.#everyMs()));
  }
}

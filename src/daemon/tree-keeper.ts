/**
 * Tree keeper: keeps each store's plain tree of a source at its newest protected snapshot, as far as the store holds it.
 *
 * A tree is a view for people, so it is not hurried: it is rewritten after some quiet and not too often, and left as it is
 * when nothing that it shows has changed. After a mass change it stays at the last snapshot before, until a person has accepted it.
 */
import type { Logger } from 'pino';
import { walkStretches } from '../catalog/walk.js';
import type { Timing } from '../core/cluster-config.js';
import { type SourceId, splitSourceId } from '../core/ids.js';
import type { Machine } from '../core/machine.js';
import type { ObjectReader } from '../core/objects.js';
import type { Store } from '../store/store.js';
import type { TreeEntry } from '../store/tree-view.js';
import { Turns } from '../store/turns.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Clock } from './clock.js';
import type { OwnStores } from './own-stores.js';
import { isProtected, type Protections } from './protection.js';
import type { Roster } from './roster.js';

/** However short the configured quiet, protection is not looked at more often than this, in ms. */
const LOOK_EVERY_MS_MIN = 200;
/** … and however long, not more rarely: it may be shortened meanwhile, in ms. */
const LOOK_EVERY_MS_MAX = 5_000;

interface Tree {
  /** When something that the tree may show last changed. */
  touchedMs: number;
  writtenMs: number;
  /** The heads and the store's log as they were when last looked at … */
  seen: string;
  /** … and when the newest snapshot was written. */
  shows: string;
}

export class TreeKeeper {
  readonly #stores: OwnStores;
  readonly #catalog: CatalogKeeper;
  readonly #objects: ObjectReader;
  readonly #machine: Machine;
  readonly #protections: Protections;
  readonly #roster: Roster;
  readonly #clock: Clock;
  readonly #timing: () => Timing;
  readonly #log: Logger;
  readonly #signal: AbortSignal;
  readonly #trees = new Map<string, Tree>();
  readonly #turns = new Turns<'trees'>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    readonly stores: OwnStores;
    readonly catalog: CatalogKeeper;
    /** The records of what our stores hold. */
    readonly objects: ObjectReader;
    readonly machine: Machine;
    readonly protections: Protections;
    readonly roster: Roster;
    readonly clock: Clock;
    readonly timing: () => Timing;
    readonly log: Logger;
    readonly signal: AbortSignal;
  }) {
    this.#stores = options.stores;
    this.#catalog = options.catalog;
    this.#objects = options.objects;
    this.#machine = options.machine;
    this.#protections = options.protections;
    this.#roster = options.roster;
    this.#clock = options.clock;
    this.#timing = options.timing;
    this.#log = options.log;
    this.#signal = options.signal;
  }

  start(): void {
    const look = (): void => {
      void this.#turns
        .take('trees', () => this.#look())
        .finally(() => {
          if (this.#signal.aborted) return;
          this.#timer = setTimeout(
            look,
            Math.min(LOOK_EVERY_MS_MAX, Math.max(LOOK_EVERY_MS_MIN, this.#timing().treeQuietMs / 2)),
          );
        });
    };
    look();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#turns.take('trees', async () => undefined);
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    for (const store of this.#stores.stores()) {
      for (const source of this.#catalog.sources()) {
        if (this.#signal.aborted) return;
        try {
          await this.#keep(store, source);
        } catch (error) {
          if (this.#signal.aborted) return;
          this.#log.warn(
            { code: 'TREE_NOT_WRITTEN', source, store: store.id, err: error },
            'a tree could not be brought up to date; its blobs are whole',
          );
        }
      }
    }
  }

  async #keep(store: Store, source: SourceId): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const { treeQuietMs, treeEveryMs } = this.#timing();
    const id = `${store.id} ${source}`;
    const tree = this.#trees.get(id) ?? { touchedMs: nowMs, writtenMs: Number.NEGATIVE_INFINITY, seen: '', shows: '' };
    this.#trees.set(id, tree);

    const known = this.#catalog.get(source);
    // The log's length stands for all that the store holds: nothing changes without an operation.
    const state = `${known?.hash} ${store.position().epoch.random} ${store.position().seq}`;
    if (known === undefined || tree.shows === state) return;
    if (tree.seen !== state) {
      tree.seen = state;
      tree.touchedMs = nowMs;
    }
    if (nowMs < tree.touchedMs + treeQuietMs || nowMs < tree.writtenMs + treeEveryMs) return;

    const { snapshots, unacceptedSinceMs = Number.POSITIVE_INFINITY } = known.head;
    const accepted = snapshots.filter(({ timeMs }) => timeMs < unacceptedSinceMs);
    for (const listed of [...accepted].reverse()) {
      if (!isProtected(await this.#protections.of(source, listed, this.#signal))) continue;
      const { origin, source: name } = splitSourceId(source);
      const report = await store.updateTree({
        originName: this.#roster.nameOf(origin),
        source: name,
        snapshot: listed.id,
        files: this.#files(store, listed.id),
        signal: this.#signal,
      });
      tree.writtenMs = nowMs;
      // An older snapshot is shown while the newest is not protected yet: then it is looked at again.
      if (listed === accepted.at(-1)) tree.shows = state;
      this.#log.info(
        { code: 'TREE_WRITTEN', source, store: store.id, snapshot: listed.id, ...report },
        'tree brought up to date',
      );
      return;
    }
  }

  async *#files(store: Store, snapshot: Parameters<typeof walkStretches>[1]): AsyncGenerator<TreeEntry> {
    const holds = (parcel: { readonly id: Parameters<Machine['holders']>[0] }): boolean =>
      this.#machine.holders(parcel.id).some(holder => holder.store === store.id);
    for await (const stretch of walkStretches(this.#objects, snapshot, { signal: this.#signal, only: holds })) {
      for (const { entry } of stretch) {
        if (entry.path.length === 0) continue;
        if (entry.kind === 'directory') yield { kind: 'directory', path: entry.path };
        if (entry.kind === 'file' && entry.blob !== undefined) {
          yield { kind: 'file', path: entry.path, blob: entry.blob, bytes: entry.size };
        }
      }
    }
  }
}

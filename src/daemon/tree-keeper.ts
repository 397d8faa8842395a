/**
 * Tree keeper: keeps each store's plain tree of a source at its newest protected snapshot, as far as the store holds
 * it. Keeps the dated trees, which people have asked for, at what the store holds of their snapshots.
 *
 * A tree is a view for people, so there is no hurry: it is rewritten after some quiet and not too often, and left
 * alone when nothing that it shows has changed. After a mass change it stays at the last snapshot before it, until a
 * person has accepted the change. One whose update was broken off is a view of nothing, and one of whose store a file was
 * found gone or wrong may show that file: these are written again soon, even if no snapshot is protected then. A dated
 * tree goes when nothing of its snapshot is held any longer, or when nobody keeps that snapshot.
 */
import type { Logger } from 'pino';
import { walkParcels, walkStretches } from '../catalog/walk.js';
import type { Timing } from '../core/cluster-config.js';
import { ClusterError } from '../core/fault.js';
import { hashHex } from '../core/hash.js';
import { type ObjectId, type SourceId, type StoreId, sourceIdOf, splitSourceId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { ObjectReader } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import type { DatedTree } from '../store/dated-trees.js';
import type { Store } from '../store/store.js';
import { type TreeName, treeNameOf } from '../store/tree-name.js';
import type { TreeEntry, TreeReport } from '../store/tree-view.js';
import { Turns } from '../store/turns.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Clock } from './clock.js';
import type { OwnStores } from './own-stores.js';
import { isProtected, type Protections } from './protection.js';
import type { Roster } from './roster.js';

/** However short the configured quiet, protection is not checked more often than this, in ms. */
const LOOK_EVERY_MS_MIN = 200;
/** … and however long, not less often than this, in ms: it may be shortened meanwhile. */
const LOOK_EVERY_MS_MAX = 5_000;

/** Limit of a store: each tree is walked again whenever the held part of its snapshot changes. */
const DATED_TREES_MAX = 100;

interface Tree {
  /** When something that the tree may show last changed. */
  touchedMs: number;
  writtenMs: number;
  /** The heads and the store's log as of the last look … */
  seen: string;
  /** … and as of when the newest snapshot was written. */
  shows: string;
  /** Which snapshot was written last, and the store's log as of then. */
  made: string;
  /** An update was broken off: the snapshot that the tree was of, or was to be of. */
  unfinished: ObjectId | undefined;
  /** Which snapshot was written last, while this service ran. */
  shown: ObjectId | undefined;
  /** The store's losses when a protected snapshot was last written. */
  losses: number;
}

/** A tree that somebody wants, or no longer wants, and its store. */
export interface DatedTreeOrder {
  readonly store: Store;
  readonly tree: DatedTree;
}

export class TreeKeeper {
  readonly #stores: OwnStores;
  readonly #catalog: CatalogKeeper;
  readonly #objects: ObjectReader;
  readonly #known: Pick<Known, 'holders'>;
  readonly #protections: Protections;
  readonly #roster: Roster;
  readonly #clock: Clock;
  readonly #timing: () => Timing;
  readonly #log: Logger;
  readonly #signal: AbortSignal;
  readonly #trees = new Map<string, Tree>();
  /** What each dated tree was made from: the held parcels of its snapshot. */
  readonly #madeOf = new Map<string, string>();
  /** Stores on file systems without hard links, about which the log has been told. */
  readonly #linkless = new Set<StoreId>();
  /** One turn a store: a disk that hangs must not hold up the others' trees. */
  readonly #turns = new Turns<StoreId>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    readonly stores: OwnStores;
    readonly catalog: CatalogKeeper;
    /** Reads the records of what this host's stores hold. */
    readonly objects: ObjectReader;
    readonly known: Pick<Known, 'holders'>;
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
    this.#known = options.known;
    this.#protections = options.protections;
    this.#roster = options.roster;
    this.#clock = options.clock;
    this.#timing = options.timing;
    this.#log = options.log;
    this.#signal = options.signal;
  }

  start(): void {
    if (this.#signal.aborted) return;
    for (const store of this.#stores.stores())
      if (!this.#turns.busy(store.id)) void this.#turns.take(store.id, () => this.#look(store));
    const everyMs = Math.min(LOOK_EVERY_MS_MAX, Math.max(LOOK_EVERY_MS_MIN, this.#timing().treeQuietMs / 2));
    this.#timer = setTimeout(() => this.start(), everyMs);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#turns.allDone();
  }

  /**
   * Makes a dated tree, or brings it up to date. `undefined`: this store holds nothing of its snapshot, so there is no
   * tree.
   * @throws ClusterError TREE_TAKEN, TREES_TOO_MANY, NO_HARD_LINKS
   */
  makeDated({ store, tree }: DatedTreeOrder, signal: AbortSignal): Promise<TreeReport | undefined> {
    return this.#turns.take(store.id, async () => {
      signal.throwIfAborted();
      const there = await store.datedTrees();
      const known = there.find(one => isSameTree(one, tree));
      if (known === undefined && there.length >= DATED_TREES_MAX) throw tooMany(store);
      // A re-cut snapshot replaces the one that it was cut from.
      if (known !== undefined && known.snapshot !== tree.snapshot && this.#isKept(known) === true) throw taken(known);
      try {
        return await this.#writeDated(store, tree, signal);
      } catch (error) {
        // Otherwise half a tree, which nobody was told of, would be finished although its caller has cancelled it.
        if (known === undefined) await this.#orWarn(store, undefined, async () => void (await store.removeTree(tree)));
        throw error;
      }
    });
  }

  /** Removes a dated tree. @returns how many things in it this program did not make; these stayed */
  removeDated({ store, tree }: DatedTreeOrder): Promise<number> {
    return this.#turns.take(store.id, () => this.#removeDated(store, tree));
  }

  async #look(store: Store): Promise<void> {
    for (const source of this.#catalog.sources()) await this.#orWarn(store, source, () => this.#keep(store, source));
    for (const source of this.#catalog.forgottenSources())
      await this.#orWarn(store, source, () => this.#clear(store, source));
    await this.#orWarn(store, undefined, () => this.#keepDated(store));
  }

  /** Removes the tree of a source that an admin has forgotten. */
  async #clear(store: Store, source: SourceId): Promise<void> {
    const key = `${store.id} ${source}`;
    const tree = this.#trees.get(key);
    if (tree?.shows === CLEARED) return;
    await store.removeTree(this.#nameOf(source));
    const nowMs = this.#clock.nowMs();
    this.#trees.set(key, { ...NEW_TREE, touchedMs: nowMs, writtenMs: nowMs, seen: CLEARED, shows: CLEARED });
  }

  async #orWarn(store: Store, source: SourceId | undefined, work: () => Promise<void>): Promise<void> {
    if (this.#signal.aborted) return;
    try {
      await work();
    } catch (error) {
      if (this.#signal.aborted) return;
      this.#log.warn(
        { code: 'TREE_NOT_WRITTEN', source, store: store.id, err: error },
        'a tree could not be brought up to date; its blobs are whole',
      );
    }
  }

  /** What must be written, if it is time to; `heads`: the part of the heads that it depends on. */
  #due(id: string, store: Store, heads: string): { readonly tree: Tree; readonly state: string } | undefined {
    const nowMs = this.#clock.nowMs();
    const { treeQuietMs, treeEveryMs } = this.#timing();
    const key = `${store.id} ${id}`;
    const tree = this.#trees.get(key) ?? { ...NEW_TREE, touchedMs: nowMs };
    this.#trees.set(key, tree);
    const state = `${heads} ${heldState(store)}`;
    if (tree.shows === state) return undefined;
    if (tree.seen !== state) {
      tree.seen = state;
      // While a host catches up, something changes all the time.
      if (tree.unfinished === undefined) tree.touchedMs = nowMs;
    }
    if (nowMs < tree.touchedMs + treeQuietMs || nowMs < tree.writtenMs + treeEveryMs) return undefined;
    return { tree, state };
  }

  async #keep(store: Store, source: SourceId): Promise<void> {
    const known = this.#catalog.get(source);
    if (known === undefined) return;
    await this.#meet(store, source);
    const due = this.#due(source, store, known.hash);
    if (due === undefined) return;
    const { tree, state } = due;
    const { snapshots, unacceptedSinceMs = Number.POSITIVE_INFINITY } = known.head;
    const accepted = snapshots.filter(({ timeMs }) => timeMs < unacceptedSinceMs);
    const { losses } = store;
    for (const listed of [...accepted].reverse()) {
      if (!isProtected(await this.#protections.of(source, listed, this.#signal))) continue;
      await this.#show(store, source, { tree, snapshot: listed.id });
      tree.losses = losses;
      // While the newest snapshot is not protected yet, an older one is shown, and this is looked at again.
      if (listed === accepted.at(-1)) tree.shows = state;
      return;
    }
    // Until a protected one is shown again: the right file may come at any time.
    const of = tree.unfinished ?? (tree.losses === losses ? undefined : tree.shown);
    const unfinished = accepted.find(({ id }) => id === of) ?? accepted.at(-1);
    if (of === undefined || unfinished === undefined) return;
    // Even if it fails: it may, as long as not all of that snapshot's catalog is here.
    tree.writtenMs = this.#clock.nowMs();
    await this.#show(store, source, { tree, snapshot: unfinished.id });
  }

  /** A tree that is found at the start may have been left halfway. */
  async #meet(store: Store, source: SourceId): Promise<void> {
    const key = `${store.id} ${source}`;
    if (this.#trees.has(key)) return;
    const unfinished = await store.unfinishedTree(this.#nameOf(source));
    this.#trees.set(key, { ...NEW_TREE, touchedMs: this.#clock.nowMs(), unfinished, losses: store.losses });
  }

  async #show(
    store: Store,
    source: SourceId,
    { tree, snapshot }: { readonly tree: Tree; readonly snapshot: ObjectId },
  ): Promise<void> {
    const made = `${snapshot} ${heldState(store)}`;
    if (tree.made !== made) {
      // If it fails halfway, it is at neither.
      tree.made = '';
      tree.unfinished = snapshot;
      await this.#write(store, source, snapshot);
      tree.made = made;
      tree.shown = snapshot;
      tree.unfinished = undefined;
    }
    tree.writtenMs = this.#clock.nowMs();
  }

  #nameOf(source: SourceId): TreeName {
    const { origin, source: name } = splitSourceId(source);
    return { originName: this.#roster.nameOf(origin), source: name };
  }

  async #write(store: Store, source: SourceId, snapshot: ObjectId): Promise<void> {
    const report = await store.updateTree({
      ...this.#nameOf(source),
      snapshot,
      files: this.#files(store, snapshot, this.#signal),
      signal: this.#signal,
    });
    this.#log.info({ code: 'TREE_WRITTEN', source, store: store.id, snapshot, ...report }, 'tree brought up to date');
    if (report.noHardLinks) this.#tellLinkless(store);
  }

  /** Once a start: it stays so. */
  #tellLinkless(store: Store): void {
    if (this.#linkless.has(store.id)) return;
    this.#linkless.add(store.id);
    this.#log.warn(
      { code: 'TREE_WITHOUT_LINKS', store: store.id, path: store.path },
      'the file system of a store has no hard links, so its trees have folders and no files: the copies are whole in .blobs, the .unplaced file beside each tree names them, and restore --from-store works as with any store',
    );
  }

  async #keepDated(store: Store): Promise<void> {
    const heads = [...this.#catalog.sources()].map(source => this.#catalog.get(source)?.hash);
    const due = this.#due(DATED, store, heads.join(' '));
    // While a head is on its way it is not known which snapshots it wants.
    if (due === undefined || this.#catalog.isUnsettled) return;
    for (const tree of await store.datedTrees()) {
      const isKept = this.#isKept(tree);
      if (isKept === undefined) continue;
      await this.#orWarn(store, undefined, async () => {
        if (!isKept) await this.#removeDated(store, tree);
        else if (this.#madeOf.get(keyOf(store, tree)) !== (await this.#heldOf(store, tree.snapshot)))
          await this.#writeDated(store, tree, this.#signal);
      });
    }
    due.tree.writtenMs = this.#clock.nowMs();
    due.tree.shows = due.state;
  }

  /** Whether anybody keeps its snapshot. `undefined`: its host has left or no head is known, so nobody can say. */
  #isKept({ originName, source: name, snapshot }: DatedTree): boolean | undefined {
    const host = this.#roster.named(originName)?.host;
    const source = host && sourceIdOf(host, name);
    if (source !== undefined && this.#catalog.forgottenSources().has(source)) return false;
    if (source === undefined || this.#catalog.get(source) === undefined) return undefined;
    return this.#catalog.wantedSnapshots(source).includes(snapshot);
  }

  async #writeDated(store: Store, tree: DatedTree, signal: AbortSignal): Promise<TreeReport | undefined> {
    const { snapshot } = tree;
    const held = await this.#heldOf(store, snapshot);
    const report = await store.updateTree({ ...tree, files: this.#files(store, snapshot, signal), signal });
    if (report.placed + report.unplaced === 0) {
      await this.#removeDated(store, tree);
      return undefined;
    }
    this.#madeOf.set(keyOf(store, tree), held);
    this.#log.info({ code: 'TREE_WRITTEN', store: store.id, snapshot, ...report }, 'dated tree brought up to date');
    return report;
  }

  async #removeDated(store: Store, tree: DatedTree): Promise<number> {
    const left = await store.removeTree(tree);
    this.#madeOf.delete(keyOf(store, tree));
    this.#log.info({ code: 'TREE_REMOVED', store: store.id, snapshot: tree.snapshot, left }, 'dated tree removed');
    return left;
  }

  /** A digest of which parcels of a snapshot a store holds. */
  async #heldOf(store: Store, snapshot: ObjectId): Promise<string> {
    const ids: string[] = [];
    for await (const parcel of walkParcels(this.#objects, snapshot, { signal: this.#signal }))
      if (this.#holds(store, parcel)) ids.push(parcel.id);
    return hashHex(Buffer.from(ids.join(' ')));
  }

  #holds(store: Store, parcel: ParcelRef): boolean {
    return this.#known.holders(parcel.id).some(holder => holder.store === store.id);
  }

  async *#files(store: Store, snapshot: ObjectId, signal: AbortSignal): AsyncGenerator<TreeEntry> {
    const only = (parcel: ParcelRef): boolean => this.#holds(store, parcel);
    for await (const stretch of walkStretches(this.#objects, snapshot, { signal, only })) {
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

function tooMany(store: Store): ClusterError {
  const text = `${store.path} has ${DATED_TREES_MAX} trees of single snapshots, which is the most it may have; no other was made. Remove some: tree SOURCE[@SNAPSHOT] --remove`;
  return new ClusterError('TREES_TOO_MANY', text, { blame: 'operator' });
}

function taken(tree: DatedTree): ClusterError {
  const text = `${treeNameOf(tree)} is the tree of snapshot ${tree.snapshot.slice(0, 8)}, which was taken in the same second; it is left as it is. Remove it first: tree ${tree.source}@${tree.snapshot.slice(0, 8)} --remove`;
  return new ClusterError('TREE_TAKEN', text, { blame: 'operator' });
}

const NEW_TREE: Omit<Tree, 'touchedMs'> = {
  writtenMs: Number.NEGATIVE_INFINITY,
  seen: '',
  shows: '',
  made: '',
  unfinished: undefined,
  shown: undefined,
  losses: 0,
};

/** The log's length stands for all that a store holds: nothing changes without an operation. */
const heldState = (store: Store): string => `${store.position().epoch.random} ${store.position().seq}`;

/** Stands in for what a tree shows. */
const CLEARED = 'nothing';

/** Stands in for a source's id: all dated trees of a store are looked at together. */
const DATED = 'dated';

const keyOf = (store: Store, { originName, source, datedMs }: DatedTree): string =>
  `${store.id} ${originName}/${source} ${datedMs}`;

const isSameTree = (a: DatedTree, b: DatedTree): boolean =>
  a.originName === b.originName && a.source === b.source && a.datedMs === b.datedMs;

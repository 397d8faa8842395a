/**
 * Dated trees: makes and removes them as a person asks: of which snapshot, in which of this host's stores. The keeper
 * (tree-keeper.ts) builds them and keeps them as they should be.
 */
import { readSnapshot } from '../catalog/read-object.js';
import { chooseSnapshot, parseSourceSpec, type SourceSpec } from '../catalog/source-spec.js';
import { ClusterError } from '../core/fault.js';
import { type SourceId, splitSourceId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { DatedTree } from '../store/dated-trees.js';
import type { Store } from '../store/store.js';
import { treeNameOf } from '../store/tree-name.js';
import type { NamedSnapshots } from './named-snapshots.js';
import type { OwnStores } from './own-stores.js';
import type { Roster } from './roster.js';
import type { DatedTreeReport, RemovedTreeReport, TreesRequest } from './service.js';
import { nameIn, type SourceNames } from './source-names.js';
import type { DatedTreeOrder, TreeKeeper } from './tree-keeper.js';

interface DatedTreesOptions {
  readonly names: SourceNames;
  readonly snapshots: NamedSnapshots;
  readonly objects: ObjectReader;
  readonly stores: OwnStores;
  readonly roster: Roster;
  readonly trees: TreeKeeper;
}

export class DatedTrees {
  readonly #of: DatedTreesOptions;

  constructor(options: DatedTreesOptions) {
    this.#of = options;
  }

  async make({ spec, stores: paths }: TreesRequest, signal: AbortSignal): Promise<readonly DatedTreeReport[]> {
    const { snapshots, objects, trees } = this.#of;
    const parsed = specOfAll(spec);
    const source = this.#of.names.named(nameIn(parsed));
    // What other hosts can give does not matter here: `latest` is the newest snapshot.
    const { id, timeMs } =
      parsed.snapshot.kind === 'latest'
        ? snapshots.newest(source)
        : (await snapshots.choose(source, parsed.snapshot, signal)).listed;
    const { files } = await readSnapshot(objects, id);
    const reports: DatedTreeReport[] = [];
    let noLinks: ClusterError | undefined;
    for (const store of this.#stores(paths)) {
      const tree = { ...this.#named(source), datedMs: timeMs, snapshot: id };
      try {
        const made = await trees.makeDated({ store, tree }, signal);
        if (made === undefined) continue;
        const { placed, unplaced, left } = made;
        reports.push({ ...this.#reportOf(store, source, tree), files, placed, unplaced, left });
      } catch (error) {
        // When no store is named, only the stores that can have trees are meant.
        if (paths.length > 0 || !(error instanceof ClusterError) || error.code !== 'NO_HARD_LINKS') throw error;
        noLinks ??= error;
      }
    }
    if (reports.length === 0 && noLinks !== undefined) throw noLinks;
    if (reports.length > 0) return reports;
    const name = this.#of.names.nameOf(source);
    const text = `no store named here holds any part of snapshot ${id.slice(0, 8)} of ${name}, so no tree was made; 'cluster ls-replicas ${name}@${id.slice(0, 8)}' names the hosts that do`;
    throw new ClusterError('NOTHING_HELD', text, { blame: 'operator' });
  }

  async remove({ spec, stores: paths }: TreesRequest): Promise<readonly RemovedTreeReport[]> {
    const parsed = specOfAll(spec);
    const source = this.#of.names.named(nameIn(parsed));
    const { originName, source: own } = this.#named(source);
    const all: DatedTreeOrder[] = [];
    for (const store of this.#stores(paths)) {
      for (const tree of await store.datedTrees())
        if (tree.originName === originName && tree.source === own) all.push({ store, tree });
    }
    const reports: RemovedTreeReport[] = [];
    for (const { store, tree } of spec.includes('@') ? chosenOf(parsed, all) : all) {
      const left = await this.#of.trees.removeDated({ store, tree });
      reports.push({ ...this.#reportOf(store, source, tree), left });
    }
    if (reports.length > 0) return reports;
    const text = `no store named here has such a tree of ${this.#of.names.nameOf(source)}; nothing was removed`;
    throw new ClusterError('TREE_UNKNOWN', text, { blame: 'operator' });
  }

  #named(source: SourceId): { readonly originName: string; readonly source: string } {
    const { origin, source: own } = splitSourceId(source);
    return { originName: this.#of.roster.nameOf(origin), source: own };
  }

  #reportOf(store: Store, source: SourceId, tree: DatedTree): Omit<RemovedTreeReport, 'left'> {
    const { snapshot, datedMs } = tree;
    const path = `${store.path}/${tree.originName}/${treeNameOf(tree)}`;
    return { path, source: this.#of.names.nameOf(source), snapshot, timeMs: datedMs };
  }

  /** All mounted stores, or the named ones. */
  #stores(paths: readonly string[]): readonly Store[] {
    const { stores, roster } = this.#of;
    const own = stores.reports();
    if (own.length === 0) {
      const text = `${roster.nameOf(roster.self)} has no store, so there is nothing to make a tree from; run this on a host that has one. See: hosts`;
      throw new ClusterError('NO_STORE', text, { blame: 'operator' });
    }
    if (paths.length === 0) return [...stores.stores()];
    return paths.map(path => {
      const report = own.find(one => one.path === path);
      if (report === undefined) {
        const known = own.map(one => one.path).join(', ');
        const text = `${JSON.stringify(path)} is not a store of this host; there are: ${known}. Nothing was done`;
        throw new ClusterError('STORE_UNKNOWN', text, { blame: 'operator' });
      }
      const store = report.id === undefined ? undefined : stores.mounted(report.id);
      if (store !== undefined) return store;
      const text = `store ${path} is not mounted: ${report.because}. Nothing was done`;
      throw new ClusterError('STORE_MISSING', text, { blame: 'operator' });
    });
  }
}

/** @throws ClusterError BAD_ARGUMENT for a path: half a tree would be taken for a whole one. */
function specOfAll(spec: string): SourceSpec {
  const parsed = parseSourceSpec(spec);
  if (parsed.path.length === 0) return parsed;
  const text = 'a tree is of a whole snapshot: name it without :PATH, as SOURCE@SNAPSHOT. Nothing was done';
  throw new ClusterError('BAD_ARGUMENT', text, { blame: 'operator' });
}

/** The trees of one snapshot, chosen as snapshots are named. @throws ClusterError SNAPSHOT_AMBIGUOUS */
function chosenOf({ snapshot: wanted }: SourceSpec, all: readonly DatedTreeOrder[]): readonly DatedTreeOrder[] {
  const snapshots = new Map(all.map(({ tree }) => [tree.snapshot, { id: tree.snapshot, timeMs: tree.datedMs }]));
  const choice = chooseSnapshot(wanted, [...snapshots.values()]);
  switch (choice.kind) {
    case 'chosen':
      return all.filter(({ tree }) => tree.snapshot === choice.snapshot.id);
    case 'none':
      return [];
    case 'ambiguous': {
      const text = `there are trees of ${choice.snapshots.length} snapshots whose id begins like this; give more digits. Nothing was removed`;
      throw new ClusterError('SNAPSHOT_AMBIGUOUS', text, { blame: 'operator' });
    }
  }
}

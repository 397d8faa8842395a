/**
 * Trees: all trees of a store, and what may not be done to them at the same time.
 *
 * Different trees are updated side by side, each by one update at a time. A prune, which removes the names of bytes
 * that are about to go (tree-prune.ts), waits for the updates under way, and no other begins before it is over: an
 * update could put a name where the prune has already been. None begins, or continues, once the store is being closed.
 *
 * The work on one tree: tree-view.ts, dated-trees.ts. Driven by store.ts.
 */
import { assert } from '../core/fault.js';
import type { ObjectId } from '../core/ids.js';
import { abortWith } from '../platform/abort-with.js';
import { type DatedTree, findDatedTrees, findUnfinished, removeTree } from './dated-trees.js';
import type { StoreFolder } from './store-folder.js';
import { type TreeName, treeNameOf } from './tree-name.js';
import { removeFromTrees } from './tree-prune.js';
import { type TreePlace, type TreeReport, type TreeView, updateTree } from './tree-view.js';
import { Turns } from './turns.js';

export class Trees {
  readonly #place: TreePlace;
  readonly #ending: AbortSignal;
  /** By name: the work under way on a tree. */
  readonly #updates = new Map<string, Promise<unknown>>();
  #pruning: Promise<void> | undefined;

  constructor(folder: StoreFolder, blobPathOf: TreePlace['blobPathOf'], ending: AbortSignal) {
    this.#ending = ending;
    this.#place = { storePath: folder.path, linksPath: folder.incoming, blobPathOf, inodes: new Turns() };
  }

  /** @throws as `updateTree`, and the store's closing error */
  update(view: TreeView): Promise<TreeReport> {
    return this.#at(view, async () => {
      const ended = new AbortController();
      const undo = abortWith(ended, [view.signal, this.#ending]);
      try {
        return await updateTree({ ...view, signal: ended.signal }, this.#place);
      } finally {
        undo();
      }
    });
  }

  remove(tree: TreeName): Promise<number> {
    return this.#at(tree, () => removeTree(tree, this.#place));
  }

  dated(): Promise<DatedTree[]> {
    return findDatedTrees(this.#place.storePath);
  }

  unfinished(tree: TreeName): Promise<ObjectId | undefined> {
    return findUnfinished(tree, this.#place.storePath);
  }

  async #at<Result>(named: TreeName, work: () => Promise<Result>): Promise<Result> {
    const tree = `${named.originName}/${treeNameOf(named)}`;
    while (this.#pruning !== undefined) await this.#pruning;
    this.#ending.throwIfAborted();
    assert(!this.#updates.has(tree), `the tree ${tree} is being updated already`);
    const update = work();
    this.#updates.set(tree, update);
    try {
      return await update;
    } finally {
      this.#updates.delete(tree);
    }
  }

  /** Removes the names of these inodes from all trees. One call at a time. */
  async prune(inodes: ReadonlySet<number>, signal: AbortSignal): Promise<void> {
    const updates = [...this.#updates.values()];
    // A failed update is reported to its own caller, and so is a failed prune.
    const pruning = Promise.allSettled(updates).then(() => removeFromTrees(this.#place.storePath, inodes, signal));
    this.#pruning = pruning.catch(() => {});
    try {
      await pruning;
    } finally {
      this.#pruning = undefined;
    }
  }

  /** Resolves when no tree is being worked on. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#updates.values());
  }
}

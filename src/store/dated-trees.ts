/**
 * Dated trees: finds the snapshots that have a tree of their own in a store, and removes trees. Also finds out whether
 * the last update of a tree came to its end.
 *
 * STORE/<origin>/<source>@<time> is made like the tree of the newest snapshot (tree-view.ts). Its `.snapshot` file says
 * that it is wanted; it is made before the rest and removed after it. So a tree that was being made or removed when the
 * power went is recognised at the next start.
 */
import { MalformedId, type ObjectId, parseObjectId } from '../core/ids.js';
import { lstat, rm, rmdir } from '../platform/disk-calls.js';
import { fsyncFolder } from '../platform/durable.js';
import { ifReadable, originFolders } from './origin-folders.js';
import { readOwnFile, systemCode } from './own-folder.js';
import { SNAPSHOT_ENDING, type TreeName, treeBeside, treeNameOf } from './tree-name.js';
import { type TreePlace, updateTree } from './tree-view.js';

export interface DatedTree extends Required<TreeName> {
  readonly snapshot: ObjectId;
}

/**
 * The snapshot that a tree is, or was, of whose last update did not come to its end. `undefined`: there is no such tree.
 */
export async function findUnfinished(tree: TreeName, storePath: string): Promise<ObjectId | undefined> {
  const path = `${storePath}/${tree.originName}/${treeNameOf(tree)}`;
  if ((await ifReadable(() => lstat(`${path}.b3`))) !== undefined) return undefined;
  return ifReadable(() => snapshotIn(`${path}${SNAPSHOT_ENDING}`));
}

/** An id and a line end, with room to spare so that other content is recognised. */
const SNAPSHOT_BYTES_MAX = 256;

/** Sorted by name. */
export async function findDatedTrees(storePath: string): Promise<DatedTree[]> {
  const found: DatedTree[] = [];
  for await (const { originName, path, names } of originFolders(storePath))
    for (const name of names) {
      const { source, datedMs } = treeBeside(originName, name) ?? {};
      if (source === undefined || datedMs === undefined) continue;
      const snapshot = await ifReadable(() => snapshotIn(`${path}/${name}`));
      if (snapshot !== undefined) found.push({ originName, source, datedMs, snapshot });
    }
  return found;
}

async function snapshotIn(path: string): Promise<ObjectId | undefined> {
  const text = await readOwnFile(path, SNAPSHOT_BYTES_MAX);
  try {
    return text && parseObjectId(text.toString().trimEnd());
  } catch (error) {
    // Somebody else's file, or a changed one of this store: nobody knows which snapshot the tree is of.
    if (error instanceof MalformedId) return undefined;
    throw error;
  }
}

/**
 * Removes a dated tree, or that of the newest snapshot. Returns how many foreign things are in it: they stay, with the
 * folders around them.
 */
export async function removeTree(tree: TreeName, place: TreePlace): Promise<number> {
  const origin = `${place.storePath}/${tree.originName}`;
  const path = `${origin}/${treeNameOf(tree)}`;
  const snapshot = await snapshotIn(`${path}${SNAPSHOT_ENDING}`);
  if (snapshot === undefined) return 0;
  const { left } = await updateTree({ ...tree, snapshot, files: none() }, place);
  if (left === 0) await rmdirIfEmpty(path);
  // `.snapshot` goes last: it says that the tree is wanted.
  for (const ending of ['.b3', '.unplaced', SNAPSHOT_ENDING]) await rm(`${path}${ending}`, { force: true });
  await fsyncFolder(origin);
  return left;
}

async function rmdirIfEmpty(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    // Somebody has just put something into the folder.
    const code = systemCode(error);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

async function* none(): AsyncGenerator<never> {}

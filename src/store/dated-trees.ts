/**
 * Dated trees: which snapshots have a tree of their own in a store, and the end of a tree.
 *
 * STORE/<origin>/<source>@<time> is made as the tree of the newest is (tree-view.ts). What says that it is wanted is its
 * `.snapshot`, which is there before the rest and goes after it. One that was being made, or removed, when the power went
 * is known at the next start.
 */
import { MalformedId, type ObjectId, parseObjectId } from '../core/ids.js';
import { rm, rmdir } from '../platform/disk-calls.js';
import { fsyncFolder } from '../platform/durable.js';
import { ifReadable, originFolders } from './origin-folders.js';
import { readOwnFile, systemCode } from './own-folder.js';
import { SNAPSHOT_ENDING, type TreeName, treeBeside, treeNameOf } from './tree-name.js';
import { type TreePlace, updateTree } from './tree-view.js';

export interface DatedTree extends Required<TreeName> {
  readonly snapshot: ObjectId;
}

/** An id and a line's end, and room for what is none. */
const SNAPSHOT_BYTES_MAX = 256;

/** By their names. */
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
    // Somebody else's file, or another text in ours: then nobody knows what it was of.
    if (error instanceof MalformedId) return undefined;
    throw error;
  }
}

/** Dated or not. How many things in it are not ours: they stay, and the folders around them. */
export async function removeTree(tree: TreeName, place: TreePlace): Promise<number> {
  const origin = `${place.storePath}/${tree.originName}`;
  const path = `${origin}/${treeNameOf(tree)}`;
  const snapshot = await snapshotIn(`${path}${SNAPSHOT_ENDING}`);
  if (snapshot === undefined) return 0;
  const { left } = await updateTree({ ...tree, snapshot, files: none() }, place);
  if (left === 0) await rmdirIfEmpty(path);
  // The last of them says that the tree is wanted.
  for (const ending of ['.b3', '.unplaced', SNAPSHOT_ENDING]) await rm(`${path}${ending}`, { force: true });
  await fsyncFolder(origin);
  return left;
}

async function rmdirIfEmpty(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    // Somebody has just put something there.
    const code = systemCode(error);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

async function* none(): AsyncGenerator<never> {}

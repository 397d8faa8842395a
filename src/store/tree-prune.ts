/**
 * Tree prune: takes the names of bytes that are about to go out of the trees.
 *
 * A tree is made anew only when its snapshot is, so a name of a dropped blob may stand in one for as long as nothing else
 * happens, or for ever when its source is gone. Nobody knows where; so all trees are looked through, with one lstat a
 * file, and only when bytes that are to go have other names at all.
 *
 * Removed is what is a link to one of these inodes, has another name, and lies in folders of ours. Nothing is followed.
 * Driven by trees.ts, and never beside an update of a tree: that could put a name where this has been.
 */
import type { Stats } from 'node:fs';
import { lstat, readdir, unlink } from '../platform/disk-calls.js';
import { systemCode } from './own-folder.js';

const SLASH = Buffer.from('/');
const DOT = 0x2e;

export async function removeFromTrees(
  storePath: string,
  inodes: ReadonlySet<number>,
  signal?: AbortSignal,
): Promise<void> {
  const root = Buffer.from(storePath);
  const { dev } = await lstat(root);
  const uid = process.getuid?.();
  const isOurFolder = (found: Stats) => found.isDirectory() && found.dev === dev && found.uid === (uid ?? found.uid);

  const look = async (path: Buffer): Promise<void> => {
    signal?.throwIfAborted();
    const found = await lstatIfThere(path);
    if (found === undefined) return;
    if (isOurFolder(found)) {
      for (const name of await readdir(path, { encoding: 'buffer' })) await look(Buffer.concat([path, SLASH, name]));
    } else if (found.isFile() && found.dev === dev && found.nlink > 1 && inodes.has(found.ino)) await unlink(path);
  };

  for (const name of await readdir(root, { encoding: 'buffer' })) {
    // Names with a dot are the store's own folders; no origin's name begins so.
    if (name[0] !== DOT) await look(Buffer.concat([root, SLASH, name]));
  }
}

async function lstatIfThere(path: Buffer): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

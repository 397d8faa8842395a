/**
 * Tree prune: removes from the trees all names of bytes that are about to go.
 *
 * A tree is made again only when its snapshot changes, so a name of a dropped blob may stay in one until something else
 * happens, or for ever when its source is gone. Nobody knows where; so all trees are searched, with one lstat a file,
 * and only when the bytes that are to go have other names at all.
 *
 * Their lines leave the tree's list first: a crash between the two must leave a list that holds.
 *
 * A name is removed when it is a link to one of these inodes that has another name, and lies in a tree, in folders of
 * this user. Nothing is followed. Links that a person has made beside the trees are theirs from then on. What cannot be
 * read is passed over: the room is needed, whatever name stands there.
 *
 * Driven by trees.ts, and never during an update of a tree, which could put a name where the prune has already been.
 */
import type { Stats } from 'node:fs';
import { lstat, readdir, unlink } from '../platform/disk-calls.js';
import { SLASH } from '../platform/slash.js';
import { ifReadable, originFolders } from './origin-folders.js';
import { isFolderOfOurs } from './own-folder.js';
import { SNAPSHOT_ENDING, treeBeside } from './tree-name.js';
import { removeLines } from './tree-sums.js';

export async function removeFromTrees(
  storePath: string,
  inodes: ReadonlySet<number>,
  signal?: AbortSignal,
): Promise<void> {
  const { dev } = await lstat(storePath);
  const goes = (found: Stats): boolean =>
    found.isFile() && found.dev === dev && found.nlink > 1 && inodes.has(found.ino);
  const look = async (path: Buffer): Promise<void> => {
    signal?.throwIfAborted();
    await ifReadable(async () => {
      const found = await lstat(path);
      if (isFolderOfOurs(found, dev)) {
        for (const name of await readdir(path, { encoding: 'buffer' }))
          await look(Buffer.concat([path, Buffer.of(SLASH), name]));
      } else if (goes(found)) await unlink(path);
    });
  };

  for await (const { originName, path, names } of originFolders(storePath))
    for (const name of names) {
      if (treeBeside(originName, name) === undefined) continue;
      const tree = `${path}/${name.slice(0, -SNAPSHOT_ENDING.length)}`;
      await ifReadable(() =>
        removeLines(`${tree}.b3`, async listed => {
          signal?.throwIfAborted();
          const found = await ifReadable(() => lstat(`${path}/${listed}`));
          return found !== undefined && goes(found);
        }),
      );
      await look(Buffer.from(tree));
    }
}

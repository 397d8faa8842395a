/**
 * Tree prune: takes the names of bytes that are about to go out of the trees.
 *
 * A tree is made anew only when its snapshot is, so a name of a dropped blob may stand in one for as long as nothing else
 * happens, or for ever when its source is gone. Nobody knows where; so all trees are looked through, with one lstat a
 * file, and only when bytes that are to go have other names at all.
 *
 * Removed is what is a link to one of these inodes, has another name, and lies in a tree, in folders of ours. Nothing is followed.
 * What a person has linked to a place beside the trees is theirs from then on. What cannot be read is passed over: whatever name
 * stands there, the room is needed.
 *
 * Driven by trees.ts, and never beside an update of a tree: that could put a name where this has been.
 */
import { lstat, readdir, unlink } from '../platform/disk-calls.js';
import { ifReadable, originFolders } from './origin-folders.js';
import { isFolderOfOurs } from './own-folder.js';
import { SNAPSHOT_ENDING, treeBeside } from './tree-name.js';

const SLASH = Buffer.from('/');

export async function removeFromTrees(
  storePath: string,
  inodes: ReadonlySet<number>,
  signal?: AbortSignal,
): Promise<void> {
  const { dev } = await lstat(storePath);
  const look = async (path: Buffer): Promise<void> => {
    signal?.throwIfAborted();
    await ifReadable(async () => {
      const found = await lstat(path);
      if (isFolderOfOurs(found, dev)) {
        for (const name of await readdir(path, { encoding: 'buffer' })) await look(Buffer.concat([path, SLASH, name]));
      } else if (found.isFile() && found.dev === dev && found.nlink > 1 && inodes.has(found.ino)) await unlink(path);
    });
  };

  for await (const { originName, path, names } of originFolders(storePath))
    for (const name of names) {
      if (treeBeside(originName, name) === undefined) continue;
      await look(Buffer.from(`${path}/${name.slice(0, -SNAPSHOT_ENDING.length)}`));
    }
}

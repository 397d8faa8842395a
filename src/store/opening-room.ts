/**
 * Opening room: what is removed from a store whose disk is too full to open it.
 *
 * An opening writes a few blocks: its marker, and operations on what it finds missing. If they do not fit, the store
 * stays closed, and the trash of a closed store is never emptied. So an opening removes what a fetch would remove
 * first: the trash, oldest first, and, where that is not enough, the files under `.incoming`, whose blobs then have to
 * come again.
 *
 * Driven by open-store.ts, while nothing else runs in the store.
 */
import { lstat, readdir, rm } from '../platform/disk-calls.js';
import { systemCode } from './own-folder.js';
import type { StoreFolder } from './store-folder.js';
import { Trash, type TrashClocks } from './trash.js';
import { removeFromTrees } from './tree-prune.js';

/** Room for 300,000 operations of 50 bytes: more than a store loses in one night. */
const OPENING_BYTES = 16 * 1024 * 1024;

/** The disk, or what this user may have of it, is full. */
export function isDiskFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'STORE_FULL'].includes(systemCode(error) ?? '');
}

/** Returns how many bytes that freed. */
export async function freeOpeningRoom(folder: StoreFolder, clocks: TrashClocks): Promise<number> {
  const trash = await Trash.open(folder.trash, clocks);
  let freedBytes = await trash.empty({ freeBytes: OPENING_BYTES }, inodes => removeFromTrees(folder.path, inodes));
  for (const { path, bytes } of await filesByAge(folder.incoming)) {
    if (freedBytes >= OPENING_BYTES) break;
    await rm(path, { force: true });
    freedBytes += bytes;
  }
  return freedBytes;
}

async function filesByAge(folder: string): Promise<readonly { readonly path: string; readonly bytes: number }[]> {
  const names = await readdir(folder);
  const files = await Promise.all(
    names.map(async name => {
      const path = `${folder}/${name}`;
      const { mtimeMs, size } = await lstat(path);
      return { path, mtimeMs, bytes: size };
    }),
  );
  return files.sort((a, b) => a.mtimeMs - b.mtimeMs);
}

/**
 * Sync file system: may one syncfs stand for an fsync of each file?
 *
 * It returns 0 also where it has promised nothing. FUSE (ntfs-3g, mergerfs, sshfs) does not pass it on to its server; FAT,
 * exFAT and ntfs3 write without the flush of the disk's own cache that their fsync ends with; network file systems have rules
 * of their own. And before Linux 5.8 it does not tell of what the kernel could not write by itself. So it is believed only of
 * file systems whose source says that it flushes and tells.
 *
 * Not of overlayfs, which asks the file system below: of what type that is cannot be seen from above, and what it failed to
 * write is noted there, where the call does not look. Its fsync goes to the file below and is as good as that.
 *
 * Used by disk-sync.ts.
 */
import { statfsSync } from 'node:fs';
import { release } from 'node:os';
import { posix } from './posix.js';

/** Returns when all that was written to the file system of this descriptor is on disk. */
export type SyncFileSystem = (fd: number) => Promise<void>;

/** As statfs gives them; names and numbers are those of linux/magic.h, that of zfs is OpenZFS's. */
const BELIEVED_TYPES: ReadonlySet<number> = new Set([
  0xef53, // ext4, and what its driver mounts as ext2 and ext3
  0x58465342, // xfs
  0x9123683e, // btrfs
  0xf2f52010, // f2fs
  0x2fc12fc1, // zfs
  0x01021994, // tmpfs: nothing of it outlasts a power cut, whatever is called
]);

/** From this on syncfs tells of all that failed since its descriptor was opened. */
const TELLS_SINCE = { major: 5, minor: 8 };

/** The call, where it can be believed of the file system that `folder` lies on; else each file has to be flushed itself. */
export function syncFileSystemOf(folder: Buffer | string): SyncFileSystem | undefined {
  return syncFileSystemFor(statfsSync(folder).type);
}

/** As `syncFileSystemOf`, by the type that statfs gives. */
export function syncFileSystemFor(type: number): SyncFileSystem | undefined {
  const syncfs = posix()?.syncfs;
  return syncfs !== undefined && isSyncfsBelieved({ type, release: release() }) ? syncfs : undefined;
}

/** @param options.release as uname gives it; one that is not understood is taken for an old one */
export function isSyncfsBelieved({ type, release }: { readonly type: number; readonly release: string }): boolean {
  const [major = 0, minor = 0] = (/^(\d+)\.(\d+)/.exec(release) ?? []).slice(1).map(Number);
  const tells = major > TELLS_SINCE.major || (major === TELLS_SINCE.major && minor >= TELLS_SINCE.minor);
  return tells && BELIEVED_TYPES.has(type);
}

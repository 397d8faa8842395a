/**
 * Sync file system: can one syncfs replace an fsync of each file?
 *
 * syncfs returns 0 even where it guarantees nothing. FUSE (ntfs-3g, mergerfs, sshfs) does not pass it on to its server;
 * FAT, exFAT and ntfs3 write without flushing the disk's own cache, with which their fsync ends; network file systems
 * have rules of their own. And before Linux 5.8 it does not report what the kernel failed to write on its own. So it is
 * trusted only for file systems whose source code shows that it flushes and reports.
 *
 * overlayfs is not trusted. It asks the file system below, whose type cannot be seen from above, and failed writes are
 * noted there, where the call does not look. Its fsync goes to the file below and is as good as that file's.
 *
 * Used by disk-sync.ts.
 */
import { statfsSync } from 'node:fs';
import { release } from 'node:os';
import { posix } from './posix.js';

/** Returns when everything written to the file system of this descriptor is on disk. */
export type SyncFileSystem = (fd: number) => Promise<void>;

/** The types as statfs gives them; names and numbers are those of linux/magic.h, except zfs, which is from OpenZFS. */
const BELIEVED_TYPES: ReadonlySet<number> = new Set([
  0xef53, // ext4, and what its driver mounts as ext2 and ext3
  0x58465342, // xfs
  0x9123683e, // btrfs
  0xf2f52010, // f2fs
  0x2fc12fc1, // zfs
  0x01021994, // tmpfs: no call makes it outlast a power cut
]);

/** From this version on syncfs reports all failures since its descriptor was opened. */
const TELLS_SINCE = { major: 5, minor: 8 };

/**
 * The call, where it can be trusted for the file system of `folder`; otherwise each file has to be flushed by itself.
 */
export function syncFileSystemOf(folder: Buffer | string): SyncFileSystem | undefined {
  return syncFileSystemFor(statfsSync(folder).type);
}

/** As `syncFileSystemOf`, for the type that statfs gives. */
export function syncFileSystemFor(type: number): SyncFileSystem | undefined {
  const syncfs = posix()?.syncfs;
  return syncfs !== undefined && isSyncfsBelieved({ type, release: release() }) ? syncfs : undefined;
}

/** @param options.release as uname gives it; a release that is not understood counts as an old one */
export function isSyncfsBelieved({ type, release }: { readonly type: number; readonly release: string }): boolean {
  const [major = 0, minor = 0] = (/^(\d+)\.(\d+)/.exec(release) ?? []).slice(1).map(Number);
  const tells = major > TELLS_SINCE.major || (major === TELLS_SINCE.major && minor >= TELLS_SINCE.minor);
  return tells && BELIEVED_TYPES.has(type);
}

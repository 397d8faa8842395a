/**
 * Own folder: guards the store against what others put on its disk.
 *
 * Nothing in a store is reached through a symlink: folders are checked to be real folders of this user before they are
 * used, and files are opened with O_NOFOLLOW. A store's folders are 0700, so between check and use only this user or
 * root could swap one.
 */
import { constants, type Stats } from 'node:fs';
import { diskTroubleText } from '../core/disk-trouble.js';
import { ClusterError } from '../core/fault.js';
import { lstat, mkdir, type OpenFile, openToRead } from '../platform/disk-calls.js';
import { readSmallFile } from '../platform/small-files.js';
import type { Urgency } from '../platform/urgent-first.js';

export const FOLDER_MODE = 0o700;
export const FILE_MODE = 0o600;

/**
 * Only the store makes names in its folders, so anything there that is no folder of this user was put there by somebody
 * else.
 */
async function checkOwnFolder(path: string | Buffer): Promise<void> {
  const found = await lstat(path);
  if (!found.isDirectory()) throw tampered(path, found.isSymbolicLink() ? 'is a symlink' : 'is not a folder');
  if (process.getuid !== undefined && found.uid !== process.getuid()) {
    // The folder may hold the only bytes of some file, so the advice is never to move it away.
    throw new ClusterError(
      'STORE_TAMPERED',
      `${quoted(path)} belongs to user ${found.uid}, not to user ${process.getuid()}, as whom the service runs; it was left untouched. Run the service as user ${found.uid}, or, if that is the wrong user, change the owner of the folder: chown -R ${process.getuid()} ${quoted(path)}`,
      { blame: 'operator' },
    );
  }
}

/** @param dev the device of the store's disk: another disk may be mounted in a folder of it */
export function isFolderOfOurs(found: Stats, dev: number): boolean {
  return found.isDirectory() && found.dev === dev && found.uid === (process.getuid?.() ?? found.uid);
}

/** Makes the folder, or checks the one that is there. Its name is durable after the parent's next fsync. */
export async function makeOwnFolder(path: string | Buffer): Promise<void> {
  try {
    await mkdir(path, { mode: FOLDER_MODE });
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    await checkOwnFolder(path);
  }
}

/** `undefined` when there is no such file. @throws ClusterError STORE_TAMPERED on whatever is no plain file. */
export async function openOwnFile(path: string | Buffer, urgency: Urgency = {}): Promise<OpenFile | undefined> {
  let file: OpenFile;
  try {
    // O_NONBLOCK: opening a fifo that somebody put there must not hang; it changes nothing for files.
    file = await openToRead(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK, urgency);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') return undefined;
    throw tamperedBy(code, path) ?? error;
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw notPlain(path);
}

/**
 * A small file as a whole; `undefined` when there is none. A longer one was not written by this program. @throws
 * ClusterError STORE_TAMPERED
 */
export async function readOwnFile(path: string, bytesMax: number, urgency: Urgency = {}): Promise<Buffer | undefined> {
  try {
    const { content } = await readSmallFile(path, bytesMax, urgency);
    return Buffer.from(content.buffer, content.byteOffset, content.length);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') return undefined;
    if (code === 'TOO_LARGE') throw tooLong(path, bytesMax);
    throw tamperedBy(code, path) ?? error;
  }
}

/**
 * As `readOwnFile`, without the thread that reads thousands of files at once. To start that thread for one file, once a
 * minute, and to collect its garbage until it ends, takes 60 ms of processor time each time (measured).
 */
export async function readRareOwnFile(path: string, bytesMax: number): Promise<Buffer | undefined> {
  const file = await openOwnFile(path);
  if (file === undefined) return undefined;
  try {
    // One byte more than allowed: a file that fills the buffer is too long.
    const content = Buffer.allocUnsafe(bytesMax + 1);
    let filled = 0;
    while (filled <= bytesMax) {
      const { bytesRead } = await file.read(content, filled, content.length - filled, filled);
      if (bytesRead === 0) return content.subarray(0, filled);
      filled += bytesRead;
    }
  } finally {
    await file.close();
  }
  throw tooLong(path, bytesMax);
}

export function tampered(path: string | Buffer, what: string): ClusterError {
  return new ClusterError(
    'STORE_TAMPERED',
    `${quoted(path)} ${what}: the store does not touch it; move it away by hand`,
    {
      blame: 'operator',
    },
  );
}

const notPlain = (path: string | Buffer): ClusterError => tampered(path, 'is not a plain file');

/** What it says of the file that it was opened with this error; `undefined` when that says nothing of the kind. */
export function tamperedBy(code: string | undefined, path: string | Buffer): ClusterError | undefined {
  if (code === 'ELOOP' || code === 'EMLINK') return tampered(path, 'is a symlink');
  return code === 'NOT_A_FILE' ? notPlain(path) : undefined;
}

const quoted = (path: string | Buffer): string => JSON.stringify(path.toString());

const tooLong = (path: string, bytesMax: number): ClusterError =>
  tampered(path, `has more than the ${bytesMax} bytes that can be right`);

/** The `code` of a failed system call; `undefined` for other errors. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/**
 * EIO: how a disk reports a sector that it cannot read, and btrfs and ZFS report bytes that do not match their
 * checksum; a pulled disk gives it too.
 */
export const isBadSector = (error: unknown): error is Error => systemCode(error) === 'EIO';

/**
 * No room on the disk or in a quota. EFBIG, for a file larger than the file system takes (4 GiB on FAT), is not one of
 * these: it says nothing of smaller files, and what came of that file stays for the next try, which then has nothing to
 * fetch.
 */
const FULL: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT']);

/** Everybody who writes must expect a full disk: it becomes a ClusterError; other errors stay as they are. */
export function storeFull(error: unknown, path: string): unknown {
  const code = systemCode(error);
  if (!FULL.has(code)) return error;
  return new ClusterError('STORE_FULL', diskTroubleText(code, path) ?? '', { blame: 'passing', cause: error });
}

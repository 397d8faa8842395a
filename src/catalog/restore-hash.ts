/**
 * Restore hash: the hash of the bytes that are in the target.
 *
 * These are the target's old content, or what was written just now. An unreadable file concerns that file alone, and
 * does not mean that the target cannot be written. So the error has a class of its own, which stops no restore
 * (restore-failure.ts).
 */
import { closeSync, constants, fstatSync, openSync, read, readSync } from 'node:fs';
import { createHasher, type Hasher } from '../core/hash.js';
import { hexOf } from '../core/ids.js';
import { pathlessMessageOf } from './restore-failure.js';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
const READ_BYTES = 1024 * 1024;

const readFrom = (fd: number, buffer: Buffer): Promise<number> =>
  new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, null, (error, bytes) => (error === null ? resolve(bytes) : reject(error)));
  });

/** The file in the target cannot be read. */
export class Unreadable extends Error {
  constructor(cause: unknown) {
    super(`the file in the target cannot be read: ${pathlessMessageOf(cause)}`, { cause });
  }
}

/** BLAKE3 of the regular file at `path`; a symlink is not followed. Opened before it returns. @throws Unreadable */
export async function hashFile(path: Buffer, signal: AbortSignal): Promise<string> {
  const hasher = createHasher();
  let isSpent = false;
  try {
    await hashInto(hasher, path, signal);
    isSpent = true;
    return hexOf(hasher.digest());
  } finally {
    if (!isSpent) hasher.dispose();
  }
}

/** As `hashFile`. @returns how many bytes */
export async function hashInto(hasher: Hasher, path: Buffer, signal: AbortSignal): Promise<number> {
  // O_NONBLOCK: opening a pipe that took the file's place would wait for ever.
  const fd = guarded(() => openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  let bytes = 0;
  try {
    // A small file is read at once: by the thread pool, and into a buffer for a large one, it would cost ten times as
    // much. One byte more than it has shows its end, or that it grows.
    const size = guarded(() => fstatSync(fd)).size;
    const isSmall = size < READ_BYTES;
    const buffer = Buffer.allocUnsafe(isSmall ? size + 1 : READ_BYTES);
    for (;;) {
      signal.throwIfAborted();
      const got = isSmall ? guarded(() => readSync(fd, buffer)) : await readFrom(fd, buffer).catch(unreadable);
      if (got === 0) return bytes;
      hasher.update(buffer.subarray(0, got));
      bytes += got;
    }
  } finally {
    closeSync(fd);
  }
}

function guarded<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    return unreadable(error);
  }
}

function unreadable(error: unknown): never {
  throw new Unreadable(error);
}

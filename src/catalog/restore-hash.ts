/**
 * Restore hash: what do the bytes that are there hash to?
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { createHasher, type Hasher } from '../core/hash.js';
import { hexOf } from '../core/ids.js';

/** BLAKE3 of the regular file at `path`; a symlink is not followed. */
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

/** @returns how many bytes */
export async function hashInto(hasher: Hasher, path: Buffer, signal: AbortSignal): Promise<number> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  let bytes = 0;
  try {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES);
      if (bytesRead === 0) return bytes;
      hasher.update(buffer.subarray(0, bytesRead));
      bytes += bytesRead;
    }
  } finally {
    await file.close();
  }
}

const READ_BYTES = 1024 * 1024;

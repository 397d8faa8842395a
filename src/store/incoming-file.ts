/**
 * Incoming file: the size of a file that is on its way in, and the time by which it is swept away.
 *
 * Driven by incoming.ts and partial-blobs.ts.
 */
import { lstat, lutimes } from '../platform/disk-calls.js';
import { systemCode, tampered } from './own-folder.js';

/** 0 when there is no such file. */
export async function sizeOf(path: string): Promise<number> {
  try {
    const found = await lstat(path);
    if (!found.isFile()) throw tampered(path, 'is not a plain file');
    return found.size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw error;
  }
}

/** The time of a file under `.incoming`, by which it is swept. */
export async function beginAnew(path: string): Promise<void> {
  const now = new Date();
  await lutimes(path, now, now);
}

/** Far in the future when there is no such file: then there is nothing to sweep. */
export async function modifiedMs(path: string): Promise<number> {
  try {
    return (await lstat(path)).mtimeMs;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return Number.POSITIVE_INFINITY;
    throw error;
  }
}

/**
 * Incoming file: the size and time of a file on its way in or in its way; by that time it is swept.
 *
 * Driven by incoming.ts and partial-blobs.ts.
 */
import type { Stats } from 'node:fs';
import { lstat, lutimes } from '../platform/disk-calls.js';
import { systemCode, tampered } from './own-folder.js';

/** `undefined` when there is no such file. */
export async function fileAt(path: string): Promise<Stats | undefined> {
  try {
    const found = await lstat(path);
    if (!found.isFile()) throw tampered(path, 'is not a plain file');
    return found;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** 0 when there is no such file. */
export async function sizeOf(path: string): Promise<number> {
  return (await fileAt(path))?.size ?? 0;
}

/** Restarts the time of a file under `.incoming`, by which it is swept. */
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

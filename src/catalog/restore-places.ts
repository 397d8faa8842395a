/**
 * Restore places: is all that stands above an entry's place a folder?
 */
import { lstatSync } from 'node:fs';
import { below } from './restore-target.js';

const SLASH = 0x2f;

export const NO_FOLDER_ABOVE = 'what should be a folder above it is something else';

/**
 * Every folder between the target and `path` is a folder, and no symlink. Looked at before each write: a race needs
 * somebody else who may write below the target, and until the end its folders are open to the caller alone.
 */
export function checkParents(folder: Buffer, path: Buffer): void {
  const fault = faultAbove(folder, path);
  if (fault !== undefined) throw new Error(fault);
}

/** What is wrong with a folder above `path`. */
export function faultAbove(folder: Buffer, path: Buffer): string | undefined {
  for (let slash = path.indexOf(SLASH); slash >= 0; slash = path.indexOf(SLASH, slash + 1)) {
    const there = lstatSync(below(folder, path.subarray(0, slash)), { throwIfNoEntry: false });
    if (there === undefined) return 'the folder it lies in could not be made';
    if (!there.isDirectory()) return NO_FOLDER_ABOVE;
  }
  return undefined;
}

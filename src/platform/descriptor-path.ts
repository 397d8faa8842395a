/**
 * Descriptor path: a path to an open file or folder, wherever its name leads by now. Works on Linux, where /proc is
 * mounted.
 */
import { existsSync, readlinkSync } from 'node:fs';
import { SLASH } from './slash.js';

const DESCRIPTORS = '/proc/self/fd';

export const hasDescriptorPaths = (): boolean => process.platform === 'linux' && existsSync(DESCRIPTORS);

/**
 * The path is a symlink. The content of a folder is reached below it; the folder itself, by calls that follow symlinks.
 */
export const descriptorPath = (descriptor: number): string => `${DESCRIPTORS}/${descriptor}`;

/**
 * The path of an open file or folder as its file system writes it, with no symlink in it; undefined where it is not
 * known. Does not touch the disk.
 */
export function pathOfOpen(descriptor: number): Buffer | undefined {
  try {
    return readlinkSync(descriptorPath(descriptor), { encoding: 'buffer' });
  } catch {
    // There is no /proc, or the path is longer than /proc can return.
    return undefined;
  }
}

/** The folders on the way to `path`, below the folder whose path ends at `from`. */
export function foldersOnTheWay(path: Buffer, from: number): readonly Buffer[] {
  const folders: Buffer[] = [];
  for (let end = path.indexOf(SLASH, from + 1); end >= 0; end = path.indexOf(SLASH, end + 1))
    folders.push(path.subarray(0, end));
  return folders;
}

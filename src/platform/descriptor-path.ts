/**
 * Descriptor path: a path that leads to what is open, whatever its name leads to by now. Linux's, where /proc is mounted.
 */
import { existsSync, readlinkSync } from 'node:fs';

const DESCRIPTORS = '/proc/self/fd';
const SLASH = 0x2f;

export const hasDescriptorPaths = (): boolean => process.platform === 'linux' && existsSync(DESCRIPTORS);

/** It is a symlink: of a folder, what is in it is reached below; the folder itself by calls that follow symlinks. */
export const descriptorPath = (descriptor: number): string => `${DESCRIPTORS}/${descriptor}`;

/** The path of what is open, with no symlink on the way, as its file system writes it; undefined where it cannot be said. Asks no disk. */
export function pathOfOpen(descriptor: number): Buffer | undefined {
  try {
    return readlinkSync(descriptorPath(descriptor), { encoding: 'buffer' });
  } catch {
    // No /proc, or longer than it can say.
    return undefined;
  }
}

/** The folders above what is at `path`, below the one that ends at `from`. */
export function foldersOnTheWay(path: Buffer, from: number): readonly Buffer[] {
  const folders: Buffer[] = [];
  for (let end = path.indexOf(SLASH, from + 1); end >= 0; end = path.indexOf(SLASH, end + 1))
    folders.push(path.subarray(0, end));
  return folders;
}

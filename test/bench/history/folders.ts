/** Folders: how much disk a folder takes, and how long one thread takes to hash everything in it. */
import { closeSync, lstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { HashBackend } from '../../../src/core/hash-backends.js';

/** The unit of lstat's `blocks`, whatever block size the file system has. */
const BLOCK_BYTES = 512;
const buffer = Buffer.allocUnsafe(1024 * 1024);

function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

/** Counts what is allocated, as `du` does: a file of one byte takes a block, a file with two names counts once. */
export function diskBytes(...folders: readonly string[]): number {
  const counted = new Set<string>();
  let bytes = 0;
  for (const path of folders.flatMap(folder => [...filesBelow(folder)])) {
    const { dev, ino, nlink, blocks } = lstatSync(path);
    const inode = `${dev}:${ino}`;
    if (counted.has(inode)) continue;
    if (nlink > 1) counted.add(inode);
    bytes += blocks * BLOCK_BYTES;
  }
  return bytes;
}

/** Reads and hashes every file, one after the other, in this thread, as `b3sum --num-threads 1` does. */
export function hashTree(folder: string, { createHasher }: HashBackend): void {
  for (const path of filesBelow(folder)) {
    const hasher = createHasher();
    const file = openSync(path, 'r');
    for (let got = readSync(file, buffer); got > 0; got = readSync(file, buffer))
      hasher.update(buffer.subarray(0, got));
    closeSync(file);
    hasher.digest();
  }
}

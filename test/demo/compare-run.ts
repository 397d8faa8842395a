/**
 * Compares two folders (`node compare-run.js ONE OTHER`) in a process of its own, so that the demo still hears Ctrl-C.
 * Prints one JSON line, a `Compared`.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { compareTrees } from '../helpers/compare-trees.js';

export interface Compared {
  readonly differences: readonly string[];
  readonly files: number;
  readonly folders: number;
  readonly symlinks: number;
  readonly bytes: number;
}

function sumsOf(folder: string): Omit<Compared, 'differences'> {
  const sums = { files: 0, folders: 0, symlinks: 0, bytes: 0 };
  const visit = (path: Buffer): void => {
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) sums.symlinks += 1;
    if (stat.isFile()) {
      sums.files += 1;
      sums.bytes += stat.size;
    }
    if (!stat.isDirectory()) return;
    sums.folders += 1;
    for (const name of readdirSync(path, 'buffer')) visit(Buffer.concat([path, Buffer.from('/'), name]));
  };
  visit(Buffer.from(folder));
  return sums;
}

const [one = '', other = ''] = process.argv.slice(2);
const compared: Compared = { differences: compareTrees(one, other), ...sumsOf(other) };
process.stdout.write(`${JSON.stringify(compared)}\n`);

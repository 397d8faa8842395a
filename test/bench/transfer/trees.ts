/**
 * Trees: the folders that are copied, made from a seed: the same names, sizes, times and bytes on every machine and in
 * every run. All content is incompressible, and no two files are alike unless a scenario makes them so.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Chance } from '../../../src/core/chance.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

const PIECE_BYTES = MIB;
const ZEROS = Buffer.alloc(PIECE_BYTES);
const FILES_A_FOLDER = 25;
const FOLDERS_A_FOLDER = 20;
/** Files written at the same time: the trees are made faster than by one, and memory stays small. */
const WRITERS = 16;
/** Of the sizes' logarithm. Homes have a median of some 8 KiB where the mean is 100 KiB. */
const SIGMA = 2.25;
/** 2026-01-01: files are old, as most files are. Each is a second younger than the one before. */
const FIRST_MTIME_S = 1_767_225_600;

/** The change of a large file: so many places, of which each fourth one is an insertion, 1 % in all. */
const CHANGED_PLACES = 40;
const INSERTION_EVERY = 4;
const CHANGED_PART = 0.01;

/** A key stream as a source of bytes: 1 GB/s and more, and no compressor or chunker finds anything in it. */
class Noise {
  readonly #cipher;

  constructor(seed: string) {
    const key = createHash('sha256').update(seed).digest().subarray(0, 16);
    this.#cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  }

  *take(bytes: number): Generator<Buffer> {
    for (let left = bytes; left > 0; left -= PIECE_BYTES) {
      yield this.#cipher.update(ZEROS.subarray(0, Math.min(left, PIECE_BYTES)));
    }
  }
}

/** Sizes as in a home: log-normal, scaled to `bytes` in all. None is empty. */
export function homeSizes({ files, bytes }: { readonly files: number; readonly bytes: number }): number[] {
  const chance = new Chance([20, 4, 2]);
  const uniform = (): number => (chance.uint32() + 1) / 2 ** 32;
  // Box and Muller, 1958.
  const weights = Array.from({ length: files }, () =>
    Math.exp(SIGMA * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())),
  );
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map(weight => Math.max(1, Math.round((weight / sum) * bytes)));
}

/** A tree with a file of each size. `folder` must not exist. */
export async function makeTree(folder: string, sizes: readonly number[]): Promise<void> {
  const queue = sizes.entries();
  const seed = folder.slice(folder.lastIndexOf('/'));
  const write = async (): Promise<void> => {
    for (const [index, bytes] of queue) {
      const file = join(folder, pathOf(index));
      await writeNoise(file, { seed: `${seed} ${index}`, bytes });
      await utimes(file, FIRST_MTIME_S + index, FIRST_MTIME_S + index);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, write));
}

function pathOf(index: number): string {
  const folder = Math.floor(index / FILES_A_FOLDER);
  return `part-${Math.floor(folder / FOLDERS_A_FOLDER)}/folder-${folder % FOLDERS_A_FOLDER}/file-${index}`;
}

async function writeNoise(
  file: string,
  { seed, bytes }: { readonly seed: string; readonly bytes: number },
): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const noise = new Noise(seed);
  if (bytes <= PIECE_BYTES) return writeFile(file, Buffer.concat([...noise.take(bytes)]));
  await using out = await open(file, 'w');
  for (const piece of noise.take(bytes)) await out.writeFile(piece);
}

/**
 * `to`: the file `from` with 1 % of its bytes new, in 40 places over all its length, 10 of them insertions. It is made
 * beside it and then renamed, as editors do.
 */
export async function makeChanged(from: string, to: string): Promise<void> {
  const { size } = await stat(from);
  const changedBytes = Math.floor((size * CHANGED_PART) / CHANGED_PLACES);
  const strideBytes = Math.floor(size / CHANGED_PLACES);
  const noise = new Noise('changed');
  const making = `${to}.making`;
  {
    await using out = await open(making, 'w');
    for (let place = 0; place < CHANGED_PLACES; place += 1) {
      const start = place * strideBytes;
      // Not on the border of a block or a chunk of anybody's, and not at the same distance each time.
      const changeAt = start + 12_345 + place * 1_001;
      const isInsertion = place % INSERTION_EVERY === 0;
      const end = place === CHANGED_PLACES - 1 ? size : start + strideBytes;
      await copyRange(out, from, { start, end: changeAt });
      for (const piece of noise.take(changedBytes)) await out.writeFile(piece);
      await copyRange(out, from, { start: isInsertion ? changeAt : changeAt + changedBytes, end });
    }
  }
  await rename(making, to);
}

async function copyRange(
  out: FileHandle,
  from: string,
  { start, end }: { readonly start: number; readonly end: number },
): Promise<void> {
  if (end <= start) return;
  for await (const piece of createReadStream(from, { start, end: end - 1, highWaterMark: PIECE_BYTES })) {
    await out.writeFile(piece as Buffer);
  }
}

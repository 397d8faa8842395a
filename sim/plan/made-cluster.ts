/**
 * Made cluster: hosts, disks and files drawn from a seed, for who wants to know what a cluster of that shape would do before
 * there is one.
 *
 * Files are log-normal and become parcels as a catalog cuts them: large ones stand alone, small neighbours share one.
 */
import { Chance } from '../../src/core/chance.js';
import { sum } from '../lower-bound.js';
import { drawDisks, drawSizes, GB, MB } from '../shape.js';

const MIB = 1024 * 1024;
/** From this size on a file is a parcel of its own. */
const ALONE_BYTES = 8 * MIB;
/** A run of small files closes after a file of `bytes` once in this many bytes, and once in so many files. */
const RUN_BYTES = 16 * MIB;
const RUN_FILES = 64;
/** Copies take about this share of the room where disks are drawn. */
const FILL = 0.5;
/** Smallest and largest drawn disk. */
const DISK_RATIO = 16;
/** Drawn disks are rounded to this, as people write them. */
const DISK_STEP_BYTES = 10 * GB;

export interface MadeCluster {
  /** What each host lends. */
  readonly disks: readonly number[];
  /** Bytes of each parcel, by its origin's number. */
  readonly parcels: readonly (readonly number[])[];
  readonly bytes: number;
}

export function makeCluster({
  seed,
  hosts,
  files,
  copies,
  disks,
}: {
  readonly seed: number;
  readonly hosts: number;
  readonly files: number;
  readonly copies: number;
  /** Undefined: drawn. Fewer than hosts: used in turn. */
  readonly disks: readonly number[] | undefined;
}): MadeCluster {
  const chance = new Chance([seed, 0x6d616465, 1]);
  const parcels = Array.from({ length: hosts }, (_, host) => {
    const share = Math.floor(files / hosts) + (host < files % hosts ? 1 : 0);
    return cutInto(chance, drawFiles(chance, share));
  });
  const bytes = sum(parcels.map(sum));
  return {
    disks: disks === undefined ? draw(chance, hosts, (copies * bytes) / FILL) : inTurn(disks, hosts),
    parcels,
    bytes,
  };
}

const drawFiles = (chance: Chance, count: number): number[] =>
  drawSizes(chance, count, { medianBytes: MB, deviation: 2, leastBytes: 1, mostBytes: 20 * GB });

function cutInto(chance: Chance, files: readonly number[]): number[] {
  const parcels: number[] = [];
  let run = 0;
  for (const bytes of files) {
    if (bytes >= ALONE_BYTES) {
      parcels.push(bytes);
      continue;
    }
    run += bytes;
    const closes = Math.max(1 / RUN_FILES, bytes / RUN_BYTES);
    if (chance.uint32() / 0x1_0000_0000 < closes) {
      parcels.push(run);
      run = 0;
    }
  }
  if (run > 0) parcels.push(run);
  return parcels;
}

function draw(chance: Chance, hosts: number, lentBytes: number): number[] {
  const sizes = drawDisks(chance, hosts, { smallestBytes: GB, ratio: DISK_RATIO });
  const scale = lentBytes / sum(sizes);
  return sizes.map(size => Math.max(DISK_STEP_BYTES, Math.ceil((size * scale) / DISK_STEP_BYTES) * DISK_STEP_BYTES));
}

const inTurn = (disks: readonly number[], hosts: number): number[] =>
  Array.from({ length: hosts }, (_, i) => disks[i % disks.length] ?? 0);

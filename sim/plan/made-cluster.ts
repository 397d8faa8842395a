/**
 * Made cluster: hosts, disks and files drawn from a seed, for people who want to know how a cluster of that shape would
 * behave before there is one.
 *
 * File sizes are log-normal, and files become parcels as a catalog cuts them: large ones stand alone, small neighbours
 * share one.
 */
import { Chance } from '../../src/core/chance.js';
import { sum } from '../lower-bound.js';
import { drawDisks, drawSizes, GB, MB } from '../shape.js';

const MIB = 1024 * 1024;
/** A file of at least this size is a parcel of its own. */
const ALONE_BYTES = 8 * MIB;
/** A run of small files closes after a file of `bytes` with probability max(bytes / RUN_BYTES, 1 / RUN_FILES). */
const RUN_BYTES = 16 * MIB;
const RUN_FILES = 64;
/** The share of the room that copies take when disks are drawn. */
const FILL = 0.5;
/** The size of the largest drawn disk over that of the smallest. */
const DISK_RATIO = 16;
/** Drawn disks are rounded up to a multiple of this, as people write them. */
const DISK_STEP_BYTES = 10 * GB;

export interface MadeCluster {
  /** The bytes that each host lends. */
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
  /** Undefined: drawn. Fewer than hosts: repeated in turn. */
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

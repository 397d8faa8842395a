/**
 * Scenarios: clusters filled to the brim. Files are never cut, so there may be room in total but not for any one file;
 * then families move (core/relocate.ts).
 */
import { sourceIdOf } from '../../src/core/ids.js';
import type { ParcelRef } from '../../src/core/parcel.js';
import { CopyWatch } from '../copy-watch.js';
import { sum } from '../lower-bound.js';
import { drawDisks, drawSizes, GB, MB } from '../shape.js';
import { HOUR_MS, MINUTE_MS, World } from '../world.js';

const COPIES = 2;
const LINK_BYTES_PER_S = 110 * MB;

/**
 * Hosts with disks in ratios from 1 to 16, log-normal file sizes up to a fifth of the smallest disk, from an origin
 * that lends nothing. Files are added until some do not get their copies.
 * @returns the room that copies took while all files still had theirs, as a share of what copies on different hosts can
 * take.
 */
export function fullestWithNothingShort({
  seed,
  hosts: count,
}: {
  readonly seed: number;
  readonly hosts: number;
}): number {
  const world = new World({ seed });
  const chance = world.chance.of('shape');
  const smallestBytes = 20 * GB;
  const disks = drawDisks(chance, count, { smallestBytes, ratio: 16 });
  const largestBytes = Math.max(...disks);
  // The room by which the largest disk exceeds all others together can hold no second copy of anything.
  const lentBytes = Math.min(sum(disks), COPIES * (sum(disks) - largestBytes));
  const [origin] = world.addEach([
    { freeBytes: 0, bytesPerS: LINK_BYTES_PER_S },
    ...disks.map(freeBytes => ({ freeBytes, bytesPerS: LINK_BYTES_PER_S })),
  ]);
  if (origin === undefined) return 0;
  const source = sourceIdOf(origin.id, 'files');
  world.configureSource(source, COPIES);
  world.run(2 * MINUTE_MS);
  const watch = new CopyWatch(world);
  let copiesBytes = 0;
  let best = 0;
  for (let level = START_LEVEL; level <= 1; level += LEVEL_STEP) {
    const refs: ParcelRef[] = [];
    for (;;) {
      const [bytes = 0] = drawSizes(chance, 1, {
        medianBytes: smallestBytes / 60,
        deviation: 1.2,
        leastBytes: 8 * MB,
        mostBytes: smallestBytes / 5,
      });
      if (copiesBytes + COPIES * bytes > level * lentBytes) break;
      copiesBytes += COPIES * bytes;
      const ref = world.catalog.cut(source, bytes);
      refs.push(ref);
      const parcel = world.catalog.parcel(ref.id);
      if (parcel !== undefined) watch.want(parcel, COPIES);
    }
    world.snapshot(origin, source, listed => [
      world.catalog.snapshot(source, [...(listed.at(-1)?.refs.values() ?? []), ...refs], 0),
    ]);
    const untilMs = world.nowMs + (level === START_LEVEL ? 24 : 2) * HOUR_MS;
    while (watch.short > 0 && world.step(untilMs));
    if (watch.short > 0) return best;
    best = copiesBytes / lentBytes;
  }
  return best;
}

const START_LEVEL = 0.95;
const LEVEL_STEP = 0.005;

export interface TightFit {
  readonly solved: boolean;
  readonly relocations: number;
}

/**
 * Ten files of 100 GB, two copies each, on three hosts that lend 700 GB each: 20 of 21 places. The origin lends
 * nothing.
 */
export function tenLargeFilesOnThreeHosts({ seed }: { readonly seed: number }): TightFit {
  const world = new World({ seed });
  const [origin] = world.addEach([
    { freeBytes: 0, bytesPerS: LINK_BYTES_PER_S },
    ...Array.from({ length: 3 }, () => ({ freeBytes: 700 * GB, bytesPerS: LINK_BYTES_PER_S })),
  ]);
  if (origin === undefined) return { solved: false, relocations: 0 };
  world.run(MINUTE_MS);
  const watch = new CopyWatch(world);
  for (const id of world.backUp(origin, { parcels: 10, sizeBytes: 100 * GB, copiesWanted: COPIES })) {
    const parcel = world.catalog.parcel(id);
    if (parcel !== undefined) watch.want(parcel, COPIES);
  }
  const untilMs = world.nowMs + 48 * HOUR_MS;
  while (watch.short > 0 && world.step(untilMs));
  return { solved: watch.short === 0, relocations: world.counts.relocations };
}

/**
 * Scenario: an idle cluster in which a host adds a few large files every minute. Every host with room could fetch each
 * of them at once; bytes received beyond two copies are wasted.
 */
import { sourceIdOf } from '../../src/core/ids.js';
import { CopyWatch } from '../copy-watch.js';
import { pick } from '../draw.js';
import { drawDisks, GB, LINKS_BYTES_PER_S, MB } from '../shape.js';
import { MINUTE_MS, World } from '../world.js';

const COPIES = 2;
const FILE_BYTES = 200 * MB;
const FILES_PER_BURST = 2;

/** @returns bytes received beyond those wanted, divided by those wanted. */
export function wastedByBursts({
  seed,
  hosts: count,
  bursts,
  greedy = false,
}: {
  readonly seed: number;
  readonly hosts: number;
  readonly bursts: number;
  readonly greedy?: boolean;
}): number {
  const world = new World({ seed, greedy });
  const chance = world.chance.of('shape');
  const disks = drawDisks(chance, count, { smallestBytes: 100 * GB, ratio: 16 });
  const hosts = world.addEach(disks.map(freeBytes => ({ freeBytes, bytesPerS: pick(chance, LINKS_BYTES_PER_S) })));
  const sources = hosts.map(({ id }) => ({ source: sourceIdOf(id, 'files'), copies: COPIES }));
  world.configure(() => ({ sources }));
  world.run(3 * MINUTE_MS);
  const watch = new CopyWatch(world);
  for (let burst = 0; burst < bursts; burst += 1) {
    const origin = pick(chance, hosts);
    for (const id of world.backUp(origin, { parcels: FILES_PER_BURST, sizeBytes: FILE_BYTES, copiesWanted: COPIES })) {
      const parcel = world.catalog.parcel(id);
      if (parcel !== undefined) watch.want(parcel, COPIES);
    }
    world.run(MINUTE_MS);
  }
  // The slowest link needs this long.
  const untilMs = world.nowMs + 30 * MINUTE_MS;
  const isBusy = (): boolean => world.hosts.some(({ running }) => (running?.machine.known.pending().fetches ?? 0) > 0);
  while ((watch.short > 0 || isBusy()) && world.nowMs < untilMs) world.run(MINUTE_MS);
  const wantedBytes = COPIES * bursts * FILES_PER_BURST * FILE_BYTES;
  return (world.counts.receivedBytes - wantedBytes) / wantedBytes;
}

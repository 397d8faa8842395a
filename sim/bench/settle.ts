/**
 * Scenario: a cluster of unequal disks and links takes its first backup, from all hosts at once, until every parcel has
 * its copies, with nothing but what the hosts know themselves.
 *
 * It is measured against arithmetic that uses no code of the core (lower-bound.ts): all links busy all the time.
 */
import { sourceIdOf } from '../../src/core/ids.js';
import type { ParcelModel } from '../catalog-model.js';
import { CopyWatch } from '../copy-watch.js';
import { pick } from '../draw.js';
import { type BoundHost, lowerBoundS, sum } from '../lower-bound.js';
import { drawDisks, drawSizes, LINKS_BYTES_PER_S, MB } from '../shape.js';
import type { SimHost } from '../sim-host.js';
import { MINUTE_MS, SECOND_MS, World } from '../world.js';

const COPIES = 2;
/** The share of the lent room that the copies take. */
const FILL = 0.6;
/** Before anybody backs up, the hosts have this long to meet. */
const MEET_MS = 2 * MINUTE_MS;

export interface Settled {
  /** From the first snapshot until the last copy is durable. */
  readonly seconds: number;
  readonly boundS: number;
  /** Bytes received beyond those wanted, divided by those wanted. */
  readonly wasted: number;
  readonly events: number;
  /** Parcels that lack copies when the time is up. */
  readonly short: number;
}

export function settleFromNothing({
  seed,
  hosts: count,
  parcels,
  greedy = false,
}: {
  readonly seed: number;
  readonly hosts: number;
  readonly parcels: number;
  readonly greedy?: boolean;
}): Settled {
  const world = new World({ seed, greedy });
  const chance = world.chance.of('shape');
  const links = Array.from({ length: count }, () => pick(chance, LINKS_BYTES_PER_S));
  const sizes = drawSizes(chance, parcels, {
    medianBytes: 20 * MB,
    deviation: 1,
    leastBytes: 8 * MB,
    mostBytes: 400 * MB,
  });
  const wantedBytes = COPIES * sum(sizes);
  const shares = drawDisks(chance, count, { smallestBytes: MB, ratio: 16 });
  const scale = wantedBytes / FILL / sum(shares);
  const hosts = world.addEach(
    shares.map((share, i) => ({ freeBytes: Math.round(share * scale), bytesPerS: links[i] as number })),
  );
  world.run(MEET_MS);

  const watch = new CopyWatch(world);
  const owned = shareOut(world, { hosts, sizes });
  const bound = boundOf(world, owned);
  const startMs = world.nowMs;
  const limitMs = startMs + 10 * bound * SECOND_MS + 10 * MINUTE_MS;
  for (const [host, refs] of owned) {
    for (const parcel of refs) watch.want(parcel, COPIES);
    const [first] = refs;
    if (first === undefined) continue;
    world.snapshot(host, first.source, listed => [
      ...listed,
      world.catalog.snapshot(
        first.source,
        refs.map(({ ref }) => ref),
        0,
      ),
    ]);
  }
  while (watch.short > 0 && world.step(limitMs));
  const seconds = (world.nowMs - startMs) / SECOND_MS;
  // Bytes that are still on their way then are waste.
  while (world.hosts.some(({ running }) => (running?.machine.known.pending().fetches ?? 0) > 0)) world.run(SECOND_MS);
  const { receivedBytes } = world.counts;
  return {
    seconds,
    boundS: bound,
    wasted: Math.max(0, receivedBytes - wantedBytes) / wantedBytes,
    events: world.events,
    short: watch.short,
  };
}

/** Every host has a source, and about as much to back up as the others. */
function shareOut(
  world: World,
  { hosts, sizes }: { readonly hosts: readonly SimHost[]; readonly sizes: readonly number[] },
): ReadonlyMap<SimHost, readonly ParcelModel[]> {
  const chance = world.chance.of('shape');
  const owned = new Map<SimHost, ParcelModel[]>();
  const sources = hosts.map(({ id }) => ({ source: sourceIdOf(id, 'files'), copies: COPIES }));
  world.configure(() => ({ sources }));
  world.run(MINUTE_MS);
  for (const bytes of sizes) {
    const host = pick(chance, hosts);
    const source = sourceIdOf(host.id, 'files');
    const { id } = world.catalog.cut(source, bytes);
    const parcel = world.catalog.parcel(id) as ParcelModel;
    owned.set(host, [...(owned.get(host) ?? []), parcel]);
  }
  return owned;
}

function boundOf(world: World, owned: ReadonlyMap<SimHost, readonly ParcelModel[]>): number {
  const bytesOf = (host: SimHost): number => sum((owned.get(host) ?? []).map(({ ref }) => ref.bytes));
  const all = sum(world.hosts.map(bytesOf));
  const hosts = world.hosts.map(
    (host): BoundHost => ({
      uploadBytesPerS: host.uploadBytesPerS,
      downloadBytesPerS: host.downloadBytesPerS,
      roomBytes: sum(host.stores.map(({ lentBytes, usedBytes }) => lentBytes - usedBytes)),
      ownBytes: bytesOf(host),
      takesBytes: all - bytesOf(host),
    }),
  );
  return lowerBoundS(hosts, COPIES * all);
}

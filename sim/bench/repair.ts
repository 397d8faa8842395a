/**
 * Scenario: one host of many is lost for good, with everything it held; the others make the copies again from what they
 * have.
 */
import { sourceIdOf } from '../../src/core/ids.js';
import type { ParcelModel } from '../catalog-model.js';
import { CopyWatch } from '../copy-watch.js';
import { pick } from '../draw.js';
import { type BoundHost, lowerBoundS, sendingBoundS, sum } from '../lower-bound.js';
import { drawDisks, drawSizes, GB, LINKS_BYTES_PER_S, MB } from '../shape.js';
import type { SimHost } from '../sim-host.js';
import { HOUR_MS, MINUTE_MS, SECOND_MS, World } from '../world.js';

const COPIES = 2;
const FILL = 0.6;

export interface Repaired {
  /** Bytes received since the loss, divided by the bytes lost. */
  readonly receivedOverLost: number;
  /** From when the first host takes the lost one for dead until all copies exist again. */
  readonly seconds: number;
  readonly boundS: number;
  readonly short: number;
}

export function repairAfterLoss({
  seed,
  hosts: count,
  parcels,
}: {
  readonly seed: number;
  readonly hosts: number;
  readonly parcels: number;
}): Repaired {
  const world = new World({ seed });
  const chance = world.chance.of('shape');
  const sizes = drawSizes(chance, parcels, {
    medianBytes: GB,
    deviation: 1,
    leastBytes: 8 * MB,
    mostBytes: 10 * GB,
  });
  const shares = drawDisks(chance, count, { smallestBytes: MB, ratio: 16 });
  const scale = (COPIES * sum(sizes)) / FILL / sum(shares);
  const hosts = world.addEach(
    shares.map(share => ({ freeBytes: Math.round(share * scale), bytesPerS: pick(chance, LINKS_BYTES_PER_S) })),
  );
  world.configure(() => ({ sources: hosts.map(({ id }) => ({ source: sourceIdOf(id, 'files'), copies: COPIES })) }));
  world.run(3 * MINUTE_MS);
  const watch = new CopyWatch(world);
  const owned = new Map(hosts.map(host => [host, [] as ParcelModel[]]));
  for (const bytes of sizes) {
    const host = pick(chance, hosts);
    const { id } = world.catalog.cut(sourceIdOf(host.id, 'files'), bytes);
    const parcel = world.catalog.parcel(id);
    if (parcel === undefined) continue;
    owned.get(host)?.push(parcel);
    watch.want(parcel, COPIES);
  }
  for (const [host, mine] of owned) {
    const source = sourceIdOf(host.id, 'files');
    world.snapshot(host, source, () => [
      world.catalog.snapshot(
        source,
        mine.map(({ ref }) => ref),
        0,
      ),
    ]);
  }
  const settledByMs = world.nowMs + 240 * HOUR_MS;
  while (watch.short > 0 && world.step(settledByMs));
  world.run(10 * MINUTE_MS);

  const lost = hosts.at(-1);
  if (lost === undefined) throw new Error('no host to lose');
  const roomBytes = new Map(
    hosts.map(host => [host, sum(host.stores.map(({ lentBytes, usedBytes }) => lentBytes - usedBytes))]),
  );
  const given = lost.stores.flatMap(({ present }) =>
    [...present].flatMap(id => {
      const parcel = world.catalog.parcel(id);
      if (parcel === undefined) return [];
      const has = (host: SimHost): boolean => host.id === parcel.origin || host.stores.some(store => store.hasCopy(id));
      return { bytes: parcel.ref.bytes, sources: hosts.filter(host => host !== lost && has(host)) };
    }),
  );
  const lostBytes = sum(lost.stores.map(({ usedBytes }) => usedBytes));
  const before = world.counts.receivedBytes;
  let deadMs: number | undefined;
  world.witnesses.push(happening => {
    if (happening.is !== 'effect' || happening.effect.do !== 'note-liveness') return;
    if (happening.effect.host === lost.id && happening.effect.state === 'dead') deadMs ??= world.nowMs;
  });
  world.lose(lost);
  const repairedByMs = world.nowMs + 24 * HOUR_MS;
  while (watch.short > 0 && world.step(repairedByMs));
  const seconds = (world.nowMs - (deadMs ?? world.nowMs)) / SECOND_MS;
  const survivors = hosts.filter(host => host !== lost);
  const bound = survivors.map(
    (host): BoundHost => ({
      uploadBytesPerS: host.uploadBytesPerS,
      downloadBytesPerS: host.downloadBytesPerS,
      roomBytes: roomBytes.get(host) ?? 0,
      ownBytes: 0,
      takesBytes: lostBytes,
    }),
  );
  world.run(MINUTE_MS);
  return {
    receivedOverLost: (world.counts.receivedBytes - before) / lostBytes,
    seconds,
    boundS: Math.max(lowerBoundS(bound, lostBytes), sendingBoundS(given)),
    short: watch.short,
  };
}

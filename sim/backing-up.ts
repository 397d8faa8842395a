/** Backing up: the sources of a run, and the snapshots that their origins take, in good hands or in an attacker's. */
import type { ParcelId, SourceId } from '../src/core/ids.js';
import { sourceIdOf } from '../src/core/ids.js';
import type { ParcelRef } from '../src/core/parcel.js';
import { between, oneIn, pick } from './draw.js';
import type { Fault } from './fault.js';
import type { RunOptions } from './run-options.js';
import type { World } from './world.js';

/** The longest hold of a snapshot, in heartbeats. */
export const HOLD_HEARTBEATS = 10;

/** The run's sources: each on a different host, as far as there are hosts. */
export function sourcesOf({ sources }: RunOptions, world: World): SourceId[] {
  return world.hosts.slice(0, sources).map(({ id }) => sourceIdOf(id, 'files'));
}

/**
 * The next snapshot of a source: some parcels have changed, some are renamed, some are gone, some are new, and one that
 * was gone may be back; old snapshots leave the list.
 */
export function backUp(world: World, options: RunOptions, source: SourceId, { dice }: Pick<Fault, 'dice'>): void {
  const origin = world.hosts.find(({ id, isClone }) => !isClone && source.startsWith(id));
  if (origin === undefined) return;
  world.configureSource(source, options.copies);
  const chance = world.chance.of(`catalog/${source}/${dice}`);
  const size = (): number => between(chance, 1, options.parcelBytesMax);
  const holdMs = options.paceMs * between(chance, 0, HOLD_HEARTBEATS);
  const keptSnapshots = between(chance, 0, 2);
  const { againOneIn } = options;
  world.snapshot(origin, source, listed => {
    const before = [...(listed.at(-1)?.refs.values() ?? [])];
    const wanted = Math.max(1, Math.floor(options.parcels / options.sources));
    const now: ParcelRef[] = [];
    for (const ref of before) {
      const fate = chance.below(10);
      if (fate === 0) continue;
      if (fate === 3) now.push(world.catalog.rename(source, ref));
      else now.push(fate < 3 ? world.catalog.cut(source, size(), ref) : ref);
    }
    if (againOneIn !== undefined) {
      const gone = goneFrom(world, source, new Set(now.map(({ id }) => id)));
      if (gone.length > 0 && oneIn(chance, againOneIn)) now.push(pick(chance, gone));
    }
    while (now.length < wanted) now.push(world.catalog.cut(source, size()));
    return [...listed.slice(Math.max(0, listed.length - keptSnapshots)), world.catalog.snapshot(source, now, holdMs)];
  });
}

/** Every parcel that the source ever listed, but for these. */
function goneFrom(world: World, source: SourceId, but: ReadonlySet<ParcelId>): ParcelRef[] {
  const gone = new Map<ParcelId, ParcelRef>();
  for (const { snapshots } of world.catalog.heads(source))
    for (const { refs } of snapshots) for (const [id, ref] of refs) if (!but.has(id)) gone.set(id, ref);
  return [...gone.values()];
}

/** An origin that was taken over lists none of its earlier snapshots. */
export function eraseHistory(world: World, source: SourceId): void {
  const origin = world.hosts.find(({ id, isClone }) => !isClone && source.startsWith(id));
  if (origin === undefined) return;
  world.snapshot(origin, source, () => [world.catalog.snapshot(source, [], 0)]);
}

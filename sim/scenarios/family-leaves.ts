/**
 * Scenario: a store has claimed a parcel that fits only beside an older version. Before it is fetched, the older
 * version becomes unwanted and goes; another parcel is to get the room.
 *
 * Safety:   the store never holds more than it lends.
 * Liveness: one of the two is there in the end, as both do not fit.
 */
import { sourceIdOf } from '../../src/core/ids.js';
import { MIB, MINUTE_MS, type World } from '../world.js';

export function run(world: World): void {
  const [origin] = world.addHosts(1, { freeBytes: 0 });
  const [host] = world.addHosts(1, { freeBytes: 100 * MIB });
  const [store] = host?.stores ?? [];
  if (origin === undefined || host === undefined || store === undefined) return;
  world.always(() =>
    store.usedBytes > store.lentBytes ? `${store.usedBytes} bytes are used of ${store.lentBytes}` : undefined,
  );
  // Long enough for the claim still to be waiting when the older version goes.
  world.configure(({ timing }) => ({ timing: { ...timing, claimWaitMs: 5 * MINUTE_MS, gcGraceMs: 0 } }));
  const { catalog } = world;
  const source = sourceIdOf(origin.id, 'files');
  const older = catalog.cut(source, 60 * MIB);
  const newer = catalog.cut(source, 70 * MIB, older);
  const other = catalog.cut(source, 50 * MIB);
  const held = () => [older, newer, other].filter(({ id }) => store.hasCopy(id));
  world.configureSource(source, 1);
  const first = catalog.snapshot(source, [older], 0);
  world.snapshot(origin, source, () => [first]);
  world.eventually(() => (held().includes(older) ? undefined : 'the older version is not there'), {
    withinMs: 20 * MINUTE_MS,
  });

  world.snapshot(origin, source, () => [first, catalog.snapshot(source, [newer], 0)]);
  world.eventually(
    () => (host.running?.machine.known.pending().pursuits === 1 ? undefined : 'the newer one is not claimed'),
    {
      withinMs: 20 * MINUTE_MS,
    },
  );
  world.snapshot(origin, source, () => [catalog.snapshot(source, [newer, other], 0)]);
  world.eventually(() => (store.files.size === 0 ? undefined : 'the older version is still there'), {
    withinMs: 4 * MINUTE_MS,
  });
  world.eventually(() => (held().length === 1 ? undefined : `${held().length} of them are there`), {
    withinMs: 30 * MINUTE_MS,
  });
  world.run(30 * MINUTE_MS);
}

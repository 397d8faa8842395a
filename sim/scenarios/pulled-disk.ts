/**
 * Scenario: one of two disks of a host is pulled, its copies are made again, some on the other disk, and it is put
 * back.
 *
 * Safety:   from then on no parcel has fewer copies than N.
 * Liveness: each parcel again has exactly N copies, on N hosts, and no host has two.
 */
import { everyParcelHas, noHostHasTwo, noParcelHasOver, nothingIsPending, viewsAgree } from '../checks.js';
import { GIB, HOUR_MS, MIB, MINUTE_MS, type World } from '../world.js';

const PARCELS = 20;

export function run(world: World): void {
  const [origin] = world.addHosts(1, { freeBytes: 0 });
  const [host] = world.addHosts(2, { freeBytes: GIB, stores: 2 });
  const [disk] = host?.stores ?? [];
  if (origin === undefined || host === undefined || disk === undefined) return;
  world.configure(({ timing }) => ({ timing: { ...timing, returnMs: 10 * MINUTE_MS } }));
  world.backUp(origin, { parcels: PARCELS, sizeBytes: 4 * MIB, copiesWanted: 2 });
  world.eventually(everyParcelHas(2), { withinMs: 2 * MINUTE_MS });

  disk.pulled = true;
  host.running?.lookAgain();
  const [, left] = host.stores;
  world.eventually(() => (left?.present.size === PARCELS ? undefined : 'not all is on the other disk'), {
    withinMs: 10 * MINUTE_MS,
  });
  if (disk.present.size === 0) throw new Error('no parcel is on both disks');
  disk.pulled = false;
  host.running?.lookAgain();
  world.always(everyParcelHas(2));
  world.eventually(noHostHasTwo, { withinMs: world.config.timing.returnMs + HOUR_MS });
  world.eventually(noParcelHasOver(2), { withinMs: MINUTE_MS });
  world.eventually(nothingIsPending, { withinMs: 5 * MINUTE_MS });
  world.eventually(viewsAgree, { withinMs: MINUTE_MS });
}

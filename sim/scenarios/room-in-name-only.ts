/**
 * Scenario: the disk with the most free room takes nothing, although its file system reports room, as when over a
 * quota; a large parcel fits nowhere else until some host makes room for it.
 *
 * Liveness: what fits elsewhere is stored soon, and room is made for what does not, by hosts that know of that disk
 *           only the room that it claims to have.
 */
import { everyParcelHas, nothingIsPending } from '../checks.js';
import { GIB, MIB, MINUTE_MS, type World } from '../world.js';

export function run(world: World): void {
  const [origin] = world.addHosts(1, { freeBytes: 0 });
  world.addHosts(2, { freeBytes: 100 * MIB });
  const [refuser] = world.addHosts(1, { freeBytes: GIB });
  const [store] = refuser?.stores ?? [];
  if (origin === undefined || store === undefined) return;
  store.quotaBytes = 0;

  world.backUp(origin, { parcels: 12, sizeBytes: 8 * MIB, copiesWanted: 1 });
  world.eventually(everyParcelHas(1), { withinMs: 5 * MINUTE_MS });

  world.backUp(origin, { parcels: 1, sizeBytes: 90 * MIB });
  world.eventually(everyParcelHas(1), { withinMs: 15 * MINUTE_MS });
  world.eventually(nothingIsPending, { withinMs: 10 * MINUTE_MS });
}

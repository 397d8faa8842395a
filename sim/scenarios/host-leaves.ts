/**
 * Scenario: one of six hosts leaves in an orderly way: it is drained, revoked when nothing there would be missing, and
 * switched off.
 *
 * Safety:   from the moment it is off, every parcel has its copies at the other hosts.
 * Liveness: it can leave soon, and then all hosts see the same.
 */
import { assert } from '../../src/core/fault.js';
import { everyParcelHas, noParcelHasOver, nothingIsPending, viewsAgree } from '../checks.js';
import { ClusterFaults } from '../cluster-faults.js';
import { GIB, MIB, MINUTE_MS, type World } from '../world.js';

export function run(world: World): void {
  const [first, , leaving] = world.addHosts(6, { freeBytes: 1 * GIB });
  if (first === undefined || leaving === undefined) return;
  world.backUp(first, { parcels: 50, sizeBytes: 4 * MIB, copiesWanted: 3 });
  world.eventually(everyParcelHas(3), { withinMs: 2 * MINUTE_MS });
  world.eventually(nothingIsPending, { withinMs: 5 * MINUTE_MS });
  assert(
    leaving.stores.some(({ present }) => present.size > 0),
    'the leaving host holds nothing, so nothing is tested',
  );

  const hasCopies = everyParcelHas(3);
  world.always(of => (leaving.lost ? hasCopies(of) : undefined));
  new ClusterFaults(world).leave(leaving);
  world.eventually(() => (leaving.lost ? undefined : 'it has not left'), { withinMs: 30 * MINUTE_MS });
  world.eventually(noParcelHasOver(3), { withinMs: 5 * MINUTE_MS });
  world.eventually(nothingIsPending, { withinMs: 5 * MINUTE_MS });
  world.eventually(viewsAgree, { withinMs: MINUTE_MS });
}

/**
 * Scenario: one of five hosts is lost for good, while one message in twenty is lost too.
 *
 * Safety:   the repair never overshoots: no parcel has more than one copy too many.
 * Liveness: every parcel has its three copies back soon after the lost host is taken for dead.
 */
import { everyParcelHas, noParcelHasOver, nothingIsPending, viewsAgree } from '../checks.js';
import { GIB, MIB, MINUTE_MS, type World } from '../world.js';

export function run(world: World): void {
  const [first, second] = world.addHosts(5, { freeBytes: 1 * GIB });
  if (first === undefined || second === undefined) return;
  world.network.lossPercent = 5;
  world.always(noParcelHasOver(4));

  world.backUp(first, { parcels: 50, sizeBytes: 4 * MIB, copiesWanted: 3 });
  world.eventually(everyParcelHas(3), { withinMs: 2 * MINUTE_MS });

  world.lose(second);
  world.eventually(everyParcelHas(3), { withinMs: world.config.timing.deadMs + 10 * MINUTE_MS });
  world.eventually(noParcelHasOver(3), { withinMs: 5 * MINUTE_MS });
  world.eventually(nothingIsPending, { withinMs: 5 * MINUTE_MS });
  world.eventually(viewsAgree, { withinMs: MINUTE_MS });
}

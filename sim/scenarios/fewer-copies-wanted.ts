/**
 * Scenario: of three copies only one remains wanted, so that two hosts drop theirs at the same time.
 *
 * Safety:   one copy is always left.
 * Liveness: one copy is left in the end, and all hosts know which.
 */
import { everyParcelHas, noParcelHasOver, nothingIsPending, viewsAgree } from '../checks.js';
import { MIB, MINUTE_MS, type World } from '../world.js';

export function run(world: World): void {
  const [first] = world.addHosts(4);
  if (first === undefined) return;
  world.backUp(first, { parcels: 30, sizeBytes: 4 * MIB, copiesWanted: 3 });
  world.eventually(everyParcelHas(3), { withinMs: 2 * MINUTE_MS });
  world.always(everyParcelHas(1));

  world.configure(({ sources }) => ({ sources: sources.map(policy => ({ ...policy, copies: 1 })) }));
  world.eventually(noParcelHasOver(1), { withinMs: 5 * MINUTE_MS });
  world.eventually(nothingIsPending, { withinMs: 2 * MINUTE_MS });
  world.eventually(viewsAgree, { withinMs: MINUTE_MS });
}

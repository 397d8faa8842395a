/**
 * Scenario: all hosts lose power in the middle of the first transfers, and come back one after the other.
 *
 * Liveness: every parcel has its two copies, without anybody's help.
 */
import { everyParcelHas, nothingIsPending, viewsAgree } from '../checks.js';
import { MIB, MINUTE_MS, SECOND_MS, type World } from '../world.js';

export function run(world: World): void {
  const hosts = world.addHosts(4);
  const [first] = hosts;
  if (first === undefined) return;
  world.backUp(first, { parcels: 40, sizeBytes: 32 * MIB });
  world.run(10 * SECOND_MS);

  for (const host of hosts) world.crash(host);
  for (const host of hosts) {
    world.run(20 * SECOND_MS);
    world.start(host);
  }
  world.eventually(everyParcelHas(2), { withinMs: 10 * MINUTE_MS });
  world.eventually(nothingIsPending, { withinMs: 5 * MINUTE_MS });
  world.eventually(viewsAgree, { withinMs: MINUTE_MS });
}

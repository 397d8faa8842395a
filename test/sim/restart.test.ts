import test from 'ava';
import { MINUTE_MS, World } from '../../sim/world.js';
import { HOLDINGS_LIMITS } from '../../src/core/holdings.js';

const MIB = 1024 ** 2;

test('who restarts knows of every copy of what heads list, though others’ logs name more than it remembers', t => {
  const world = new World({ seed: 1, holdingsLimits: { ...HOLDINGS_LIMITS, parcels: 5 } });
  const [origin, second] = world.addHosts(4, { freeBytes: 1024 * MIB });
  if (origin === undefined || second === undefined) return t.fail();
  world.run(2 * MINUTE_MS);
  const parcels = world.backUp(origin, { parcels: 30, sizeBytes: MIB });
  world.run(10 * MINUTE_MS);
  for (const host of [origin, second]) {
    world.restart(host);
    world.run(MINUTE_MS);
    for (const parcel of parcels) t.is(host.running?.machine.known.copies(parcel), 2);
  }
});

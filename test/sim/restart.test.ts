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

/** Its log has lost what others remember of it, and every copy is to be read again. */
function doubtful() {
  const world = new World({ seed: 1 });
  const [origin, holder] = world.addHosts(2, { freeBytes: 1024 * MIB });
  const store = holder?.stores[0];
  if (origin === undefined || holder === undefined || store === undefined) throw new Error('no hosts');
  world.run(2 * MINUTE_MS);
  world.backUp(origin, { parcels: 5, sizeBytes: MIB, copiesWanted: 1 });
  world.run(10 * MINUTE_MS);
  world.crash(holder);
  store.cutLog(1);
  world.start(holder);
  return { world, holder, store };
}

test('copies that are to be read again stay when the disk is full just then', t => {
  const { world, store } = doubtful();
  store.full = true;
  world.run(MINUTE_MS);
  t.is(store.present.size, 0);
  t.true(store.rescanDue);
  store.full = false;
  world.run(MINUTE_MS);
  t.is(store.present.size, 5);
  t.false(store.rescanDue);
});

test('… and when it gives errors: it is read again until it has been read', t => {
  const { world, store } = doubtful();
  store.failing = true;
  world.run(20 * MINUTE_MS);
  t.is(store.present.size, 0);
  t.true(store.rescanDue);
  store.failing = false;
  world.run(20 * MINUTE_MS);
  t.is(store.present.size, 5);
  t.false(store.rescanDue);
});

test('… and when the power goes before the log has them all', t => {
  const { world, holder, store } = doubtful();
  while (store.underWay.length === 0 && world.step(world.nowMs + MINUTE_MS));
  t.true(store.rescanDue);
  store.underWay.length = 0;
  world.restart(holder);
  world.run(MINUTE_MS);
  t.is(store.present.size, 5);
});

/** Checks: what a world at rest must look like. */
import test from 'ava';
import { everybodyHasTheConfig, everySnapshotIsTaken } from '../../sim/checks.js';
import { MINUTE_MS, World } from '../../sim/world.js';

test('a host that does not follow the configuration is seen (I10)', t => {
  const world = new World();
  const [first, , third] = world.addHosts(3);
  if (first === undefined || third === undefined) return t.fail();
  world.run(MINUTE_MS);
  t.is(everybodyHasTheConfig(world), undefined);
  third.disk.state.full = true;
  world.configure(({ members }) => ({ members: members.map(member => ({ ...member, domain: 'shelf' })) }));
  world.run(MINUTE_MS);
  t.is(everybodyHasTheConfig(world), 'h2 uses configuration 1, and the newest is 2');
  third.disk.state.full = false;
  world.run(MINUTE_MS);
  t.is(everybodyHasTheConfig(world), undefined);
});

test('a snapshot that its disk refused is still to be taken, until it is signed or its service ends (I10)', t => {
  const world = new World();
  const [origin] = world.addHosts(2);
  if (origin === undefined) return t.fail();
  world.run(MINUTE_MS);
  const backUp = (): unknown => world.backUp(origin, { parcels: 1, sizeBytes: 1 });
  backUp();
  t.is(everySnapshotIsTaken(world), 'h0 has a snapshot still to take');
  world.run(MINUTE_MS);
  t.is(everySnapshotIsTaken(world), undefined);
  origin.disk.state.full = true;
  backUp();
  world.run(MINUTE_MS);
  origin.disk.state.full = false;
  world.run(MINUTE_MS);
  t.is(everySnapshotIsTaken(world), 'h0 has a snapshot still to take');
  world.run(4 * MINUTE_MS);
  t.is(everySnapshotIsTaken(world), undefined);
  backUp();
  world.crash(origin);
  world.start(origin);
  t.is(everySnapshotIsTaken(world), undefined);
});

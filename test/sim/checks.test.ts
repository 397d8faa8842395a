/** Checks: what a world at rest must look like. */
import test from 'ava';
import { everybodyHasTheConfig } from '../../sim/checks.js';
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

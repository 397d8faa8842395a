import test from 'ava';
import { MIB, type SmallHost, SmallWorld, type WorldOptions } from '../helpers/small-world.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** A home: an origin that lends nothing, a host that is always on, and two that roam. */
function home({ steadyBytes = 100_000 * MIB, ...options }: WorldOptions & { readonly steadyBytes?: number } = {}) {
  const laptop = { lentBytes: 100_000 * MIB, roaming: true };
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: steadyBytes }, laptop, laptop], options);
  const [origin, steady, ...laptops] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
  world.run(5_000);
  // Who is off later knows of the source.
  world.backUp(origin, []);
  return { world, origin, steady, laptops };
}

const many = (count: number, bytes: number) => Array.from({ length: count }, () => ({ bytes }));
const counts = (hosts: readonly SmallHost[]) => hosts.map(({ present }) => present.size);

test('of two copies one at the most lies with hosts that roam while another has room, however much there is to do', t => {
  const { world, origin, steady, laptops } = home();
  // What the steady host has claimed at once is a small part of it.
  const ids = world.backUp(origin, many(150, 32 * MIB));
  t.true(world.runUntil(() => ids.every(id => world.trueHolders(id).length === 2), HOUR_MS));
  t.is(steady.present.size, 150);
  t.true(counts(laptops).every(count => count > 0));
});

test('a successor of what both laptops hold goes at once to the host that is always on, and to one of them', t => {
  const { world, origin, steady, laptops } = home();
  world.kill(steady);
  world.run(5 * MINUTE_MS);
  const [first] = world.backUp(origin, [{ bytes: MIB, key: 'letters' }]);
  t.true(world.runUntil(() => counts(laptops).every(count => count === 1), HOUR_MS));
  world.revive(steady);
  world.run(MINUTE_MS);
  const [second] = world.backUp(origin, [{ bytes: MIB, key: 'letters' }]);
  t.true(world.runUntil(() => world.trueHolders(second as never).length === 2, 10_000));
  t.true(steady.present.has(second as never));
  t.false(steady.present.has(first as never));
});

test('a single copy lies with no host that roams while another has room', t => {
  const { world, origin, steady, laptops } = home({ copies: 1 });
  world.backUp(origin, many(20, MIB));
  world.run(5 * MINUTE_MS);
  t.is(steady.present.size, 20);
  t.deepEqual(counts(laptops), [0, 0]);
});

test('where only hosts that roam have room, they have all copies at once', t => {
  for (const copies of [1, 2]) {
    const { world, origin } = home({ steadyBytes: 0, copies });
    const ids = world.backUp(origin, many(20, MIB));
    t.true(world.runUntil(() => ids.every(id => world.trueHolders(id).length === copies), MINUTE_MS));
  }
});

test('what fits no host that is always on any more goes to those that roam', t => {
  const { world, origin, steady } = home({ steadyBytes: 10 * MIB });
  const ids = world.backUp(origin, many(20, MIB));
  t.true(world.runUntil(() => ids.every(id => world.trueHolders(id).length === 2), HOUR_MS));
  t.is(steady.present.size, 10);
});

test('of what is too many, a laptop goes first, and never the last copy that lies with a host that is always on', t => {
  const { world, origin, steady, laptops } = home({ timing: { roamingDeadMs: 2 * HOUR_MS, returnMs: 2 * HOUR_MS } });
  const [one, other] = laptops as [SmallHost, SmallHost];
  world.kill(other);
  world.run(3 * HOUR_MS);
  const ids = world.backUp(origin, many(60, MIB));
  world.run(10 * MINUTE_MS);
  world.kill(one);
  world.revive(other);
  t.true(world.runUntil(() => other.present.size === 60, 10 * HOUR_MS));
  world.revive(one);
  t.true(world.runUntil(() => ids.every(id => world.trueHolders(id).length === 2), 10 * HOUR_MS));
  t.deepEqual(steady.removed, []);
  t.true(counts(laptops).every(count => count > 0));
});

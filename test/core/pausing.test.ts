/** Pausing: what a paused host does not begin, what it goes on with, and that nobody waits for it. */
import test from 'ava';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const many = (count: number) => Array.from({ length: count }, () => ({ bytes: MIB }));

function aWorld(hosts: number, copies: number) {
  const world = new SmallWorld(
    Array.from({ length: hosts }, () => ({})),
    { copies },
  );
  world.run(2_000);
  const [origin, ...others] = world.hosts as [SmallHost, ...SmallHost[]];
  const pause = (host: SmallHost, paused: boolean) => world.tell(host, { is: 'paused', nowMs: world.nowMs, paused });
  const everyHas = (ids: readonly string[], count: number) => () =>
    ids.every(id => world.trueHolders(id as never).length === count);
  return { world, origin, others, pause, everyHas };
}

test('a paused host takes no copies, and the others make them in its place', t => {
  const { world, origin, others, pause, everyHas } = aWorld(4, 2);
  const [paused] = others as [SmallHost];
  pause(paused, true);
  const ids = world.backUp(origin, many(20));
  t.true(world.runUntil(everyHas(ids, 2), 5 * MINUTE_MS));
  t.is(paused.present.size, 0);
});

test('what nobody else could take a host takes when its pause is over', t => {
  const { world, origin, others, pause, everyHas } = aWorld(3, 2);
  const [paused] = others as [SmallHost];
  pause(paused, true);
  const ids = world.backUp(origin, many(20));
  world.run(10 * MINUTE_MS);
  t.true(everyHas(ids, 1)());
  pause(paused, false);
  t.true(world.runUntil(everyHas(ids, 2), 5 * MINUTE_MS));
});

test('a claim is withdrawn when its host is paused before the fetch, and a fetch goes on to its end', t => {
  const { world, origin, others, pause, everyHas } = aWorld(2, 1);
  const [holder] = others as [SmallHost];
  const ids = world.backUp(origin, many(50));
  t.true(world.runUntil(() => holder.machine.known.pending().fetches > 0, MINUTE_MS));
  const before = holder.machine.known.pending();
  t.true(before.pursuits > before.fetches);
  pause(holder, true);
  t.is(holder.machine.known.pending().pursuits, before.fetches);
  world.run(5 * MINUTE_MS);
  t.is(holder.machine.known.pending().pursuits, 0);
  t.true(holder.present.size > 0 && holder.present.size < ids.length);
  pause(holder, false);
  t.true(world.runUntil(everyHas(ids, 1), 5 * MINUTE_MS));
});

test('a paused host drops nothing, gives grants, and drops its surplus when its pause is over', t => {
  const { world, origin, pause, everyHas } = aWorld(4, 3);
  const ids = world.backUp(origin, many(20));
  t.true(world.runUntil(everyHas(ids, 3), 5 * MINUTE_MS));
  const holders = world.hosts.filter(host => host.present.size > 0);
  for (const host of holders) pause(host, true);
  world.configure({ sources: world.sourcePolicies().map(policy => ({ ...policy, copies: 2 })) });
  world.run(DAY_MS);
  t.true(everyHas(ids, 3)());
  // One of them goes on: it drops what it has too much of, by the grants of the paused ones.
  const [one] = holders as [SmallHost];
  const had = one.present.size;
  pause(one, false);
  t.true(world.runUntil(() => one.present.size < had, 30 * MINUTE_MS));
  for (const host of holders) pause(host, false);
  t.true(world.runUntil(everyHas(ids, 2), 60 * MINUTE_MS));
});

test('an attempt to drop ends when its host is paused', t => {
  const { world, origin, pause, everyHas } = aWorld(4, 3);
  const ids = world.backUp(origin, many(20));
  t.true(world.runUntil(everyHas(ids, 3), 5 * MINUTE_MS));
  world.answersGrants = () => false;
  world.configure({ sources: world.sourcePolicies().map(policy => ({ ...policy, copies: 2 })) });
  const attempting = (): SmallHost | undefined => world.hosts.find(host => host.machine.known.pending().attempts > 0);
  t.true(world.runUntil(() => attempting() !== undefined, 30 * MINUTE_MS));
  const host = attempting() as SmallHost;
  pause(host, true);
  t.is(host.machine.known.pending().attempts, 0);
});

test('nobody takes a paused host for absent, and what it holds counts', t => {
  const { world, origin, others, pause, everyHas } = aWorld(4, 2);
  const ids = world.backUp(origin, many(20));
  t.true(world.runUntil(everyHas(ids, 2), 5 * MINUTE_MS));
  const received = others.map(({ receivedBytes }) => receivedBytes);
  const [paused] = others as [SmallHost];
  pause(paused, true);
  world.run(3 * DAY_MS);
  t.is(origin.machine.known.host(paused.id)?.liveness, 'live');
  t.deepEqual(
    others.map(({ receivedBytes }) => receivedBytes),
    received,
  );
});

test('a paused host moves nothing to make room, and no other host moves anything to it', t => {
  for (const which of [1, 2] as const) {
    const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 1_000 * MIB }, { lentBytes: MIB }], { copies: 1 });
    const [origin, large, small] = world.hosts as [SmallHost, SmallHost, SmallHost];
    world.run(2_000);
    world.backUp(
      origin,
      Array.from({ length: 4 }, () => ({ bytes: 100 * MIB })),
    );
    t.true(world.runUntil(() => large.present.size === 4, 60 * MINUTE_MS));
    world.resize(small, 600 * MIB);
    const paused = world.hosts[which] as SmallHost;
    world.tell(paused, { is: 'paused', nowMs: world.nowMs, paused: true });
    const [big] = world.backUp(origin, [{ bytes: 800 * MIB }], 'films');
    const before = world.effects.length;
    world.run(2 * 60 * MINUTE_MS);
    const offers = world.effects.slice(before).filter(({ effect }) => effect.do === 'offer-relocation');
    t.is(offers.filter(({ host }) => host === paused.id).length, 0);
    t.is(small.present.size, 0);
    world.tell(paused, { is: 'paused', nowMs: world.nowMs, paused: false });
    t.true(world.runUntil(() => large.present.has(big as never), 3 * 60 * MINUTE_MS));
    t.is(small.present.size, 2);
  }
});

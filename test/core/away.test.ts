/** What the machine makes of absences: whom it waits for, how long, and what it asks to be kept. */
import test from 'ava';
import { Chance } from '../../src/core/chance.js';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import type { PastAbsence } from '../../src/core/effects.js';
import { type HostId, type ParcelId, parseClusterId, parseNonce } from '../../src/core/ids.js';
import { Machine } from '../../src/core/machine.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const MINUTE_MS = 60_000;
/** Shorter than in a house, so that fewer heartbeats go round. */
const DEAD_MS = 10 * MINUTE_MS;
const TIMING = { deadMs: DEAD_MS, roamingDeadMs: 6 * DEAD_MS, deadMaxMs: 20 * DEAD_MS };
const many = (count: number) => Array.from({ length: count }, () => ({ bytes: MIB }));

/** Hosts without parcels, as the first of them sees them. The second is roaming where `roaming` says so. */
function watching(hosts: number, { roaming = false } = {}) {
  const world = new SmallWorld(
    Array.from({ length: hosts }, (_, i) => ({ roaming: roaming && i === 1 })),
    { timing: TIMING },
  );
  world.run(2 * MINUTE_MS);
  const [watcher, victim, ...others] = world.hosts as [SmallHost, SmallHost, ...SmallHost[]];
  const livenessOf = (host: SmallHost) => watcher.machine.known.host(host.id)?.liveness;
  const noted = () => world.effects.flatMap(({ host, effect }) => (host === watcher.id ? [effect] : []));
  const absences = (): PastAbsence[] =>
    noted().flatMap(effect => (effect.do === 'note-absence' ? [effect.absence] : []));
  const outages = (): (readonly HostId[])[] =>
    noted().flatMap(effect => (effect.do === 'note-outage' ? [effect.hosts] : []));
  return { world, watcher, victim, others, livenessOf, absences, outages };
}

const idsOf = (hosts: readonly SmallHost[]) => hosts.map(({ id }) => id).sort();

function revoke(world: SmallWorld, { id }: SmallHost): void {
  const members = world
    .members()
    .map(member => (member.host === id ? { ...member, state: 'revoked' as const } : member));
  world.configure({ members });
}

test('who was away for long and came back with its copies is waited for half as long again the next time', t => {
  const { world, victim, livenessOf, absences } = watching(4);
  world.kill(victim);
  world.run(2 * DEAD_MS);
  t.is(livenessOf(victim), 'dead');
  world.revive(victim);
  world.run(MINUTE_MS);
  t.is(livenessOf(victim), 'live');
  const [learned] = absences();
  t.is(absences().length, 1);
  t.is(learned?.host, victim.id);
  t.true(learned?.wasDead);
  // From the last heartbeat before it was switched off.
  const beforeMs = (learned?.lengthMs ?? 0) - 2 * DEAD_MS;
  t.true(beforeMs >= 0 && beforeMs < 10_000, `${beforeMs}`);

  world.kill(victim);
  world.run(3 * DEAD_MS - 10_000);
  t.is(livenessOf(victim), 'suspect');
  world.run(MINUTE_MS);
  t.is(livenessOf(victim), 'dead');
});

test('who came back without a store is waited for no longer than before, until that store is there', t => {
  const { world, watcher, victim, livenessOf, absences } = watching(4);
  world.kill(victim);
  world.run(2 * DEAD_MS);
  const whole = victim.machine.heartbeat();
  victim.machine.step({ is: 'store-gone', nowMs: world.nowMs, store: victim.store });
  world.revive(victim);
  world.run(3 * MINUTE_MS);
  t.is(livenessOf(victim), 'live');
  t.deepEqual(absences(), []);
  world.tell(watcher, { is: 'heard', nowMs: world.nowMs, from: victim.id, message: whole });
  const [learned] = absences();
  t.is(learned?.agoMs, 3 * MINUTE_MS);
});

test('a host that was cut off itself learns nothing about the others', t => {
  const { world, victim, others, absences } = watching(4);
  for (const host of [victim, ...others]) world.kill(host);
  world.run(2 * DEAD_MS);
  for (const host of [victim, ...others]) world.revive(host);
  world.run(10 * MINUTE_MS);
  t.deepEqual(absences(), []);
});

test('who is no member any more is no company: a host that was alone since learns nothing about the others', t => {
  const { world, watcher, victim, others, absences } = watching(3);
  const [last] = others as [SmallHost];
  world.kill(victim);
  world.run(MINUTE_MS);
  revoke(world, last);
  world.run(2 * DEAD_MS);
  world.revive(victim);
  world.run(10 * MINUTE_MS);
  t.is(watcher.machine.known.host(victim.id)?.liveness, 'live');
  t.deepEqual(absences(), []);
});

test('a roaming host is waited for as long as roaming hosts are', t => {
  const { world, victim, livenessOf } = watching(4, { roaming: true });
  world.kill(victim);
  world.run(TIMING.roamingDeadMs - 10_000);
  t.is(livenessOf(victim), 'suspect');
  world.run(10_000);
  t.is(livenessOf(victim), 'dead');
});

test('when a host comes back from the dead, the moment is known', t => {
  const { world, watcher, victim } = watching(4);
  const returnedAtMs = () => watcher.machine.known.host(victim.id)?.returnedAtMs;
  world.kill(victim);
  world.run(DEAD_MS / 2);
  world.revive(victim);
  world.run(MINUTE_MS);
  t.is(returnedAtMs(), undefined, 'it was only suspect');
  world.kill(victim);
  world.run(2 * DEAD_MS);
  t.is(returnedAtMs(), undefined);
  const backAtMs = world.nowMs;
  world.revive(victim);
  world.run(MINUTE_MS);
  t.is(returnedAtMs(), backAtMs);
});

test('a third of the hosts away is no outage; more are one, and are waited for twice as long', t => {
  const { world, victim, others, livenessOf, outages } = watching(9);
  const [a, b, c] = others as [SmallHost, SmallHost, SmallHost];
  for (const host of [victim, a, b]) world.kill(host);
  world.run(2 * MINUTE_MS);
  t.deepEqual(outages(), []);
  // The fourth of nine, in the same wait.
  world.run(3 * MINUTE_MS);
  world.kill(c);
  world.run(2 * MINUTE_MS);
  t.deepEqual([...(outages().at(-1) ?? [])].sort(), idsOf([victim, a, b, c]));
  world.run(2 * DEAD_MS - 8 * MINUTE_MS);
  for (const host of [victim, a, b, c]) t.is(livenessOf(host), 'suspect');
  world.run(2 * MINUTE_MS);
  for (const host of [victim, a, b]) t.is(livenessOf(host), 'dead');
  t.is(livenessOf(c), 'suspect');
  t.deepEqual(outages().at(-1), [c.id]);
  world.run(5 * MINUTE_MS);
  t.is(livenessOf(c), 'dead');
  t.deepEqual(outages().at(-1), [], 'their time is up');
});

test('when most are back from an outage it is over, and who is still away gets no longer than anybody', t => {
  const { world, victim, others, livenessOf, outages } = watching(7);
  const [a, b] = others as [SmallHost, SmallHost];
  for (const host of [victim, a, b]) world.kill(host);
  world.run(DEAD_MS + MINUTE_MS);
  t.is(livenessOf(victim), 'suspect');
  world.revive(a);
  world.run(1_000);
  t.deepEqual(outages().at(-1), []);
  t.is(livenessOf(victim), 'dead');
  t.is(livenessOf(a), 'live');
});

test('who is away as usual makes no outage; who is away for longer does, before it is taken for dead', t => {
  const { world, victim, others, outages } = watching(7);
  const [a, b] = others as [SmallHost, SmallHost];
  // One after the other, so that there was none before either.
  for (const host of [victim, a, b]) {
    world.kill(host);
    world.run(2 * DEAD_MS);
    world.revive(host);
    world.run(2 * MINUTE_MS);
  }
  for (const host of [victim, a, b]) world.kill(host);
  world.run(2 * DEAD_MS - MINUTE_MS);
  t.deepEqual(outages(), []);
  world.run(2 * MINUTE_MS);
  t.deepEqual([...(outages().at(-1) ?? [])].sort(), idsOf([victim, a, b]));
});

test('who is no member any more is not told of in an outage', t => {
  const { world, victim, others, outages } = watching(9);
  const away = [victim, ...others.slice(0, 4)];
  for (const host of away) world.kill(host);
  world.run(2 * MINUTE_MS);
  t.deepEqual([...(outages().at(-1) ?? [])].sort(), idsOf(away));
  revoke(world, victim);
  world.run(MINUTE_MS);
  t.deepEqual([...(outages().at(-1) ?? [])].sort(), idsOf(away.slice(1)));
});

test('members that hold no copies that count are neither counted nor missed', t => {
  const world = new SmallWorld([{}, {}, {}, {}, {}, { state: 'provisional' }, { state: 'draining' }]);
  world.run(2 * MINUTE_MS);
  const [, a, b, , , c, d] = world.hosts as SmallHost[];
  for (const host of [a, b, c, d]) world.kill(host as SmallHost);
  world.run(2 * MINUTE_MS);
  t.false(world.effects.some(({ effect }) => effect.do === 'note-outage'));
});

test('a machine that is made with past absences waits as the one before it did', t => {
  const world = new SmallWorld([{}, {}, {}]);
  const [watcher, known, stranger] = world.hosts as [SmallHost, SmallHost, SmallHost];
  const nowMs = 50_000_000;
  const past = { host: known.id, lengthMs: 2 * DEAD_MS, agoMs: 5 * DEAD_MS, wasDead: true };
  const machine = new Machine({
    self: watcher.id,
    boot: 2,
    nonces: () => parseNonce('0'.repeat(32)),
    ranBeforeMs: 0,
    chance: new Chance([1, 2, 3]),
    config: {
      cluster: parseClusterId('c'.repeat(32)),
      version: 1,
      hash: 'a'.repeat(64),
      members: world.hosts.map(({ member }) => member),
      sources: [],
      timing: { ...DEFAULT_TIMING, ...TIMING },
    },
    nowMs,
    absences: [{ ...past, lengthMs: DEAD_MS, agoMs: DEAD_MS, wasDead: false }, past],
  });
  t.is(machine.known.host(known.id)?.returnedAtMs, nowMs - past.agoMs);
  const at = (afterMs: number) => {
    machine.step({ is: 'wake', nowMs: nowMs + afterMs });
    return [known, stranger].map(({ id }) => machine.known.host(id)?.liveness);
  };
  t.deepEqual(at(DEAD_MS - 1), ['suspect', 'suspect']);
  t.deepEqual(at(DEAD_MS), ['suspect', 'dead']);
  t.deepEqual(at(3 * DEAD_MS - 1), ['suspect', 'dead']);
  t.deepEqual(at(3 * DEAD_MS), ['dead', 'dead']);
});

test('after a start a host counts as missed only when it has had time to be heard', t => {
  const world = new SmallWorld([{}, {}, {}, {}, {}]);
  const [watcher] = world.hosts as [SmallHost];
  const machine = new Machine({
    self: watcher.id,
    boot: 2,
    nonces: () => parseNonce('0'.repeat(32)),
    ranBeforeMs: 0,
    chance: new Chance([1, 2, 3]),
    config: {
      cluster: parseClusterId('c'.repeat(32)),
      version: 1,
      hash: 'a'.repeat(64),
      members: world.hosts.map(({ member }) => member),
      sources: [],
      timing: DEFAULT_TIMING,
    },
    nowMs: 0,
  });
  const outageAt = (nowMs: number) => machine.step({ is: 'wake', nowMs }).some(effect => effect.do === 'note-outage');
  t.false(outageAt(DEFAULT_TIMING.suspectMs - 1));
  t.true(outageAt(DEFAULT_TIMING.suspectMs));
});

test('with one place left, repair waits while the absent host is away as usual', t => {
  const world = new SmallWorld([{}, {}, {}, {}]);
  const [origin] = world.hosts as [SmallHost];
  const parcels = world.backUp(origin, many(40));
  world.run(3 * MINUTE_MS);
  const victim = world.hosts[3] as SmallHost;
  const lost = parcels.filter(id => world.trueHolders(id).includes(victim));
  world.kill(victim);
  world.run(20 * MINUTE_MS);
  world.revive(victim);
  world.run(2 * MINUTE_MS);
  t.true(lost.length > 0 && lost.every(id => world.trueHolders(id).length === 2));

  const repaired = () => lost.filter(id => world.trueHolders(id).length === 2).length;
  world.kill(victim);
  world.kill(origin);
  world.run(20 * MINUTE_MS - 10_000);
  t.is(repaired(), 0);
  t.true(world.runUntil(() => repaired() === lost.length, 2 * MINUTE_MS));
});

test('with one place left in an outage, repair waits a second minute', t => {
  const world = new SmallWorld(Array.from({ length: 7 }, () => ({})));
  const [origin, ...others] = world.hosts as [SmallHost, ...SmallHost[]];
  const [parcel] = world.backUp(origin, many(1)) as [ParcelId];
  world.run(3 * MINUTE_MS);
  const [first, second] = world.trueHolders(parcel) as [SmallHost, SmallHost];
  const [third, watcher] = others.filter(host => host !== first && host !== second) as [SmallHost, SmallHost];
  const copies = () => watcher.machine.known.copies(parcel);
  for (const host of [origin, first, third]) world.kill(host);
  // Suspect 30 s after the last heartbeat, which is at most ten seconds back.
  world.run(20_000 + 2 * MINUTE_MS - 1_000);
  t.is(copies(), 2);
  t.is(world.trueHolders(parcel).length, 1);
  t.true(world.runUntil(() => world.trueHolders(parcel).length > 1, MINUTE_MS));
});

/** What follows when the disk of a store does not answer, and answers again. */
import test from 'ava';
import type { Effect } from '../../src/core/effects.js';
import { parseStoreId, type StoreId } from '../../src/core/ids.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const OTHER = parseStoreId('0d'.repeat(16));

/** An origin and a host of which each fetch takes 40 s. */
function slowFetches() {
  const world = new SmallWorld([{ lentBytes: 0 }, {}], { copies: 1, rate: MIB / 10 });
  const [origin, host] = world.hosts as [SmallHost, SmallHost];
  world.run(5_000);
  const backUp = (parcels = 20, bytes = 4 * MIB) =>
    world.backUp(
      origin,
      Array.from({ length: parcels }, () => ({ bytes })),
    );
  const hangs = (is: boolean): void =>
    world.tell(host, { is: 'store-hangs', nowMs: world.nowMs, store: host.store, hangs: is });
  const done = <Do extends Effect['do']>(what: Do) =>
    world.effects.flatMap(({ host: id, effect }) =>
      id === host.id && effect.do === what ? [effect as Extract<Effect, { do: Do }>] : [],
    );
  const freeBytes = (): number => {
    const [report] = host.machine.heartbeat().stores;
    return report === undefined ? 0 : report.lentBytes - report.usedBytes;
  };
  const fetchingIn = (store: StoreId): number => done('fetch').filter(effect => effect.store === store).length;
  return { world, host, backUp, hangs, done, freeBytes, fetchingIn };
}

test('a store that hangs gets nothing new, says that it has no room, and takes what is short when it answers', t => {
  const { world, host, backUp, hangs, freeBytes, fetchingIn } = slowFetches();
  t.true(freeBytes() > 0);
  hangs(true);
  t.is(freeBytes(), 0);
  t.is(host.machine.heartbeat().stores[0]?.weightMiB, 1024);
  const parcels = [...backUp(), ...backUp(1, 0)];
  world.run(60_000);
  t.is(fetchingIn(host.store), 0);
  hangs(false);
  t.true(freeBytes() > 0);
  t.true(world.runUntil(() => fetchingIn(host.store) > 0, 3_000));
  t.true(world.runUntil(() => host.present.size === parcels.length, 600_000));
});

test('a fetch into it has its time, and is given up then; its room is kept until it has ended', t => {
  const { world, host, backUp, hangs, done } = slowFetches();
  backUp();
  t.true(world.runUntil(() => done('fetch').length > 0, 30_000));
  const begun = done('fetch').length;
  hangs(true);
  t.is(host.machine.known.reservedBytes(host.store), begun * 4 * MIB, 'what had not begun was given up at once');
  world.run(14_000);
  t.deepEqual(done('cancel-fetch'), []);
  world.run(2_000);
  t.is(done('cancel-fetch').length, begun);
  t.is(host.machine.known.reservedBytes(host.store), begun * 4 * MIB);
  world.run(60_000);
  t.is(host.machine.known.reservedBytes(host.store), 0);
  t.is(done('fetch').length, begun);
});

test('one that answers in time goes on with its fetches', t => {
  const { world, host, backUp, hangs, done } = slowFetches();
  const parcels = backUp();
  t.true(world.runUntil(() => done('fetch').length > 0, 30_000));
  hangs(true);
  world.run(10_000);
  hangs(false);
  t.true(world.runUntil(() => host.present.size === parcels.length, 600_000));
  t.deepEqual(done('cancel-fetch'), []);
  t.is(done('fetch').length, parcels.length);
});

test('what was on its way into it comes into another store of the host, and what ends there with a copy counts', t => {
  const { world, host, backUp, hangs, done, fetchingIn } = slowFetches();
  backUp(4);
  t.true(world.runUntil(() => done('fetch').length > 0, 30_000));
  const [first] = done('fetch') as [Extract<Effect, { do: 'fetch' }>];
  hangs(true);
  world.run(1_000);
  const { machine } = host;
  const end = { store: OTHER, epoch: { counter: 1, random: '00'.repeat(8) }, seq: 0, digest: '00'.repeat(32) };
  world.tell(host, {
    is: 'log',
    nowMs: world.nowMs,
    segment: { host: host.id, end, ops: [], signature: new Uint8Array(64) },
  });
  world.tell(host, {
    is: 'store',
    nowMs: world.nowMs,
    store: OTHER,
    lentBytes: 1024 * MIB,
    usedBytes: 0,
    draining: false,
    unread: false,
  });
  t.true(world.runUntil(() => done('cancel-fetch').length > 0, 16_000));
  world.run(5_000);
  t.true(done('fetch').some(({ parcel, store }) => parcel === first.parcel && store === OTHER));
  t.is(fetchingIn(OTHER), 4);
  t.is(machine.known.holders(first.parcel).length, 0);
  const segment = host.append({ op: 'add', parcel: first.parcel });
  world.tell(host, {
    is: 'fetched',
    nowMs: world.nowMs,
    fetch: first.fetch,
    receivedBytes: 4 * MIB,
    segment,
    usedBytes: 4 * MIB,
  });
  t.deepEqual(
    machine.known.holders(first.parcel).map(({ store }) => store),
    [host.store],
  );
});

test('what was claimed for a store that is to be emptied comes into another one, but for what has begun', t => {
  const { world, host, backUp, done, fetchingIn } = slowFetches();
  backUp(8);
  t.true(world.runUntil(() => done('fetch').length > 0, 30_000));
  const begun = fetchingIn(host.store);
  t.true(begun < 8);
  const end = { store: OTHER, epoch: { counter: 1, random: '00'.repeat(8) }, seq: 0, digest: '00'.repeat(32) };
  const segment = { host: host.id, end, ops: [], signature: new Uint8Array(64) };
  world.tell(host, { is: 'log', nowMs: world.nowMs, segment });
  const { nowMs } = world;
  const room = { lentBytes: 1024 * MIB, usedBytes: 0 };
  world.tell(host, { is: 'store', nowMs, store: OTHER, ...room, draining: false, unread: false });
  world.tell(host, { is: 'store', nowMs, store: host.store, ...room, draining: true, unread: false });
  t.is(host.machine.known.reservedBytes(host.store), begun * 4 * MIB);
  world.run(120_000);
  t.is(fetchingIn(host.store), begun);
  t.true(fetchingIn(OTHER) >= 8 - begun);
});

test('that something finds no room in it is no pressure: a surplus waits as it would', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, {}, {}], { copies: 2, timing: { surplusMs: 600_000 } });
  const [origin, ...holders] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(5_000);
  world.backUp(origin, [{ bytes: 4 * MIB }]);
  t.true(world.runUntil(() => holders.every(({ present }) => present.size === 1), 60_000));
  world.configure({ sources: world.sourcePolicies().map(({ source }) => ({ source, copies: 1 })) });
  world.run(5_000);
  for (const host of holders)
    world.tell(host, { is: 'store-hangs', nowMs: world.nowMs, store: host.store, hangs: true });
  world.backUp(origin, [{ bytes: 4 * MIB }]);
  world.run(30_000);
  // All is looked at anew.
  world.configure({});
  world.run(30_000);
  for (const { removed } of holders) t.deepEqual(removed, []);
});

/** At hand: parcels of which a host's own stores have all files already, as after a folder was renamed. */
import test from 'ava';
import type { Effect } from '../../src/core/effects.js';
import { logStart } from '../../src/core/holdings-log.js';
import { type ParcelId, parseStoreId, sourceIdOf } from '../../src/core/ids.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const CLAIM_WAIT_MS = 2_000;
const OTHER = parseStoreId('0d'.repeat(16));
const EPOCH = { counter: 1, random: '00'.repeat(8) };

/** Parcels that have their copies; whoever has the old parcel of a key has all files of the next one of that key. */
function copied(parcels: number, { copies = 2, hosts = 5, bytes = 10 * MIB } = {}) {
  const world = new SmallWorld(
    [{ lentBytes: 0 }, ...Array.from({ length: hosts - 1 }, () => ({ lentBytes: 4096 * MIB }))],
    { copies, rate: 500 * MIB },
  );
  const [origin] = world.hosts as [SmallHost];
  world.run(5_000);
  const refs = Array.from({ length: parcels }, (_, i) => ({ bytes, key: `key ${i}` }));
  const old = world.backUp(origin, refs);
  const holdersOf = (parcel: ParcelId) => world.trueHolders(parcel);
  world.runUntil(() => old.every(parcel => holdersOf(parcel).length === copies), 600_000);
  world.run(60_000);
  const receivedBytes = (): number => world.hosts.reduce((sum, host) => sum + host.receivedBytes, 0);
  const rename = (): ParcelId[] => world.backUp(origin, refs);
  return { world, origin, old, rename, holdersOf, receivedBytes };
}

test('what was renamed is taken by those that have its files before a claim would have been waited for, and by no others', t => {
  const { world, old, rename, holdersOf, receivedBytes } = copied(200);
  world.hasFiles = host => old.some(parcel => host.present.has(parcel));
  const before = receivedBytes();
  const claims = (): number =>
    world.effects.reduce(
      (sum, { effect }) =>
        sum + (effect.do === 'gossip' && effect.message.kind === 'claims' ? effect.message.claims.length : 0),
      0,
    );
  const claimsBefore = claims();
  const fresh = rename();
  t.true(world.runUntil(() => fresh.every(parcel => holdersOf(parcel).length === 2), CLAIM_WAIT_MS - 500));
  t.true(claims() - claimsBefore < 100, 'only what was claimed before it was known to be here');
  for (const [i, parcel] of fresh.entries()) t.deepEqual(holdersOf(parcel), holdersOf(old[i] as ParcelId));
  world.run(10 * 60_000);
  t.is(receivedBytes(), before);
  t.deepEqual(
    world.hosts.flatMap(({ removed }) => removed),
    [],
    'nobody has made a copy too many',
  );
});

test('of more hosts that have its files, as many take it as copies are wanted', t => {
  const { world, origin, old, rename, holdersOf } = copied(30, { copies: 3 });
  world.hasFiles = host => old.some(parcel => host.present.has(parcel));
  world.configure({ sources: [{ source: sourceIdOf(origin.id, 'photos'), copies: 2 }] });
  const fresh = rename();
  t.true(world.runUntil(() => fresh.every(parcel => holdersOf(parcel).length >= 2), CLAIM_WAIT_MS - 500));
  world.run(20_000);
  for (const parcel of fresh) t.is(holdersOf(parcel).length, 2);
});

test('a copy that is missing is made again at once where its files are, however many of those before it have one', t => {
  for (const place of [0, 1, 2]) {
    const { world, old, rename, holdersOf } = copied(1, { copies: 3 });
    world.hasFiles = host => host.present.has(old[0] as ParcelId);
    const [fresh] = rename() as [ParcelId];
    world.runUntil(() => holdersOf(fresh).length === 3, CLAIM_WAIT_MS);
    world.run(10_000);
    const host = holdersOf(fresh)[place] as SmallHost;
    const { usedBytes } = host;
    const segment = host.append({ op: 'corrupt', parcel: fresh });
    world.tell(host, { is: 'own-ops', nowMs: world.nowMs, segment, usedBytes });
    t.true(
      world.runUntil(() => host.present.has(fresh), CLAIM_WAIT_MS - 500),
      `${place}`,
    );
  }
});

test('what they lack after all comes from the origin, some moments later', t => {
  const { world, rename, holdersOf, receivedBytes } = copied(5);
  const before = receivedBytes();
  const fresh = rename();
  t.true(world.runUntil(() => fresh.every(parcel => holdersOf(parcel).length === 2), 60_000));
  t.is(receivedBytes(), before + 2 * 5 * 10 * MIB);
});

test('a host has at most 64 parcels measured at once, however many were renamed', t => {
  const { world, origin, rename, holdersOf } = copied(200, { copies: 1, hosts: 2, bytes: MIB });
  const [, holder] = world.hosts as [SmallHost, SmallHost];
  world.hasFiles = () => true;
  const measures = (): number =>
    world.effects.filter(({ host, effect }) => host === holder.id && effect.do === 'measure').length;
  const before = measures();
  // The step that hears of them also gossips, after it has asked for the measurements.
  const asked: number[] = [];
  world.loses = () => {
    asked.push(measures() - before);
    return false;
  };
  const fresh = rename();
  t.true(world.runUntil(() => measures() > before, CLAIM_WAIT_MS));
  t.true(world.runUntil(() => fresh.every(parcel => holdersOf(parcel).length === 1), CLAIM_WAIT_MS));
  t.is(measures() - before, fresh.length);
  t.is(
    asked.find(count => count > 0),
    64,
    'in the step that heard of them',
  );
  t.is(origin.present.size, 0);
});

test('an operation is announced at once where nothing else is under way', t => {
  const { world, rename } = copied(1, { copies: 1, hosts: 2 });
  const [origin, holder] = world.hosts as [SmallHost, SmallHost];
  world.hasFiles = () => true;
  const [fresh] = rename() as [ParcelId];
  t.true(world.runUntil(() => holder.present.has(fresh), CLAIM_WAIT_MS));
  t.true(world.runUntil(() => origin.machine.known.copies(fresh) === 1, 150));
});

/** A host whose store has a parcel, or some, gets a second store, and is to empty the first one. */
function emptied({ parcels = 1, bytes = MIB, others = 0, lentBytes = 4096 * MIB } = {}) {
  const lending = { lentBytes: 4096 * MIB };
  const world = new SmallWorld([{ lentBytes: 0 }, lending, ...Array.from({ length: others }, () => lending)], {
    copies: 1,
  });
  const [origin, host] = world.hosts as [SmallHost, SmallHost];
  world.run(5_000);
  const refs = Array.from({ length: parcels }, () => ({ bytes }));
  const backedUp = world.backUp(origin, refs);
  const [parcel] = backedUp as [ParcelId];
  world.runUntil(() => backedUp.every(id => world.trueHolders(id).length === 1), 600_000);
  const { nowMs } = world;
  const segment = { host: host.id, end: logStart(OTHER, EPOCH), ops: [], signature: new Uint8Array(64) };
  world.tell(host, { is: 'log', nowMs, segment });
  const store = { is: 'store', nowMs, lentBytes, usedBytes: 0, draining: false, unread: false } as const;
  world.tell(host, { ...store, store: OTHER });
  const drain = () =>
    world.tell(host, { ...store, nowMs: world.nowMs, store: host.store, draining: true, unread: false });
  const fetches = () =>
    world.effects.flatMap(({ host: by, effect }) =>
      by === host.id && effect.do === 'fetch' && effect.store === OTHER
        ? [effect as Extract<Effect, { do: 'fetch' }>]
        : [],
    );
  return { world, origin, host, parcel, backedUp, drain, fetches };
}

test('the sole copy of a parcel whose origin is gone is copied out of a store that is to be emptied', t => {
  const { world, origin, host, parcel, drain, fetches } = emptied();
  world.kill(origin);
  drain();
  t.true(world.runUntil(() => fetches().length > 0, 60_000));
  t.like(fetches()[0], { parcel, from: host.id, roomBytes: MIB });
});

test('as much is claimed of it as a disk copies in some moments, and four are copied at once', t => {
  const parcels = 300;
  const bytes = 10 * MIB;
  const { world, origin, host, drain, fetches } = emptied({ parcels, bytes });
  world.kill(origin);
  const freeBytes = (): number =>
    host.machine.heartbeat().stores.reduce((sum, report) => sum + report.lentBytes - report.usedBytes, 0);
  drain();
  const before = 4096 * MIB;
  t.true(world.runUntil(() => fetches().length > 0, 60_000));
  t.is(fetches().length, 4);
  t.is(before - freeBytes(), 103 * bytes);
});

test('it is not read from a store that hangs, but from whoever else has it', t => {
  const { world, origin, host, drain, fetches } = emptied();
  world.tell(host, { is: 'store-hangs', nowMs: world.nowMs, store: host.store, hangs: true });
  drain();
  t.true(world.runUntil(() => fetches().length > 0, 60_000));
  t.is(fetches()[0]?.from, origin.id);
});

test('where it cannot be read there, it comes from whoever else has it', t => {
  const { world, origin, host, drain, fetches } = emptied();
  drain();
  t.true(world.runUntil(() => fetches().length > 0, 60_000));
  const [{ fetch }] = fetches() as [Extract<Effect, { do: 'fetch' }>];
  world.tell(host, { is: 'fetch-failed', nowMs: world.nowMs, fetch, because: 'gone', retryAfterMs: 0 });
  t.true(world.runUntil(() => fetches().length > 1, 5_000));
  t.is(fetches()[1]?.from, origin.id);
});

test('a store that is to be emptied hands its copies to another one of its host, whoever else would rank before it', t => {
  const { world, host, backedUp, drain, fetches } = emptied({
    parcels: 40,
    others: 2,
    // Far less than the others lend, so that they rank before it.
    lentBytes: 400 * MIB,
  });
  const there = backedUp.filter(parcel => host.present.has(parcel));
  t.true(there.length >= 5, `${there.length} parcels`);
  world.run(60_000);
  const begun = world.effects.length;
  drain();
  world.run(3 * CLAIM_WAIT_MS);
  t.is(new Set(fetches().map(({ parcel }) => parcel)).size, there.length);
  const byOthers = world.effects
    .slice(begun)
    .flatMap(({ host: by, effect }) => (effect.do === 'fetch' && by !== host.id ? [effect.parcel] : []));
  t.deepEqual(byOthers, []);
});

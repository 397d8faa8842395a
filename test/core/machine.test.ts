import test from 'ava';
import fc from 'fast-check';
import type { Member } from '../../src/core/cluster-config.js';
import type { Input } from '../../src/core/effects.js';
import { logAfterAll, logStart } from '../../src/core/holdings-log.js';
import { type ParcelId, parseParcelId, parseStoreId, sourceIdOf } from '../../src/core/ids.js';
import { law } from '../helpers/law.js';
import { NO_CHANGE } from '../helpers/no-change.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const MINUTE_MS = 60_000;
const many = (count: number, bytes = MIB) => Array.from({ length: count }, () => ({ bytes }));

test('every parcel gets exactly N copies, none at its origin, and nothing is fetched twice', t => {
  const world = new SmallWorld([{}, {}, {}, {}]);
  const [origin] = world.hosts as [SmallWorld['hosts'][0]];
  world.run(2_000);
  const parcels = world.backUp(origin, many(200));
  t.true(world.runUntil(() => parcels.every(id => world.trueHolders(id).length >= 2), 5 * MINUTE_MS));
  world.run(MINUTE_MS);

  for (const id of parcels) {
    const holders = world.trueHolders(id);
    t.is(holders.length, 2);
    t.false(holders.includes(origin));
  }
  const received = world.hosts.reduce((sum, host) => sum + host.receivedBytes, 0);
  t.is(received, 2 * 200 * MIB);
  for (const host of world.hosts)
    t.deepEqual(host.machine.known.pending(), {
      pursuits: 0,
      fetches: 0,
      othersClaims: 0,
      attempts: 0,
      relocations: 0,
    });
});

test('what another origin listed first is fetched from who has it, and lies with neither of the two', t => {
  const hosts = [{}, {}, {}, {}];
  const twin = new SmallWorld(hosts);
  twin.backUp(twin.hosts[0] as SmallHost, many(20));
  const [refs] = [...twin.sources.values()].map(({ parcels }) => parcels);

  const world = new SmallWorld(hosts);
  const [origin, lister] = world.hosts as [SmallHost, SmallHost];
  world.run(2_000);
  world.list(lister, refs ?? []);
  world.run(2_000);
  const parcels = world.backUp(origin, many(20));
  world.run(5 * MINUTE_MS);
  for (const id of parcels) {
    t.deepEqual(
      world.trueHolders(id).map(host => world.hosts.indexOf(host)),
      [2, 3],
    );
    for (const host of world.hosts) t.is(host.machine.known.copies(id), 2);
  }
});

test('hosts that do not know of each other’s room yet heed each other’s claims all the same', t => {
  const world = new SmallWorld([
    { lentBytes: 0 },
    { lentBytes: 0 },
    { lentBytes: 0 },
    { lentBytes: 0 },
    { lentBytes: 0 },
  ]);
  const [origin, ...others] = world.hosts as [SmallWorld['hosts'][0], ...SmallWorld['hosts']];
  world.run(2_000);
  const parcels = world.backUp(origin, many(100));
  world.run(2_000);
  // All at once, and what says so is lost: none is a candidate in another's eyes, but for what it claims.
  world.loses = ({ kind }) => kind === 'heartbeat';
  for (const host of others) world.mount(host, 1024 * MIB);
  world.run(10_000);
  world.loses = () => false;
  t.true(world.runUntil(() => parcels.every(id => world.trueHolders(id).length >= 2), 5 * MINUTE_MS));
  world.run(MINUTE_MS);
  const holders = parcels.map(id => world.trueHolders(id).length);
  t.deepEqual([...new Set(holders)], [2]);
});

test('where many may take the same, few claim it in vain', t => {
  const world = new SmallWorld(
    Array.from({ length: 10 }, () => ({ lentBytes: 600 * MIB })),
    { rate: 300_000 },
  );
  world.run(5_000);
  const before = world.effects.length;
  for (const origin of world.hosts) world.backUp(origin, many(30, 8 * MIB));
  world.run(60 * MINUTE_MS);
  const copies = 2 * 10 * 30;
  t.is(
    world.hosts.reduce((sum, { present }) => sum + present.size, 0),
    copies,
  );
  const withdrawn = world.effects.slice(before).reduce((sum, { effect }) => {
    const isSaid = effect.do === 'gossip' && effect.message.kind === 'claims';
    return sum + (isSaid ? effect.message.withdrawn.length : 0);
  }, 0);
  t.true(withdrawn < copies / 3, `${withdrawn} claims withdrawn for ${copies} copies`);
});

test('all views agree in the end', t => {
  const world = new SmallWorld([{}, {}, {}]);
  const parcels = world.backUp(world.hosts[0] as never, many(30));
  world.run(3 * MINUTE_MS);
  for (const id of parcels) {
    const views = world.hosts.map(host =>
      host.machine.known
        .holders(id)
        .map(({ host: holder }) => holder)
        .sort()
        .join(),
    );
    t.is(new Set(views).size, 1);
  }
});

test('hosts with more room take more', t => {
  const world = new SmallWorld(
    [{ lentBytes: 0 }, { lentBytes: 512 * MIB }, { lentBytes: 2048 * MIB }, { lentBytes: 512 * MIB }],
    { copies: 1 },
  );
  world.backUp(world.hosts[0] as never, many(300, MIB / 4));
  world.run(10 * MINUTE_MS);
  const [, small, large] = world.hosts;
  t.true((large?.receivedBytes ?? 0) > 2 * (small?.receivedBytes ?? 0));
});

test('when a holder dies its copies are made again elsewhere after the configured time and not before', t => {
  const timing = { deadMs: 10 * MINUTE_MS };
  const world = new SmallWorld([{}, {}, {}, {}], { timing });
  const parcels = world.backUp(world.hosts[0] as never, many(60));
  world.run(3 * MINUTE_MS);
  const victim = world.hosts[2] as (typeof world.hosts)[0];
  const lost = parcels.filter(id => world.trueHolders(id).includes(victim));
  t.true(lost.length > 0);
  world.kill(victim);

  world.run(8 * MINUTE_MS);
  t.true(
    lost.every(id => world.trueHolders(id).length === 1),
    'absent is not dead',
  );
  t.true(world.runUntil(() => parcels.every(id => world.trueHolders(id).length === 2), 5 * MINUTE_MS));
});

test('with one place left, repair starts a minute after suspicion', t => {
  const world = new SmallWorld([{}, {}, {}, {}]);
  const [origin] = world.hosts as [SmallWorld['hosts'][0]];
  const parcels = world.backUp(origin, many(40));
  world.run(3 * MINUTE_MS);
  const victim = world.hosts[3] as (typeof world.hosts)[0];
  const lost = parcels.filter(id => world.trueHolders(id).includes(victim));
  world.kill(victim);
  world.kill(origin);
  world.run(20_000);
  t.true(lost.length > 0 && lost.every(id => world.trueHolders(id).length === 1));
  t.true(world.runUntil(() => lost.every(id => world.trueHolders(id).length === 2), 3 * MINUTE_MS));
});

test('who has just started waits half a minute at the most for a member that is off, however rare heartbeats are', t => {
  const heartbeatMs = 10 * MINUTE_MS;
  const timing = { heartbeatMs, suspectMs: 6 * heartbeatMs, deadMs: 12 * heartbeatMs };
  const world = new SmallWorld([{}, {}, {}, {}], { timing });
  const [origin, off, starting] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
  world.backUp(origin, [{ bytes: MIB }]);
  world.run(MINUTE_MS);
  for (const host of [off, starting]) world.kill(host);
  world.run(MINUTE_MS);
  world.startAgain(starting, MINUTE_MS);
  const ids = world.backUp(origin, [{ bytes: MIB }]);
  t.true(world.runUntil(() => ids.every(id => world.trueHolders(id).length === 2), MINUTE_MS));
});

test('copies in one domain count once', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { domain: 'attic' }, { domain: 'attic' }, { domain: 'cellar' }]);
  const parcels = world.backUp(world.hosts[0] as never, many(50));
  world.run(5 * MINUTE_MS);
  const [, a, b, cellar] = world.hosts;
  for (const id of parcels) {
    const holders = world.trueHolders(id);
    t.is(holders.length, 2);
    t.true(holders.includes(cellar as never));
    t.false(holders.includes(a as never) && holders.includes(b as never));
  }
});

test('a provisional member holds nothing', t => {
  const world = new SmallWorld([{}, {}, { state: 'provisional' }]);
  const parcels = world.backUp(world.hosts[0] as never, many(20));
  world.run(5 * MINUTE_MS);
  t.is(world.hosts[2]?.receivedBytes, 0);
  t.is(world.hosts[1]?.machine.known.summary([...world.sources.keys()][0] as never).under, 20);
  t.true(parcels.every(id => world.trueHolders(id).length === 1));
});

test('the logs of provisional and untrusted members are not read until they may hold copies', t => {
  const world = new SmallWorld([{}, {}, {}]);
  const [reader, , writer] = world.hosts as [SmallHost, SmallHost, SmallHost];
  const readOf = () => [...reader.machine.known.positions()].find(({ host }) => host === writer.id)?.position.seq;
  const become = (change: Partial<Member>) =>
    world.configure({ members: world.members().map(m => (m.host === writer.id ? { ...m, ...change } : m)) });
  for (const change of [{ state: 'provisional' }, { trust: 'untrusted' }] as const) {
    const before = readOf();
    become(change);
    const segment = writer.append({ op: 'head', source: sourceIdOf(writer.id, 's'), seq: writer.ops.length + 1 });
    world.tell(writer, { is: 'log', nowMs: world.nowMs, segment });
    world.run(MINUTE_MS);
    world.effects.length = 0;
    world.run(5 * MINUTE_MS);
    t.is(readOf(), before, Object.values(change)[0]);
    const asks = world.effects.filter(({ effect }) => effect.do === 'ask-state' && effect.host === writer.id);
    t.deepEqual(asks, [], 'nor is it asked for what is not read');
    become({ state: 'active', trust: 'trusted' });
    t.true(world.runUntil(() => readOf() === writer.ops.length, 2 * MINUTE_MS));
  }
});

test('a host that is not trusted any more counts its own copies no more', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, {}, {}]);
  const [origin, holder] = world.hosts as [SmallHost, SmallHost];
  world.run(2_000);
  const [parcel] = world.backUp(origin, [{ bytes: MIB }]) as [ParcelId];
  const countsOwn = () => holder.machine.known.holders(parcel).some(({ host, counts }) => host === holder.id && counts);
  t.true(world.runUntil(countsOwn, 5 * MINUTE_MS));
  world.configure({ members: world.members().map(m => (m.host === holder.id ? { ...m, trust: 'untrusted' } : m)) });
  t.false(countsOwn());
});

test('a member that makes up stores has 64 of its logs read, and its true one when it says that it has that', t => {
  const world = new SmallWorld([{}, {}]);
  const [reader, liar] = world.hosts as [SmallHost, SmallHost];
  for (let n = 1; n <= 4_097; n += 1) {
    const ops = [{ op: 'add', parcel: parseParcelId(n.toString(16).padStart(64, '0')) }] as const;
    const start = logStart(parseStoreId(n.toString(16).padStart(32, '0')), { counter: n, random: '00'.repeat(8) });
    const segment = { host: liar.id, end: logAfterAll(start, ops), ops, signature: new Uint8Array(64) };
    world.tell(reader, { is: 'log', nowMs: world.nowMs, segment });
  }
  const read = () => [...reader.machine.known.positions()].filter(({ host }) => host === liar.id);
  t.is(read().length, 64);
  liar.append({ op: 'head', source: sourceIdOf(liar.id, 's'), seq: 1 });
  t.true(world.runUntil(() => read().some(({ position }) => position.store === liar.store), 2 * MINUTE_MS));
  t.is(read().length, 64);
});

test('no store ever holds and reserves more than it lends, and what fits nowhere is left short', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 10 * MIB }, { lentBytes: 10 * MIB }]);
  world.backUp(world.hosts[0] as never, many(15));
  world.run(5 * MINUTE_MS);
  for (const host of world.hosts) t.true(host.usedBytes <= host.lentBytes);
  t.is(world.hosts[1]?.usedBytes, 10 * MIB);
  t.true((world.hosts[0]?.machine.known.summary([...world.sources.keys()][0] as never).under ?? 0) >= 5);
});

test('what is kept by its hold alone is short of copies in no summary, until it is listed again', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, {}]);
  const [origin] = world.hosts as [SmallHost, SmallHost];
  const [parcel] = world.backUp(origin, many(1)) as [ParcelId];
  world.run(5 * MINUTE_MS);
  const source = sourceIdOf(origin.id, 'photos');
  const summary = () => origin.machine.known.summary(source);
  const tell = (seq: number, changed: Partial<Extract<Input, { is: 'wanted' }>>): void => {
    const head = { source, seq, hash: `${seq}`.padStart(64, '0') };
    origin.machine.step({ is: 'wanted', nowMs: world.nowMs, source, head, ...NO_CHANGE, ...changed });
  };
  const short = { parcels: 1, full: 0, under: 1, without: 0, haveMin: 1 };
  const wanted = () => [...origin.machine.known.wanted(source)];
  t.like(summary(), short);
  t.like(wanted(), [{ id: parcel, listed: true, newest: true }]);
  tell(2, { notNewest: [parcel], notListed: [parcel] });
  t.like(summary(), { parcels: 1, full: 0, under: 0, without: 0, haveMin: 2 });
  t.like(wanted(), [{ id: parcel, listed: false, newest: false }]);
  tell(3, { listedAgain: [parcel] });
  t.like(summary(), short);
  t.like(wanted(), [{ id: parcel, listed: true, newest: false }]);
});

test('a successor stays with the hosts of its family', t => {
  const world = new SmallWorld([{}, {}, {}, {}, {}, {}]);
  const [origin] = world.hosts as [SmallWorld['hosts'][0]];
  const [first] = world.backUp(origin, [{ bytes: MIB, key: 'album' }]);
  world.run(2 * MINUTE_MS);
  const before = world.trueHolders(first as never);
  const [second] = world.backUp(origin, [{ bytes: MIB, key: 'album' }]);
  world.run(2 * MINUTE_MS);
  t.deepEqual(world.trueHolders(second as never), before);
});

test('hosts that are slow are not overtaken by others of no family, and hosts that are full are', t => {
  for (const areFull of [false, true]) {
    const world = new SmallWorld([{}, {}, {}, {}, {}], { rate: 4 * MIB });
    const [origin] = world.hosts as [SmallHost];
    const [first] = world.backUp(origin, [{ bytes: MIB, key: 'album' }]);
    world.run(MINUTE_MS);
    const family = world.trueHolders(first as never);
    const others = world.hosts.filter(host => host !== origin && !family.includes(host));
    world.hasChunks = () => false;
    if (areFull) for (const host of family) world.resize(host, MIB);
    const parcels = world.backUp(
      origin,
      Array.from({ length: 48 }, () => ({ bytes: 4 * MIB, key: 'album' })),
    );
    world.run(5 * MINUTE_MS);
    const takers = new Set(parcels.flatMap(parcel => world.trueHolders(parcel).map(({ id }) => id)));
    t.deepEqual(takers, new Set((areFull ? others : family).map(({ id }) => id)));
    for (const parcel of parcels) t.is(world.trueHolders(parcel).length, 2);
  }
});

test('a head is told by its origin alone, and where that is away by whoever takes it', t => {
  const world = new SmallWorld([{}, {}, {}]);
  const [origin, , third] = world.hosts as [SmallHost, SmallHost, SmallHost];
  const tellers = () =>
    world.effects.flatMap(({ host, effect }) =>
      effect.do === 'gossip' && effect.message.kind === 'heads' ? [host] : [],
    );
  world.run(2_000);
  world.backUp(origin, many(1));
  world.run(10_000);
  t.deepEqual(tellers(), [origin.id]);

  // What it says reaches nobody but one, and then it is gone.
  world.kill(third);
  world.backUp(origin, many(1));
  world.run(200);
  world.kill(origin);
  world.revive(third);
  world.tell(third, { is: 'disconnected', nowMs: world.nowMs, host: origin.id });
  world.run(20_000);
  t.deepEqual(tellers().slice(2), [third.id]);
  t.is(third.machine.known.head(sourceIdOf(origin.id, 'photos'))?.seq, 2);
});

test('the head operation follows the head into every mounted store', t => {
  const world = new SmallWorld([{}, {}, {}]);
  const [parcel] = world.backUp(world.hosts[0] as never, many(1));
  world.run(2 * MINUTE_MS);
  for (const host of world.hosts) t.true(host.ops.some(op => op.op === 'head' && op.seq === 1));
  t.is(world.hosts[0]?.machine.known.copies(parcel as never, 1), 2);
  t.is(world.hosts[0]?.machine.known.copies(parcel as never, 2), 0, 'nobody holds a head that is not there yet');
});

test('law: whatever the sizes, hosts and seeds, copies never exceed N and reach N wherever there is room', t => {
  law(
    t,
    fc.property(
      fc.record({
        seed: fc.integer({ min: 1, max: 1_000_000 }),
        hosts: fc.integer({ min: 3, max: 7 }),
        copies: fc.integer({ min: 1, max: 2 }),
        sizes: fc.array(fc.integer({ min: 1, max: 8 * MIB }), { minLength: 1, maxLength: 40 }),
      }),
      ({ seed, hosts, copies, sizes }) => {
        const world = new SmallWorld(
          Array.from({ length: hosts }, () => ({})),
          { seed, copies },
        );
        const parcels = world.backUp(
          world.hosts[0] as never,
          sizes.map(bytes => ({ bytes })),
        );
        world.runUntil(() => parcels.every(id => world.trueHolders(id).length >= copies), 5 * MINUTE_MS);
        world.run(MINUTE_MS);
        return parcels.every(id => world.trueHolders(id).length === copies);
      },
    ),
    { numRuns: 25 },
  );
});

test('a log that is found to be another one counts for nothing until its writer has told of it again', t => {
  const world = new SmallWorld([{}, {}, {}]);
  const [origin, holder] = world.hosts as [SmallWorld['hosts'][0], SmallWorld['hosts'][0]];
  const parcels = world.backUp(origin, many(5));
  t.true(world.runUntil(() => parcels.every(id => world.trueHolders(id).length >= 2), 5 * MINUTE_MS));
  world.run(MINUTE_MS);
  const counted = () =>
    parcels.filter(id => origin.machine.known.holders(id).some(({ host }) => host === holder.id)).length;
  t.is(counted(), 5);
  world.tell(origin, { is: 'log-forked', nowMs: world.nowMs, host: holder.id, store: holder.store });
  t.is(counted(), 0);
  t.deepEqual(world.effects.findLast(({ host, effect }) => host === origin.id && effect.do === 'ask-state')?.effect, {
    do: 'ask-state',
    host: holder.id,
  });
  world.run(MINUTE_MS);
  t.is(counted(), 5);
  t.true(parcels.every(id => world.trueHolders(id).length === 2));
});

/** An origin's parcel with two holders, and how either tells the origin that the other's copy failed. */
function auditedWorld() {
  const world = new SmallWorld([{}, {}, {}]);
  const [origin, ...holders] = world.hosts as [SmallHost, SmallHost, SmallHost];
  const [parcel] = world.backUp(origin, many(1)) as [ParcelId];
  world.runUntil(() => world.trueHolders(parcel).length >= 2, 5 * MINUTE_MS);
  world.run(MINUTE_MS);
  const fails = ({ id, store }: SmallHost, from: SmallHost): void => {
    const message = { kind: 'failed-audits', failed: [{ host: id, store, parcel }] } as const;
    world.tell(origin, { is: 'heard', nowMs: world.nowMs, from: from.id, message });
  };
  return { world, origin, holders, parcel, fails };
}

test('a copy that is said to have failed its audit is a claim still, until its log has it no more', t => {
  const { world, origin, holders, parcel, fails } = auditedWorld();
  const [one, other] = holders;
  fails(one, other);
  fails(other, one);
  t.deepEqual([origin.machine.known.holders(parcel).length, origin.machine.known.isClaimed(parcel)], [0, true]);
  for (const holder of holders) {
    holder.append({ op: 'corrupt', parcel });
    const segment = holder.segmentAfter(0);
    world.tell(origin, { is: 'log', nowMs: world.nowMs, segment });
  }
  t.false(origin.machine.known.isClaimed(parcel));
});

test('a failed audit of a host that is revoked is over for everybody who heard of it', t => {
  const { world, origin, holders, parcel, fails } = auditedWorld();
  const [holder, other] = holders;
  const notes = () =>
    world.effects.flatMap(({ host, effect }) =>
      host === origin.id && effect.do === 'note-distrust' ? [effect.copies] : [],
    );
  fails(holder, other);
  t.is(origin.machine.known.copies(parcel), 1);
  world.configure({
    members: world.members().map(member => (member.host === holder.id ? { ...member, state: 'revoked' } : member)),
  });
  t.deepEqual(notes(), [1, 0]);
});

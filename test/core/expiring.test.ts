import test, { type ExecutionContext } from 'ava';
import { Chance } from '../../src/core/chance.js';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import { decideExpiry, type ExpiryView, ExpiryWarrant } from '../../src/core/expiry.js';
import {
  type ParcelId,
  parseClusterId,
  parseHostId,
  parseNonce,
  parseParcelId,
  parseStoreId,
  sourceIdOf,
} from '../../src/core/ids.js';
import { Machine } from '../../src/core/machine.js';
import { firstSeqAfter } from '../../src/core/own-heads.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const DAY_MS = 24 * 3_600_000;
const SOURCE = sourceIdOf(parseHostId('a'.repeat(32)), 'photos');
const COPY = { parcel: parseParcelId('b'.repeat(64)), store: parseStoreId('c'.repeat(32)) };

const view = (changes: Partial<ExpiryView> = {}): ExpiryView => ({
  source: SOURCE,
  wanted: false,
  headSeq: 5,
  heardSeq: 5,
  runMs: 10 * DAY_MS,
  unwantedSinceRunMs: 3 * DAY_MS,
  gcGraceMs: 7 * DAY_MS,
  busy: false,
  ...changes,
});

test('what nobody has wanted for the whole grace expires, and not a moment sooner', t => {
  t.deepEqual(decideExpiry(view()), { act: 'expire' });
  t.deepEqual(decideExpiry(view({ runMs: 10 * DAY_MS - 1 })), { act: 'wait', untilRunMs: 10 * DAY_MS });
});

test('nothing expires by a head that is not the newest heard of, by none, or while somebody reads it', t => {
  t.deepEqual(decideExpiry(view({ heardSeq: 6 })), { act: 'keep', because: 'head-behind' });
  t.deepEqual(decideExpiry(view({ headSeq: 0, heardSeq: 0 })), { act: 'keep', because: 'no-head' });
  t.deepEqual(decideExpiry(view({ busy: true })), { act: 'keep', because: 'busy' });
  t.deepEqual(decideExpiry(view({ wanted: true })), { act: 'keep', because: 'wanted' });
});

test('whose a parcel is that no page names is asked before it goes', t => {
  t.deepEqual(decideExpiry(view({ source: undefined })), { act: 'identify' });
});

test('there is no warrant but on the verdict to expire', t => {
  t.like(ExpiryWarrant.from(view(), COPY), { ...COPY, source: SOURCE, headSeq: 5 });
  for (const change of [{ wanted: true }, { busy: true }, { heardSeq: 6 }, { source: undefined }, { runMs: 0 }]) {
    t.is(ExpiryWarrant.from(view(change), COPY), undefined);
  }
});

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const GRACE = { timing: { gcGraceMs: 3 * HOUR_MS } };

test('parcels that no snapshot lists any more leave every holder after the grace, and the others stay', t => {
  const world = new SmallWorld([{}, {}, {}, {}], GRACE);
  const [origin] = world.hosts as [SmallHost];
  world.run(2_000);
  const parcels = world.backUp(
    origin,
    Array.from({ length: 10 }, () => ({ bytes: MIB })),
  );
  world.run(300_000);
  const [first, second, ...kept] = parcels as [(typeof parcels)[0], (typeof parcels)[0], ...typeof parcels];
  world.forget(origin, [first, second]);
  world.run(2.9 * HOUR_MS);
  t.is(world.trueHolders(first).length, 2);
  world.run(0.5 * HOUR_MS);
  t.deepEqual(
    [first, second].map(id => world.trueHolders(id).length),
    [0, 0],
  );
  t.true(kept.every(id => world.trueHolders(id).length === 2));
  t.true(world.hosts.flatMap(host => host.removed).every(({ because }) => because === 'expired'));
});

test('what a revoked origin said of a head that no member has keeps nothing for ever', t => {
  for (const [isRevoked, memberHasIt, copies] of [
    [false, false, 2],
    [true, false, 0],
    [true, true, 2],
  ] as const) {
    const world = new SmallWorld([{}, {}, {}, {}], GRACE);
    const [origin, second] = world.hosts as [SmallHost, SmallHost];
    world.run(2_000);
    const [parcel] = world.backUp(origin, [{ bytes: MIB }]) as [ParcelId];
    world.run(5 * MINUTE_MS);
    world.forget(origin, [parcel]);
    world.run(MINUTE_MS);
    // A head that nobody gets to see, by gossip and by a log.
    const source = sourceIdOf(origin.id, 'photos');
    const heads = [{ source, seq: 9, hash: 'd'.repeat(64) }];
    world.kill(origin);
    const segment = (memberHasIt ? second : origin).append({ op: 'head', source, seq: 9 });
    for (const host of world.hosts) {
      world.tell(host, { is: 'heard', nowMs: world.nowMs, from: origin.id, message: { kind: 'heads', heads } });
      world.tell(host, { is: 'log', nowMs: world.nowMs, segment });
    }
    const members = world.members().map(member => ({
      ...member,
      state: isRevoked && member.host === origin.id ? ('revoked' as const) : member.state,
    }));
    world.configure({ members });
    world.run(4 * HOUR_MS);
    t.is(world.trueHolders(parcel).length, copies);
  }
});

/** Head 2 of a source is in force everywhere, and does not list a parcel that is held by two. */
function houseThatForgot(t: ExecutionContext) {
  const world = new SmallWorld([{}, {}, {}, {}], GRACE);
  const [origin, second, third] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  const [parcel] = world.backUp(origin, [{ bytes: MIB }]) as [ParcelId];
  const source = sourceIdOf(origin.id, 'photos');
  world.run(5 * MINUTE_MS);
  world.forget(origin, [parcel]);
  world.run(MINUTE_MS);
  t.is(second.machine.known.head(source)?.seq, 2);
  return { world, origin, second, third, parcel, source };
}

test('of a revoked origin what is unwanted goes by the last valid head alone, also where a later one was in force', t => {
  for (const [lastSeq, copies] of [
    [3, 2],
    [2, 0],
    [1, 2],
    [0, 2],
  ] as const) {
    const { world, origin, second, third, parcel, source } = houseThatForgot(t);
    world.kill(origin);
    world.tell(third, { is: 'log', nowMs: world.nowMs, segment: second.append({ op: 'head', source, seq: 9 }) });
    world.configure({
      members: world.members().map(m => (m.host === origin.id ? { ...m, state: 'revoked' } : m)),
      sources: world.sourcePolicies().map(policy => ({ ...policy, lastSeq })),
    });
    world.run(4 * HOUR_MS);
    t.is(world.trueHolders(parcel).length, copies, `the last valid head is ${lastSeq}`);
    if (lastSeq !== 1) continue;

    const heads = [{ source, seq: 1, hash: 'e'.repeat(64) }] as const;
    const { headsDigest } = second.machine.heartbeat();
    const nothing = { add: [], remove: [], notNewest: [], newestAgain: [], notListed: [], listedAgain: [] };
    for (const host of world.hosts) {
      if (host === origin) continue;
      world.tell(host, { is: 'wanted', nowMs: world.nowMs, source, head: heads[0], ...nothing });
      t.is(host.machine.known.head(source)?.seq, 1);
    }
    t.not(second.machine.heartbeat().headsDigest, headsDigest, 'the later one was none that it spoke of');
    world.run(HOUR_MS);
    t.is(world.trueHolders(parcel).length, 0);
  }
});

test('a word of a newer head keeps what is unwanted only if it can be true, and comes from who is heeded', t => {
  const known = 2;
  const jump = 2 ** 20;
  for (const [of, seq, copies, who] of [
    [{}, known + jump, 2, 'a trusted member'],
    [{}, known + jump + 1, 0, 'a trusted member, of more than can be'],
    [{}, Number.MAX_SAFE_INTEGER, 0, 'a trusted member, of the last number'],
    [{ state: 'draining' }, known + 1, 2, 'one that drains'],
    [{ state: 'provisional' }, known + 1, 0, 'a provisional member'],
    [{ trust: 'untrusted' }, known + 1, 0, 'an untrusted one'],
  ] as const) {
    for (const how of ['gossip', 'log'] as const) {
      const world = new SmallWorld([{}, {}, {}, { lentBytes: 0 }], GRACE);
      const [origin, , , other] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
      world.run(2_000);
      const [parcel] = world.backUp(origin, [{ bytes: MIB }]) as [ParcelId];
      world.run(5 * MINUTE_MS);
      world.forget(origin, [parcel]);
      world.run(MINUTE_MS);
      world.configure({ members: world.members().map(m => (m.host === other.id ? { ...m, ...of } : m)) });
      const source = sourceIdOf(origin.id, 'photos');
      t.is(world.sources.get(source)?.seq, known);
      const message = { kind: 'heads', heads: [{ source, seq, hash: 'd'.repeat(64) }] } as const;
      const segment = other.append({ op: 'head', source, seq });
      for (const host of world.hosts) {
        if (host === other) continue;
        if (how === 'log') world.tell(host, { is: 'log', nowMs: world.nowMs, segment });
        else world.tell(host, { is: 'heard', nowMs: world.nowMs, from: other.id, message });
      }
      world.run(4 * HOUR_MS);
      t.is(world.trueHolders(parcel).length, copies, `${how}: ${who}`);
    }
  }
});

test('of its own source an origin is heeded, whatever its standing', t => {
  const world = new SmallWorld([{}, {}, {}, {}], GRACE);
  const [origin] = world.hosts as [SmallHost];
  world.run(2_000);
  const [parcel] = world.backUp(origin, [{ bytes: MIB }]) as [ParcelId];
  world.run(5 * MINUTE_MS);
  world.forget(origin, [parcel]);
  world.run(MINUTE_MS);
  world.configure({ members: world.members().map(m => (m.host === origin.id ? { ...m, trust: 'untrusted' } : m)) });
  const heads = [{ source: sourceIdOf(origin.id, 'photos'), seq: 9, hash: 'd'.repeat(64) }];
  for (const host of world.hosts)
    world.tell(host, { is: 'heard', nowMs: world.nowMs, from: origin.id, message: { kind: 'heads', heads } });
  world.run(4 * HOUR_MS);
  t.is(world.trueHolders(parcel).length, 2);
});

test('what is wanted again before its time is up stays, and has all of its time again after that', t => {
  const world = new SmallWorld([{}, {}, {}, {}], GRACE);
  const [origin] = world.hosts as [SmallHost];
  world.run(2_000);
  const [parcel] = world.backUp(origin, [{ bytes: MIB }]) as [ReturnType<SmallWorld['backUp']>[0]];
  world.run(300_000);
  const before = world.sources.get(sourceIdOf(origin.id, 'photos'))?.parcels ?? [];
  world.forget(origin, [parcel]);
  world.run(2.9 * HOUR_MS);
  world.list(origin, before);
  world.run(4 * HOUR_MS);
  t.is(world.trueHolders(parcel).length, 2);
  world.forget(origin, [parcel]);
  world.run(2.9 * HOUR_MS);
  t.is(world.trueHolders(parcel).length, 2);
  world.run(0.5 * HOUR_MS);
  t.is(world.trueHolders(parcel).length, 0);
});

test('since when nobody wants a parcel outlasts a start, whatever is heard of it before its store is mounted', t => {
  const world = new SmallWorld([{}, {}, {}], GRACE);
  const [origin, holder, other] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  const [parcel] = world.backUp(origin, [{ bytes: MIB }]) as [ReturnType<SmallWorld['backUp']>[0]];
  world.run(300_000);
  t.true(holder.present.has(parcel) && other.present.has(parcel));

  const nowMs = 0;
  const [cluster, hash] = [parseClusterId('c'.repeat(32)), 'a'.repeat(64)];
  const config = { cluster, version: 9, hash, members: world.members(), sources: [] };
  const machine = new Machine({
    self: holder.id,
    boot: 2,
    chance: new Chance([1, 2, 3]),
    nonces: () => parseNonce('d'.repeat(32)),
    config: { ...config, timing: { ...DEFAULT_TIMING, ...GRACE.timing } },
    nowMs,
    ranBeforeMs: 10 * HOUR_MS,
  });
  const sinceRunMs = 7 * HOUR_MS;
  const { store } = holder;
  const effects = [
    machine.step({ is: 'unwanted-before', nowMs, parcels: [{ parcel, sinceRunMs }] }),
    machine.step({ is: 'log', nowMs, segment: other.segmentAfter(0) }),
    machine.step({ is: 'log', nowMs, segment: holder.segmentAfter(0) }),
    machine.step({ is: 'store', nowMs, store, lentBytes: 9 * MIB, usedBytes: MIB, draining: false, unread: false }),
  ].flat();
  t.false(effects.some(effect => effect.do === 'note-unwanted'));
  t.true(effects.some(effect => effect.do === 'identify'));
});

test('what has left a store is forgotten: whoever takes it again begins anew', t => {
  const world = new SmallWorld([{}, {}, {}, {}], GRACE);
  const [origin] = world.hosts as [SmallHost];
  world.run(2_000);
  const [parcel] = world.backUp(origin, [{ bytes: MIB }]) as [ReturnType<SmallWorld['backUp']>[0]];
  world.run(300_000);
  world.forget(origin, [parcel]);
  world.run(4 * HOUR_MS);
  t.is(world.trueHolders(parcel).length, 0);
  const notes = world.effects.flatMap(({ effect }) => (effect.do === 'note-unwanted' ? [effect.sinceRunMs] : []));
  t.is(notes.filter(note => note !== undefined).length, 2);
  t.is(notes.filter(note => note === undefined).length, 2);
});

test('what another origin lists besides, and lists no longer, stays with all its copies', t => {
  const world = new SmallWorld([{}, {}, {}, {}, {}], { copies: 3, timing: { gcGraceMs: 600_000 } });
  const [origin, liar] = world.hosts as [SmallHost, SmallHost];
  world.run(2_000);
  const [parcel] = world.backUp(origin, [{ bytes: MIB }]) as [ReturnType<SmallWorld['backUp']>[0]];
  world.run(300_000);
  t.is(world.trueHolders(parcel).length, 3);
  const [ref] = world.sources.get(sourceIdOf(origin.id, 'photos'))?.parcels ?? [];
  world.backUp(liar, [{ bytes: 1 }], 'lies');
  const fewer = world
    .sourcePolicies()
    .map(policy => (policy.source.endsWith('lies') ? { ...policy, copies: 1 } : policy));
  world.configure({ sources: fewer });
  world.list(liar, ref === undefined ? [] : [ref], 'lies');
  world.run(600_000);
  // What lies with an origin that lists it is no copy.
  t.is(world.trueHolders(parcel).filter(host => host !== liar).length, 3);
  world.list(liar, [], 'lies');
  world.run(1_200_000);
  t.true(world.trueHolders(parcel).length >= 3);
  // It is gone only when its own origin wants it no longer, and not while another still says that it does.
  world.list(liar, ref === undefined ? [] : [ref], 'lies');
  world.run(60_000);
  world.forget(origin, [parcel]);
  world.run(1_200_000);
  t.true(world.trueHolders(parcel).length >= 1);
  world.list(liar, [], 'lies');
  world.run(1_200_000);
  t.is(world.trueHolders(parcel).length, 0);
});

test('of an origin that goes on as another machine what is unwanted goes, whatever void head a log names, and stays while a void one is in force', t => {
  for (const [lastSeq, named, copies] of [
    [2, 9, 0],
    // The present machine’s, which nobody here has.
    [2, firstSeqAfter(2), 2],
    [1, 1, 2],
    [3, 9, 2],
  ] as const) {
    const { world, second, parcel, source } = houseThatForgot(t);
    const segment = second.append({ op: 'head', source, seq: named });
    for (const host of world.hosts) world.tell(host, { is: 'log', nowMs: world.nowMs, segment });
    const goesOnSeq = firstSeqAfter(lastSeq);
    world.configure({ sources: world.sourcePolicies().map(policy => ({ ...policy, lastSeq, goesOnSeq })) });
    world.run(4 * HOUR_MS);
    t.is(world.trueHolders(parcel).length, copies, `the last valid head is ${lastSeq}, and ${named} is named`);
  }
});

test('a head that is in force in the place of a void one is the newest, whatever its number, and all speak of the same', t => {
  const world = new SmallWorld([{}, {}, {}], GRACE);
  const [origin, second] = world.hosts as [SmallHost, SmallHost];
  world.run(2_000);
  const source = sourceIdOf(origin.id, 'photos');
  const nothing = { add: [], remove: [], notNewest: [], newestAgain: [], notListed: [], listedAgain: [] };
  const take = (host: SmallHost, seq: number, digit: string) =>
    world.tell(host, {
      is: 'wanted',
      nowMs: world.nowMs,
      source,
      head: { source, seq, hash: digit.repeat(64) },
      ...nothing,
    });
  // Somebody has signed it with a key that is shut out now, and with a number that the present one may have as well.
  for (const host of world.hosts) take(host, host === second ? 2 ** 17 + 5 : 2 ** 17, host === second ? 'e' : 'd');
  const digests = () => new Set(world.hosts.map(({ machine }) => machine.heartbeat().headsDigest)).size;
  t.is(digests(), 2);
  take(second, 2 ** 17, 'd');
  t.deepEqual([second.machine.known.head(source)?.seq, digests()], [2 ** 17, 1]);
  const asked = () =>
    world.effects.filter(({ host, effect }) => host === second.id && effect.do === 'keep-head').length;
  const before = asked();
  world.run(5 * MINUTE_MS);
  t.is(asked(), before);
});

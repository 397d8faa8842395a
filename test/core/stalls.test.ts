/** What the machine must come back to by itself: nothing here is helped along by a later event. */
import test from 'ava';
import type { Effect } from '../../src/core/effects.js';
import { hashHex } from '../../src/core/hash.js';
import type { HostView } from '../../src/core/host-view.js';
import { type ParcelId, parseKey, parseNonce, parseParcelId, sourceIdOf } from '../../src/core/ids.js';
import { NO_CHANGE } from '../helpers/no-change.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const MINUTE_MS = 60_000;
const many = (count: number, bytes = MIB) => Array.from({ length: count }, () => ({ bytes }));
const wakesAt = (effects: readonly Effect[]): number =>
  effects.reduce((atMs, effect) => (effect.do === 'wake' ? effect.atMs : atMs), Number.NaN);

test('a wake that comes a little early is asked for again', t => {
  const world = new SmallWorld([{}]);
  const [{ machine }] = world.hosts as [SmallWorld['hosts'][0]];
  machine.step({ is: 'wake', nowMs: world.nowMs });
  const dueMs = wakesAt(machine.step({ is: 'wake', nowMs: world.nowMs }));
  t.true(dueMs > world.nowMs);
  t.is(wakesAt(machine.step({ is: 'wake', nowMs: dueMs - 0.5 })), dueMs);
});

test('a host that goes away while it is asked for its state does not keep the machine awake', t => {
  const world = new SmallWorld([{}, {}]);
  world.run(5_000);
  const [{ machine }, other] = world.hosts as [SmallWorld['hosts'][0], SmallWorld['hosts'][0]];
  const { nowMs } = world;
  machine.step({ is: 'connected', nowMs, host: other.id });
  machine.step({ is: 'connected', nowMs, host: other.id });
  machine.step({ is: 'disconnected', nowMs, host: other.id });
  machine.step({ is: 'state-answered', nowMs, host: other.id, ok: false });
  const laterMs = nowMs + MINUTE_MS;
  machine.step({ is: 'wake', nowMs: laterMs });
  t.true(wakesAt(machine.step({ is: 'wake', nowMs: laterMs })) > laterMs);
});

test('what is looked at again and again is looked at no more often for having been looked at otherwise', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: MIB }, { lentBytes: MIB }], { copies: 1 });
  const [origin, host, other] = world.hosts as [SmallWorld['hosts'][0], SmallWorld['hosts'][0], SmallWorld['hosts'][0]];
  world.run(2_000);
  // They fit nowhere: every host comes back to them.
  world.backUp(origin, many(5, 2 * MIB));
  /** How many moments it asks to be woken at. */
  const wakes = (forMs: number): number => {
    const before = world.effects.length;
    world.run(forMs);
    const ofHost = world.effects.slice(before).filter(({ host: id }) => id === host.id);
    return new Set(ofHost.map(({ effect }) => (effect.do === 'wake' ? effect.atMs : 0))).size;
  };
  wakes(MINUTE_MS);
  const undisturbed = wakes(5 * MINUTE_MS);
  for (let i = 0; i < 50; i += 1) {
    world.tell(host, { is: 'connected', nowMs: world.nowMs, host: other.id });
    world.run(701);
  }
  wakes(MINUTE_MS);
  const disturbed = wakes(5 * MINUTE_MS);
  t.true(disturbed <= undisturbed * 1.2, `${disturbed} moments, which were ${undisturbed}`);
});

test('claims end by themselves, also on parcels that nobody wants', t => {
  const world = new SmallWorld([{}, {}]);
  world.run(2_000);
  const [{ machine }, other] = world.hosts as [SmallWorld['hosts'][0], SmallWorld['hosts'][0]];
  const unknown = parseParcelId('ab'.repeat(32));
  machine.step({
    is: 'heard',
    nowMs: world.nowMs,
    from: other.id,
    message: { kind: 'claims', store: other.store, claims: [{ parcel: unknown, ttlMs: 1_000 }], withdrawn: [] },
  });
  t.is(machine.known.pending().othersClaims, 1);
  machine.step({ is: 'wake', nowMs: world.nowMs + 1_000 });
  t.is(machine.known.pending().othersClaims, 0);
});

test('what a better host claimed and never fetched is looked at again when the claim ends', t => {
  const world = new SmallWorld([{}, {}, {}], { copies: 1 });
  world.run(40_000);
  const [origin, , third] = world.hosts as [SmallWorld['hosts'][0], SmallWorld['hosts'][0], SmallWorld['hosts'][0]];
  const parcels = world.backUp(origin, many(20));
  world.run(1_000);
  // This host claims what it is first for; the other one says that it does too, with the better rank or not.
  const { machine } = third;
  const [, second] = world.hosts as [SmallWorld['hosts'][0], SmallWorld['hosts'][0]];
  const { nowMs } = world;
  machine.step({
    is: 'heard',
    nowMs,
    from: second.id,
    message: {
      kind: 'claims',
      store: second.store,
      claims: parcels.map(parcel => ({ parcel, ttlMs: 10_000 })),
      withdrawn: [],
    },
  });
  machine.step({ is: 'wake', nowMs: nowMs + 5_000 });
  t.true(machine.known.pending().pursuits < 20);
  machine.step({ is: 'wake', nowMs: nowMs + 10_000 });
  t.is(machine.known.pending().pursuits, 20);
});

test('an origin that is away does not keep other sources from their copies', t => {
  const world = new SmallWorld([{}, {}, {}, {}]);
  world.run(5_000);
  const [away, origin] = world.hosts as [SmallWorld['hosts'][0], SmallWorld['hosts'][0]];
  world.backUp(away, many(700));
  world.run(100);
  world.kill(away);
  world.run(MINUTE_MS);
  const parcels = world.backUp(origin, many(20));
  t.true(world.runUntil(() => parcels.every(id => world.trueHolders(id).length === 2), 2 * MINUTE_MS));
});

test('room that is set free by a parcel given up is used for another, once its fetch has ended', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 100 * MIB }], { copies: 1 });
  world.run(40_000);
  const [origin, taker] = world.hosts as [SmallWorld['hosts'][0], SmallWorld['hosts'][0]];
  const [large] = world.backUp(origin, [{ bytes: 80 * MIB }, { bytes: 60 * MIB }]) as [ParcelId];
  t.true(world.runUntil(() => taker.machine.known.pending().fetches === 1, 10_000));
  const source = sourceIdOf(origin.id, 'photos');
  const { nowMs } = world;
  const head = { source, seq: 2, hash: 'f'.repeat(64) };
  // The large one, fetched first, is not wanted any more.
  const effects = taker.machine.step({ is: 'wanted', nowMs, source, head, ...NO_CHANGE, remove: [large] });
  const [fetch] = effects.flatMap(effect => (effect.do === 'cancel-fetch' ? [effect.fetch] : []));
  t.not(fetch, undefined);
  // Its bytes may still come to lie there.
  t.is(taker.machine.known.pending().pursuits, 0);
  t.is(taker.machine.known.reservedBytes(taker.store), 80 * MIB);
  taker.machine.step({ is: 'fetch-failed', nowMs, fetch: fetch ?? 0, because: 'cancelled', retryAfterMs: 0 });
  t.is(taker.machine.known.pending().pursuits, 1);
  t.is(taker.machine.known.reservedBytes(taker.store), 60 * MIB);
});

test('with one place left after its origin went away too, a parcel counts as short', t => {
  const world = new SmallWorld([{}, {}, {}, {}], { timing: { repairStepMs: 0 } });
  world.run(5_000);
  const [origin] = world.hosts as [SmallWorld['hosts'][0]];
  const [parcel] = world.backUp(origin, many(1)) as [ParcelId];
  t.true(world.runUntil(() => world.trueHolders(parcel).length === 2, MINUTE_MS));
  world.run(2_000);
  const [first] = world.trueHolders(parcel) as [SmallWorld['hosts'][0]];
  const spare = world.hosts.find(host => host !== origin && !world.trueHolders(parcel).includes(host));
  world.kill(first);
  // Long enough to be suspect and past the last place's time, not long enough to be dead.
  world.run(5 * MINUTE_MS);
  t.is(spare?.machine.known.copies(parcel), 2);
  const { nowMs } = world;
  spare?.machine.step({ is: 'disconnected', nowMs, host: origin.id });
  const [other] = world.trueHolders(parcel) as [SmallWorld['hosts'][0]];
  const message = other.machine.heartbeat();
  spare?.machine.step({ is: 'heard', nowMs: nowMs + MINUTE_MS / 3, from: other.id, message });
  spare?.machine.step({ is: 'wake', nowMs: nowMs + MINUTE_MS / 2 });
  t.is(spare?.machine.known.copies(parcel), 1);
  t.is(spare?.machine.known.pending().pursuits, 1);
});

test('the origin is a place for what its newest snapshot lists, and for nothing else', t => {
  const world = new SmallWorld([{}, {}, {}, {}], { timing: { repairStepMs: 0 } });
  world.run(5_000);
  const [origin] = world.hosts as [SmallWorld['hosts'][0]];
  const [newest, older] = world.backUp(origin, many(2)) as [ParcelId, ParcelId];
  const areHeld = () => [newest, older].every(parcel => world.trueHolders(parcel).length === 2);
  t.true(world.runUntil(areHeld, MINUTE_MS));
  world.run(2_000);
  const lone = world.hosts.find(host => host !== origin && !world.trueHolders(older).includes(host));
  const [first] = world.trueHolders(older) as [SmallWorld['hosts'][0]];
  world.kill(first);
  // Suspect and past the last place's time, not dead.
  world.run(5 * MINUTE_MS);
  t.is(lone?.machine.known.copies(older), 2);
  const source = sourceIdOf(origin.id, 'photos');
  const head = { source, seq: 2, hash: '2'.padStart(64, '0') };
  lone?.machine.step({ is: 'wanted', nowMs: world.nowMs, source, head, ...NO_CHANGE, notNewest: [older] });
  t.is(lone?.machine.known.copies(older), 1);
});

test('a host whose disk was pulled while we were away is known not to hold what its log says', t => {
  const world = new SmallWorld([{}, {}, {}, {}]);
  world.run(5_000);
  const [origin] = world.hosts as [SmallWorld['hosts'][0]];
  const [parcel] = world.backUp(origin, many(1)) as [ParcelId];
  t.true(world.runUntil(() => world.trueHolders(parcel).length === 2, MINUTE_MS));
  world.run(3 * MINUTE_MS);
  const [first] = world.trueHolders(parcel) as [SmallWorld['hosts'][0]];
  const spare = world.hosts.find(host => host !== origin && !world.trueHolders(parcel).includes(host));
  // As after a start: the log is remembered, no heartbeat was heard yet.
  const view = spare?.machine.known.host(first.id) as HostView;
  view.heartbeat = undefined;
  view.reports = new Map();
  const heartbeat = { ...first.machine.heartbeat(), stores: [] };
  spare?.machine.step({ is: 'heard', nowMs: world.nowMs, from: first.id, message: heartbeat });
  t.is(spare?.machine.known.copies(parcel), 1);
  spare?.machine.step({ is: 'wake', nowMs: world.nowMs + MINUTE_MS / 6 });
  t.is(spare?.machine.known.pending().pursuits, 1);
});

test('a source that gives wrong bytes is not the only one that is asked', t => {
  const world = new SmallWorld([{}, {}, {}], { copies: 2, rate: 1 });
  world.run(40_000);
  const [origin, holder, taker] = world.hosts as [
    SmallWorld['hosts'][0],
    SmallWorld['hosts'][0],
    SmallWorld['hosts'][0],
  ];
  const [parcel] = world.backUp(origin, many(1)) as [ParcelId];
  world.tell(taker, { is: 'log', nowMs: world.nowMs, segment: holder.append({ op: 'add', parcel }) });
  const fetches = () =>
    world.effects.flatMap(({ host, effect }) => (host === taker.id && effect.do === 'fetch' ? [effect] : []));
  t.true(world.runUntil(() => fetches().length === 1, MINUTE_MS));
  const fetch = fetches()[0]?.fetch ?? 0;
  const failed = { is: 'fetch-failed', fetch, because: 'bad-bytes', retryAfterMs: 60_000 } as const;
  world.tell(taker, { ...failed, nowMs: world.nowMs });
  t.deepEqual(
    fetches()
      .map(({ from }) => from)
      .sort(),
    [origin.id, holder.id].sort(),
  );
});

/** A host with 20 MiB left that holds a parcel of 80 MiB, and is told of others of its family. */
function fullWithFamily(bytes: readonly number[]) {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 100 * MIB }], { copies: 1 });
  world.run(40_000);
  const [origin, taker] = world.hosts as [SmallWorld['hosts'][0], SmallWorld['hosts'][0]];
  const [old] = world.backUp(origin, [{ bytes: 80 * MIB, key: 'k' }]) as [ParcelId];
  world.runUntil(() => world.trueHolders(old).length === 1, MINUTE_MS);
  taker.machine.step({ is: 'wake', nowMs: world.nowMs });
  const source = sourceIdOf(origin.id, 'photos');
  const refs = bytes.map((size, i) => ({
    id: parseParcelId(hashHex(Buffer.from(`next ${i}`))),
    key: parseKey(hashHex(Buffer.from('k')).slice(0, 32)),
    bytes: size,
  }));
  const { nowMs } = world;
  const asked = taker.machine.step({
    is: 'wanted',
    nowMs,
    source,
    head: { source, seq: 2, hash: 'f'.repeat(64) },
    ...NO_CHANGE,
    add: refs,
  });
  return { taker, nowMs, asked, source, old, parcels: refs.map(({ id }) => id) };
}

const measures = (effects: readonly Effect[]) => effects.filter(effect => effect.do === 'measure').length;

test('what a family saves is not asked for in a circle while nobody can tell', t => {
  const { taker, nowMs, asked, parcels } = fullWithFamily([90 * MIB]);
  t.is(measures(asked), 1);
  const told = {
    is: 'measured',
    parcel: parcels[0] as ParcelId,
    store: taker.store,
    missingBytes: undefined,
    atHand: false,
  } as const;
  t.is(measures(taker.machine.step({ ...told, nowMs })), 0);
  t.is(measures(taker.machine.step({ is: 'wake', nowMs: nowMs + MINUTE_MS })), 1);
});

test('what a family saves is measured anew when one of it comes or leaves, also while it is being measured', t => {
  const { taker, nowMs, asked, parcels } = fullWithFamily([90 * MIB, 15 * MIB]);
  const [large, small] = parcels as [ParcelId, ParcelId];
  t.is(measures(asked), 2);
  const told = {
    is: 'measured',
    nowMs,
    parcel: large,
    store: taker.store,
    missingBytes: 30 * MIB,
    atHand: false,
  } as const;
  const changes = (op: 'add' | 'del') =>
    taker.machine.step({
      is: 'own-ops',
      nowMs,
      segment: taker.append({ op, parcel: small }),
      usedBytes: 80 * MIB,
    });
  t.is(measures(changes('add')), 0);
  t.is(measures(taker.machine.step(told)), 1, 'it was of before');
  t.is(measures(taker.machine.step(told)), 0);
  t.is(measures(changes('del')), 1);
});

/** … and has claimed the first of these, of which 15 MiB are missing. Nobody wants the old one any more. */
function claimedByFamily(bytes: readonly number[]) {
  const beside = fullWithFamily(bytes);
  const { taker, nowMs, source, old } = beside;
  const [claimed] = beside.parcels as [ParcelId];
  const told = {
    is: 'measured',
    nowMs,
    parcel: claimed,
    store: taker.store,
    missingBytes: 15 * MIB,
    atHand: false,
  } as const;
  taker.machine.step(told);
  const head = { source, seq: 3, hash: 'e'.repeat(64) };
  taker.machine.step({ is: 'wanted', nowMs, source, head, ...NO_CHANGE, remove: [old] });
  const changes = (op: 'add' | 'del', parcel: ParcelId, usedBytes: number): readonly Effect[] =>
    taker.machine.step({ is: 'own-ops', nowMs, segment: taker.append({ op, parcel }), usedBytes });
  const claims = (effects: readonly Effect[]) =>
    effects.flatMap(effect => (effect.do === 'gossip' && effect.message.kind === 'claims' ? [effect.message] : []));
  return { ...beside, claimed, changes, claims };
}

test('a claim by what is missing beside a family is given up when that leaves, and made anew by all of it', t => {
  const { taker, old, claimed, changes, claims } = claimedByFamily([90 * MIB]);
  t.is(taker.machine.known.reservedBytes(taker.store), 15 * MIB);
  const effects = changes('del', old, 0);
  t.is(taker.machine.known.reservedBytes(taker.store), 90 * MIB);
  t.deepEqual(
    claims(effects).map(({ claims: made }) => made.map(({ parcel }) => parcel)),
    [[claimed]],
  );
});

test('… and stays as it is when one more of the family comes', t => {
  const { taker, parcels, claimed, changes, claims } = claimedByFamily([90 * MIB, 3 * MIB]);
  const before = taker.machine.known.reservedBytes(taker.store);
  const effects = changes('add', parcels[1] as ParcelId, 80 * MIB);
  t.false(claims(effects).some(({ withdrawn }) => withdrawn.includes(claimed)));
  t.is(taker.machine.known.reservedBytes(taker.store), before - 3 * MIB);
});

/** … and fetches it. */
function fetchedByFamily() {
  const beside = claimedByFamily([90 * MIB]);
  const nowMs = beside.nowMs + MINUTE_MS / 30;
  const effects = beside.taker.machine.step({ is: 'wake', nowMs });
  const fetches = effects.flatMap(effect => (effect.do === 'fetch' ? [effect] : []));
  const fails = (because: 'busy' | 'outgrown') =>
    beside.taker.machine.step({
      is: 'fetch-failed',
      nowMs,
      fetch: fetches[0]?.fetch as number,
      because,
      retryAfterMs: 0,
    });
  return { ...beside, nowMs, fetches, fails };
}

test('a fetch is told of the room that it has, and where it needs more that is measured anew', t => {
  const { taker, fetches, fails } = fetchedByFamily();
  t.deepEqual(
    fetches.map(({ roomBytes }) => roomBytes),
    [15 * MIB],
  );
  t.is(measures(fails('outgrown')), 1);
  t.is(taker.machine.known.reservedBytes(taker.store), 0);
});

test('a fetch beside a family that left meanwhile goes on, and is not begun anew on the room of before', t => {
  const { taker, old, changes, fails } = fetchedByFamily();
  const effects = changes('del', old, 40 * MIB);
  t.false(effects.some(effect => effect.do === 'cancel-fetch'));
  t.is(taker.machine.known.reservedBytes(taker.store), 15 * MIB);
  fails('busy');
  t.is(taker.machine.known.reservedBytes(taker.store), 0);
});

test('a claim lives as long as its fetch finds something here, though nothing comes', t => {
  const { taker, nowMs, fetches, claimed, claims } = fetchedByFamily();
  const fetch = fetches[0]?.fetch as number;
  const renewedAt = (atMs: number): boolean =>
    claims(taker.machine.step({ is: 'wake', nowMs: atMs })).some(({ claims: made }) =>
      made.some(({ parcel }) => parcel === claimed),
    );
  renewedAt(nowMs + MINUTE_MS / 2);
  taker.machine.step({ is: 'fetch-progress', nowMs: nowMs + MINUTE_MS / 2, fetch, doneBytes: 0, foundBytes: 4 * MIB });
  t.true(renewedAt(nowMs + MINUTE_MS));
  t.false(renewedAt(nowMs + 1.5 * MINUTE_MS), 'and no longer');
});

test('operations altered by a host that passes them on do not make the writer’s copies disappear', t => {
  const world = new SmallWorld([{}, {}, {}]);
  world.run(5_000);
  const [origin] = world.hosts as [SmallWorld['hosts'][0]];
  const [parcel] = world.backUp(origin, many(1)) as [ParcelId];
  t.true(world.runUntil(() => world.trueHolders(parcel).length === 2, MINUTE_MS));
  world.run(2_000);
  const [holder] = world.trueHolders(parcel) as [SmallWorld['hosts'][0]];
  const honest = holder.append({ op: 'head', source: sourceIdOf(origin.id, 'photos'), seq: 2 });
  const altered = { ...honest, ops: [{ op: 'del', parcel } as const] };
  origin.machine.step({ is: 'log', nowMs: world.nowMs, segment: altered, relayed: true });
  t.is(origin.machine.known.copies(parcel), 2);
  // From the writer itself it says that the log is another one than we read.
  origin.machine.step({ is: 'log', nowMs: world.nowMs, segment: altered });
  t.is(origin.machine.known.copies(parcel), 1);
});

test('who was connected before a configuration made it a member is asked for its state then', t => {
  const world = new SmallWorld([{}, {}]);
  const [host, late] = world.hosts as [SmallWorld['hosts'][0], SmallWorld['hosts'][0]];
  const members = world.members();
  world.configure({ members: members.slice(0, 1) });
  const asked = (): number =>
    world.effects.filter(({ effect }) => effect.do === 'ask-state' && effect.host === late.id).length;
  const before = asked();
  world.tell(host, { is: 'connected', nowMs: world.nowMs, host: late.id });
  t.is(asked(), before);
  world.configure({ members });
  t.is(asked(), before + 1);
  t.true(host.machine.known.host(late.id)?.connected);
});

test('however many connect at once, one heartbeat tells them all what is here', t => {
  const world = new SmallWorld([{}, {}, {}, {}]);
  world.run(60_000);
  const [host, ...others] = world.hosts as [SmallWorld['hosts'][0], ...SmallWorld['hosts']];
  const said = (): number =>
    world.effects.filter(
      ({ host: id, effect }) => id === host.id && effect.do === 'gossip' && effect.message.kind === 'heartbeat',
    ).length;
  const before = said();
  for (const other of others) {
    world.tell(host, { is: 'disconnected', nowMs: world.nowMs, host: other.id });
    world.tell(host, { is: 'connected', nowMs: world.nowMs, host: other.id });
  }
  t.is(said(), before);
  world.run(1_500);
  t.is(said(), before + 1);
});

test('for the log of a host that is heard of and not connected one after the other is asked who may have it', t => {
  const world = new SmallWorld([{}, {}, {}, {}]);
  const [host, writer, ...relays] = world.hosts as [SmallWorld['hosts'][0], SmallWorld['hosts'][0]];
  world.run(20_000);
  t.deepEqual(host.machine.known.outOfReach(), []);
  world.tell(host, { is: 'disconnected', nowMs: world.nowMs, host: writer.id });
  world.loses = message => message.kind === 'log';
  writer.append({ op: 'head', source: sourceIdOf(host.id, 'photos'), seq: 1 });
  world.tell(writer, { is: 'own-ops', nowMs: world.nowMs, segment: writer.segmentAfter(0), usedBytes: 0 });
  world.effects.length = 0;
  world.run(60_000);
  t.deepEqual(host.machine.known.outOfReach(), [writer.id]);
  const asked = world.effects.flatMap(each =>
    each.host === host.id && each.effect.do === 'ask-state' ? [each.effect.host] : [],
  );
  t.deepEqual([...new Set(asked)].sort(), relays.map(({ id }) => id).sort());
});

test('what a host claimed in an earlier start is nobody’s: its fetches ended with that', t => {
  const world = new SmallWorld([{}, {}, {}], { copies: 1 });
  world.run(40_000);
  const [origin, second, third] = world.hosts as [SmallHost, SmallHost, SmallHost];
  const parcels = world.backUp(origin, many(20));
  world.run(1_000);
  const { machine } = third;
  const { nowMs } = world;
  const claims = parcels.map(parcel => ({ parcel, ttlMs: 3_600_000 }));
  const message = { kind: 'claims', store: second.store, claims, withdrawn: [] } as const;
  machine.step({ is: 'heard', nowMs, from: second.id, message });
  machine.step({ is: 'wake', nowMs: nowMs + 5_000 });
  t.true(machine.known.pending().pursuits < 20);
  const heartbeat = second.machine.heartbeat();
  const again = { ...heartbeat, boot: heartbeat.boot + 1, bootId: parseNonce('e'.repeat(32)) };
  machine.step({ is: 'heard', nowMs: nowMs + 5_000, from: second.id, message: again });
  machine.step({ is: 'wake', nowMs: nowMs + 10_000 });
  t.is(machine.known.pending().pursuits, 20);
});

test('a host that comes and goes, and is never read to its end, keeps nobody from copying for longer than one that came once', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, {}, {}, { lentBytes: 1 }]);
  const [origin, first, second, flapping] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
  world.run(5_000);
  // It holds something, and nobody comes to read that.
  world.tell(flapping, {
    is: 'log',
    nowMs: world.nowMs,
    segment: flapping.append({ op: 'add', parcel: parseParcelId('7'.repeat(64)) }),
  });
  const tell = world.tell.bind(world);
  world.tell = (host, input) => {
    const isOfIt =
      (input.is === 'log' && input.segment.host === flapping.id) ||
      (input.is === 'state-answered' && input.host === flapping.id);
    if (host === flapping || !isOfIt) tell(host, input);
    else if (input.is === 'state-answered') tell(host, { ...input, ok: false });
  };
  let parcels: readonly ParcelId[] = [];
  for (let times = 0; times < 6; times += 1) {
    for (const host of [origin, first, second])
      world.tell(host, { is: 'disconnected', nowMs: world.nowMs, host: flapping.id });
    world.run(2_000);
    for (const host of [origin, first, second])
      world.tell(host, { is: 'connected', nowMs: world.nowMs, host: flapping.id });
    if (times === 0) parcels = world.backUp(origin, many(5));
    world.run(18_000);
  }
  for (const parcel of parcels) t.true(world.trueHolders(parcel).length > 0);
});

/** What follows when one store of a host goes away and comes back while the host runs on. */
import test from 'ava';
import type { Input } from '../../src/core/effects.js';
import { type LogSegment, logStart } from '../../src/core/holdings-log.js';
import { parseStoreId, sourceIdOf } from '../../src/core/ids.js';
import { NO_CHANGE } from '../helpers/no-change.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const HOUR_MS = 3_600_000;

/** An origin and three others with two copies of each of a few parcels; the second host holds some. */
function settled() {
  const world = new SmallWorld([{ lentBytes: 0 }, {}, {}, {}], { timing: { returnMs: HOUR_MS } });
  const [origin, host, ...others] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
  world.run(5_000);
  const parcels = world.backUp(
    origin,
    Array.from({ length: 12 }, () => ({ bytes: MIB })),
  );
  const countOf = (): number => world.hosts.reduce((sum, { present }) => sum + present.size, 0);
  world.run(120_000);
  const goes = (): void => world.tell(host, { is: 'store-gone', nowMs: world.nowMs, store: host.store });
  const comes = (): void => world.tell(host, storeOf(world, host));
  return { world, origin, host, others, parcels, countOf, goes, comes };
}

const storeOf = ({ nowMs }: SmallWorld, { store, lentBytes, usedBytes }: SmallHost): Input => ({
  is: 'store',
  nowMs,
  store,
  lentBytes,
  usedBytes,
  draining: false,
  unread: false,
});

test('a store that comes and goes makes others copy once, and nobody drops before it has stayed for as long as a host', t => {
  const { world, host, parcels, countOf, goes, comes } = settled();
  t.is(countOf(), 2 * parcels.length);
  const held = host.present.size;
  t.true(held > 0);
  for (let times = 0; times < 5; times += 1) {
    goes();
    world.run(60_000);
    comes();
    world.run(120_000);
  }
  t.deepEqual(
    world.hosts.flatMap(({ removed }) => removed),
    [],
  );
  t.is(countOf(), 2 * parcels.length + held);
  world.run(HOUR_MS + 600_000);
  t.is(countOf(), 2 * parcels.length);
});

test('of a host whose store is read again nobody takes for nothing what is not known, until it has been read', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: MIB }, {}, {}]);
  const [, host, other] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(5_000);
  const left = (): readonly (number | undefined)[] => [host, other].map(({ machine }) => machine.known.left(host.id));
  const told = (unread: boolean): void => {
    world.tell(host, { ...storeOf(world, host), unread } as Input);
    // Said at once, not with the next heartbeat.
    world.run(500);
  };
  t.deepEqual(left(), [0, 0]);
  told(true);
  t.deepEqual(left(), [undefined, undefined]);
  t.is(other.machine.known.unreadStores(host.id), 1);
  told(false);
  t.deepEqual(left(), [0, 0]);
});

test('a head that was on its way into a store that went away is asked for again when it is back', t => {
  const { world, host, goes, comes, origin } = settled();
  const source = sourceIdOf(origin.id, 'photos');
  const asked = (): number =>
    world.effects.filter(({ host: id, effect }) => id === host.id && effect.do === 'keep-head').length;
  const before = asked();
  // Told directly: the small world would answer at once.
  const { machine } = host;
  const head = { source, seq: 99, hash: 'f'.repeat(64) };
  const wanted: Input = {
    is: 'wanted',
    nowMs: world.nowMs,
    source,
    head,
    ...NO_CHANGE,
  };
  t.true(machine.step(wanted).some(effect => effect.do === 'keep-head'));
  goes();
  comes();
  t.true(asked() > before);
});

test('who says twice that its log ends before what was read of it is asked, and told so', t => {
  const { world, host, others } = settled();
  const [hearer] = others as [SmallHost, SmallHost];
  const asks = (): number =>
    world.effects.filter(
      ({ host: id, effect }) => id === hearer.id && effect.do === 'ask-state' && effect.host === host.id,
    ).length;
  const { stores, ...rest } = host.machine.heartbeat();
  const [report] = stores as [(typeof stores)[number]];
  const later: LogSegment = host.append({ op: 'head', source: sourceIdOf(host.id, 'other'), seq: 1 });
  world.tell(hearer, { is: 'log', nowMs: world.nowMs, segment: later });
  const says = (): void => {
    const message = { ...rest, stores: [report] };
    world.tell(hearer, { is: 'heard', nowMs: world.nowMs, from: host.id, message });
  };
  const before = asks();
  world.tell(hearer, {
    is: 'heard',
    nowMs: world.nowMs,
    from: host.id,
    message: { ...rest, stores: [{ ...report, position: later.end }] },
  });
  says();
  t.is(asks(), before, 'the word of it may have been late');
  says();
  t.is(asks(), before + 1);
});

test('what lies in a store that is to be emptied is fetched into another one of its host', t => {
  const { world, host } = settled();
  const second = parseStoreId('5'.repeat(32));
  const end = logStart(second, { counter: 1, random: '00'.repeat(8) });
  const segment: LogSegment = { host: host.id, end, ops: [], signature: new Uint8Array(64) };
  world.tell(host, { is: 'log', nowMs: world.nowMs, segment });
  world.tell(host, {
    is: 'store',
    nowMs: world.nowMs,
    store: second,
    lentBytes: 1024 * MIB,
    usedBytes: 0,
    draining: false,
    unread: false,
  });
  world.run(60_000);
  const from = world.effects.length;
  const { store, lentBytes, usedBytes } = host;
  world.tell(host, { is: 'store', nowMs: world.nowMs, store, lentBytes, usedBytes, draining: true, unread: false });
  world.run(30_000);
  const fetched = world.effects
    .slice(from)
    .flatMap(({ host: id, effect }) =>
      id === host.id && effect.do === 'fetch' && effect.store === second ? effect.parcel : [],
    );
  t.true(fetched.some(parcel => host.present.has(parcel)));
});

test('a surplus that waits, for its host was away, goes when room becomes needed', t => {
  const world = new SmallWorld([
    { lentBytes: 0 },
    { lentBytes: 40 * MIB },
    { lentBytes: 40 * MIB },
    { lentBytes: 40 * MIB },
  ]);
  const [origin, , , away] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
  world.run(5_000);
  const parcels = world.backUp(
    origin,
    Array.from({ length: 40 }, () => ({ bytes: MIB })),
  );
  world.run(600_000);
  world.kill(away);
  world.run(12 * HOUR_MS);
  world.revive(away);
  world.run(600_000);
  t.true(parcels.filter(parcel => world.trueHolders(parcel).length === 3).length > 10);
  const more = world.backUp(
    origin,
    Array.from({ length: 10 }, () => ({ bytes: MIB })),
  );
  world.run(600_000);
  for (const parcel of more) t.is(world.trueHolders(parcel).length, 2);
});

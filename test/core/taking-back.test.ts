/** Taking back: room that is kept for what comes out of the trash. */
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { type ParcelId, parseParcelId } from '../../src/core/ids.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const LOST = parseParcelId(hashHex(Buffer.from('lost')));

/** An origin, and a host that lends 100 MiB. */
function begin() {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 100 * MIB }], { copies: 1 });
  world.run(40_000);
  const [origin, taker] = world.hosts as [SmallHost, SmallHost];
  const { store, machine } = taker;
  const takeBack = (bytes: number): boolean => {
    world.tell(taker, { is: 'taking-back', nowMs: world.nowMs, parcel: LOST, store, bytes });
    return machine.known.keepsRoomFor(LOST);
  };
  const end = (): void => world.tell(taker, { is: 'taken-back', nowMs: world.nowMs, parcel: LOST });
  const pursues = (): number => machine.known.pending().pursuits;
  return { world, origin, taker, takeBack, end, pursues };
}

test('what is being taken back has room that nothing else is claimed for, and that is free when it has ended', t => {
  const { world, origin, takeBack, end, pursues } = begin();
  t.true(takeBack(60 * MIB));
  world.backUp(origin, [{ bytes: 50 * MIB }]);
  world.run(1_000);
  t.is(pursues(), 0);
  end();
  t.is(pursues(), 1);
});

test('room that others have is not kept for it, nor more than is lent', t => {
  const { world, origin, taker, takeBack } = begin();
  t.false(takeBack(100 * MIB + 1));
  const [parcel] = world.backUp(origin, [{ bytes: 50 * MIB }]) as [ParcelId];
  t.true(
    world.runUntil(() => taker.machine.known.pending().pursuits === 1, 10_000),
    parcel,
  );
  t.false(takeBack(50 * MIB + 1));
  t.true(takeBack(50 * MIB));
});

test('a store that is being drained takes back what is its own', t => {
  const { world, taker, takeBack } = begin();
  const { store } = taker;
  world.tell(taker, {
    is: 'store',
    nowMs: world.nowMs,
    store,
    lentBytes: MIB,
    usedBytes: 0,
    draining: true,
    unread: false,
  });
  t.true(takeBack(MIB));
});

test('no trash gives way to what is taken out of it', t => {
  const { taker, takeBack } = begin();
  takeBack(60 * MIB);
  t.is(taker.machine.known.reservedBytes(taker.store), 60 * MIB);
  t.is(taker.machine.known.comingBytes(taker.store), 0);
});

test('what was kept in a store that went meanwhile is not given back to the one that came', t => {
  const { world, taker, takeBack, end } = begin();
  takeBack(60 * MIB);
  world.tell(taker, { is: 'store-gone', nowMs: world.nowMs, store: taker.store });
  world.mount(taker, 100 * MIB);
  end();
  t.is(taker.machine.known.reservedBytes(taker.store), 0);
});

test('lost is what is wanted and has no copy while its origin is away, and only for a host whose copies would count', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 100 * MIB }, { lentBytes: 0 }], { copies: 1 });
  world.run(40_000);
  const [origin, taker, other] = world.hosts as [SmallHost, SmallHost, SmallHost];
  const lost = (host: SmallHost): ParcelId[] => [...host.machine.known.lost()].map(({ parcel }) => parcel);
  const [held, larger] = world.backUp(origin, [{ bytes: 10 * MIB }, { bytes: 200 * MIB }]) as [ParcelId, ParcelId];
  world.run(60_000);
  t.deepEqual(
    world.trueHolders(held).map(({ id }) => id),
    [taker.id],
  );
  t.deepEqual([lost(origin), lost(taker)], [[], []]);
  world.kill(origin);
  world.run(10_000);
  t.deepEqual([lost(taker), lost(other)], [[larger], [larger]]);
  const members = world
    .members()
    .map((member): typeof member => (member.host === other.id ? { ...member, state: 'draining' } : member));
  world.configure({ members });
  t.deepEqual([lost(taker), lost(other)], [[larger], []]);
});

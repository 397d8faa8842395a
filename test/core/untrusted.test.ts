/** Untrusted hosts: they take no copy, none of theirs counts, nobody waits for them, and their stores are no room. */
import test from 'ava';
import { roomWantedAt } from '../helpers/room-wanted-at.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

/** Longer than any turn, and than a move takes to begin. */
const LONG_MS = 5 * 60_000;

test('an untrusted host takes no copy, however short of copies a parcel is', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, {}, { trust: 'untrusted' }]);
  const [origin, trusted, guest] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.backUp(origin, [{ bytes: MIB }]);
  world.run(LONG_MS);
  t.is(trusted.present.size, 1);
  t.is(guest.present.size, 0);
  t.is(guest.receivedBytes, 0);
});

test('no trusted host waits for an untrusted one that would rank before it', t => {
  const takenAfterMs = (trust: 'trusted' | 'untrusted'): number[] => {
    const world = new SmallWorld([{ lentBytes: 0 }, {}, { trust }], { copies: 1 });
    const [origin, trusted, other] = world.hosts as [SmallHost, SmallHost, SmallHost];
    world.run(2_000);
    const parcels = world.backUp(
      origin,
      Array.from({ length: 16 }, () => ({ bytes: MIB })),
    );
    const begunMs = world.nowMs;
    world.kill(other);
    return parcels.map(parcel => {
      t.true(world.runUntil(() => trusted.present.has(parcel), LONG_MS));
      return world.nowMs - begunMs;
    });
  };
  t.true(Math.max(...takenAfterMs('untrusted')) < Math.max(...takenAfterMs('trusted')));
});

test('the room of an untrusted host is none', t => {
  const wanted = (trust: 'trusted' | 'untrusted') => {
    const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 5 * MIB }, { trust }], { copies: 1 });
    const [origin] = world.hosts as [SmallHost];
    world.backUp(origin, [{ bytes: 30 * MIB }]);
    world.run(LONG_MS);
    return roomWantedAt(origin, origin);
  };
  t.like(wanted('untrusted'), { parcels: 1, freeBytes: 5 * MIB });
  t.is(wanted('trusted'), undefined);
});

test('an untrusted host tells of a want of room for its own sources', t => {
  const world = new SmallWorld([{ lentBytes: 0, trust: 'untrusted' }, { lentBytes: 5 * MIB }], { copies: 1 });
  const [guest, trusted] = world.hosts as [SmallHost, SmallHost];
  world.backUp(guest, [{ bytes: 30 * MIB }]);
  world.run(LONG_MS);
  t.not(roomWantedAt(trusted, guest), undefined);
  t.not(roomWantedAt(guest, guest), undefined);
});

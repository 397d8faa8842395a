import test from 'ava';
import { Ceilings } from '../../src/core/ceilings.js';
import { parseStoreId } from '../../src/core/ids.js';
import { Room } from '../../src/core/room.js';
import { NO_ROOM_RESTS } from '../../src/core/store-rests.js';

const STORE = parseStoreId('5a'.repeat(16));
const OTHER = parseStoreId('5b'.repeat(16));
const { leastMs, mostMs } = NO_ROOM_RESTS;

test('of what a disk refused half is believed to fit, and less with each refusal until the time is up', t => {
  const ceilings = new Ceilings();
  t.is(ceilings.bytesOf(STORE, 1_000), Number.POSITIVE_INFINITY);
  ceilings.refused(STORE, { heldBytes: 1_000, neededBytes: 400 }, 5_000);
  t.is(ceilings.bytesOf(STORE, 1_000), 1_200);
  ceilings.refused(STORE, { heldBytes: 1_100, neededBytes: 101 }, 5_000);
  t.is(ceilings.bytesOf(STORE, 1_000), 1_150);
  ceilings.refused(STORE, { heldBytes: 1_100, neededBytes: 400 }, 5_000);
  t.is(ceilings.bytesOf(STORE, 1_000), 1_150);
  t.is(ceilings.bytesOf(OTHER, 0), Number.POSITIVE_INFINITY);
  t.is(ceilings.dueMs, 5_000 + leastMs);
  t.false(ceilings.lift(5_000 + leastMs - 1));
  t.is(ceilings.bytesOf(STORE, 1_000), 1_150);
  t.true(ceilings.lift(5_000 + leastMs));
  t.is(ceilings.bytesOf(STORE, 1_150), Number.POSITIVE_INFINITY);
  t.is(ceilings.dueMs, Number.POSITIVE_INFINITY);
});

test('it lasts twice as long each time, until more lies there than was believed to fit', t => {
  const ceilings = new Ceilings();
  let nowMs = 5_000;
  const lasts = () => {
    ceilings.refused(STORE, { heldBytes: 1_000, neededBytes: 400 }, nowMs);
    const lastMs = ceilings.dueMs - nowMs;
    nowMs = ceilings.dueMs;
    ceilings.lift(nowMs);
    return lastMs;
  };
  t.deepEqual([lasts(), lasts(), lasts()], [leastMs, 2 * leastMs, 4 * leastMs]);
  ceilings.holds(STORE, 1_350);
  t.is(lasts(), 8 * leastMs);
  ceilings.holds(STORE, 1_376);
  t.is(lasts(), leastMs);
  for (let i = 0; i < 40; i += 1) t.true(lasts() <= mostMs);
  t.is(lasts(), mostMs);
});

test('a test that is refused no less than before raises the ceiling towards that, and one that is refused less lowers it', t => {
  const ceilings = new Ceilings();
  let nowMs = 5_000;
  const believedAfter = (heldBytes: number, neededBytes: number) => {
    // What was begun before is refused with it, and tests nothing.
    for (let i = 0; i < 2; i += 1) ceilings.refused(STORE, { heldBytes, neededBytes }, nowMs);
    const believedBytes = ceilings.bytesOf(STORE, heldBytes);
    nowMs = ceilings.dueMs;
    ceilings.lift(nowMs);
    return believedBytes;
  };
  t.is(believedAfter(1_000, 400), 1_200);
  t.is(believedAfter(1_000, 400), 1_300);
  t.is(believedAfter(1_000, 900), 1_350);
  t.is(believedAfter(1_300, 100), 1_375);
  t.is(believedAfter(1_000, 399), 1_199);
  t.is(believedAfter(1_000, 400), 1_299);
  for (let i = 0; i < 20; i += 1) t.true(believedAfter(1_000, 400) < 1_399);
  ceilings.holds(STORE, 1_399);
  t.is(believedAfter(1_399, 400), 1_599, 'it holds more than was believed to fit');
});

test('when the time is up one parcel at a time tries what is there, until more lies there than was believed to fit', t => {
  const room = new Room();
  room.measured({ store: STORE, lentBytes: 1_000, usedBytes: 100, draining: false, unread: false });
  t.true(room.reserveIfFree(STORE, 400));
  room.release(STORE, 400);
  room.refused(STORE, 400, 5_000);
  t.false(room.triesAny);
  room.liftCeilings(5_000 + leastMs);
  t.true(room.triesAny);
  // What was believed to fit, 300 in all, tries nothing.
  t.false(room.triesWith(STORE, 200));
  t.true(room.reserveIfFree(STORE, 200));
  t.true(room.triesWith(STORE, 1));
  t.true(room.reserveIfFree(STORE, 250));
  t.false(room.reserveIfFree(STORE, 1), 'one is tried already');
  room.release(STORE, 250);
  t.true(room.reserveIfFree(STORE, 250), 'it failed for another reason');
  room.measured({ store: STORE, lentBytes: 1_000, usedBytes: 301, draining: false, unread: false });
  t.true(room.triesAny, 'what is on its way may be refused yet');
  room.release(STORE, 250);
  room.used(STORE, 350);
  t.false(room.triesAny);
  t.true(room.reserveIfFree(STORE, 250));
  t.true(room.reserveIfFree(STORE, 150));
});

test('a store that was measured to hold more than was believed to fit is tried no more', t => {
  const room = new Room();
  room.measured({ store: STORE, lentBytes: 1_000, usedBytes: 100, draining: false, unread: false });
  room.refused(STORE, 400, 5_000);
  room.liftCeilings(5_000 + leastMs);
  room.measured({ store: STORE, lentBytes: 1_000, usedBytes: 300, draining: false, unread: false });
  t.true(room.triesAny);
  room.measured({ store: STORE, lentBytes: 1_000, usedBytes: 301, draining: false, unread: false });
  t.false(room.triesAny);
  t.deepEqual(room.roomiest(), { store: STORE, freeBytes: 699 });
});

test('each store has its own time', t => {
  const ceilings = new Ceilings();
  ceilings.refused(STORE, { heldBytes: 0, neededBytes: 10 }, 0);
  ceilings.refused(OTHER, { heldBytes: 0, neededBytes: 10 }, 1_000);
  ceilings.lift(leastMs);
  t.is(ceilings.bytesOf(STORE, 0), Number.POSITIVE_INFINITY);
  t.is(ceilings.bytesOf(OTHER, 0), 5);
  t.is(ceilings.dueMs, leastMs + 1_000);
});

test('a store that refused tells of less, takes less and is not the roomiest, also when it was away meanwhile', t => {
  const room = new Room();
  const lend = () => {
    for (const [store, lentBytes] of [
      [STORE, 1_000],
      [OTHER, 300],
    ] as const)
      room.measured({ store, lentBytes, usedBytes: 100, draining: false, unread: false });
  };
  const told = () => [...room.stores()].map(own => room.lendableBytes(own) - own.usedBytes);
  const placeFor = (bytes: number) =>
    room.placeFor(
      () => bytes,
      () => false,
    )?.store;
  lend();
  t.deepEqual(told(), [900, 200]);
  t.is(placeFor(800), STORE);
  room.refused(STORE, 200, 5_000);
  t.deepEqual(told(), [100, 200]);
  t.deepEqual(room.roomiest(), { store: OTHER, freeBytes: 200 });
  t.is(placeFor(800), undefined);
  t.is(placeFor(150), OTHER);
  t.false(room.reserveIfFree(STORE, 101));
  t.true(room.reserveIfFree(STORE, 100));
  t.false(room.isOver(STORE));
  room.remove(STORE);
  room.remove(OTHER);
  lend();
  t.deepEqual(told(), [100, 200]);
  t.true(room.liftCeilings(5_000 + leastMs));
  t.deepEqual(told(), [900, 200]);
});

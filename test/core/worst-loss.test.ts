import test from 'ava';
import fc from 'fast-check';
import { type HeldParcel, lossesOf, worstLoss } from '../../src/core/worst-loss.js';
import { law } from '../helpers/law.js';

const held = (...holders: number[]): HeldParcel => ({ bytes: 10, origin: 9, holders });

/** Too many sets for each to be looked at. */
const RING = 60;
const ring = Array.from({ length: RING }, (_, i) => i);

test('the worst pair is the one that holds most parcels between them', t => {
  const parcels = [held(1, 2), held(1, 2), held(2, 3), held(1), held(1, 2, 3)];
  const loss = worstLoss({ hosts: [1, 2, 3, 9], lose: 2, parcels });
  t.deepEqual(loss.uncopied, { hosts: [1, 2], parcels: 3, bytes: 30 });
  t.true(loss.exact);
  t.is(loss.sets, 6);
  // Each with host 1, and the pair of 2 and 3.
  t.is(loss.setsThatUncopy, 4);
});

test('what its origin still has is not lost', t => {
  const parcels = [held(1, 2), { ...held(1, 2), origin: 2 }, { ...held(1, 2), origin: undefined }];
  const loss = worstLoss({ hosts: [1, 2, 9], lose: 2, parcels });
  t.is(loss.uncopied.parcels, 3);
  t.is(loss.lost.parcels, 2);
});

test('the set that takes most for good is told, though another takes more last copies', t => {
  const few = { bytes: 1, origin: 4, holders: [3] };
  const many = { bytes: 1, origin: 0, holders: [1, 2] };
  const loss = worstLoss({ hosts: [0, 1, 2, 3, 4], lose: 2, parcels: [many, many, many, few, few] });
  t.deepEqual(loss.uncopied, { hosts: [1, 2], parcels: 3, bytes: 3 });
  t.deepEqual(loss.lost, { hosts: [3, 4], parcels: 2, bytes: 2 });
  t.is(loss.setsThatLose, 1);
});

test('what has no copy is lost with its origin', t => {
  const bare = { bytes: 5, origin: 2, holders: [] };
  const loss = worstLoss({ hosts: [1, 2, 3], lose: 1, parcels: [bare, bare, held(1, 3)] });
  t.is(loss.bare, 2);
  t.is(loss.uncopied.parcels, 0);
  t.deepEqual(loss.lost, { hosts: [2], parcels: 2, bytes: 10 });
  // Of this one nothing is left to lose.
  t.is(worstLoss({ hosts: [1], lose: 1, parcels: [{ ...bare, origin: undefined }] }).lost.parcels, 0);
});

test('where nothing would be lost no hosts are named', t => {
  const loss = worstLoss({ hosts: [1, 2, 9], lose: 1, parcels: [held(1, 2)] });
  const none = { hosts: [], parcels: 0, bytes: 0 };
  t.deepEqual([loss.uncopied, loss.lost], [none, none]);
  // Of two sets the second takes the last copy, and none takes one for good.
  const copies = worstLoss({ hosts: [1, 2, 9], lose: 1, parcels: [held(2)] });
  t.deepEqual([copies.uncopied.hosts, copies.lost], [[2], none]);
});

test('no more hosts can go than there are', t => {
  t.deepEqual(worstLoss({ hosts: [1, 2], lose: 5, parcels: [held(1, 2)] }).uncopied.hosts, [1, 2]);
  t.is(worstLoss({ hosts: [], lose: 1, parcels: [] }).uncopied.parcels, 0);
});

test('where there are too many sets the answer says so, and is one that can be', t => {
  const parcels = ring.flatMap(i => [held(i, (i + 1) % RING), held(i, (i + 7) % RING)]);
  const { exact, sets, uncopied } = worstLoss({ hosts: ring, lose: 12, parcels });
  t.false(exact);
  t.is(sets, 2);
  t.is(uncopied.hosts.length, 12);
  t.is(uncopied.parcels, parcels.filter(({ holders }) => holders.every(host => uncopied.hosts.includes(host))).length);
});

test('many hosts at once are no more work than few', t => {
  const parcels = ring.map((i): HeldParcel => ({ bytes: 1, origin: i, holders: [(i + 1) % RING, (i + 2) % RING] }));
  for (const [lose, exact, atLeast] of [
    [33, false, 30],
    [58, true, 55],
    [60, true, 60],
    [200, true, 60],
  ] as const) {
    const loss = worstLoss({ hosts: ring, lose, parcels });
    t.is(loss.exact, exact, `${lose}`);
    t.is(loss.lost.hosts.length, Math.min(lose, RING));
    t.true(loss.uncopied.parcels >= atLeast && loss.lost.parcels >= atLeast, `${lose}: ${loss.lost.parcels}`);
  }
  const safe = worstLoss({ hosts: ring, lose: 1, parcels });
  t.true(safe.exact);
  t.is(safe.setsThatUncopy, 0);
  t.is(safe.sets, RING);
});

test('law: no other set of hosts takes more', t => {
  const parcel = fc.record({
    bytes: fc.integer({ min: 1, max: 3 }),
    origin: fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined }),
    holders: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 3 }),
  });
  law(
    t,
    fc.property(
      fc.array(parcel, { maxLength: 30 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 0, max: 126 }),
      (all, lose, bits) => {
        const hosts = [0, 1, 2, 3, 4, 5, 6];
        const loss = worstLoss({ hosts, lose, parcels: all });
        const taken = (by: readonly number[]) => {
          const left = all.filter(({ origin, holders }) => holders.length > 0 || origin !== undefined);
          const uncopied = left.filter(({ holders }) => holders.every(host => by.includes(host)));
          return {
            uncopied: uncopied.filter(({ holders }) => holders.length > 0).length,
            lost: uncopied.filter(({ origin }) => origin === undefined || by.includes(origin)).length,
          };
        };
        const other = taken(hosts.filter(host => (bits >> host) & 1).slice(0, lose));
        return (
          loss.exact &&
          loss.uncopied.parcels === taken(loss.uncopied.hosts).uncopied &&
          loss.lost.parcels === taken(loss.lost.hosts).lost &&
          loss.uncopied.parcels >= other.uncopied &&
          loss.lost.parcels >= other.lost
        );
      },
    ),
  );
});

test('what sets of different sizes take is counted in one go, each by itself', t => {
  const parcels = [held(1, 2), held(1), { ...held(2), origin: 2 }, { ...held(), origin: 3 }];
  const [one, two, pair, origin] = lossesOf([[1], [2], [2, 1], [3]], parcels);
  t.deepEqual(one, { uncopied: { hosts: [1], parcels: 1, bytes: 10 }, lost: { hosts: [1], parcels: 0, bytes: 0 } });
  t.deepEqual(two?.lost, { hosts: [2], parcels: 1, bytes: 10 });
  t.deepEqual(pair?.uncopied, { hosts: [1, 2], parcels: 3, bytes: 30 });
  t.deepEqual(origin, { uncopied: { hosts: [3], parcels: 0, bytes: 0 }, lost: { hosts: [3], parcels: 1, bytes: 10 } });
  t.deepEqual(lossesOf([], parcels), []);
});

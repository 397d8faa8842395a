import test from 'ava';
import fc from 'fast-check';
import { type HeldParcel, worstLoss } from '../../sim/plan/worst-loss.js';
import { law } from '../helpers/law.js';

const held = (...holders: number[]): HeldParcel => ({ bytes: 10, origin: 9, holders });

test('the worst pair is the one that holds most parcels between them', t => {
  const parcels = [held(1, 2), held(1, 2), held(2, 3), held(1), held(1, 2, 3)];
  const loss = worstLoss({ hosts: [1, 2, 3, 9], lose: 2, parcels });
  t.deepEqual(loss.hosts, [1, 2]);
  t.is(loss.parcels, 3);
  t.is(loss.bytes, 30);
  t.true(loss.exact);
  t.is(loss.sets, 6);
  // Each with host 1, and the pair of 2 and 3.
  t.is(loss.setsThatLose, 4);
});

test('what its origin still has is not lost', t => {
  const parcels = [held(1, 2), { ...held(1, 2), origin: 2 }, { ...held(1, 2), origin: undefined }];
  const loss = worstLoss({ hosts: [1, 2, 9], lose: 2, parcels });
  t.is(loss.parcels, 3);
  t.is(loss.lostParcels, 2);
});

test('no more hosts can go than there are', t => {
  t.deepEqual(worstLoss({ hosts: [1, 2], lose: 5, parcels: [held(1, 2)] }).hosts, [1, 2]);
  t.is(worstLoss({ hosts: [], lose: 1, parcels: [] }).parcels, 0);
});

test('where there are too many sets the answer says so, and is one that can be', t => {
  const hosts = Array.from({ length: 60 }, (_, i) => i);
  const parcels = hosts.flatMap(i => [held(i, (i + 1) % 60), held(i, (i + 7) % 60)]);
  const loss = worstLoss({ hosts, lose: 12, parcels });
  t.false(loss.exact);
  t.is(loss.hosts.length, 12);
  t.is(loss.parcels, parcels.filter(({ holders }) => holders.every(host => loss.hosts.includes(host))).length);
});

test('law: no other set of hosts takes more', t => {
  const parcel = fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 3 });
  law(
    t,
    fc.property(
      fc.array(parcel, { maxLength: 30 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 0, max: 126 }),
      (all, lose, bits) => {
        const parcels = all.map(holders => held(...holders));
        const hosts = [0, 1, 2, 3, 4, 5, 6];
        const loss = worstLoss({ hosts, lose, parcels });
        const other = hosts.filter(host => (bits >> host) & 1).slice(0, lose);
        const taken = parcels.filter(({ holders }) => holders.every(host => other.includes(host))).length;
        return loss.parcels >= taken;
      },
    ),
  );
});

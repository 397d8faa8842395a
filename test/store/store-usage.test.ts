import test from 'ava';
import { lentBytesOf } from '../../src/store/store-usage.js';

const TIB = 2 ** 40;

test('a store lends what its disk has left above the reserve, or up to its limit', t => {
  const usage = { usedBytes: 5, trashBytes: 0, freeOnDiskBytes: 100, totalOnDiskBytes: 1_000 };
  t.is(lentBytesOf(usage, { reserveBytes: 30 }), 75);
  t.is(lentBytesOf(usage, { reserveBytes: 300 }), 5);
  t.is(lentBytesOf(usage, { limitBytes: 20 }), 20);
  t.is(lentBytesOf(usage, { limitBytes: 2_000 }), 105);
});

test('stores on file systems that say they have no end lend a number that can be told, all 64 of a host', t => {
  const endless = { usedBytes: TIB, trashBytes: 0, freeOnDiskBytes: 2 ** 63, totalOnDiskBytes: 2 ** 63 };
  for (const limit of [{ reserveBytes: 0 }, { reserveBytes: 2 ** 50 }, { limitBytes: 2 ** 60 }])
    t.true(Number.isSafeInteger(64 * lentBytesOf(endless, limit)));
  t.is(lentBytesOf({ ...endless, freeOnDiskBytes: 40 * TIB }, { reserveBytes: TIB }), 40 * TIB);
});

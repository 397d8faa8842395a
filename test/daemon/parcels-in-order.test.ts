/** Parcels in order: all of them, some at a time, whatever their order, and nobody is kept waiting. */
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { type ParcelId, parseParcelId } from '../../src/core/ids.js';
import { bytesOfAll, LOOKS_AT_ONCE, parcelsAfter } from '../../src/daemon/parcels-in-order.js';

const idsOf = (count: number) => Array.from({ length: count }, (_, n) => parseParcelId(hashHex(Buffer.from(`${n}`))));

for (const count of [0, 1, 9, 10, 11, 20, 21, 1_000])
  test(`${count} parcels come by id, ten at a time, and each once`, async t => {
    const held = new Set(idsOf(count));
    const all: ParcelId[] = [];
    for (;;) {
      const some = await parcelsAfter(held, all.at(-1), 10);
      t.true(some.length <= 10);
      if (some.length === 0) break;
      all.push(...some);
    }
    t.deepEqual(all, [...held].sort());
  });

test('others have their turn while many are looked through; what comes and goes meanwhile does no harm', async t => {
  const ids = idsOf(4 * LOOKS_AT_ONCE);
  const held = new Set(ids.slice(1));
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
    for (const id of ids) held.delete(id);
    for (const id of ids.slice(0, 5)) held.add(id);
  }, 0);
  const some = await parcelsAfter(held, undefined, 10);
  clearInterval(timer);
  t.true(turns > 0 && some.length > 0);
  t.deepEqual(some, [...some].sort());
  t.is(await bytesOfAll(ids, () => 2), 2 * ids.length);
});

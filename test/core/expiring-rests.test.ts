/** What expiring remembers, and when it looks again: found by simulated hosts that restart, and whose disks refuse. */
import test from 'ava';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import type { Effect } from '../../src/core/effects.js';
import { EXPIRIES_PER_STORE_MAX, Expiring, type ExpiringContext } from '../../src/core/expiring.js';
import {
  type ParcelId,
  parseHostId,
  parseParcelId,
  parseStoreId,
  type StoreId,
  sourceIdOf,
} from '../../src/core/ids.js';
import { ParcelTable } from '../../src/core/parcel-table.js';
import { REMOVAL_RESTS, StoreRests } from '../../src/core/store-rests.js';
import { Wanted } from '../../src/core/wanted.js';

const STORE = parseStoreId('c'.repeat(32));
const HANGING = parseStoreId('d'.repeat(32));
const PARCEL = parseParcelId('b'.repeat(64));
const SOURCE = sourceIdOf(parseHostId('a'.repeat(32)), 'photos');

function expiringOf({ runMs = 1_000, mounted = true }: { readonly runMs?: number; readonly mounted?: boolean } = {}) {
  const table = new ParcelTable();
  const row = table.rowOf(PARCEL);
  const wanted = new Wanted(table);
  wanted.takeHead({ source: SOURCE, seq: 1, hash: 'f'.repeat(64) });
  const now = { ms: 5_000, runMs, mounted, asked: 0 };
  /** Of rows that are not in `STORE`. */
  const inStore = new Map<number, StoreId>();
  const effects: Effect[] = [];
  const looks: number[] = [];
  const marked: number[] = [];
  const context: ExpiringContext = {
    table,
    wanted,
    nowMs: () => now.ms,
    runMs: () => now.runMs,
    config: () => ({ timing: { ...DEFAULT_TIMING, gcGraceMs: 1_000 } }),
    heeding: {
      heardSeq: () => {
        now.asked += 1;
        return 1;
      },
    },
    here: { heldIn: one => (now.mounted ? (inStore.get(one) ?? STORE) : undefined), isOurs: () => true },
    isBusy: () => false,
    rests: new StoreRests(REMOVAL_RESTS),
    emit: effect => void effects.push(effect),
    marks: { lookLater: (_, atMs) => void looks.push(atMs), mark: one => void marked.push(one) },
  };
  return { expiring: new Expiring(context), table, row, now, inStore, effects, looks, marked };
}

const noted = (effects: readonly Effect[]): (readonly [ParcelId, number | undefined])[] =>
  effects.flatMap(effect => (effect.do === 'note-unwanted' ? [[effect.parcel, effect.sinceRunMs] as const] : []));

test('a store that is mounted late after a start does not begin the wait anew', t => {
  const { expiring, row, now, effects } = expiringOf({ mounted: false });
  expiring.recall({ is: 'unwanted-before', nowMs: now.ms, parcels: [{ parcel: PARCEL, sinceRunMs: 400 }] });
  expiring.consider(row);
  now.mounted = true;
  expiring.consider(row);
  t.deepEqual(noted(effects), []);
});

test('the next look is a whole millisecond away at the least, whatever the clocks add up to', t => {
  const { expiring, row, now, looks } = expiringOf({ runMs: 1_000 });
  expiring.consider(row);
  now.runMs = 2_000 - 1e-10;
  expiring.consider(row);
  t.deepEqual(looks, [now.ms + 1_000, now.ms + 1]);
});

test('what anybody has heard of heads is asked for only when a parcel is due', t => {
  const { expiring, row, now, effects } = expiringOf();
  expiring.consider(row);
  expiring.identified(row, SOURCE);
  expiring.consider(row);
  t.is(now.asked, 0);
  now.runMs += 1_000;
  expiring.consider(row);
  t.true(now.asked > 0);
  t.true(effects.some(effect => effect.do === 'expire'));
});

test('what a store refused to remove is left alone for a while, though the store comes back at once', t => {
  const { expiring, row, now, effects } = expiringOf();
  expiring.consider(row);
  expiring.identified(row, SOURCE);
  now.runMs += 1_000;
  const expires = () => effects.filter(effect => effect.do === 'expire').length;
  expiring.consider(row);
  t.is(expires(), 1);
  expiring.ended(row, false);
  expiring.consider(row);
  t.is(expires(), 1);
  now.ms += 600_000;
  expiring.consider(row);
  t.is(expires(), 2);
});

test('of many that are due at once so many at a time are removed, and the others one by one as these end', t => {
  const { expiring, table, now, effects, marked } = expiringOf();
  const ids = Array.from({ length: 1_300 }, (_, i) => parseParcelId(i.toString(16).padStart(64, '0')));
  const rows = ids.map(id => table.rowOf(id));
  for (const row of rows) {
    expiring.consider(row);
    expiring.identified(row, SOURCE);
  }
  now.runMs += 1_000;
  effects.length = 0;
  for (const row of rows) expiring.consider(row);
  t.is(effects.length, 512);
  // One that waits is wanted again, or gone, when its turn comes: the next one has it.
  now.mounted = false;
  expiring.ended(rows[0] as number, true);
  expiring.consider(marked.pop() as number);
  now.mounted = true;
  expiring.consider(marked.pop() as number);
  t.is(effects.length, 513);
  const begun = () => effects.flatMap(effect => (effect.do === 'expire' ? effect.warrant.parcel : []));
  for (let ended = 1; ended < begun().length; ended += 1) {
    expiring.ended(table.find(begun()[ended] as ParcelId) as number, true);
    for (const row of marked.splice(0)) expiring.consider(row);
    t.true(effects.length <= ended + 513);
  }
  t.is(new Set(begun()).size, 1_299, 'all but the one that was not due when its turn came');
});

test('expiries that wait for a disk that hangs hold up no other store', t => {
  const { expiring, table, now, inStore, effects, marked } = expiringOf();
  const rows = Array.from({ length: 2_000 }, (_, i) => table.rowOf(parseParcelId(i.toString(16).padStart(64, '0'))));
  for (const row of rows) {
    if (row % 2 === 0) inStore.set(row, HANGING);
    expiring.consider(row);
    expiring.identified(row, SOURCE);
  }
  now.runMs += 1_000;
  effects.length = 0;
  for (const row of rows) expiring.consider(row);
  const begunIn = (store: StoreId) =>
    effects.flatMap(effect => (effect.do === 'expire' && effect.warrant.store === store ? effect.warrant.parcel : []));
  t.is(begunIn(HANGING).length, EXPIRIES_PER_STORE_MAX);
  t.is(begunIn(STORE).length, EXPIRIES_PER_STORE_MAX);
  for (let ended = 0; ended < begunIn(STORE).length; ended += 1) {
    expiring.ended(table.find(begunIn(STORE)[ended] as ParcelId) as number, true);
    for (const row of marked.splice(0)) expiring.consider(row);
  }
  t.is(begunIn(STORE).length, 1_000);
  t.is(begunIn(HANGING).length, EXPIRIES_PER_STORE_MAX);
});

import test from 'ava';
import { parseStoreId } from '../../src/core/ids.js';
import { StoreRests } from '../../src/core/store-rests.js';

const STORE = parseStoreId('5a'.repeat(16));
const OTHER = parseStoreId('5b'.repeat(16));
const fresh = () => new StoreRests({ leastMs: 100, mostMs: 1_000 });

test('a store rests twice as long each time, and no longer than the most; others do not', t => {
  const rests = fresh();
  t.is(rests.untilMs(STORE), Number.NEGATIVE_INFINITY);
  let nowMs = 5_000;
  for (const restMs of [100, 200, 400, 800, 1_000, 1_000]) {
    rests.begin(STORE, nowMs);
    t.is(rests.untilMs(STORE), nowMs + restMs);
    nowMs += restMs;
  }
  t.is(rests.untilMs(OTHER), Number.NEGATIVE_INFINITY);
});

test('what goes wrong while it rests is part of what made it rest', t => {
  const rests = fresh();
  for (let i = 0; i < 64; i += 1) rests.begin(STORE, 5_000 + i);
  t.is(rests.untilMs(STORE), 5_100);
  rests.begin(STORE, 5_100);
  t.is(rests.untilMs(STORE), 5_300);
});

test('what went well ends the rest and begins the count anew', t => {
  const rests = fresh();
  rests.begin(STORE, 5_000);
  rests.begin(STORE, 5_100);
  rests.forget(STORE);
  t.is(rests.untilMs(STORE), Number.NEGATIVE_INFINITY);
  rests.begin(STORE, 5_200);
  t.is(rests.untilMs(STORE), 5_300);
});

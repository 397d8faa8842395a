/** Scrub pace: how much a scrub may read, on time and behind, and of the smallest and the largest stores. */
import test from 'ava';
import { parseParcelId } from '../../src/core/ids.js';
import {
  CATCH_UP,
  CEILING_BYTES_PER_S,
  decideRest,
  FLOOR_BYTES_PER_S,
  type PaceView,
  placeOf,
  READING_PARTS,
} from '../../src/daemon/scrub-pace.js';

const DAY_MS = 86_400_000;
const MiB = 1024 ** 2;
const TiB = 1024 ** 4;
const middle = parseParcelId(`8${'0'.repeat(63)}`);
const last = { bytes: 8 * MiB, tookMs: 0 };
const onTime: PaceView = { cycleMs: 30 * DAY_MS, elapsedMs: 15 * DAY_MS, heldBytes: 2 * TiB, next: middle, last };
/** What a rest of so many ms after 8 MiB comes to. */
const rateOf = (view: PaceView) => (view.last.bytes * 1_000) / decideRest(view);
const near = (a: number, b: number) => Math.abs(a - b) < b / 1_000_000;

test('an id lies where its first digits say', t => {
  t.is(placeOf(parseParcelId('0'.repeat(64))), 0);
  t.is(placeOf(middle), 0.5);
  t.true(placeOf(parseParcelId('f'.repeat(64))) < 1);
});

test('on time, what is held is spread over the cycle; behind, it is so many times as much', t => {
  const spread = (2 * TiB) / (30 * 86_400);
  t.true(near(rateOf(onTime), spread));
  t.true(near(rateOf({ ...onTime, elapsedMs: 15 * DAY_MS - 1 }), spread));
  t.true(near(rateOf({ ...onTime, elapsedMs: 15 * DAY_MS + 1 }), CATCH_UP * spread));
  t.true(near(rateOf({ ...onTime, elapsedMs: 300 * DAY_MS }), CATCH_UP * spread), 'however far behind');
});

test('a small store is read no slower than the floor, a huge one no faster than the ceiling', t => {
  for (const elapsedMs of [0, 300 * DAY_MS]) {
    t.true(near(rateOf({ ...onTime, elapsedMs, heldBytes: 0 }), FLOOR_BYTES_PER_S));
    t.true(near(rateOf({ ...onTime, elapsedMs, heldBytes: 1024 * TiB }), CEILING_BYTES_PER_S));
  }
});

test('what took long to read is followed by a long rest, however few its bytes are', t => {
  t.is(decideRest({ ...onTime, last: { bytes: 1, tookMs: 10_000 } }), READING_PARTS * 10_000);
});

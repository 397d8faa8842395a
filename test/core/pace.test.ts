import test from 'ava';
import { Pace } from '../../src/core/pace.js';

const HOUR_MS = 3_600_000;

test('nothing is known before a few seconds of bytes', t => {
  const pace = new Pace();
  pace.began(0);
  pace.came(1_000, 1_000);
  t.is(pace.bytesPerS, 0);
  pace.came(3_000, 4_000);
  t.is(pace.bytesPerS, 1_000);
});

test('time in which nothing is under way does not count', t => {
  const pace = new Pace();
  pace.began(0);
  pace.came(2_000, 2_000);
  pace.ended(2_000);
  pace.began(HOUR_MS);
  pace.came(2_000, HOUR_MS + 2_000);
  t.is(pace.bytesPerS, 1_000);
});

test('transfers side by side are one pace', t => {
  const pace = new Pace();
  pace.began(0);
  pace.began(0);
  pace.came(4_000, 4_000);
  pace.came(4_000, 4_000);
  pace.came(8_000, 8_000);
  t.true(pace.bytesPerS > 1_000);
});

test('it rises at once, and what is not reached again fades over a day of work', t => {
  const pace = new Pace();
  pace.began(0);
  pace.came(40_000, 4_000);
  t.is(pace.bytesPerS, 10_000);
  pace.came(4_000, 8_000);
  t.true(pace.bytesPerS > 9_900);
  pace.came(4_000, 12 * HOUR_MS);
  t.true(pace.bytesPerS > 4_900 && pace.bytesPerS < 5_100);
  pace.came(4_000 * 1_000, 12 * HOUR_MS + 4_000);
  t.is(pace.bytesPerS, 1_000_000);
});

test('ends without a beginning do no harm', t => {
  const pace = new Pace();
  pace.ended(0);
  pace.began(1_000);
  pace.came(4_000, 5_000);
  t.is(pace.bytesPerS, 1_000);
});

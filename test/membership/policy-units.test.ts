import test from 'ava';
import fc from 'fast-check';
import {
  DURATION_MS_MAX,
  durationText,
  parseDuration,
  parseSize,
  readDuration,
} from '../../src/membership/policy-units.js';

test('kB is 1000 and KiB is 1024, in any case and with or without a space', t => {
  t.is(parseSize('300 GB'), 300e9);
  t.is(parseSize('300GB'), 300e9);
  t.is(parseSize('1kb'), 1000);
  t.is(parseSize('1 KiB'), 1024);
  t.is(parseSize('1.5 TiB'), 1.5 * 1024 ** 4);
  t.is(parseSize('0'), 0);
  t.is(parseSize('12 B'), 12);
});

test('a size with a one-letter unit, a sign, half a byte or beyond exact integers is refused', t => {
  for (const text of [
    '300 G',
    '-1 GB',
    '1.5',
    '1.5 B',
    '',
    'GB',
    '9008 TiB',
    '1e3',
    '1 GB GB',
    '١ GB',
    '99999999999 PB',
  ]) {
    t.throws(() => parseSize(text), { code: 'BAD_SIZE' }, text);
  }
});

test('durations add up their parts', t => {
  t.is(parseDuration('5s'), 5000);
  t.is(parseDuration('2m'), 120_000);
  t.is(parseDuration('1h30m'), 5_400_000);
  t.is(parseDuration('7d'), 604_800_000);
  t.is(parseDuration('1w'), 604_800_000);
  t.is(parseDuration('100ms'), 100);
  t.is(parseDuration('0.5s'), 500);
  t.is(parseDuration('0'), 0);
});

test('a bare number, an unknown unit and more than ten years are no durations', t => {
  for (const text of ['5', '5 s', '5y', '-5s', '', 's', '3651d', '999999999999999w']) {
    t.throws(() => parseDuration(text), { code: 'BAD_DURATION' }, text);
  }
  t.is(parseDuration('3650d'), DURATION_MS_MAX);
});

test('the text of a duration reads back as the same duration', t => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: DURATION_MS_MAX }),
      durationMs => readDuration(durationText(durationMs)) === durationMs,
    ),
  );
  t.is(durationText(90_000), '1m30s');
});

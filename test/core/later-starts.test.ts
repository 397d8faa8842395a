import test from 'ava';
import {
  ALONE_MS,
  BEHIND_MAX,
  LaterStarts,
  OTHERS_MS,
  RAISE_ALONE_EVERY_MS,
  RAISE_EVERY_MS,
} from '../../src/core/later-starts.js';

const HOUR_AGO = { framesSent: 3, wallMs: 10 * RAISE_EVERY_MS, raisedMs: 9 * RAISE_EVERY_MS, others: 1 };
/** Start 8 of a host, which has sent three frames. */
const starts = () => new LaterStarts(8);

test('what we said ourselves, and what an earlier start of ours said, is no later start', t => {
  for (const [boot, frame] of [
    [8, 3],
    [7, 1_000],
  ] as const)
    t.deepEqual(starts().hear({ boot, frame }, 'kitchen', HOUR_AGO), { act: 'none' });
});

test('a frame that we have not sent is one, under whichever number', t => {
  for (const [boot, frame] of [
    [8, 4],
    [9, 0],
    [8 + BEHIND_MAX, 1],
  ] as const)
    t.deepEqual(starts().hear({ boot, frame }, 'kitchen', HOUR_AGO), {
      act: 'raise',
      inMs: OTHERS_MS,
      isAgain: false,
      isAlone: false,
    });
});

test('a start that cannot be is not believed', t => {
  const heard = starts();
  t.deepEqual(heard.hear({ boot: 8 + BEHIND_MAX + 1, frame: 1 }, 'kitchen', HOUR_AGO), { act: 'refuse' });
  t.is(heard.highest, 0);
});

test('of what others say meanwhile the highest counts', t => {
  const heard = starts();
  heard.hear({ boot: 12, frame: 1 }, 'kitchen', HOUR_AGO);
  for (const boot of [40, 9]) t.deepEqual(heard.hear({ boot, frame: 1 }, 'kitchen', HOUR_AGO), { act: 'none' });
  t.is(heard.highest, 40);
});

test('a second time within the hour waits for its end, and a clock that was put back holds nothing up', t => {
  const again = (raisedMs: number | undefined) =>
    starts().hear({ boot: 12, frame: 1 }, 'kitchen', { ...HOUR_AGO, raisedMs });
  t.deepEqual(again(9 * RAISE_EVERY_MS + 60_000), { act: 'raise', inMs: 60_000, isAgain: true, isAlone: false });
  t.like(again(11 * RAISE_EVERY_MS), { inMs: OTHERS_MS, isAgain: false, isAlone: false });
  t.like(again(undefined), { inMs: OTHERS_MS, isAgain: false, isAlone: false });
});

test('what one of several members says alone counts later, and once a day', t => {
  const alone = (raisedMs: number | undefined) =>
    starts().hear({ boot: 12, frame: 1 }, 'kitchen', { ...HOUR_AGO, others: 2, raisedMs });
  t.deepEqual(alone(undefined), { act: 'raise', inMs: ALONE_MS, isAgain: false, isAlone: true });
  const leftMs = RAISE_ALONE_EVERY_MS - RAISE_EVERY_MS;
  t.deepEqual(alone(9 * RAISE_EVERY_MS), { act: 'raise', inMs: leftMs, isAgain: false, isAlone: true });
});

test('it counts as ever once another says so, and however often it is said by the same', t => {
  const heard = starts();
  const view = { ...HOUR_AGO, others: 2 };
  t.like(heard.hear({ boot: 12, frame: 1 }, 'kitchen', view), { isAlone: true });
  t.deepEqual(heard.hear({ boot: 13, frame: 1 }, 'kitchen', view), { act: 'none' });
  const confirmed = heard.hear({ boot: 12, frame: 1 }, 'attic', view);
  t.deepEqual(confirmed, { act: 'raise', inMs: OTHERS_MS, isAgain: false, isAlone: false });
  t.deepEqual(heard.hear({ boot: 12, frame: 1 }, 'cellar', view), { act: 'none' });
  t.is(heard.highest, 13);
});

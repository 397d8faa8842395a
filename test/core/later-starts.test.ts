import test from 'ava';
import { BEHIND_MAX, LaterStarts, OTHERS_MS, RAISE_EVERY_MS } from '../../src/core/later-starts.js';

const HOUR_AGO = { framesSent: 3, wallMs: 10 * RAISE_EVERY_MS, raisedMs: 9 * RAISE_EVERY_MS };
/** Start 8 of a host, which has sent three frames. */
const starts = () => new LaterStarts(8);

test('what we said ourselves, and what an earlier start of ours said, is no later start', t => {
  for (const [boot, frame] of [
    [8, 3],
    [7, 1_000],
  ] as const)
    t.deepEqual(starts().hear({ boot, frame }, HOUR_AGO), { act: 'none' });
});

test('a frame that we have not sent is one, under whichever number', t => {
  for (const [boot, frame] of [
    [8, 4],
    [9, 0],
    [8 + BEHIND_MAX, 1],
  ] as const)
    t.deepEqual(starts().hear({ boot, frame }, HOUR_AGO), { act: 'raise', inMs: OTHERS_MS, isAgain: false });
});

test('a start that cannot be is not believed', t => {
  const heard = starts();
  t.deepEqual(heard.hear({ boot: 8 + BEHIND_MAX + 1, frame: 1 }, HOUR_AGO), { act: 'refuse' });
  t.is(heard.highest, 0);
});

test('of what others say meanwhile the highest counts', t => {
  const heard = starts();
  heard.hear({ boot: 12, frame: 1 }, HOUR_AGO);
  for (const boot of [40, 9]) t.deepEqual(heard.hear({ boot, frame: 1 }, HOUR_AGO), { act: 'none' });
  t.is(heard.highest, 40);
});

test('a second time within the hour waits for its end, and a clock that was put back holds nothing up', t => {
  const again = (raisedMs: number | undefined) => starts().hear({ boot: 12, frame: 1 }, { ...HOUR_AGO, raisedMs });
  t.deepEqual(again(9 * RAISE_EVERY_MS + 60_000), { act: 'raise', inMs: 60_000, isAgain: true });
  t.like(again(11 * RAISE_EVERY_MS), { inMs: OTHERS_MS, isAgain: false });
  t.like(again(undefined), { inMs: OTHERS_MS, isAgain: false });
});

import test from 'ava';
import { longTimer, TIMER_MS_MAX } from '../../src/platform/long-timer.js';

// Serial: it puts itself before Node's timers.
test.serial('a long time is waited for in pieces that a timer takes, and a stopped timer does not fire', t => {
  const pieces: { readonly ms: number; readonly fire: () => void }[] = [];
  const stopped: unknown[] = [];
  const { setTimeout, clearTimeout } = globalThis;
  t.teardown(() => Object.assign(globalThis, { setTimeout, clearTimeout }));
  Object.assign(globalThis, {
    setTimeout: (fire: () => void, ms: number) => pieces.push({ ms, fire }),
    clearTimeout: (timer: unknown) => stopped.push(timer),
  });

  let fired = 0;
  const timer = longTimer(2 * TIMER_MS_MAX + 5, () => {
    fired += 1;
  });
  for (const count of [1, 2, 3]) {
    t.is(pieces.length, count);
    t.is(fired, 0);
    pieces[count - 1]?.fire();
  }
  t.is(fired, 1);
  t.deepEqual(
    pieces.map(({ ms }) => ms),
    [TIMER_MS_MAX, TIMER_MS_MAX, 5],
  );

  longTimer(TIMER_MS_MAX, () => {});
  t.is(pieces.at(-1)?.ms, TIMER_MS_MAX);
  timer.stop();
  t.deepEqual(stopped, [3], 'the piece that was under way');
});

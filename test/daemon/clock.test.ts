import test from 'ava';
import { steadyClock } from '../../src/daemon/clock.js';

const MINUTE_MS = 60_000;

function aClock() {
  const system = { steady: 5_000.5, wall: 1_000_000 };
  const clock = steadyClock({ steadyMs: () => system.steady, wallMs: () => system.wall });
  return { system, clock };
}

test('the clock starts with the wall clock and goes on with the steady one', t => {
  const { system, clock } = aClock();
  t.is(clock.nowMs(), 1_000_000);
  system.wall += 3_600_000;
  t.is(clock.nowMs(), 1_000_000);
  system.steady += 2 * MINUTE_MS;
  t.is(clock.nowMs(), 1_000_000 + 2 * MINUTE_MS);
  system.steady += 0.25;
  t.is(clock.nowMs(), 1_000_000 + 2 * MINUTE_MS + 0.25);
  t.is(clock.wallMs(), 4_600_000);
});

test('a sleep that the steady clock counts is two minutes at the most', t => {
  const { system, clock } = aClock();
  const dayMs = 24 * 60 * MINUTE_MS;
  system.steady += 8 * dayMs;
  t.is(clock.nowMs(), 1_000_000 + 2 * MINUTE_MS);
  system.steady += MINUTE_MS;
  t.is(clock.nowMs(), 1_000_000 + 3 * MINUTE_MS);
});

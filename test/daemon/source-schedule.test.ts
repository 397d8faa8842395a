import test, { type ExecutionContext } from 'ava';
import { type HostId, sourceIdOf } from '../../src/core/ids.js';
import { SourceSchedule } from '../../src/daemon/source-schedule.js';
import type { Schedule } from '../../src/membership/schedule.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const START_MS = Date.parse('2026-11-29T09:00:00Z');
const every = (everyMs: number): Schedule => ({ kind: 'every', everyMs });

/** One timer, which goes on by `pass` alone, in place of Node's; so these tests come one after the other. */
function aTimer(t: ExecutionContext) {
  const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
  t.teardown(() => Object.assign(globalThis, real));
  let nowMs = 0;
  let timer: { readonly atMs: number; readonly fire: () => void } | undefined;
  Object.assign(globalThis, {
    setTimeout: (fire: () => void, waitMs: number) => {
      timer = { atMs: nowMs + waitMs, fire };
    },
    clearTimeout: () => {
      timer = undefined;
    },
  });
  const pass = (ms: number): void => {
    nowMs += ms;
    for (let due = timer; due !== undefined && due.atMs <= nowMs; due = timer) {
      timer = undefined;
      due.fire();
    }
  };
  return { pass };
}

/** A source whose runs take no time. Timers stand still while the machine sleeps; its clock does not. */
function aSchedule(t: ExecutionContext, schedule: Schedule, lastMs: number | undefined) {
  const { pass } = aTimer(t);
  const wall = { ms: START_MS };
  const listed = { lastMs };
  const runs: number[] = [];
  const setting = { schedule, jitterMs: 0 };
  const made = new SourceSchedule({
    source: sourceIdOf('a'.repeat(32) as HostId, 'docs'),
    lastMs: () => listed.lastMs,
    wallMs: () => wall.ms,
    onDue: () => {
      runs.push(wall.ms - START_MS);
      listed.lastMs = Math.max(wall.ms, (listed.lastMs ?? 0) + 1);
      made.arm(setting);
    },
  });
  const isEverDue = made.arm(setting);
  const wake = (forMs: number): void => {
    for (let spentMs = 0; spentMs < forMs; spentMs += MINUTE_MS) {
      wall.ms += MINUTE_MS;
      pass(MINUTE_MS);
    }
  };
  return { made, setting, wall, listed, runs, isEverDue, wake, pass };
}

test.serial('what came due while the machine slept is made up for once, soon after it woke', t => {
  const { wall, runs, wake } = aSchedule(t, every(DAY_MS), START_MS - HOUR_MS);
  for (let days = 1; days <= 5; days += 1) {
    wall.ms += 23 * HOUR_MS;
    wake(2 * MINUTE_MS);
    t.is(runs.length, days);
    wake(HOUR_MS - 2 * MINUTE_MS);
    t.is(runs.length, days);
  }
});

test.serial('a clock that is set forward is noticed within a look', t => {
  const { wall, runs, wake } = aSchedule(t, every(7 * DAY_MS), START_MS - HOUR_MS);
  wake(HOUR_MS);
  wall.ms += 11 * DAY_MS;
  t.deepEqual(runs, []);
  wake(MINUTE_MS);
  t.is(runs.length, 1);
});

test.serial('a snapshot that a person asked for puts off the one that would have been due behind it', t => {
  const { wall, listed, runs, wake } = aSchedule(t, every(DAY_MS), START_MS - HOUR_MS);
  // Due at midnight UTC.
  wake(15 * HOUR_MS - MINUTE_MS);
  listed.lastMs = wall.ms;
  wake(2 * HOUR_MS);
  t.deepEqual(runs, []);
  wake(DAY_MS);
  t.deepEqual(runs, [39 * HOUR_MS]);
});

test.serial('a snapshot from the future puts off none, however long the time between two', t => {
  for (const days of [1, 2, 7]) {
    const { runs, wake } = aSchedule(t, every(days * DAY_MS), START_MS + 365 * DAY_MS);
    wake(30 * DAY_MS);
    t.true(Math.abs(runs.length - 30 / days) <= 1.5, `${days}: ${runs.length}`);
  }
});

test.serial('… nor does a configuration that comes again and again', t => {
  const { made, setting, runs, wake } = aSchedule(t, every(2 * DAY_MS), START_MS + 365 * DAY_MS);
  for (let days = 0; days < 10; days += 1) {
    wake(DAY_MS);
    made.arm(setting);
  }
  t.is(runs.length, 5);
});

test.serial('a source without a snapshot is due at once; after a failure not before the time that is said', t => {
  const { made, setting, listed, runs, wake, pass } = aSchedule(t, every(DAY_MS), undefined);
  pass(0);
  t.deepEqual(runs, [0]);
  listed.lastMs = undefined;
  made.arm(setting, START_MS + 5 * MINUTE_MS);
  wake(4 * MINUTE_MS);
  t.is(runs.length, 1);
  wake(MINUTE_MS);
  t.is(runs.length, 2);
});

test.serial('of a schedule none of whose times ever comes it is said that it never comes', t => {
  const broken: Schedule = { kind: 'at', times: [{ pattern: '5 10 * * Fri-Mon', zone: undefined }] };
  t.false(aSchedule(t, broken, START_MS).isEverDue);
  t.true(aSchedule(t, every(HOUR_MS), START_MS).isEverDue);
});

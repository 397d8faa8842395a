import test from 'ava';
import fc from 'fast-check';
import { type HostId, sourceIdOf } from '../../src/core/ids.js';
import {
  type AtTime,
  dueAfter,
  freshUntil,
  lateness,
  readAtTime,
  type Schedule,
} from '../../src/membership/schedule.js';
import { law } from '../helpers/law.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MINUTE_MS = 60_000;

const at = (...texts: readonly string[]): Schedule => ({
  kind: 'at',
  times: texts.map(text => readAtTime(text) ?? { pattern: 'no time', zone: undefined }),
});
const utc = (text: string): number => Date.parse(`${text}Z`);
const due = (schedule: Schedule, last: string, lateMs = 0): string =>
  new Date(dueAfter(schedule, utc(last), lateMs)).toISOString().slice(0, 16);

test('every: on the grid of the wall clock, and not too soon after the last one', t => {
  const hourly: Schedule = { kind: 'every', everyMs: HOUR_MS };
  t.is(due(hourly, '2026-11-28T10:00'), '2026-11-28T11:00');
  t.is(due(hourly, '2026-11-28T10:20'), '2026-11-28T11:00');
  t.is(due(hourly, '2026-11-28T10:40'), '2026-11-28T12:00');
  t.is(due(hourly, '2026-11-28T10:02', 2 * MINUTE_MS), '2026-11-28T11:02');
  t.is(freshUntil(hourly, utc('2026-11-28T10:20'), 0), utc('2026-11-28T12:20'));
});

test('law: every: between two snapshots lies half of the time at the least, and one and a half at the most', t => {
  law(
    t,
    fc.property(
      fc.record({
        everyMs: fc.integer({ min: 1_000, max: 40 * DAY_MS }),
        lastMs: fc.integer({ min: 0, max: utc('2100-01-01') }),
        lateMs: fc.integer({ min: 0, max: 10 * DAY_MS }),
      }),
      ({ everyMs, lastMs, lateMs }) => {
        const waitMs = dueAfter({ kind: 'every', everyMs }, lastMs, lateMs) - lastMs;
        t.true(waitMs > everyMs / 2 - 1 && waitMs <= 1.5 * everyMs + 1, `${waitMs}`);
      },
    ),
  );
});

test('at: the next of the times that are given, in the zone that is named', t => {
  const school = at('Mon-Fri 10:05 Europe/Berlin', 'Sat 20:00 UTC');
  // 2026-11-27 is a Friday, and Berlin an hour ahead.
  t.is(due(school, '2026-11-27T08:00'), '2026-11-27T09:05');
  t.is(due(school, '2026-11-27T09:05'), '2026-11-28T20:00');
  t.is(due(school, '2026-11-28T21:00'), '2026-11-30T09:05');
  t.is(due(school, '2026-11-27T09:06', 2 * MINUTE_MS), '2026-11-27T09:07');
  t.is(due(school, '2026-11-27T09:07', 2 * MINUTE_MS), '2026-11-28T20:02');
  t.is(new Date(freshUntil(school, utc('2026-11-27T09:05'), 0)).toISOString().slice(0, 16), '2026-11-30T09:05');
});

test('at: where a day has no such time, or has it twice, there is one snapshot that day', t => {
  // Clocks in Berlin go from 2:00 to 3:00 on 29 March and from 3:00 back to 2:00 on 25 October 2026.
  const night = at('02:30 Europe/Berlin');
  t.is(due(night, '2026-03-28T12:00').slice(0, 10), '2026-03-29');
  t.is(due(night, '2026-03-29T12:00'), '2026-03-30T00:30');
  const first = dueAfter(night, utc('2026-10-24T12:00'), 0);
  t.is(new Date(first).toISOString().slice(0, 10), '2026-10-25');
  t.is(new Date(dueAfter(night, first, 0)).toISOString().slice(0, 10), '2026-10-26');
});

test('at: days may go over the end of the week', t => {
  const weekend = at('Fri-Mon 10:05 UTC');
  // 2026-11-26 is a Thursday.
  t.is(due(weekend, '2026-11-26T12:00'), '2026-11-27T10:05');
  t.is(due(weekend, '2026-11-27T10:05'), '2026-11-28T10:05');
  t.is(due(weekend, '2026-11-29T10:05'), '2026-11-30T10:05');
  t.is(due(weekend, '2026-11-30T10:05'), '2026-12-04T10:05');
  const patternOf = (days: string) => readAtTime(`${days} 10:05`)?.pattern;
  t.is(patternOf('Sun-Mon'), '5 10 * * Sun,Mon');
  t.is(patternOf('Fri-Fri'), '5 10 * * Fri');
  t.is(patternOf('Mon-Sun'), '5 10 * * Mon,Tue,Wed,Thu,Fri,Sat,Sun');
  t.is(patternOf('Tue-Mon'), '5 10 * * Tue,Wed,Thu,Fri,Sat,Sun,Mon');
});

test('at: a time that cannot be told never comes, and takes none of the others with it', t => {
  const broken: Schedule = { kind: 'at', times: [{ pattern: '5 10 * * Fri-Mon', zone: undefined }] };
  t.is(dueAfter(broken, utc('2026-11-26T12:00'), 0), Number.POSITIVE_INFINITY);
  t.is(freshUntil(broken, utc('2026-11-26T12:00'), 0), Number.POSITIVE_INFINITY);
  const onMars: Schedule = { kind: 'at', times: [readAtTime('10:05 Mars/Olympus') as AtTime] };
  t.is(dueAfter(onMars, utc('2026-11-26T12:00'), 0), Number.POSITIVE_INFINITY);
  const both: Schedule = { kind: 'at', times: [...broken.times, { pattern: '5 10 * * *', zone: 'UTC' }] };
  t.is(due(both, '2026-11-26T12:00'), '2026-11-27T10:05');
});

test('what is no time of day is none', t => {
  for (const text of [
    '',
    '10',
    '24:00',
    '10:60',
    'Mon',
    'mon 10:05',
    'Mon-Fri10:05',
    '* * * * *',
    '10:05 Europe/Berlin x',
  ])
    t.is(readAtTime(text), undefined, text);
  t.deepEqual(readAtTime(' Mon,Wed-Fri  7:05 '), { pattern: '5 7 * * Mon,Wed,Thu,Fri', zone: undefined });
});

test('each source is late by its own share, the same each time', t => {
  const shares = Array.from({ length: 30 }, (_, i) =>
    lateness(sourceIdOf(i.toString(16).padStart(32, '0') as HostId, 'files'), 120_000),
  );
  t.is(new Set(shares).size, 30);
  t.true(shares.every(share => share >= 0 && share < 120_000));
  t.true(Math.max(...shares) - Math.min(...shares) > 60_000);
  t.deepEqual(lateness(sourceIdOf('0'.repeat(32) as HostId, 'files'), 120_000), shares[0] ?? -1);
  t.is(lateness(sourceIdOf('0'.repeat(32) as HostId, 'files'), 0), 0);
});

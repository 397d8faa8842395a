/**
 * Schedule: when is the next snapshot of a source due?
 *
 * *Every* so often: on the wall clock's own grid (every hour means on the hour), so that a cluster's snapshots are side
 * by side; but not sooner after the last one than half the interval. *At* times of the day: those, by the host's local
 * time or in a named zone. What was missed while the host was off is made up for once.
 *
 * Each source is delayed by its own constant share of the jitter; otherwise thirty hosts would all begin at once.
 *
 * croner handles the times of day: days on which the clock is set forward or back, and leap years.
 */
import { Cron } from 'croner';
import { DAY_MS } from '../core/day.js';
import { hash } from '../core/hash.js';
import type { SourceId } from '../core/ids.js';
import { durationText } from './policy-units.js';

/** One entry of `at`. */
export interface AtTime {
  /** Minute, hour, day of the month, month and days of the week, as cron has them. */
  readonly pattern: string;
  /** Undefined: the host's own. */
  readonly zone: string | undefined;
}

export type Schedule =
  | { readonly kind: 'every'; readonly everyMs: number }
  /** At least one. */
  | { readonly kind: 'at'; readonly times: readonly AtTime[] };

export const AT_ALLOWED = 'a time of day such as 10:05, Mon-Fri 10:05 or "Sat,Sun 23:30 Europe/Berlin"';

const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const DAY = `(?:${DAYS.join('|')})`;
const SPAN = `${DAY}(?:-${DAY})?`;
const AT_TIME = new RegExp(
  `^(?:(${SPAN}(?:,${SPAN})*) +)?([01]?\\d|2[0-3]):([0-5]\\d)(?: +([A-Za-z][A-Za-z0-9_+/-]{0,63}))?$`,
);

/** @returns undefined when the text is no time of day. Whether this machine knows its zone is not looked at (`isZone`). */
export function readAtTime(text: string): AtTime | undefined {
  const [, days, hour, minute, zone] = AT_TIME.exec(text.trim()) ?? [];
  if (hour === undefined || minute === undefined) return undefined;
  const daysOfWeek = days?.split(',').flatMap(daysOf).join(',') ?? '*';
  return { pattern: `${Number(minute)} ${Number(hour)} * * ${daysOfWeek}`, zone };
}

/** The days of a span. A span may go past the end of the week, which cron does not support. */
function daysOf(span: string): readonly string[] {
  const [first = '', last = first] = span.split('-');
  const at = DAYS.indexOf(first);
  const count = (DAYS.indexOf(last) - at + DAYS.length) % DAYS.length;
  return Array.from({ length: count + 1 }, (_, after) => DAYS[(at + after) % DAYS.length] as string);
}

/**
 * Whether this machine's Node knows the zone. Zones come and go: what one host could sign, another may not know yet, and its
 * own times alone hang on that.
 */
export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false; // a RangeError, its only error for a string
  }
}

/** How much a source is delayed: the same each time, and different for each source. Below `jitterMs`. */
export function lateness(source: SourceId, jitterMs: number): number {
  const share = Buffer.from(hash(Buffer.from(source))).readUInt32BE() / 2 ** 32;
  return Math.floor(share * jitterMs);
}

/**
 * When the snapshot after one at `lastMs` is due. Wall clock, ms since 1970; Infinity when none of the times ever
 * comes.
 */
export function dueAfter(schedule: Schedule, lastMs: number, lateMs: number): number {
  if (schedule.kind === 'at') {
    const last = new Date(lastMs - lateMs);
    return lateMs + Math.min(...schedule.times.map(time => nextOf(time, last)));
  }
  const { everyMs } = schedule;
  // A source may be delayed by at most half the interval: otherwise it would miss its place.
  const late = Math.min(lateMs, everyMs / 2);
  return (Math.floor((lastMs + everyMs / 2 - late) / everyMs) + 1) * everyMs + late;
}

function nextOf({ pattern, zone }: AtTime, after: Date): number {
  try {
    const cron = new Cron(pattern, { paused: true, ...(zone === undefined ? {} : { timezone: zone }) });
    return cron.nextRun(after)?.getTime() ?? Number.POSITIVE_INFINITY;
  } catch {
    // A time that croner does not accept never comes, which raises an alarm for its source. It is in a signed version:
    // if an error were thrown, no host with that version could start.
    return Number.POSITIVE_INFINITY;
  }
}

/** Until when a snapshot of `lastMs` is fresh: by then two more should have been taken. */
export function freshUntil(schedule: Schedule, lastMs: number, lateMs: number): number {
  if (schedule.kind === 'every') return lastMs + 2 * schedule.everyMs;
  return dueAfter(schedule, dueAfter(schedule, lastMs, lateMs), lateMs);
}

/** How many snapshots it takes in a day, averaged over a week. */
export function timesADay(schedule: Schedule): number {
  if (schedule.kind === 'every') return DAY_MS / schedule.everyMs;
  const days = schedule.times.map(({ pattern }) => pattern.split(' ').at(-1) ?? '*');
  return days.reduce((sum, named) => sum + (named === '*' ? DAYS.length : named.split(',').length), 0) / DAYS.length;
}

/** The schedule, as part of a sentence. */
export const scheduleText = (schedule: Schedule): string =>
  schedule.kind === 'every' ? `every ${durationText(schedule.everyMs)}` : 'at their times of the day';

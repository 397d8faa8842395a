/**
 * Source spec: what a person names on the command line: `SOURCE[@SNAPSHOT][:PATH]`.
 *
 * SOURCE is `name` or `host/name`. SNAPSHOT is `latest`, an id of 8 to 64 hex digits, or a time
 * `YYYY-MM-DD[THH[:MM[:SS]]][Z]`, taken greedily: in `photos@2026-05-01T10:30:15` the 15 is a second and not a path. PATH
 * begins after the next `:`, with `\xHH` for any byte (path-text.ts). A time without `Z` is of this process's time zone, so it
 * crosses to no other process without one; a day, hour or minute means its end: the newest snapshot taken before it was over.
 *
 * Pure: the service finds out what the names stand for. Specified in src/DESIGN.md, "What scripts may rely on".
 */
import { ClusterError } from '../core/fault.js';
import { NAME_PATTERN } from '../core/ids.js';
import { isEntryPath } from './path-order.js';
import { escapePath, unescapePath } from './path-text.js';
import type { SnapshotId } from './snapshot.js';

export type WantedSnapshot =
  | { readonly kind: 'latest' }
  /** 8 to 64 lower-case hex digits. */
  | { readonly kind: 'id'; readonly prefix: string }
  /** The newest one taken before this, ms since 1970. */
  | { readonly kind: 'time'; readonly beforeMs: number };

export interface SourceSpec {
  readonly host: string | undefined;
  readonly source: string;
  readonly snapshot: WantedSnapshot;
  /** Relative to the source's folder; empty for all of it. */
  readonly path: Buffer;
}

const TIME = /^(\d{4})-(\d{2})-(\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2}))?)?)?(Z)?/;
/** Nobody means an earlier one. */
const YEAR_MIN = 1000;
const ID_DIGITS_MIN = 8;

/** @throws ClusterError BAD_SOURCE_SPEC, BAD_PATH_TEXT */
export function parseSourceSpec(text: string): SourceSpec {
  const end = text.search(/[@:]/);
  const { host, source } = parseName(end < 0 ? text : text.slice(0, end), text);
  let rest = end < 0 ? '' : text.slice(end);
  let snapshot: WantedSnapshot = { kind: 'latest' };
  if (rest.startsWith('@')) {
    const taken = takeSnapshotName(rest.slice(1));
    if (taken === undefined) {
      throw bad(
        text,
        `a snapshot must follow the @: latest, at least ${ID_DIGITS_MIN} hex digits of an id, or a time such as 2026-05-01 or 2026-05-01T10:30`,
      );
    }
    snapshot = taken.snapshot;
    rest = rest.slice(1 + taken.length);
  }
  if (rest === '') return { host, source, snapshot, path: Buffer.alloc(0) };
  if (!rest.startsWith(':'))
    throw bad(text, `${JSON.stringify(rest.slice(0, 20))} follows the snapshot; only :PATH may follow it`);
  return { host, source, snapshot, path: parsePath(rest.slice(1), text) };
}

/**
 * The same spec for a process in any time zone: the service often has another one than the shell in which it was typed.
 * @throws ClusterError as `parseSourceSpec`
 */
export function specInUtc(text: string): string {
  const spec = parseSourceSpec(text);
  if (spec.snapshot.kind !== 'time') return text;
  // Every time that can be named ends with a full second.
  const lastSecond = new Date(spec.snapshot.beforeMs - 1_000).toISOString();
  return sourceSpecText(spec, `${lastSecond.slice(0, 'YYYY-MM-DDTHH:MM:SS'.length)}Z`);
}

/** The text that `parseSourceSpec` reads as this spec; times are not kept as they were written. */
export function sourceSpecText(
  { host, source, path }: Pick<SourceSpec, 'host' | 'source' | 'path'>,
  snapshot?: string,
): string {
  const name = host === undefined ? source : `${host}/${source}`;
  return `${name}${snapshot === undefined ? '' : `@${snapshot}`}${path.length === 0 ? '' : `:${escapePath(path)}`}`;
}

export type ChosenSnapshot<T> =
  | { readonly kind: 'chosen'; readonly snapshot: T }
  | { readonly kind: 'none' }
  /** More than one id begins with these digits. */
  | { readonly kind: 'ambiguous'; readonly snapshots: readonly T[] };

/**
 * Finds the listed snapshot that is meant. `latest` is the newest of those given: the caller leaves out those that it
 * must not be.
 */
export function chooseSnapshot<T extends { readonly id: SnapshotId; readonly timeMs: number }>(
  wanted: WantedSnapshot,
  snapshots: readonly T[],
): ChosenSnapshot<T> {
  if (wanted.kind === 'id') {
    const matching = snapshots.filter(({ id }) => id.startsWith(wanted.prefix));
    const [first] = matching;
    if (first === undefined) return { kind: 'none' };
    return matching.length === 1 ? { kind: 'chosen', snapshot: first } : { kind: 'ambiguous', snapshots: matching };
  }
  let newest: T | undefined;
  for (const snapshot of snapshots) {
    if (wanted.kind === 'time' && snapshot.timeMs >= wanted.beforeMs) continue;
    if (newest === undefined || snapshot.timeMs >= newest.timeMs) newest = snapshot;
  }
  return newest === undefined ? { kind: 'none' } : { kind: 'chosen', snapshot: newest };
}

function parseName(name: string, text: string): { readonly host: string | undefined; readonly source: string } {
  const [first = '', second, ...more] = name.split('/');
  const names = second === undefined ? [first] : [first, second];
  if (more.length > 0 || !names.every(one => NAME_PATTERN.test(one))) {
    throw bad(
      text,
      `${JSON.stringify(name.slice(0, 80))} is no source: write NAME or HOST/NAME, each of a-z, 0-9 and -`,
    );
  }
  return second === undefined ? { host: undefined, source: first } : { host: first, source: second };
}

function takeSnapshotName(text: string): { readonly snapshot: WantedSnapshot; readonly length: number } | undefined {
  const time = TIME.exec(text);
  if (time !== null) {
    const beforeMs = endOf(time);
    return beforeMs === undefined ? undefined : { snapshot: { kind: 'time', beforeMs }, length: time[0].length };
  }
  const word = /^[^:]*/.exec(text)?.[0] ?? '';
  if (word === 'latest') return { snapshot: { kind: 'latest' }, length: word.length };
  if (!/^[0-9a-fA-F]+$/.test(word) || word.length < ID_DIGITS_MIN || word.length > 64) return undefined;
  return { snapshot: { kind: 'id', prefix: word.toLowerCase() }, length: word.length };
}

/** When the named day, hour, minute or second is over; undefined for a date or time that does not exist. */
function endOf(match: RegExpExecArray): number | undefined {
  const [, year, month, day, hour, minute, second, zulu] = match;
  const start: [number, number, number, number, number, number] = [
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour ?? 0),
    Number(minute ?? 0),
    Number(second ?? 0),
  ];
  const [wantedYear, wantedMonth, wantedDay, wantedHour, wantedMinute, wantedSecond] = start;
  const isReal = new Date(Date.UTC(...start));
  // `Date` takes the years 0 to 99 for those of the last century, and other time zones have some of 99 in 100.
  if (isReal.getUTCFullYear() !== wantedYear || wantedYear < YEAR_MIN) return undefined;
  if (isReal.getUTCMonth() !== wantedMonth || isReal.getUTCDate() !== wantedDay) return undefined;
  if (wantedHour > 23 || wantedMinute > 59 || wantedSecond > 59) return undefined;
  const smallest = second !== undefined ? 5 : minute !== undefined ? 4 : hour !== undefined ? 3 : 2;
  start[smallest] = (start[smallest] ?? 0) + 1;
  return zulu === undefined ? new Date(...start).getTime() : Date.UTC(...start);
}

/** Slashes at both ends are removed: shells complete folders with one, and people write one in front. */
function parsePath(text: string, spec: string): Buffer {
  const path = unescapePath(text.replace(/^\/+|\/+$/g, ''));
  if (!isEntryPath(path)) {
    throw bad(
      spec,
      `the path ${JSON.stringify(text.slice(0, 200))} has an empty, "." or ".." component: paths begin at the source's folder`,
    );
  }
  return path;
}

function bad(text: string, why: string): ClusterError {
  return new ClusterError('BAD_SOURCE_SPEC', `${JSON.stringify(text.slice(0, 200))}: ${why}`, { blame: 'operator' });
}

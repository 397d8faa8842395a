/**
 * The policy's shape, as zod sees it: which keys exist, and what a value may be. Editors get the same shape as a JSON
 * Schema.
 *
 * The error text of every leaf says what is allowed, in words for operators.
 */
import { multiaddr } from '@multiformats/multiaddr';
import { z } from 'zod';
import { DAY_MS } from '../core/day.js';
import { NAME_PATTERN } from '../core/ids.js';
import { DURATION_ALLOWED, readDuration, readSize, SIZE_ALLOWED } from './policy-units.js';
import { AT_ALLOWED, readAtTime } from './schedule.js';

/** Copies of one parcel: a larger number is a typing error. */
export const COPIES_MAX = 32;
/** Stores of one host: disks in a box. */
const STORES_MAX = 64;
/** Sources of one host: each costs a scan, a head and a log operation. */
export const SOURCES_MAX = 256;
/** Addresses of one host: a few interfaces, two address families. */
export const ADDRESSES_MAX = 16;
/** A multiaddr's text; DNS names have at most 253 characters. */
const ADDRESS_CHARACTERS_MAX = 300;
/** Linux's PATH_MAX. */
const PATH_BYTES_MAX = 4096;
const EXCLUDES_MAX = 1000;
const PATTERN_CHARACTERS_MAX = 1024;
/** A time for each half hour of a day. */
const AT_TIMES_MAX = 48;
const KEEP_MAX = 10_000;
const HOLD_DAYS_MAX = 3650;

export const NAME_ALLOWED = 'a name of lower-case letters, digits and dashes, at most 63, the first not a dash';

const allowed = (what: string): { error: string } => ({ error: what });
const A_MAP = allowed('a map of keys to values');

const name = z.string(allowed(NAME_ALLOWED)).regex(NAME_PATTERN, allowed(NAME_ALLOWED));
const flag = z.boolean(allowed('true or false'));
const copies = wholeNumber(1, COPIES_MAX);

function wholeNumber(least: number, most: number) {
  const what = allowed(`a whole number from ${least} to ${most}`);
  return z.int(what).min(least, what).max(most, what);
}

const size = z.union([z.string(), z.number()], allowed(SIZE_ALLOWED)).transform((value, context) => {
  const bytes = typeof value === 'string' ? readSize(value) : value;
  if (bytes !== undefined && Number.isSafeInteger(bytes) && bytes >= 0) return bytes;
  context.addIssue({ code: 'custom', message: SIZE_ALLOWED, input: value });
  return z.NEVER;
});

const RESERVE_ALLOWED = `${SIZE_ALLOWED}, or a share of the disk such as 10%`;
const reserve = z.union([z.string(), z.number()], allowed(RESERVE_ALLOWED)).transform((value, context) => {
  const share = typeof value === 'string' ? /^(\d{1,2})\s*%$/.exec(value.trim())?.[1] : undefined;
  if (share !== undefined) return { percent: Number(share) };
  const bytes = typeof value === 'string' ? readSize(value) : value;
  if (bytes !== undefined && Number.isSafeInteger(bytes) && bytes >= 0) return { bytes };
  context.addIssue({ code: 'custom', message: RESERVE_ALLOWED, input: value });
  return z.NEVER;
});

const durationValue = z.union([z.string(), z.literal(0)], allowed(DURATION_ALLOWED));

function durationFrom(leastMs: number, what: string) {
  return durationValue.transform((value, context) => {
    const durationMs = value === 0 ? 0 : readDuration(value);
    if (durationMs !== undefined && durationMs >= leastMs) return durationMs;
    context.addIssue({ code: 'custom', message: what, input: value });
    return z.NEVER;
  });
}

const duration = durationFrom(0, DURATION_ALLOWED);
/** A scan of a source more often than this would never end. */
const every = durationFrom(1000, 'a duration of at least 1s, such as 15m, 1h or 1d');

const hookTimeout = durationFrom(1000, 'a duration of at least 1s, such as 10m');

const atTime = z.string(allowed(AT_ALLOWED)).transform((value, context) => {
  const time = readAtTime(value);
  if (time !== undefined) return time;
  context.addIssue({ code: 'custom', message: AT_ALLOWED, input: value });
  return z.NEVER;
});
const atTimes = z
  .array(atTime, allowed('a list of times of the day, such as [Mon-Fri 10:05]'))
  .min(1, allowed('at least one time of the day'))
  .max(AT_TIMES_MAX, allowed(`at most ${AT_TIMES_MAX} times of the day`));

const HOLD_ALLOWED = `whole days from 1d to ${HOLD_DAYS_MAX}d`;
const hold = durationValue.transform((value, context) => {
  const days = (value === 0 ? 0 : (readDuration(value) ?? Number.NaN)) / DAY_MS;
  if (Number.isInteger(days) && days >= 1 && days <= HOLD_DAYS_MAX) return days;
  context.addIssue({ code: 'custom', message: HOLD_ALLOWED, input: value });
  return z.NEVER;
});

const PATH_ALLOWED = `an absolute path without "." and "..", at most ${PATH_BYTES_MAX} bytes`;
const path = z.string(allowed(PATH_ALLOWED)).refine(isPlainPath, allowed(PATH_ALLOWED));

function isPlainPath(text: string): boolean {
  return (
    text.startsWith('/') &&
    !text.includes('\0') &&
    Buffer.byteLength(text) <= PATH_BYTES_MAX &&
    !text.split('/').some(part => part === '.' || part === '..')
  );
}

const ADDRESS_ALLOWED = 'a multiaddr such as /ip4/192.168.1.20/tcp/4747';
const address = z.string(allowed(ADDRESS_ALLOWED)).refine(isAddress, allowed(ADDRESS_ALLOWED));

export function isAddress(text: string): boolean {
  if (text.length > ADDRESS_CHARACTERS_MAX) return false;
  try {
    return multiaddr(text).getComponents().length > 0;
  } catch {
    return false; // it throws only for a text that is no multiaddr
  }
}

const BRAKE_ALLOWED = 'a share of the files from 1% to 100%, such as 50%';
const brake = z.string(allowed(BRAKE_ALLOWED)).transform((value, context) => {
  const percent = Number(/^(\d{1,3})\s*%$/.exec(value.trim())?.[1] ?? 0);
  if (percent >= 1 && percent <= 100) return percent;
  context.addIssue({ code: 'custom', message: BRAKE_ALLOWED, input: value });
  return z.NEVER;
});

const keepCount = wholeNumber(0, KEEP_MAX).optional();
const keep = z.strictObject(
  { last: keepCount, hourly: keepCount, daily: keepCount, weekly: keepCount, monthly: keepCount, yearly: keepCount },
  A_MAP,
);

const store = z.strictObject(
  { path, name: name.optional(), limit: size.optional(), reserve: reserve.optional(), draining: flag.optional() },
  allowed('a map with path and, if wanted, name, limit or reserve, and draining'),
);

const patternAllowed = allowed(`a pattern as in .gitignore, at most ${PATTERN_CHARACTERS_MAX} characters`);
const exclude = z
  .array(
    z.string(patternAllowed).min(1, patternAllowed).max(PATTERN_CHARACTERS_MAX, patternAllowed),
    allowed('a list of patterns'),
  )
  .max(EXCLUDES_MAX, allowed(`at most ${EXCLUDES_MAX} patterns`));

const source = z.strictObject(
  {
    path,
    copies: copies.optional(),
    every: every.optional(),
    at: atTimes.optional(),
    watch: flag.optional(),
    jitter: duration.optional(),
    exclude: exclude.nullish(),
    keep: keep.optional(),
    hold: hold.optional(),
    brake: brake.optional(),
    before: name.optional(),
    after: name.optional(),
    onFailure: name.optional(),
    hookTimeout: hookTimeout.optional(),
    crossMounts: flag.optional(),
  },
  allowed(
    'a map with path and, if wanted, copies, every or at, watch, jitter, exclude, keep, hold, brake, before, after, onFailure, hookTimeout and crossMounts',
  ),
);

const RATE_ALLOWED = 'a size for each second, at least 256 kB, such as 5 MB';
/** Below this, a stream would pause for so long while others have their turns that its peer would give it up. */
const RATE_BYTES_PER_S_MIN = 256_000;
const rate = size.refine(bytesPerS => bytesPerS >= RATE_BYTES_PER_S_MIN, allowed(RATE_ALLOWED)).optional();
const rates = { upload: rate, download: rate };
const limits = z.strictObject(
  {
    ...rates,
    peers: z.record(name, z.strictObject(rates, allowed('a map with upload or download, or both')), A_MAP).nullish(),
  },
  allowed('a map with upload, download, and peers: the same for single hosts'),
);

const host = z.strictObject(
  {
    domain: name.optional(),
    roaming: flag.optional(),
    catalog: z
      .enum(['full', 'ask'], allowed('full (keep the records of all parcels) or ask (those who have them)'))
      .optional(),
    addresses: z
      .array(address, allowed('a list of multiaddrs'))
      .max(ADDRESSES_MAX, allowed(`at most ${ADDRESSES_MAX} addresses`))
      .nullish(),
    stores: z
      .array(store, allowed('a list of stores, each a map with path and limit or reserve'))
      .max(STORES_MAX, allowed(`at most ${STORES_MAX} stores`))
      .nullish(),
    sources: z.record(name, source, A_MAP).nullish(),
    limits: limits.nullish(),
  },
  A_MAP,
);

const timing = z.strictObject(
  {
    heartbeat: duration.optional(),
    heartbeatPerHost: duration.optional(),
    suspect: duration.optional(),
    redial: duration.optional(),
    dead: duration.optional(),
    roamingDead: duration.optional(),
    deadMax: duration.optional(),
    lastPlace: duration.optional(),
    claimWait: duration.optional(),
    step: duration.optional(),
    repairStep: duration.optional(),
    claim: duration.optional(),
    surplus: duration.optional(),
    regrab: duration.optional(),
    return: duration.optional(),
    attempt: duration.optional(),
    dropBackOff: duration.optional(),
    relocate: duration.optional(),
    gcGrace: duration.optional(),
    scrub: duration.optional(),
    trash: duration.optional(),
    partial: duration.optional(),
    treeQuiet: duration.optional(),
    treeEvery: duration.optional(),
  },
  A_MAP,
);

export const policySchema = z.strictObject(
  {
    cluster: name,
    defaults: z
      .strictObject(
        {
          copies: copies.optional(),
          every: every.optional(),
          jitter: duration.optional(),
          keep: keep.optional(),
          hold: hold.optional(),
        },
        A_MAP,
      )
      .nullish(),
    hosts: z.record(name, host.nullish(), A_MAP).nullish(),
    timing: timing.nullish(),
  },
  A_MAP,
);

/** The keys allowed in a map at this place; none where there is no map, or a map of names. */
export function keysAt(path: readonly (string | number)[]): readonly string[] {
  let shape: z.core.$ZodType = policySchema;
  for (const step of path) {
    shape = required(shape);
    if (shape instanceof z.ZodObject) shape = shape.shape[step] ?? z.never();
    else if (shape instanceof z.ZodRecord) shape = shape.valueType;
    else if (shape instanceof z.ZodArray) shape = shape.element;
  }
  const map = required(shape);
  return map instanceof z.ZodObject ? Object.keys(map.shape) : [];
}

/** The shape of a value that is present. */
function required(shape: z.core.$ZodType): z.core.$ZodType {
  return shape instanceof z.ZodOptional || shape instanceof z.ZodNullable ? required(shape.unwrap()) : shape;
}

/** What the file says: sizes and durations are parsed, but no defaults are filled in. */
export type PolicyInput = z.output<typeof policySchema>;
export type TimingInput = z.output<typeof timing>;
export type KeepInput = z.output<typeof keep>;

/** The policy's JSON Schema (draft 2020-12), for editors. */
export function policyJsonSchema(): object {
  return { title: 'Scatterhoard policy', ...z.toJSONSchema(policySchema, { io: 'input' }) };
}

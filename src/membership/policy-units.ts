/**
 * Sizes and durations as operators write them, in the policy and on the command line.
 *
 * A size is a number with a unit (`300 GB`, `1.5 TiB`): kB = 1000, KiB = 1024. A bare number is bytes. One-letter units
 * are refused, because `G` means 10⁹ to some tools and 2³⁰ to others. A duration is one or more numbers with units
 * (`5s`, `1h30m`, `7d`); a bare number is refused, except 0, because its unit cannot be seen.
 */
import { ClusterError } from '../core/fault.js';

export const SIZE_ALLOWED =
  'a size such as 300 GB or 1.5 TiB (B, kB, MB, GB, TB, PB = 1000s; KiB, MiB, GiB, TiB, PiB = 1024s)';
export const DURATION_ALLOWED = 'a duration such as 500ms, 5s, 2m, 1h30m, 7d or 4w';

/** No waiting time is longer: ten years. Far above any real one, far below where sums of milliseconds stop being exact. */
export const DURATION_MS_MAX = 3650 * 24 * 3_600_000;

const SIZE_UNITS: ReadonlyMap<string, number> = new Map(
  ['', 'k', 'm', 'g', 't', 'p'].flatMap((prefix, power) =>
    prefix === ''
      ? [['b', 1] as const]
      : [[`${prefix}b`, 1000 ** power] as const, [`${prefix}ib`, 1024 ** power] as const],
  ),
);

const DURATION_UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
]);

/** Bytes, a safe integer ≥ 0; `undefined` when `text` is no size. Units in any case, since nobody means a millibit. */
export function readSize(text: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]{1,3})?$/i.exec(text.trim());
  if (match?.[1] === undefined) return undefined;
  const unit = match[2] === undefined ? 1 : SIZE_UNITS.get(match[2].toLowerCase());
  if (unit === undefined || (unit === 1 && match[1].includes('.'))) return undefined;
  const bytes = Math.round(Number(match[1]) * unit);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Milliseconds, an integer from 0 to `DURATION_MS_MAX`; `undefined` when `text` is no duration. */
export function readDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed === '0') return 0;
  if (!/^(?:\d{1,15}(?:\.\d{1,9})?(?:ms|[smhdw]))+$/.test(trimmed)) return undefined;
  let sumMs = 0;
  for (const [, number, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) {
    sumMs += Number(number) * (DURATION_UNITS.get(unit ?? '') ?? Number.NaN);
  }
  const wholeMs = Math.round(sumMs);
  return wholeMs <= DURATION_MS_MAX ? wholeMs : undefined;
}

/** @throws ClusterError BAD_SIZE */
export function parseSize(text: string): number {
  const bytes = readSize(text);
  if (bytes === undefined) {
    throw new ClusterError('BAD_SIZE', `not a size: ${JSON.stringify(text)}; allowed: ${SIZE_ALLOWED}`, {
      blame: 'operator',
    });
  }
  return bytes;
}

/** @throws ClusterError BAD_DURATION */
export function parseDuration(text: string): number {
  const durationMs = readDuration(text);
  if (durationMs === undefined) {
    throw new ClusterError('BAD_DURATION', `not a duration: ${JSON.stringify(text)}; allowed: ${DURATION_ALLOWED}`, {
      blame: 'operator',
    });
  }
  return durationMs;
}

/** The shortest exact text that `parseDuration` reads back: `90000` → `1m30s`. */
export function durationText(durationMs: number): string {
  let leftMs = durationMs;
  let text = '';
  for (const [unit, unitMs] of [...DURATION_UNITS].reverse()) {
    if (unit === 'w') continue; // weeks read worse than days in a table
    const count = Math.floor(leftMs / unitMs);
    leftMs -= count * unitMs;
    if (count > 0) text += `${count}${unit}`;
  }
  return text === '' ? '0s' : text;
}

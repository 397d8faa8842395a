/**
 * Run arguments: the numbers and names of the simulator's command line. A malformed one ends the command: a run of no
 * seeds, or of seed NaN, would pass and have tested nothing.
 */
import { availableParallelism } from 'node:os';

export class UsageError extends Error {}

/** Seeds and events are whole numbers, and no run sees larger ones than these. */
const DIGITS_MAX = 10;

/** @throws UsageError when the text is not a whole number. */
export function wholeNumber(name: string, text: string): number {
  if (!/^\d+$/.test(text) || text.length > DIGITS_MAX)
    throw new UsageError(`${name} ${text}: a whole number of at most ${DIGITS_MAX} digits is expected`);
  return Number(text);
}

/** A thread holds some 200 MB: a machine of many cores must not run out of memory for a slip of the finger. */
const THREADS_MAX = 64;

/** Default: one for each core. @throws UsageError when it is none. */
export function threadCount(text?: string): number {
  const threads = text === undefined ? Math.min(availableParallelism(), THREADS_MAX) : wholeNumber('--threads', text);
  if (threads < 1 || threads > THREADS_MAX)
    throw new UsageError(`--threads ${threads}: 1 to ${THREADS_MAX} are expected`);
  return threads;
}

export interface SeedRange {
  readonly from: number;
  readonly to: number;
}

/** The seeds named by `--from`, `--to` and `--seeds`. @throws UsageError when there are none, or two ends are given. */
export function seedRange(
  { from, to, seeds }: { readonly from?: string; readonly to?: string; readonly seeds?: string },
  { seedsDefault }: { readonly seedsDefault: number },
): SeedRange {
  if (to !== undefined && seeds !== undefined) throw new UsageError('--to and --seeds: give only one of them');
  const first = wholeNumber('--from', from ?? '1');
  const last =
    to === undefined ? first + wholeNumber('--seeds', seeds ?? String(seedsDefault)) - 1 : wholeNumber('--to', to);
  if (last < first) throw new UsageError(`there are no seeds from ${first} to ${last}`);
  return { from: first, to: last };
}

/** @throws UsageError when nothing has this name. */
export function oneOf<Named extends { readonly name: string }>(
  all: readonly Named[],
  what: string,
  name: string,
): Named {
  const found = all.find(each => each.name === name);
  if (found !== undefined) return found;
  throw new UsageError(`no ${what} is called ${name}; there are: ${all.map(each => each.name).join(', ')}`);
}

/** Arguments of `npm run soak`. A malformed one ends it: a soak of no minutes, or of seed NaN, would hold. */
import { parseArgs } from 'node:util';
import { UsageError, wholeNumber } from '../../sim/run-arguments.js';

export const USAGE = 'usage: npm run soak [-- [--seed N] [--minutes N]]';

/** As long as a person waits for a first word. */
const MINUTES_DEFAULT = 10;

export interface SoakArguments {
  /** Undefined: one that nobody has tried yet. */
  readonly seed: number | undefined;
  /** After this no new round begins; the one that is under way goes on to its end. */
  readonly minutes: number;
}

/** @throws UsageError */
export function readArguments(words: readonly string[]): SoakArguments {
  const { seed, minutes } = parsed(words);
  const read = {
    seed: seed === undefined ? undefined : wholeNumber('--seed', seed),
    minutes: minutes === undefined ? MINUTES_DEFAULT : wholeNumber('--minutes', minutes),
  };
  if (read.minutes === 0) throw new UsageError('--minutes 0: at least one');
  return read;
}

function parsed(words: readonly string[]): { readonly seed?: string; readonly minutes?: string } {
  try {
    return parseArgs({ args: [...words], options: { seed: { type: 'string' }, minutes: { type: 'string' } } }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

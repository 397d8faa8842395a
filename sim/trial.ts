/**
 * Trial: a seed of many, and what its runs showed. One seed in some is run twice, and must give the same chain of state
 * hashes (I9).
 */
import type { Counts } from './counts.js';
import { type Failure, failureOf } from './failure-lines.js';
import { drawRun, type RunOptions } from './run-options.js';
import { type Outcome, runSeed } from './run-seed.js';

/** One seed in this many is run twice. */
const TWICE_EVERY = 25;

export interface Trial {
  readonly failure?: Failure;
  /** Of the first run. */
  readonly counts: Counts;
  /** Of all its runs. */
  readonly events: number;
}

export function tryOut(seed: number): Trial {
  const options = drawRun(seed);
  const isTwice = seed % TWICE_EVERY === 0;
  const outcome = runSeed(options, { hashes: isTwice });
  const { counts, events } = outcome;
  const failure = failureOf(options, outcome);
  if (failure !== undefined) return { failure, counts, events };
  if (!isTwice) return { counts, events };
  const again = runSeed(options, { hashes: true });
  const differs = differenceOf(options, outcome, again);
  return { ...(differs === undefined ? {} : { failure: differs }), counts, events: events + again.events };
}

function differenceOf(options: RunOptions, first: Outcome, { links }: Outcome): Failure | undefined {
  const at = first.links.findIndex((link, i) => link !== links[i]);
  if (at < 0 && links.length === first.links.length) return undefined;
  return { options, by: 'I9', message: `the second run differs from link ${at < 0 ? first.links.length : at} on` };
}

/**
 * Replay regression: does a kept run still show what it was kept for?
 *
 * The core keeps changing, and with it the moment of each event: a run that was shrunk as far as possible soon misses
 * its moment by a little. So it is tried with a few neighbouring seeds, which shift delays and leave the schedule
 * alone; the mutant must die in one of them, and the complete build must pass that same one.
 */
import { mutantOf } from './mutants.js';
import type { Regression } from './regressions.js';
import { runSeed } from './run-seed.js';

const NEIGHBOURS = 100;

/** @returns what is wrong; undefined when the run shows what it should. */
export function replayRegression({ mutant: name, by, options }: Regression): string | undefined {
  const whole = runSeed(options).failed;
  if (whole !== undefined) return `the complete build fails it: ${whole.message}`;
  if (name === undefined) return undefined;
  const mutant = mutantOf(name);
  if (mutant === undefined) return `there is no mutant ${name}`;
  for (let shift = 0; shift < NEIGHBOURS; shift += 1) {
    const shifted = { ...options, seed: options.seed + shift };
    if (runSeed(shifted, { mutant }).failed?.by !== by) continue;
    const failed = runSeed(shifted).failed;
    return failed === undefined ? undefined : `seed ${shifted.seed} fails without the mutant too: ${failed.message}`;
  }
  return `${name} lives, but should die by ${by}: record it again with npm run sim -- mutants --save yes`;
}

/**
 * Replay regression: does a kept run still show what it was kept for?
 *
 * The core keeps changing, and with it the moment of each event: a run that was shrunk as far as possible soon misses
 * its moment by a little. So it is tried with a few neighbouring seeds, which shift delays and leave the schedule
 * alone; the mutant must die in one of them, and the complete build must pass that same one.
 */
import { type Mutant, mutantOf } from './mutants.js';
import type { Regression } from './regressions.js';
import type { RunOptions } from './run-options.js';
import { runSeed } from './run-seed.js';

const NEIGHBOURS = 100;

/** @returns what is wrong; undefined when the run shows what it should. */
export function replayRegression({ mutant: name, by, options }: Regression): string | undefined {
  const whole = runSeed(options).failed;
  if (whole !== undefined) return `the complete build fails it: ${whole.message}`;
  if (name === undefined) return undefined;
  const mutant = mutantOf(name);
  if (mutant === undefined) return `there is no mutant ${name}`;
  const killing = killingNeighbour(options, mutant, by);
  if (killing === undefined)
    return `${name} lives, but should die by ${by}: record it again with npm run sim -- mutants --save yes`;
  const failed = runSeed(killing).failed;
  return failed === undefined ? undefined : `seed ${killing.seed} fails without the mutant too: ${failed.message}`;
}

/** Of a run and its neighbours the first in which the mutant dies by that; undefined where it lives. */
export function killingNeighbour(options: RunOptions, mutant: Mutant, by: string | undefined): RunOptions | undefined {
  for (let shift = 0; shift < NEIGHBOURS; shift += 1) {
    const shifted = { ...options, seed: options.seed + shift };
    if (runSeed(shifted, { mutant }).failed?.by === by) return shifted;
  }
  return undefined;
}

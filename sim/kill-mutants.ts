/**
 * Kill mutants: runs seeds with one rule taken out at a time, until a checker sees data in danger; and sees that the whole
 * build passes the same run.
 */
import { MUTANTS, type Mutant } from './mutants.js';
import { drawRun, type RunOptions } from './run-options.js';
import { runSeed } from './run-seed.js';
import type { Invariant } from './violation.js';

export interface Killed {
  readonly mutant: Mutant;
  readonly seed: number;
  readonly by: Invariant;
  readonly message: string;
  readonly options: RunOptions;
}

/** @returns what killed it; undefined when it lived through all of them. `passes`: told of each seed. */
export function killMutant(
  mutant: Mutant,
  { from, to }: { readonly from: number; readonly to: number },
): Killed | { readonly mutant: Mutant; readonly lived: string } {
  for (let seed = from; seed <= to; seed += 1) {
    const options = drawRun(seed, { favours: mutant.favours });
    const { failed } = runSeed(options, { mutant });
    if (failed === undefined || failed.by === 'crash') continue;
    const whole = runSeed(options);
    if (whole.failed !== undefined)
      return { mutant, lived: `without it, seed ${seed} fails too: ${whole.failed.message}` };
    return { mutant, seed, by: failed.by, message: failed.message, options };
  }
  return { mutant, lived: `it lived through seeds ${from} to ${to}` };
}

export const allMutants = (): readonly Mutant[] => MUTANTS;

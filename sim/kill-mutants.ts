/**
 * Kill mutants: runs seeds with one rule taken out at a time until a checker sees data in danger, and checks that the
 * complete build passes all of the same seeds.
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

/** @returns what killed it, or why nothing did. */
export function killMutant(
  mutant: Mutant,
  { from, to }: { readonly from: number; readonly to: number },
): Killed | { readonly mutant: Mutant; readonly lived: string } {
  for (let seed = from; seed <= to; seed += 1) {
    const options = drawRun(seed, { favours: mutant.favours });
    const { failed } = runSeed(options, { mutant });
    if (failed === undefined || failed.by === 'crash') continue;
    const alike = failsWithout(mutant, { from, to: seed });
    return alike === undefined
      ? { mutant, seed, by: failed.by, message: failed.message, options }
      : { mutant, lived: alike };
  }
  return { mutant, lived: `it lived through seeds ${from} to ${to}` };
}

/** @returns a message about the first of the seeds that fails with the complete build too; undefined when none does */
function failsWithout(
  { favours }: Mutant,
  { from, to }: { readonly from: number; readonly to: number },
): string | undefined {
  for (let seed = from; seed <= to; seed += 1) {
    const { failed } = runSeed(drawRun(seed, { favours }));
    if (failed !== undefined) return `without the mutant, seed ${seed} fails too: ${failed.message}`;
  }
  return undefined;
}

export const allMutants = (): readonly Mutant[] => MUTANTS;

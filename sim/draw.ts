/** Draws: what the simulator asks of a generator, beyond a plain number. */
import type { Chance } from '../src/core/chance.js';
import { assert } from '../src/core/fault.js';

/** An integer from `least` to `most`, both included. */
export const between = (chance: Chance, least: number, most: number): number => least + chance.below(most - least + 1);

/** True once in `times`, on average. */
export const oneIn = (chance: Chance, times: number): boolean => chance.below(times) === 0;

/** Small as often as large: uniform in the logarithm, for times that span from 0.1 s to days. Both bounds above 0. */
export function logBetween(chance: Chance, least: number, most: number): number {
  const share = chance.uint32() / 0x1_0000_0000;
  return Math.round(least * Math.exp(share * Math.log(most / least)));
}

export function pick<T>(chance: Chance, from: readonly T[]): T {
  assert(from.length > 0, 'nothing to pick from');
  return from[chance.below(from.length)] as T;
}

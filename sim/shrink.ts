/**
 * Shrink: the smallest run that fails by the same invariant: less time, fewer faults, fewer hosts and parcels, no delays.
 *
 * Faults are left out by delta debugging (Zeller & Hildebrandt 2002): halves first, then ever smaller parts, until no
 * single fault can go. The remaining faults keep their times and ids.
 */
import type { Mutant } from './mutants.js';
import type { RunOptions } from './run-options.js';
import { type Outcome, runSeed } from './run-seed.js';

export interface Shrunk {
  readonly options: RunOptions;
  readonly outcome: Outcome;
  readonly runs: number;
}

/** A run that hardly gets any smaller is small enough. */
const RUNS_MAX = 400;

export function shrink(
  options: RunOptions,
  { mutant, runsMax = RUNS_MAX }: { readonly mutant?: Mutant | undefined; readonly runsMax?: number } = {},
): Shrunk {
  let best = options;
  let outcome = runSeed(options, { mutant });
  let runs = 1;
  const by = outcome.failed?.by;
  if (by === undefined) return { options, outcome, runs };
  const takes = (smaller: RunOptions): boolean => {
    if (runs >= runsMax) return false;
    runs += 1;
    const tried = runSeed(smaller, { mutant });
    if (tried.failed?.by !== by) return false;
    best = smaller;
    outcome = tried;
    return true;
  };
  // Faults after the violation did not cause it; and liveness fails at the end, whenever that is.
  const endMs = Math.min(best.safetyMs, Math.ceil(outcome.atMs) + 1);
  takes({ ...best, safetyMs: endMs, faults: best.faults.filter(({ atMs }) => atMs <= endMs) });
  fewerFaults(() => best, takes);
  for (let changed = true; changed && runs < runsMax; ) {
    changed = false;
    for (const smaller of smallerOnes(best)) changed = takes(smaller) || changed;
  }
  fewerFaults(() => best, takes);
  return { options: best, outcome, runs };
}

function fewerFaults(best: () => RunOptions, takes: (smaller: RunOptions) => boolean): void {
  for (let parts = 2; best().faults.length > 0; ) {
    const { faults } = best();
    const size = Math.ceil(faults.length / parts);
    let taken = false;
    for (let at = 0; at < faults.length && !taken; at += size)
      taken = takes({ ...best(), faults: [...faults.slice(0, at), ...faults.slice(at + size)] });
    if (taken) parts = Math.max(2, parts - 1);
    else if (size === 1) return;
    else parts = Math.min(faults.length, parts * 2);
  }
}

function* smallerOnes(best: RunOptions): IterableIterator<RunOptions> {
  if (best.hosts > 3) yield { ...best, hosts: best.hosts - 1 };
  if (best.parcels > 1) yield { ...best, parcels: Math.floor(best.parcels / 2) };
  if (best.sources > 1) yield { ...best, sources: 1 };
  if (best.copies > 1) yield { ...best, copies: best.copies - 1 };
  if (best.storesPerHost > 1) yield { ...best, storesPerHost: 1 };
  if (best.hostsPerDomain > 1) yield { ...best, hostsPerDomain: 1 };
  if (best.lossPercent > 0) yield { ...best, lossPercent: 0 };
  if (best.duplicatePercent > 0) yield { ...best, duplicatePercent: 0 };
  if (best.delayMsMost > 1) yield { ...best, delayMsMost: 1 };
}

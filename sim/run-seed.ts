/**
 * Run seed: one run from its options: first safety, with faults; then the faults stop, and liveness is demanded.
 */

import { backUp, sourcesOf } from './backing-up.js';
import type { Checker } from './checkers/checker.js';
import { CopyChecker } from './checkers/copies.js';
import { CountChecker } from './checkers/counted.js';
import { DropChecker } from './checkers/drops.js';
import { FetcherChecker } from './checkers/fetchers.js';
import { HeadChecker } from './checkers/heads.js';
import { MoveChecker } from './checkers/moves.js';
import { WordChecker } from './checkers/words.js';
import type { Counts } from './counts.js';
import type { Happening } from './happening.js';
import { Injector } from './inject.js';
import type { Mutant } from './mutants.js';
import { LETHAL } from './mutants.js';
import type { RunOptions } from './run-options.js';
import { heal, settle } from './settle.js';
import { LINK_EVENTS, StateHash } from './state-hash.js';
import { backUpThriftily } from './thrift.js';
import { type Invariant, Violation } from './violation.js';
import { World } from './world.js';

/**
 * Everything is checked in full once per this many events, and at the end of each phase; most runs have fewer events.
 */
const FULL_CHECK_EVENTS = 10_000;
/** A run with this many events has run away. */
const EVENTS_MAX = 200_000;

export interface Outcome {
  /** The failure; undefined when there was none. `crash`: a failed assert of the machine, or a bug of the simulator. */
  readonly failed: { readonly by: Invariant | 'crash'; readonly message: string; readonly stack: string } | undefined;
  readonly atMs: number;
  readonly events: number;
  readonly counts: Counts;
  readonly links: readonly number[];
}

export interface RunSeedOptions {
  readonly mutant?: Mutant | undefined;
  /** Ends the run after this many events. */
  readonly untilEvent?: number | undefined;
  readonly hashes?: boolean;
  /** See `Surroundings.greedy`. Default false. */
  readonly greedy?: boolean;
  /** For a mutant: the invariants it may die by. Default `LETHAL`. */
  readonly lethal?: ReadonlySet<Invariant>;
  readonly trace?: (happening: Happening, world: World) => void;
}

/** Ends a run at `untilEvent`. */
class Enough extends Error {}

export function runSeed(
  options: RunOptions,
  { mutant, untilEvent, hashes = false, greedy = false, lethal = LETHAL, trace }: RunSeedOptions = {},
): Outcome {
  const { seed, timing, checkpointEveryOps } = options;
  const world = new World({
    seed,
    timing,
    mutant,
    greedy,
    ...(checkpointEveryOps === undefined ? {} : { checkpointEveryOps }),
  });
  const checkers: readonly Checker[] = [
    new CopyChecker(),
    new DropChecker(world),
    new HeadChecker(world),
    new CountChecker(world),
    new WordChecker(world),
    new FetcherChecker(world),
    new MoveChecker(world),
  ];
  const hash = new StateHash(world);
  const checkEach = (check: (checker: Checker) => void): void => {
    for (const checker of checkers) {
      try {
        check(checker);
      } catch (error) {
        // A mutant must be caught where data is lost; its other failures are ignored.
        if (mutant === undefined || !(error instanceof Violation) || lethal.has(error.invariant)) throw error;
      }
    }
  };
  const checkInFull = (): void => checkEach(checker => checker.full?.());
  world.witnesses.push(happening => checkEach(checker => checker.see(happening)));
  if (hashes) world.witnesses.push(happening => hash.see(happening));
  if (trace !== undefined) world.witnesses.push(happening => trace(happening, world));
  world.always(() => {
    if (world.events === untilEvent) throw new Enough();
    if (hashes && world.events % LINK_EVENTS === 0) hash.link();
    if (world.events % FULL_CHECK_EVENTS === 0) checkInFull();
    return world.events > EVENTS_MAX ? 'the run does not end' : undefined;
  });

  let failed: Outcome['failed'];
  try {
    live(world, options, { isMutant: mutant !== undefined, phaseEnded: checkInFull });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (!(error instanceof Enough)) {
      const by = error instanceof Violation ? error.invariant : 'crash';
      failed = { by, message: error.message, stack: error.stack ?? '' };
    }
  }
  if (hashes) hash.link();
  return { failed, atMs: world.nowMs, events: world.events, counts: world.counts, links: hash.links };
}

function live(
  world: World,
  options: RunOptions,
  { isMutant, phaseEnded }: { readonly isMutant: boolean; readonly phaseEnded: () => void },
): void {
  const { hosts, hostsPerDomain, lentBytes, storesPerHost, untrustedHosts = 0, roamingHosts = 0, bytesPerS } = options;
  world.network.lossPercent = options.lossPercent;
  world.network.duplicatePercent = options.duplicatePercent;
  world.network.delayMs = { least: 1, most: options.delayMsMost };
  const trusted = hosts - untrustedHosts;
  world.addEach(
    Array.from({ length: hosts }, (_, i) => ({
      freeBytes: lentBytes,
      stores: storesPerHost,
      ...(bytesPerS === undefined ? {} : { bytesPerS }),
      hostsPerDomain,
      trust: i < trusted ? 'trusted' : 'untrusted',
      roaming: i < trusted && i >= trusted - roamingHosts,
    })),
  );
  const injector = new Injector(world, options);
  injector.schedule();
  world.after(options.paceMs, () => {
    for (const source of sourcesOf(options, world)) backUp(world, options, source, { dice: options.seed });
  });
  world.run(options.safetyMs);
  phaseEnded();
  // A mutant is not tested for liveness.
  if (isMutant) return;
  heal(world, injector);
  settle(world, options);
  phaseEnded();
  backUpThriftily(world, options);
  phaseEnded();
}

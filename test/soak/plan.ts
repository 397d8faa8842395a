/**
 * Plan: what a seed will do, round by round: which folders change and how, which snapshots are taken, and which faults
 * come when. It is drawn without a look at the house, so the same seed plans the same in the same surroundings (with or
 * without cables and mounts). What the hosts are doing when a fault comes is a matter of real time, and differs.
 */
import { ChanceStreams } from '../../sim/chance-streams.js';
import { between, oneIn } from '../../sim/draw.js';
import type { Chance } from '../../src/core/chance.js';
import { type Draw, type Expected, FAULTS, type Fault } from './faults.js';
import { COPIES, QUIET_SOURCES, SOURCES, type Source } from './house.js';

const STEPS_LEAST = 2;
const STEPS_MOST = 6;
const REST_MS_MAX = 3_000;

export interface Change {
  readonly source: Source;
  /** Of the generator that the change is drawn from. */
  readonly seed: number;
}

export interface Step {
  readonly changes: readonly Change[];
  readonly backups: readonly Source[];
  /** The snapshots are taken while the fault is on, and may fail; else before it. */
  readonly isBackupDuring: boolean;
  readonly fault: Fault;
  readonly restMs: number;
}

export interface Round {
  readonly number: number;
  readonly steps: readonly Step[];
  /** Of the generator for the look at the end: who restores. */
  readonly seed: number;
}

/** Rounds without end. */
export function* planOf(
  seed: number,
  surroundings: { readonly hasNetwork: boolean; readonly hasMounts: boolean },
): Generator<Round, never> {
  const streams = new ChanceStreams(seed);
  const bag: Draw[] = [];
  for (let number = 1; ; number += 1) {
    const chance = streams.of(`round ${number}`);
    const expected: Expected = { ...surroundings, down: undefined, harmed: undefined, copies: COPIES };
    const steps = Array.from({ length: between(chance, STEPS_LEAST, STEPS_MOST) }, () =>
      nextStep({ expected, bag, chance }),
    );
    yield { number, steps, seed: chance.uint32() };
  }
}

interface Drawing {
  readonly expected: Expected;
  /** The faults that have not come yet: none comes again while another one has not had its turn. */
  readonly bag: Draw[];
  readonly chance: Chance;
}

function nextStep(drawing: Drawing): Step {
  const { expected, chance } = drawing;
  const often = (source: Source): Source[] => (oneIn(chance, 3) ? [] : [source]);
  const changes = QUIET_SOURCES.flatMap(often).map(source => ({ source, seed: chance.uint32() }));
  const backups = QUIET_SOURCES.flatMap(often).filter(source => SOURCES[source] !== expected.down);
  const isBackupDuring = oneIn(chance, 4);
  const fault = nextFault(drawing);
  return { changes, backups, isBackupDuring, fault, restMs: chance.below(REST_MS_MAX) };
}

/** One that cannot happen now loses its turn. */
function nextFault({ expected, bag, chance }: Drawing): Fault {
  for (;;) {
    if (bag.length === 0) bag.push(...Object.values(FAULTS));
    const [draw] = bag.splice(chance.below(bag.length), 1);
    const fault = draw?.(expected, chance);
    if (fault !== undefined) return fault;
  }
}

/**
 * Policy timing: the waiting times of a policy, each with its default and its floor.
 *
 * A time that is a multiple of another one grows with it, and may not be less than that multiple; a time that must not
 * be zero has a floor of its own.
 *
 * Pure. Driven by parse-policy.ts, which refuses times below their floor, and by policy-defaults.ts, which raises them
 * to it when the policy is in force already.
 */
import { DEFAULT_TIMING, type Timing } from '../core/cluster-config.js';
import type { PolicyReport } from './policy-report.js';
import type { TimingInput } from './policy-schema.js';
import { durationText } from './policy-units.js';

interface Floor {
  readonly key: keyof TimingInput;
  readonly leastMs: (timing: Timing) => number;
  /** The other time that it depends on, for people. */
  readonly why: string;
}

/** A time that depends on another one comes after it. */
const FLOORS: readonly Floor[] = [
  { key: 'heartbeat', leastMs: () => 100, why: '' },
  { key: 'suspect', leastMs: ({ heartbeatMs }) => 3 * heartbeatMs, why: ' (3 heartbeats)' },
  { key: 'dead', leastMs: ({ suspectMs }) => 2 * suspectMs, why: ' (2 × suspect)' },
  { key: 'deadMax', leastMs: ({ deadMs }) => deadMs, why: ' (dead)' },
  { key: 'claimWait', leastMs: () => 20, why: '' },
  // With no time at all these would end or repeat at once, and hosts would do nothing else.
  { key: 'claim', leastMs: () => 1_000, why: '' },
  { key: 'dropBackOff', leastMs: () => 100, why: '' },
  { key: 'scrub', leastMs: () => 1_000, why: '' },
];

/** Reports each time that is below its floor. */
export function reportTiming(input: TimingInput, report: PolicyReport): void {
  const timing = resolveTiming(input);
  for (const { key, leastMs, why } of FLOORS) {
    const floorMs = leastMs(timing);
    if (timing[`${key}Ms`] < floorMs) report.value(['timing', key], `at least ${durationText(floorMs)}${why}`);
  }
}

/** All times, none below its floor. */
export function timingFrom(input: TimingInput): Timing {
  let raised = resolveTiming(input);
  for (const { key, leastMs } of FLOORS) {
    const name = `${key}Ms` as const;
    raised = { ...raised, [name]: Math.max(raised[name], leastMs(raised)) };
  }
  return raised;
}

/**
 * The defaults of `suspect`, `dead` and `deadMax` grow with the times they depend on, so that one long key alone is no
 * error.
 */
function resolveTiming(input: TimingInput): Timing {
  const heartbeatMs = input.heartbeat ?? DEFAULT_TIMING.heartbeatMs;
  const suspectMs = input.suspect ?? 6 * heartbeatMs;
  const deadMs = input.dead ?? Math.max(DEFAULT_TIMING.deadMs, 2 * suspectMs);
  return {
    heartbeatMs,
    heartbeatPerHostMs: input.heartbeatPerHost ?? DEFAULT_TIMING.heartbeatPerHostMs,
    suspectMs,
    redialMs: input.redial ?? DEFAULT_TIMING.redialMs,
    deadMs,
    roamingDeadMs: input.roamingDead ?? DEFAULT_TIMING.roamingDeadMs,
    deadMaxMs: input.deadMax ?? Math.max(DEFAULT_TIMING.deadMaxMs, deadMs),
    lastPlaceMs: input.lastPlace ?? DEFAULT_TIMING.lastPlaceMs,
    claimWaitMs: input.claimWait ?? DEFAULT_TIMING.claimWaitMs,
    stepMs: input.step ?? DEFAULT_TIMING.stepMs,
    repairStepMs: input.repairStep ?? DEFAULT_TIMING.repairStepMs,
    claimMs: input.claim ?? DEFAULT_TIMING.claimMs,
    surplusMs: input.surplus ?? DEFAULT_TIMING.surplusMs,
    regrabMs: input.regrab ?? DEFAULT_TIMING.regrabMs,
    returnMs: input.return ?? DEFAULT_TIMING.returnMs,
    attemptMs: input.attempt ?? DEFAULT_TIMING.attemptMs,
    dropBackOffMs: input.dropBackOff ?? DEFAULT_TIMING.dropBackOffMs,
    relocateMs: input.relocate ?? DEFAULT_TIMING.relocateMs,
    gcGraceMs: input.gcGrace ?? DEFAULT_TIMING.gcGraceMs,
    scrubMs: input.scrub ?? DEFAULT_TIMING.scrubMs,
    trashMs: input.trash ?? DEFAULT_TIMING.trashMs,
    partialMs: input.partial ?? DEFAULT_TIMING.partialMs,
    treeQuietMs: input.treeQuiet ?? DEFAULT_TIMING.treeQuietMs,
    treeEveryMs: input.treeEvery ?? DEFAULT_TIMING.treeEveryMs,
  };
}

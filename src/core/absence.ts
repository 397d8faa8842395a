/**
 * Absence: how long a host is usually away, judged by its own past, and how long an absent host is waited for.
 *
 * A laptop that leaves every morning and a lab that is switched off every night come back with all their copies; making
 * those copies again each time would be wasted traffic. So the lengths of *good* absences (came-back.ts) are remembered
 * for 14 days, and a host that was away for long before is waited for half as long again.
 *
 * An absence that is both older and no longer than another can never be the longest, so it is not kept. All times of
 * one caller come from one clock: the machine uses its own running time, the daemon's file the wall clock.
 *
 * Pure. Driven by hosts.ts and away.ts; the daemon keeps the remembered absences over a restart.
 */
import type { Timing } from './cluster-config.js';

export interface Absence {
  readonly lengthMs: number;
  /** When the host was back. */
  readonly endedAtMs: number;
  /** It had been taken for dead, so that its copies may have been made again meanwhile. */
  readonly wasDead: boolean;
}

/** An absence longer ago says nothing about today: two weeks hold every rhythm of a week at least once. */
export const ABSENCE_MEMORY_MS = 14 * 24 * 3_600_000;
/** The most absences remembered per host. Each is shorter than those before it, so no real habit needs this many. */
export const ABSENCES_MAX = 64;

/** The absences remembered once another one has ended, the latest last. */
export function withAbsence(known: readonly Absence[], latest: Absence): readonly Absence[] {
  const kept = known.filter(
    ({ lengthMs, endedAtMs, wasDead }) =>
      latest.endedAtMs - endedAtMs < ABSENCE_MEMORY_MS && (lengthMs > latest.lengthMs || (wasDead && !latest.wasDead)),
  );
  kept.push(latest);
  if (kept.length <= ABSENCES_MAX) return kept;
  const shortest = kept.reduce((least, absence) => (absence.lengthMs < least.lengthMs ? absence : least));
  return kept.filter(absence => absence !== shortest);
}

/** The longest of the last 14 days; 0 when there is none. */
export function longestAbsenceMs(absences: readonly Absence[], nowMs: number): number {
  let longestMs = 0;
  for (const { lengthMs, endedAtMs } of absences) {
    if (nowMs - endedAtMs < ABSENCE_MEMORY_MS && lengthMs > longestMs) longestMs = lengthMs;
  }
  return longestMs;
}

export interface PatienceView {
  /** The longest good absence that is remembered. */
  readonly longestMs: number;
  /** A person has said that this host is often away. */
  readonly roaming: boolean;
  readonly timing: Pick<Timing, 'deadMs' | 'deadMaxMs' | 'roamingDeadMs'>;
}

export interface Patience {
  /** An absence up to this long is usual and raises no alarm; 0 for a host that is never away for long. */
  readonly usualMs: number;
  /** After this long the host is taken for dead. */
  readonly deadAfterMs: number;
  readonly because: 'dead' | 'habit' | 'roaming';
}

export function decidePatience({ longestMs, roaming, timing }: PatienceView): Patience {
  const habitMs = Math.min(timing.deadMaxMs, (longestMs * 3) / 2);
  // A roaming host is treated like one that was once away for two thirds of this time.
  const waitMs = roaming ? Math.max(timing.roamingDeadMs, habitMs) : habitMs;
  const usualMs = (waitMs * 2) / 3;
  if (waitMs <= timing.deadMs) return { usualMs, deadAfterMs: timing.deadMs, because: 'dead' };
  return { usualMs, deadAfterMs: waitMs, because: waitMs > habitMs ? 'roaming' : 'habit' };
}

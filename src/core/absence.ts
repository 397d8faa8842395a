/**
 * Absence: what is usual of a host, as it has shown, and how long one that is away is waited for.
 *
 * A laptop that leaves every morning and a lab that is switched off every night come back with all their copies; to make
 * these again each time would be traffic for nothing. So the lengths of *good* absences (came-back.ts) are remembered for
 * 14 days, and who has been away for long before is given half as long again.
 *
 * An absence that is both older and no longer than another will never be the longest: it is not kept. Times here are by
 * whatever clock the caller uses for all of them: the machine its own running time, the daemon's file the wall clock.
 *
 * Pure. Driven by hosts.ts and away.ts; the daemon keeps what is noted over a restart.
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
/** Absences remembered of one host. Each is shorter than those before it, so this many are far more than habits have. */
export const ABSENCES_MAX = 64;

/** What is remembered once another absence has ended, the latest last. */
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
  /** An absence up to this long is as before, and nothing to be alarmed about; 0 for a host that is always there. */
  readonly usualMs: number;
  /** After this long the host is taken for dead. */
  readonly deadAfterMs: number;
  readonly because: 'dead' | 'habit' | 'roaming';
}

export function decidePatience({ longestMs, roaming, timing }: PatienceView): Patience {
  const habitMs = Math.min(timing.deadMaxMs, (longestMs * 3) / 2);
  // A roaming host is taken for one that has been away for two thirds of that.
  const waitMs = roaming ? Math.max(timing.roamingDeadMs, habitMs) : habitMs;
  const usualMs = (waitMs * 2) / 3;
  if (waitMs <= timing.deadMs) return { usualMs, deadAfterMs: timing.deadMs, because: 'dead' };
  return { usualMs, deadAfterMs: waitMs, because: waitMs > habitMs ? 'roaming' : 'habit' };
}

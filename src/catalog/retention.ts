/**
 * Retention: which snapshots of a source stay listed?
 *
 * The rules are restic's: for each kind (`last`, `hourly` … `yearly`) the newest snapshot of each of the newest n
 * hours, days … that have one, by the origin's local time; and while a kind has not used up its number, also the oldest
 * snapshot of all, so that the history is as long as it can be.
 * (https://restic.readthedocs.io/en/stable/060_forget.html)
 *
 * Only snapshots that are protected and complete use up those numbers, so that n days are n days from which everything
 * can be restored. Beside them, the same rules choose among all snapshots: a source in which one file can never be read
 * has only partial snapshots, and needs a history too. They also choose among the snapshots that were once copied:
 * while their holders are away nothing is protected, and snapshots taken meanwhile must not use up the places of the
 * only ones that can be restored once the holders are back. The newest snapshot, the newest protected and the newest
 * complete one always stay, and, while none is protected, the newest that was copied.
 *
 * Pure: same view, same verdict, with the reasons. Driven by the daemon after each snapshot, and by `forget`.
 */

import { DAY_MS } from '../core/day.js';
import type { SnapshotId } from './snapshot.js';

export const KEEP_KINDS = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type KeepKind = (typeof KEEP_KINDS)[number];
/** How many snapshots of each kind to keep; 0 for none. */
export type KeepCounts = Readonly<Record<KeepKind, number>>;

export interface SnapshotToJudge {
  readonly id: SnapshotId;
  /** Wall clock of the origin, ms since 1970. */
  readonly timeMs: number;
  readonly complete: boolean;
  readonly protected: boolean;
  /** Each part of it had a holder once, whether that holder is here now or not. A protected snapshot is also copied. */
  readonly copied: boolean;
}

export interface RetentionView {
  /** Oldest first. */
  readonly snapshots: readonly SnapshotToJudge[];
  readonly keep: KeepCounts;
}

/**
 * Why a snapshot stays: a kind of the rules (`oldest`: because there is no older one), or because it is the newest of
 * its sort.
 */
export type KeepReason =
  | KeepKind
  | `oldest ${KeepKind}`
  | 'newest'
  | 'newest protected'
  | 'newest copied'
  | 'newest complete'
  /** The rules were not applied: only snapshots from the future are removed. */
  | 'not from the future';

export interface SnapshotVerdict {
  readonly id: SnapshotId;
  /** Empty: it is no longer listed. */
  readonly reasons: readonly KeepReason[];
}

/** For each of these sorts, the rules choose as if there were no other snapshots. */
const SORTS: readonly ((snapshot: SnapshotToJudge) => boolean)[] = [
  snapshot => snapshot.complete && snapshot.protected,
  ({ complete, copied }) => complete && copied,
  ({ copied }) => copied,
  () => true,
];

/** One verdict for each snapshot, in the order of the view. */
export function decideRetention({ snapshots, keep }: RetentionView): readonly SnapshotVerdict[] {
  const reasons = snapshots.map(() => new Set<KeepReason>());
  const places = snapshots.map((_, place) => place);
  for (const counts of SORTS) {
    const isChosenAmong = (place: number): boolean => {
      const snapshot = snapshots[place];
      return snapshot !== undefined && counts(snapshot);
    };
    choose(places.filter(isChosenAmong), { snapshots, keep, reasons });
  }
  reasons.at(-1)?.add('newest');
  const newestProtected = reasons[snapshots.findLastIndex(snapshot => snapshot.protected)];
  if (newestProtected === undefined) reasons[snapshots.findLastIndex(({ copied }) => copied)]?.add('newest copied');
  else newestProtected.add('newest protected');
  reasons[snapshots.findLastIndex(({ complete }) => complete)]?.add('newest complete');
  return snapshots.map(({ id }, place) => ({ id, reasons: [...(reasons[place] ?? [])] }));
}

/** Adds the reasons that the rules find among the snapshots at `places`. */
function choose(
  places: readonly number[],
  { snapshots, keep, reasons }: RetentionView & { readonly reasons: readonly Set<KeepReason>[] },
): void {
  for (const kind of KEEP_KINDS) {
    let left = keep[kind];
    let last: string | undefined;
    for (const [age, place] of [...places].reverse().entries()) {
      if (left === 0) break;
      const span = spanOf(kind, snapshots[place]?.timeMs ?? 0, age);
      const isOldest = age === places.length - 1;
      if (span === last && !isOldest) continue;
      reasons[place]?.add(span === last ? `oldest ${kind}` : kind);
      last = span;
      left -= 1;
    }
  }
}

/** Names the hour, day … that a time lies in, by local time; for `last` each snapshot is its own. */
function spanOf(kind: KeepKind, timeMs: number, age: number): string {
  const time = new Date(timeMs);
  const year = time.getFullYear();
  const day = `${year}-${time.getMonth()}-${time.getDate()}`;
  switch (kind) {
    case 'last':
      return String(age);
    case 'hourly':
      return `${day} ${time.getHours()}`;
    case 'daily':
      return day;
    case 'weekly':
      return isoWeek(time);
    case 'monthly':
      return `${year}-${time.getMonth()}`;
    case 'yearly':
      return String(year);
    default:
      return kind satisfies never;
  }
}

/** ISO 8601: a week begins on Monday and belongs to the year of its Thursday. */
function isoWeek(time: Date): string {
  const thursday = new Date(time.getFullYear(), time.getMonth(), time.getDate() + 4 - (time.getDay() || 7));
  const newYear = new Date(thursday.getFullYear(), 0, 1);
  const days = Math.round((thursday.getTime() - newYear.getTime()) / DAY_MS);
  return `${thursday.getFullYear()}-W${Math.floor(days / 7) + 1}`;
}

export interface ChangeView {
  /**
   * Files of the last snapshot, and how many of them left or have other content now. A file is lost if its old content is
   * nowhere any longer.
   */
  readonly filesBefore: number;
  readonly filesGone: number;
  readonly filesChanged: number;
  /** More than this share of them, in percent, is a mass change. */
  readonly brakePercent: number;
}

/** Fewer files than this may all go at once without being a mass change. */
const MASS_FILES_MIN = 100;

/**
 * Whether so much is gone or changed at once that a person should look before retention goes on: one `rm` too many, or
 * somebody who encrypts everything. The snapshot itself is taken.
 */
export function isMassChange({ filesBefore, filesGone, filesChanged, brakePercent }: ChangeView): boolean {
  const lost = filesGone + filesChanged;
  return lost >= MASS_FILES_MIN && lost * 100 > filesBefore * brakePercent;
}

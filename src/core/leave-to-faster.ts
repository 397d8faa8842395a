/**
 * Leave to faster: should this host leave a copy to others for a while, because their links are better?
 *
 * A parcel with too few copies is taken by any host that has room. A slow host that takes a large parcel can still be
 * fetching it long after the others are done with everything else; so it takes only what it will have by then, and the
 * rest only when nobody else has started on it. This is the rule of list scheduling on unequal machines: no machine
 * takes a job that it would end later than all machines together would be done (Graham 1969, for equal ones).
 *
 * Nothing is refused: what is left to others is taken after all when its time is up. Pure. Driven by pursuing.ts.
 */
export interface LeaveView {
  readonly shortSinceMs: number;
  /** When any short parcel last got its copies; -Infinity for never. */
  readonly filledMs: number;
  readonly bytes: number;
  /** Bytes that this host has claimed and does not hold yet: they come first. */
  readonly claimedBytes: number;
  /** This host's pace, in bytes a second; 0 when unknown. */
  readonly ownBytesPerS: number;
  /**
   * Whether another host that may take the parcel, and has room, could fetch it at this rate or a greater one, by its
   * own pace and its source's.
   */
  readonly hasTakerOf: (bytesPerS: number) => boolean;
  /** The bytes of all parcels with too few copies. */
  readonly backlogBytes: number;
  /** The sum of the paces of all hosts with room, including this one. */
  readonly togetherBytesPerS: number;
}

/** Another link counts as better when it is this many times as fast: otherwise waiting for it gains little. */
const FASTER_RATIO = 2;
/** Time for claims, and for estimates that are a little wrong, in ms. */
const LEEWAY_MS = 10_000;
/** Nothing is left to others for longer than this after it became short, in ms. */
export const LEFT_MS_MAX = 15 * 60_000;

/** @returns until when it is left to others; -Infinity when it is not. */
export function leaveUntilMs(view: LeaveView): number {
  const { bytes, claimedBytes, ownBytesPerS, backlogBytes, togetherBytesPerS } = view;
  if (ownBytesPerS === 0) return Number.NEGATIVE_INFINITY;
  const takesMs = ((claimedBytes + bytes) * 1000) / ownBytesPerS;
  const togetherMs = (backlogBytes * 1000) / togetherBytesPerS;
  if (takesMs <= togetherMs + LEEWAY_MS) return Number.NEGATIVE_INFINITY;
  if (!view.hasTakerOf(FASTER_RATIO * ownBytesPerS)) return Number.NEGATIVE_INFINITY;
  // While others make progress; beginning later would end later than twice its own time after their last progress.
  const sinceMs = Math.max(view.shortSinceMs, view.filledMs);
  return Math.min(sinceMs + takesMs, view.shortSinceMs + LEFT_MS_MAX);
}

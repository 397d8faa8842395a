/**
 * Leave to faster: should this host leave a copy to others for a while, because their links are better?
 *
 * What has too few copies is taken by all who have room. A slow host that takes a large parcel can be at it long after the
 * others are done with all the rest; so it takes what it will have by then, and the rest only when nobody has taken it up.
 * That is the rule of list scheduling on unequal machines: no machine takes what it ends later than all would end together
 * (Graham 1969, for equal ones).
 *
 * Nothing is refused: what is left to others is taken all the same when its time is up. Pure. Driven by pursuing.ts.
 */
export interface LeaveView {
  readonly shortSinceMs: number;
  /** When anything that was short last got its copies; -Infinity for never. */
  readonly filledMs: number;
  readonly bytes: number;
  /** Claimed by this host and not held yet: comes before. */
  readonly claimedBytes: number;
  /** What this host takes in, in bytes a second; 0 when that is not known. */
  readonly ownBytesPerS: number;
  /** The same of the fastest other host that may take it and has room for it, from whoever gives it; 0 when there is none. */
  readonly fastestOther: () => number;
  /** All that has too few copies. */
  readonly backlogBytes: number;
  /** What all who have room take in together, this host among them. */
  readonly togetherBytesPerS: number;
}

/** Another link is better when it is so many times as fast: else waiting for it gains little. */
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
  if (view.fastestOther() < FASTER_RATIO * ownBytesPerS) return Number.NEGATIVE_INFINITY;
  // While others get on with it; to begin any later would end later than twice its own time after they last did.
  const sinceMs = Math.max(view.shortSinceMs, view.filledMs);
  return Math.min(sinceMs + takesMs, view.shortSinceMs + LEFT_MS_MAX);
}

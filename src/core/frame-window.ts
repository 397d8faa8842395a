/**
 * Frame window: does a gossip frame count, given what was heard of its writer before?
 *
 * Each start of a host raises its boot counter and each frame its frame counter, so (boot, frame) rises strictly. A
 * frame that later ones have overtaken on the way through the mesh counts, once, if no more than 32 have: what it says,
 * such as that a parcel is claimed, is as true as before. Any other frame that does not rise is a replay, a duplicate,
 * or a second machine with the same identity. This is IPsec's anti-replay window (RFC 4303, section 3.4.3).
 *
 * Pure. Driven by net/frame-order.ts and by the simulator, which keep what it returns.
 */
export interface FrameNumber {
  readonly boot: number;
  /** From 1 within a start. */
  readonly frame: number;
}

export interface FramesHeard {
  /** The highest number heard. */
  readonly last: FrameNumber;
  /** Bit n: frame `last.frame - 1 - n` was heard. */
  readonly earlier: number;
  /** The highest frame of the start before the last one; undefined: nothing is known of it. */
  readonly former?: FrameNumber | undefined;
}

/** `earlier` after a restart, over which only the highest number is kept: no earlier frame is accepted. */
export const ALL_HEARD = -1;
const WINDOW = 32;

export type FrameVerdict =
  | 'newer'
  /** Heard for the first time, after a later one. */
  | 'overtaken'
  | 'not-newer'
  /** From before the writer's last start, so a replay, an old image of its disk, or its duplicate. */
  | 'older-boot'
  /** … and a frame that this earlier start had not sent before: it runs beside the later one, or its last words come late. */
  | 'older-rising';

/** @returns the verdict, and what to remember of the writer: the same object if it has not changed. */
export function judgeFrame(
  heard: FramesHeard | undefined,
  { boot, frame }: FrameNumber,
): { readonly verdict: FrameVerdict; readonly heard: FramesHeard } {
  if (heard === undefined || boot > heard.last.boot)
    return { verdict: 'newer', heard: { last: { boot, frame }, earlier: 0, former: heard?.last } };
  const { last, earlier, former } = heard;
  if (boot < last.boot) return judgeOlder(heard, { boot, frame });
  const ahead = frame - last.frame;
  if (ahead > 0) {
    // A shift by 32 or more would be one by its remainder.
    const shifted = ahead >= WINDOW ? 0 : earlier << ahead;
    const before = ahead > WINDOW ? 0 : 1 << (ahead - 1);
    return { verdict: 'newer', heard: { last: { boot, frame }, earlier: shifted | before, former } };
  }
  const bit = ahead < 0 && ahead >= -WINDOW ? 1 << (-ahead - 1) : 0;
  if (bit === 0 || (earlier & bit) !== 0) return { verdict: 'not-newer', heard };
  return { verdict: 'overtaken', heard: { last, earlier: earlier | bit, former } };
}

function judgeOlder(heard: FramesHeard, { boot, frame }: FrameNumber): ReturnType<typeof judgeFrame> {
  const { former } = heard;
  const isSame = former?.boot === boot;
  if (isSame && frame <= former.frame) return { verdict: 'older-boot', heard };
  if (former !== undefined && boot < former.boot) return { verdict: 'older-boot', heard };
  return { verdict: isSame ? 'older-rising' : 'older-boot', heard: { ...heard, former: { boot, frame } } };
}

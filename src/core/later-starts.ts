/**
 * Later starts: has somebody heard a later start of this host than this one, and when is its boot counter to be raised for that?
 *
 * A state folder that was put back from an old image has an old boot counter, and what we gossip is dropped as older than what was
 * heard before. Who answers for our state says the last frame that it heard of us; one that we have not sent yet means that our
 * counter is behind. It is raised to the highest heard, and the service starts again, above it.
 *
 * A peer's word is all we have, so it is believed so far and so often only. Two machines with one identity find each other's starts
 * later in turn: a second time within an hour people are told first.
 *
 * Driven by the daemon's boot-watch.ts and by the simulator, which hand in the words of trusted members only.
 */
import type { FrameNumber } from './frame-window.js';

/** From the first that has heard a later start until the counter is raised, in ms: others may have heard still later ones. */
export const OTHERS_MS = 5_000;
/** Between two times that the counter is raised, in ms of the wall clock. */
export const RAISE_EVERY_MS = 3_600_000;
/** A start every quarter of an hour for three years. More is a lie, or a fault, and would use the counter up. */
export const BEHIND_MAX = 100_000;

export interface LaterStartView {
  /** Gossip frames that this start has sent. */
  readonly framesSent: number;
  readonly wallMs: number;
  /** When the counter was raised last, by the wall clock; undefined: never. */
  readonly raisedMs: number | undefined;
}

export type LaterStartVerdict =
  /** Our own words; or that is waited for already. */
  | { readonly act: 'none' }
  | { readonly act: 'refuse' }
  /** After `inMs`, to `highest` as it is then. `isAgain`: two machines seem to run with this identity. */
  | { readonly act: 'raise'; readonly inMs: number; readonly isAgain: boolean };

export class LaterStarts {
  readonly #ours: number;
  #highest = 0;
  #isWaiting = false;

  /** @param ours the number of this start */
  constructor(ours: number) {
    this.#ours = ours;
  }

  /** Of all starts that were heard and believed; 0 for none. */
  get highest(): number {
    return this.#highest;
  }

  hear({ boot, frame }: FrameNumber, { framesSent, wallMs, raisedMs }: LaterStartView): LaterStartVerdict {
    if (boot < this.#ours || (boot === this.#ours && frame <= framesSent)) return { act: 'none' };
    if (boot > this.#ours + BEHIND_MAX) return { act: 'refuse' };
    this.#highest = Math.max(this.#highest, boot);
    if (this.#isWaiting) return { act: 'none' };
    this.#isWaiting = true;
    // A time that lies ahead is a wall clock that was put back, and holds nothing up.
    const sinceMs = raisedMs === undefined || wallMs < raisedMs ? RAISE_EVERY_MS : wallMs - raisedMs;
    const restMs = Math.max(0, RAISE_EVERY_MS - sinceMs);
    return { act: 'raise', inMs: Math.max(restMs, OTHERS_MS), isAgain: restMs > 0 };
  }
}

/**
 * Later starts: has somebody heard a later start of this host than this one, and when is its boot counter to be raised for that?
 *
 * A state folder that was put back from an old image has an old boot counter, and what we gossip is dropped as older than what was
 * heard before. Who answers for our state says the last frame that it heard of us; one that we have not sent yet means that our
 * counter is behind. It is raised to the highest heard, and the service starts again, above it.
 *
 * A peer's word is all we have, so it is believed so far and so often only. Two machines with one identity find each other's starts
 * later in turn: a second time within an hour people are told first. What one member alone says, where others could say it too,
 * may be a lie that ends our service again and again: people are told, and it counts later and once a day.
 *
 * Driven by the daemon's boot-watch.ts and by the simulator, which hand in the words of trusted members only.
 */
import type { FrameNumber } from './frame-window.js';

/** From the first that has heard a later start until the counter is raised, in ms: others may have heard still later ones. */
export const OTHERS_MS = 5_000;
/** Between two times that the counter is raised, in ms of the wall clock. */
export const RAISE_EVERY_MS = 3_600_000;
/** As the two above, where one member alone has heard a later start: the others may be off, and whoever lies has gained little. */
export const ALONE_MS = 600_000;
export const RAISE_ALONE_EVERY_MS = 24 * 3_600_000;
/** A start every quarter of an hour for three years. More is a lie, or a fault, and would use the counter up. */
export const BEHIND_MAX = 100_000;

export interface LaterStartView {
  /** Gossip frames that this start has sent. */
  readonly framesSent: number;
  readonly wallMs: number;
  /** When the counter was raised last, by the wall clock; undefined: never. */
  readonly raisedMs: number | undefined;
  /** Trusted members besides this host, wherever they are. */
  readonly others: number;
}

export type LaterStartVerdict =
  /** Our own words; or that is waited for already. */
  | { readonly act: 'none' }
  | { readonly act: 'refuse' }
  /** After `inMs`, or sooner if that was said before, to `highest` as it is then. `isAgain`: two machines seem to run with this identity; `isAlone`: one member of several says so. */
  | { readonly act: 'raise'; readonly inMs: number; readonly isAgain: boolean; readonly isAlone: boolean };

export class LaterStarts {
  readonly #ours: number;
  #highest = 0;
  readonly #witnesses = new Set<string>();
  #waits: 'no' | 'for others' | 'for its time' = 'no';

  /** @param ours the number of this start */
  constructor(ours: number) {
    this.#ours = ours;
  }

  /** Of all starts that were heard and believed; 0 for none. */
  get highest(): number {
    return this.#highest;
  }

  /** @param from the member that says so, by whichever name it has here */
  hear(
    { boot, frame }: FrameNumber,
    from: string,
    { framesSent, wallMs, raisedMs, others }: LaterStartView,
  ): LaterStartVerdict {
    if (boot < this.#ours || (boot === this.#ours && frame <= framesSent)) return { act: 'none' };
    if (boot > this.#ours + BEHIND_MAX) return { act: 'refuse' };
    this.#highest = Math.max(this.#highest, boot);
    this.#witnesses.add(from);
    const isAlone = this.#witnesses.size === 1 && others > 1;
    const waits = isAlone ? 'for others' : 'for its time';
    if (this.#waits === 'for its time' || this.#waits === waits) return { act: 'none' };
    this.#waits = waits;
    // A time that lies ahead is a wall clock that was put back, and holds nothing up.
    const sinceMs = raisedMs === undefined || wallMs < raisedMs ? Number.POSITIVE_INFINITY : wallMs - raisedMs;
    const restMs = Math.max(0, (isAlone ? RAISE_ALONE_EVERY_MS : RAISE_EVERY_MS) - sinceMs);
    const isAgain = sinceMs < RAISE_EVERY_MS;
    return { act: 'raise', inMs: Math.max(restMs, isAlone ? ALONE_MS : OTHERS_MS), isAgain, isAlone };
  }
}

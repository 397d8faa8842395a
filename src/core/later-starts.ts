/**
 * Later starts: has another host heard a later start of this host than the present one, and when must the boot counter
 * be raised?
 *
 * A state folder restored from an old image has an old boot counter, and what we gossip is dropped as older than what
 * was heard before. A host that answers a request for state also says the last frame it heard from us; a frame that we
 * have not sent yet means that our counter is behind. The counter is raised to the highest one heard, and the service
 * restarts, above it.
 *
 * We have only a peer's claim for this, so it is believed only within limits. Two machines with one identity keep
 * hearing of each other's later starts, so a second time within an hour people are told first. A claim by a single
 * member, where others could confirm it, may be a lie that ends our service again and again: people are told, and it
 * takes effect later and at most once a day.
 *
 * Driven by the daemon's boot-watch.ts and by the simulator, which pass on claims of trusted members only.
 */
import type { FrameNumber } from './frame-window.js';

/** From the first claim until the counter is raised, in ms: others may have heard still later starts. */
export const OTHERS_MS = 5_000;
/** Least time between two raises of the counter, in ms of the wall clock. */
export const RAISE_EVERY_MS = 3_600_000;
/** The same two for a claim by a single member: the other members may be off, and a liar gains little. */
export const ALONE_MS = 600_000;
export const RAISE_ALONE_EVERY_MS = 24 * 3_600_000;
/**
 * As many as a start every quarter of an hour for three years. More is a lie or a fault, and would use the counter up.
 */
export const BEHIND_MAX = 100_000;

export interface LaterStartView {
  /** Gossip frames that this start has sent. */
  readonly framesSent: number;
  readonly wallMs: number;
  /** When the counter was last raised, by the wall clock; undefined: never. */
  readonly raisedMs: number | undefined;
  /** Trusted members besides this host, live or not. */
  readonly others: number;
}

export type LaterStartVerdict =
  /** They heard a frame that was sent, in this start or an earlier one; or a raise is already scheduled. */
  | { readonly act: 'none' }
  | { readonly act: 'refuse' }
  /**
   * Raise the counter after `inMs`, or sooner if an earlier verdict said so, to the `highest` of that moment.
   * `isAgain`: two machines seem to run with this identity; `isAlone`: only one of several members says so.
   */
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

  /** The highest of all starts that were heard and believed; 0 for none. */
  get highest(): number {
    return this.#highest;
  }

  /** @param from the member that says so, under any name, as long as it is always the same */
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
    // A time in the future means that the wall clock was put back; it delays nothing.
    const sinceMs = raisedMs === undefined || wallMs < raisedMs ? Number.POSITIVE_INFINITY : wallMs - raisedMs;
    const restMs = Math.max(0, (isAlone ? RAISE_ALONE_EVERY_MS : RAISE_EVERY_MS) - sinceMs);
    const isAgain = sinceMs < RAISE_EVERY_MS;
    return { act: 'raise', inMs: Math.max(restMs, isAlone ? ALONE_MS : OTHERS_MS), isAgain, isAlone };
  }
}

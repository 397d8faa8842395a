/**
 * Hold: which snapshots of a source does this host keep wanted?
 *
 * Those that the newest head lists, and those that it once saw listed and whose own `hold` has not run out by this
 * host's own running time, whatever later heads say. So an origin that was taken over, or whose clock is wrong, cannot
 * erase history faster than it once promised to keep it. Only an admin can, by releasing snapshots through the signed
 * configuration.
 *
 * Pure. Driven by the catalog keeper (and the simulator) at each new head and at `nextRunMs`. A seen snapshot is
 * durable before the head that listed it is in force.
 */
import type { ObjectId } from './ids.js';

/**
 * The most snapshots of one source that may be listed or in their hold: four times what a head may list. If an origin
 * takes snapshots faster than their holds run out, no newer head of it is followed, because it may have been taken
 * over; so an origin checks before it takes another one.
 */
export const SEEN_MAX = 16_384;
/** Default holds in days, for the first snapshot of a day and for others, if the policy does not say. */
export const HOLD_DAYS_FIRST = 30;
export const HOLD_DAYS_OTHER = 2;

export interface SeenSnapshot {
  readonly id: ObjectId;
  /** From its signed bytes. */
  readonly holdMs: number;
  /** This host's running time when it first saw the snapshot listed. */
  readonly seenRunMs: number;
}

export interface HoldView {
  readonly runMs: number;
  readonly listed: ReadonlySet<ObjectId>;
  /** All snapshots that were seen listed and not released since, including those of the newest head. */
  readonly seen: readonly SeenSnapshot[];
  /** An admin has released it early. */
  readonly isReleased: (snapshot: ObjectId) => boolean;
}

export interface HoldVerdict {
  /** No longer listed, but still kept. */
  readonly held: readonly SeenSnapshot[];
  /** Neither listed nor held: nothing keeps them. */
  readonly release: readonly SeenSnapshot[];
  /** When the next hold of an unlisted snapshot runs out; Infinity for never. */
  readonly nextRunMs: number;
}

export function decideHold({ runMs, listed, seen, isReleased }: HoldView): HoldVerdict {
  const unlisted = seen.filter(({ id }) => !listed.has(id));
  const isHeld = ({ id, seenRunMs, holdMs }: SeenSnapshot): boolean => runMs < seenRunMs + holdMs && !isReleased(id);
  const held = unlisted.filter(isHeld);
  return {
    held,
    release: unlisted.filter(snapshot => !isHeld(snapshot)),
    nextRunMs: Math.min(Number.POSITIVE_INFINITY, ...held.map(({ seenRunMs, holdMs }) => seenRunMs + holdMs)),
  };
}

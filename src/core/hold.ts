/**
 * Hold: which snapshots of a source does this host keep wanted?
 *
 * Those that the newest head lists, and those that it once saw listed and whose own `hold` has not run out by this host's
 * own running time, whatever later heads say. So an origin that was taken over, or whose clock is wrong, cannot erase
 * history faster than it once promised to keep it. Only an admin can, who releases snapshots by the signed configuration.
 *
 * Pure. Driven by the catalog keeper (and the simulator) at each new head and at `nextRunMs`. What was seen is durable
 * before the head that it came with is in force.
 */
import type { ObjectId } from './ids.js';

/**
 * So many snapshots of one source may be listed or in their hold: four times what a head may list. Of an origin that takes them faster
 * than their holds run out no newer head is followed, for it may be taken over; so it asks before it takes one more.
 */
export const SEEN_MAX = 16_384;
/** Days, where the policy does not say: of the first snapshot of a day, and of others. */
export const HOLD_DAYS_FIRST = 30;
export const HOLD_DAYS_OTHER = 2;

export interface SeenSnapshot {
  readonly id: ObjectId;
  /** By its signed bytes. */
  readonly holdMs: number;
  /** This host's running time when it first saw the snapshot listed. */
  readonly seenRunMs: number;
}

export interface HoldView {
  readonly runMs: number;
  readonly listed: ReadonlySet<ObjectId>;
  /** All that were seen listed and are not let go yet; those of the newest head among them. */
  readonly seen: readonly SeenSnapshot[];
  /** An admin has let it go before its time. */
  readonly isReleased: (snapshot: ObjectId) => boolean;
}

export interface HoldVerdict {
  /** Not listed any more, and still kept. */
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

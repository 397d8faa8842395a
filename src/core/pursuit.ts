/**
 * Pursuit: one parcel that this host is after, from the claim to the copy.
 *
 *   unsaid --its turn--> claimed --claimWait, second look--> cleared --a slot and a source--> fetching --verified, durable, `add`--> (held)
 *
 * Room is reserved from the first on, so that what is used and reserved never exceeds what the store lends.
 */
import type { HostId, StoreId } from './ids.js';
import type { Row } from './parcel-table.js';

export type PursuitStage = 'unsaid' | 'claimed' | 'cleared' | 'fetching';

export interface Pursuit {
  readonly row: Row;
  readonly store: StoreId;
  /** Bytes kept free for it in the store. */
  readonly reservedBytes: number;
  readonly purpose: 'grab' | 'repair';
  /** Taken over from a host that is too full. */
  readonly relocated: boolean;
  stage: PursuitStage;
  /** Who was to give it when it was claimed: its bytes count among those that are claimed from there. */
  readonly source: HostId;
  /** When the next look is due: what is unsaid is said then, what is claimed is cleared. */
  lookAgainMs: number;
  /** The fetch effect's number, while fetching. */
  fetch: number | undefined;
  from: HostId | undefined;
  doneBytes: number;
  /** Bytes had come when the claim was last renewed. */
  renewedBytes: number;
  /** Something that its fetch may count on has left the store since the claim: it is kept for the fetch, and no longer. */
  hasLost: boolean;
  /** Fetches that failed since the claim. Those before it make it rest longer, and must not keep it from asking another source. */
  tries: number;
  /** Sources that were busy or out of reach: not to be asked before. */
  readonly avoidUntilMs: Map<HostId, number>;
}

/** Fetches at once: few full transfers rather than many thin ones, from one source … */
export const FETCHES_PER_SOURCE_MAX = 4;
/** … and in all from those that are not slow. */
export const FETCHES_MAX = 8;
/** From slow ones as many again, one each: their bytes trickle in beside the others'. */
export const FETCHES_OF_SLOW_MAX = 8;
/** Parcels claimed and not yet held: one claim message's worth. */
export const PURSUITS_MAX = 512;
/** Failures in a row after which the claim is given up, so that others may try and other parcels get its place. */
export const SOURCE_TRIES_MAX = 8;
/** After a failure a parcel rests this long, doubled each time. */
export const BACK_OFF_MS = 1_000;
export const BACK_OFF_MS_MAX = 60_000;
/** What nobody who is there can give is asked for so seldom in the end: a claim, and word of its end, each time, from every host. */
export const HOPELESS_BACK_OFF_MS_MAX = 3_600_000;
/** A full disk is not asked again before this. */
export const NO_ROOM_BACK_OFF_MS = 60_000;

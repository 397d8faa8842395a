/**
 * Pursuit: one parcel that this host is fetching or about to fetch, from the claim to the copy.
 *
 *   unsaid --its turn--> claimed --claimWait, second look--> cleared --a slot and a source--> fetching --verified, durable, `add`--> (held)
 *
 * One that is relocated or taken (grab.ts) begins as cleared.
 *
 * Room is reserved from the first stage on, so that used plus reserved never exceeds what the store lends.
 */
import type { HostId, StoreId } from './ids.js';
import type { Row } from './parcel-table.js';

export type PursuitStage = 'unsaid' | 'claimed' | 'cleared' | 'fetching';

export interface Pursuit {
  readonly row: Row;
  readonly store: StoreId;
  /** Bytes reserved for it in the store. */
  readonly reservedBytes: number;
  readonly purpose: 'grab' | 'repair';
  /** Taken over from a host that is too full. */
  readonly relocated: boolean;
  stage: PursuitStage;
  /** The claim has been announced. */
  isClaimed: boolean;
  /** The source chosen when it was claimed: its bytes count among those claimed from there. */
  readonly source: HostId;
  /** When the next look is due: an unsaid claim is then announced, an announced one cleared. */
  lookAgainMs: number;
  /** The fetch effect's number, while fetching. */
  fetch: number | undefined;
  from: HostId | undefined;
  /** Came over the wire. */
  doneBytes: number;
  /** The bytes taken from what this host has. */
  foundBytes: number;
  /** The bytes that had arrived or been found when the claim was last renewed. */
  renewedBytes: number;
  /**
   * Bytes that its fetch may rely on have left the store since the claim: they are kept for this fetch, but not longer.
   */
  hasLost: boolean;
  /**
   * Fetches that failed since the claim. Earlier failures make it rest longer, but must not keep it from asking another
   * source.
   */
  tries: number;
  /** Sources that were busy or out of reach, and until when they are not asked. */
  readonly avoidUntilMs: Map<HostId, number>;
}

/** The most fetches at once from one source: a few full-speed transfers are better than many thin ones … */
export const FETCHES_PER_SOURCE_MAX = 4;
/** … and from all sources that are not slow. */
export const FETCHES_MAX = 8;
/** The most fetches at once from slow sources, one each: their bytes trickle in beside the others'. */
export const FETCHES_OF_SLOW_MAX = 8;
/** The most fetches at once from our own stores: a few keep a disk busy … */
export const FETCHES_HERE_MAX = 4;
/** … and of those that need only an entry in the log, because the store has all their files: they share a flush. */
export const FETCHES_LINKED_MAX = 64;
/** The most parcels claimed and not yet held: one claim message's worth. */
export const PURSUITS_MAX = 512;
/** Failures in a row after which the claim is given up, so that other hosts may try and other parcels get its place. */
export const SOURCE_TRIES_MAX = 8;
/** After a failure a parcel rests this long, doubled each time. */
export const BACK_OFF_MS = 1_000;
export const BACK_OFF_MS_MAX = 60_000;
/**
 * The longest rest of a parcel that no host present can give, in ms: each try costs every host a claim and the message
 * that it has ended.
 */
export const HOPELESS_BACK_OFF_MS_MAX = 3_600_000;
/** A full disk is not asked again before this. */
export const NO_ROOM_BACK_OFF_MS = 60_000;

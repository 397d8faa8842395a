/**
 * Scrub pace: when may the own scrub of a store (scrub-walk.ts) read its next parcel?
 *
 * A cycle reads all that a store holds once, in the order of the parcels' ids. Ids are hashes, so a parcel's place
 * among all ids says when it is due: what begins with 8 in the middle of the cycle. The budget is what the store holds,
 * spread over the cycle; behind that schedule, because the host was off or the store busy, it is CATCH_UP times as
 * much. The cycle goes by the calendar: a host that is on for six hours a day keeps it.
 *
 * A parcel is read in one go, at the disk's speed, and what it took is paid for by the rest after it. Pure.
 */
import type { ParcelId } from '../core/ids.js';

/**
 * No slower than this, in bytes a second, so that a store of some MB is through in days. More would show: a parcel of
 * 256 small files takes some 80 ms of a processor, nearly all of them to start the thread that reads it, and an idle
 * host is to take half a percent of one in all.
 */
export const FLOOR_BYTES_PER_S = 64;
/** No faster than this, in bytes a second, also to catch up: a quarter of what a slow disk or processor can do. */
export const CEILING_BYTES_PER_S = 32 * 1024 * 1024;
/** Behind its schedule, a scrub may read this many times as much. */
export const CATCH_UP = 4;
/**
 * At most one part in so many of the time is spent reading, for a parcel of many small files keeps a disk busy with few
 * bytes.
 */
export const READING_PARTS = 4;

export interface PaceView {
  readonly cycleMs: number;
  /** Since the cycle began. */
  readonly elapsedMs: number;
  readonly heldBytes: number;
  /** The parcel that comes next. */
  readonly next: ParcelId;
  /** What was read last, and how long that took. */
  readonly last: { readonly bytes: number; readonly tookMs: number };
}

/** The least time from the beginning of the last read to that of the next, in ms. */
export function decideRest({ cycleMs, elapsedMs, heldBytes, next, last }: PaceView): number {
  const isBehind = placeOf(next) < elapsedMs / cycleMs;
  const bytesPerS = (heldBytes / cycleMs) * 1_000 * (isBehind ? CATCH_UP : 1);
  const rate = Math.min(CEILING_BYTES_PER_S, Math.max(FLOOR_BYTES_PER_S, bytesPerS));
  return Math.max((last.bytes / rate) * 1_000, last.tookMs * READING_PARTS);
}

const PLACE_DIGITS = 12;

/** Where an id lies among all possible ones, from 0 to 1. */
export const placeOf = (parcel: ParcelId): number =>
  Number.parseInt(parcel.slice(0, PLACE_DIGITS), 16) / 16 ** PLACE_DIGITS;

/**
 * Parcels in order: a store's parcels by id, some at a time. No list of all of them is made, and while a million are
 * looked through, everybody else gets a turn again and again.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import type { ParcelId } from '../core/ids.js';

/** Looked at in one go: well below a millisecond. */
export const LOOKS_AT_ONCE = 1_024;

/**
 * The first `most` parcels after `after`, sorted. Of those that come while it looks, some may be missing.
 *
 * @param held in any order; may change meanwhile
 */
export async function parcelsAfter(
  held: Iterable<ParcelId>,
  after: ParcelId | undefined,
  most: number,
): Promise<ParcelId[]> {
  const found: ParcelId[] = [];
  let last: ParcelId | undefined;
  let looks = 0;
  for (const parcel of held) {
    looks += 1;
    if (looks % LOOKS_AT_ONCE === 0) await breathe();
    if ((after !== undefined && parcel <= after) || (last !== undefined && parcel > last)) continue;
    found.push(parcel);
    if (found.length < 2 * most) continue;
    found.sort().length = most;
    last = found.at(-1);
  }
  return found.sort().slice(0, most);
}

/** @param bytesOf 0 for a parcel of which nobody knows */
export async function bytesOfAll(held: Iterable<ParcelId>, bytesOf: (parcel: ParcelId) => number): Promise<number> {
  let bytes = 0;
  let looks = 0;
  for (const parcel of held) {
    looks += 1;
    if (looks % LOOKS_AT_ONCE === 0) await breathe();
    bytes += bytesOf(parcel);
  }
  return bytes;
}

/**
 * Taking back: room for lost parcels whose bytes are on their way out of a trash of ours. There they were free room; from then on
 * they are used (I6).
 *
 * Driven by the machine. What is looked for `Known` says (`lost`); where its bytes may lie is the daemon's to know.
 */
import type { ParcelId, StoreId } from './ids.js';
import type { Room } from './room.js';

/** Between two looks for what is lost, in ms: often enough for a trash of 24 h, and seldom for what costs a look at each parcel that is lost. */
export const TAKE_BACK_EVERY_MS = 10 * 60_000;

/** Wanted, without a copy, and not to be had from its origin. */
export interface LostParcel {
  readonly parcel: ParcelId;
  readonly bytes: number;
}

export interface Keeping {
  readonly parcel: ParcelId;
  readonly store: StoreId;
  readonly bytes: number;
}

export class TakingBack {
  readonly #room: Pick<Room, 'reserveForOwn' | 'release'>;
  readonly #kept = new Map<ParcelId, Keeping>();

  constructor(room: Pick<Room, 'reserveForOwn' | 'release'>) {
    this.#room = room;
  }

  has(parcel: ParcelId): boolean {
    return this.#kept.has(parcel);
  }

  bytesIn(store: StoreId): number {
    let bytes = 0;
    for (const kept of this.#kept.values()) if (kept.store === store) bytes += kept.bytes;
    return bytes;
  }

  /** Keeps nothing where the room is not there. */
  begin({ parcel, store, bytes }: Keeping): void {
    if (!this.#kept.has(parcel) && this.#room.reserveForOwn(store, bytes))
      this.#kept.set(parcel, { parcel, store, bytes });
  }

  end(parcel: ParcelId): void {
    const kept = this.#kept.get(parcel);
    if (kept === undefined) return;
    this.#kept.delete(parcel);
    this.#room.release(kept.store, kept.bytes);
  }

  storeGone(store: StoreId): void {
    for (const kept of this.#kept.values()) if (kept.store === store) this.#kept.delete(kept.parcel);
  }
}

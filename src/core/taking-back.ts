/**
 * Taking back: room for lost parcels whose bytes are being taken out of a trash of ours. In the trash they counted as
 * free room; from now on they are used (I6).
 *
 * Driven by the machine. `Known.lost` says what to look for; the daemon knows where the bytes may be.
 */
import type { ParcelId, StoreId } from './ids.js';
import type { Room } from './room.js';

/**
 * Time between two searches for lost parcels, in ms: often enough for a trash of 24 h, and rare enough for a search
 * that looks at each lost parcel.
 */
export const TAKE_BACK_EVERY_MS = 10 * 60_000;

/** Wanted, without any copy, and out of reach at its origin. */
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

  /** Reserves nothing when there is no room. */
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

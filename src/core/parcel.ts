/**
 * Parcel: the unit of placement. Placement knows only its reference, as a page lists it.
 */
import type { Key, ParcelId } from './ids.js';

export interface ParcelRef {
  readonly id: ParcelId;
  readonly key: Key;
  /** Sum of the sizes of its entries' blobs. */
  readonly bytes: number;
}

/** One blob of a parcel, as its record lists it. Empty blobs are left out, because everybody has them. */
export interface BlobRef {
  readonly blob: string;
  readonly bytes: number;
}

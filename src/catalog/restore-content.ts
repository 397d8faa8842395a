/**
 * Restore content: what a restore reads, whether the service gives it over its socket, or bare disks do.
 *
 * Two streams: the entries of a snapshot, each with its parcel, and the bytes of some blobs of one parcel.
 */
import type { BlobId, ParcelId } from '../core/ids.js';
import type { Entry } from './entry.js';

export interface PlacedEntry {
  readonly entry: Entry;
  readonly parcel: ParcelId;
  /** A folder that must exist for what is in it, and of which nothing else is known. */
  readonly isStandIn?: boolean;
}

/** Stands among the entries in place of an unknown number of entries that cannot be read now. */
export interface LackingEntries {
  /** The missing entries come after this path. */
  readonly after: Buffer;
  readonly lacking: string;
}

export interface ContentRequest {
  readonly parcel: ParcelId;
  /** 1 to `CONTENT_BLOBS_MAX`, of this parcel, none twice, none empty. */
  readonly blobs: readonly BlobId[];
  /**
   * The caller already has this many bytes of the only blob. The giver may begin after them, and says so in its
   * `start`.
   */
  readonly from?: number;
}

/**
 * `start`, `data`…, `end` for each blob, one blob after the other, in any order. A second `start` before the `end`
 * means that the blob's earlier bytes are void and it begins again (its holder went away). The exception is a `start`
 * whose `from` is all that the caller has by then, what came included: the data continues there. `unavailable` ends a
 * blob too. `waiting` may come at any time.
 *
 * The receiver checks the hash. So does the sender, but bytes that cross a process border are checked again. After a
 * `from` the sender cannot: if the whole is wrong then, the receiver throws all of it away and asks once more, without
 * `from`.
 */
export type ContentFrame =
  /** `bytes`: the size of the whole blob. */
  | { readonly kind: 'start'; readonly blob: BlobId; readonly bytes: number; readonly from?: number }
  /** 1 byte to `CONTENT_DATA_BYTES_MAX`. Valid until the next frame is asked for: the giver may reuse its memory. */
  | { readonly kind: 'data'; readonly data: Uint8Array }
  | { readonly kind: 'end' }
  /** No host can give it now. These hosts, by name, were up until just now, and are waited for. */
  | { readonly kind: 'waiting'; readonly hosts: readonly string[] }
  /** `hosts`: it can be had once any of these is switched on. */
  | {
      readonly kind: 'unavailable';
      readonly blob: BlobId;
      readonly because: string;
      readonly hosts: readonly string[];
    };

/** A record has at most 512 entries, so a parcel at most 512 blobs. */
export const CONTENT_BLOBS_MAX = 512;
export const CONTENT_DATA_BYTES_MAX = 1024 * 1024;

/**
 * Restore content: what a restore reads, whoever gives it (the service over its socket, or bare disks).
 *
 * Two streams: the entries of a snapshot, each with its parcel, and the bytes of some blobs of one parcel.
 */
import type { BlobId, ParcelId } from '../core/ids.js';
import type { Entry } from './entry.js';

export interface PlacedEntry {
  readonly entry: Entry;
  readonly parcel: ParcelId;
  /** A folder that has to be there for what is in it, and of which nothing but that is known. */
  readonly isStandIn?: boolean;
}

/** Stands among the entries for some that cannot be read now, nobody knows how many. */
export interface LackingEntries {
  /** They come after this path. */
  readonly after: Buffer;
  readonly lacking: string;
}

export interface ContentRequest {
  readonly parcel: ParcelId;
  /** 1 to `CONTENT_BLOBS_MAX`, of this parcel, none twice, none empty. */
  readonly blobs: readonly BlobId[];
  /** Of the only blob so many bytes are here already. A giver may begin behind them, and says so in its `start`. */
  readonly from?: number;
}

/**
 * `start`, `data`…, `end` for each blob, one after the other, in any order of blobs. A `start` before the `end` means that
 * what came of the blob so far is void and it begins anew (its holder went away); unless it has `from`, and that is all that
 * is here and has come: then the data goes on there. `unavailable` ends a blob too. `waiting` may come at any time.
 *
 * The receiver checks the hash; so does the sender, but bytes that cross a process border are checked again. Behind `from` the
 * sender cannot: where the whole is wrong then, the receiver throws all of it away and asks once more, without.
 */
export type ContentFrame =
  /** `bytes`: of the whole blob. */
  | { readonly kind: 'start'; readonly blob: BlobId; readonly bytes: number; readonly from?: number }
  /** 1 byte to `CONTENT_DATA_BYTES_MAX`. Good until the next frame is asked for: the giver may use its memory again. */
  | { readonly kind: 'data'; readonly data: Uint8Array }
  | { readonly kind: 'end' }
  /** Nobody gives it now; these hosts, by name, were here just now, and are waited for. */
  | { readonly kind: 'waiting'; readonly hosts: readonly string[] }
  /** `hosts`: switch any of these on, and it can be had. */
  | {
      readonly kind: 'unavailable';
      readonly blob: BlobId;
      readonly because: string;
      readonly hosts: readonly string[];
    };

/** A record has at most 512 entries, so a parcel at most 512 blobs. */
export const CONTENT_BLOBS_MAX = 512;
export const CONTENT_DATA_BYTES_MAX = 1024 * 1024;

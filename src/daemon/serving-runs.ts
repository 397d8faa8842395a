/**
 * Serving runs: splits the blobs of one answer into the pieces that are read and sent: small blobs that lie in one
 * place go together, so that they cost one look at the disk and one message; each larger blob goes by itself.
 */
import type { BlobId } from '../core/ids.js';
import { PACK_BYTES_MAX } from '../net/fetch-protocol.js';

/** A blob above this is sent by itself: its bytes cost more than the message. */
export const PACKED_BLOB_BYTES_MAX = 64 * 1024;
const PACK_BLOBS_MAX = 256;

export interface Located<Place> {
  readonly blob: BlobId;
  /** Undefined when the blob is nowhere. */
  readonly at: { readonly place: Place; readonly bytes: number } | undefined;
}

export type Run<Place> =
  | { readonly is: 'pack'; readonly place: Place; readonly blobs: readonly BlobId[] }
  | { readonly is: 'one'; readonly blob: BlobId; readonly place: Place | undefined };

/** The runs, in the order of the blobs. */
export function* runsOf<Place>(blobs: Iterable<Located<Place>>): Generator<Run<Place>> {
  let open: { readonly place: Place; readonly blobs: BlobId[]; bytes: number } | undefined;
  for (const { blob, at } of blobs) {
    const isSmall = at !== undefined && at.bytes <= PACKED_BLOB_BYTES_MAX;
    if (
      open !== undefined &&
      (!isSmall ||
        at.place !== open.place ||
        open.bytes + at.bytes > PACK_BYTES_MAX ||
        open.blobs.length === PACK_BLOBS_MAX)
    ) {
      yield { is: 'pack', place: open.place, blobs: open.blobs };
      open = undefined;
    }
    if (!isSmall) {
      yield { is: 'one', blob, place: at?.place };
      continue;
    }
    open ??= { place: at.place, blobs: [], bytes: 0 };
    open.blobs.push(blob);
    open.bytes += at.bytes;
  }
  if (open !== undefined) yield { is: 'pack', place: open.place, blobs: open.blobs };
}

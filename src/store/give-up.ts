/**
 * Give up: the order in which a parcel leaves a store; the reverse of a commit (commit.ts).
 *
 *   allowed   by a proof or a warrant, of this parcel in this store
 *   leaving   nobody gets a pin on its blobs any longer (held-blobs.ts)
 *   entered   `del` in the log, flushed → the index (held-parcels.ts)
 *   moved     blobs that no PRESENT parcel lists now go to `.trash`, after the last commit that counts on them. Of an
 *             expired parcel, blobs that a parcel short of copies lists stay as strays; a dropped one has other holders
 *   told      the caller
 *
 * A crash after `entered` leaves bytes that count for nothing; the stray sweep removes them (stray-sweep.ts). Driven by
 * store.ts.
 */
import { DropProof } from '../core/drop-proof.js';
import { ExpiryWarrant } from '../core/expiry.js';
import { assert } from '../core/fault.js';
import type { LogPosition } from '../core/holdings-log.js';
import type { ParcelId, StoreId } from '../core/ids.js';
import type { BlobIndex } from './blob-index.js';
import type { HeldBlobs } from './held-blobs.js';
import type { HeldParcels } from './held-parcels.js';
import type { Records } from './records.js';

export interface GiveUpParts {
  readonly store: StoreId;
  readonly parcels: HeldParcels;
  readonly blobs: HeldBlobs;
  readonly records: Records;
  readonly index: BlobIndex;
}

/** True when some parcel that is short of copies lists the blob. */
export type Spares = (blob: string) => boolean;

export async function drop(parts: GiveUpParts, proof: DropProof): Promise<LogPosition> {
  // Checked at run time: a value that merely has the same fields passes the type check.
  assert(proof instanceof DropProof, 'a drop needs a proof that DropProof.from has made');
  return giveUp(parts, proof, () => false);
}

export async function expire(parts: GiveUpParts, warrant: ExpiryWarrant, spares: Spares): Promise<LogPosition> {
  assert(warrant instanceof ExpiryWarrant, 'an expiry needs a warrant that ExpiryWarrant.from has made');
  return giveUp(parts, warrant, spares);
}

async function giveUp(
  parts: GiveUpParts,
  { parcel, store }: { readonly parcel: ParcelId; readonly store: StoreId },
  isSpared: Spares,
): Promise<LogPosition> {
  const { parcels, blobs } = parts;
  assert(store === parts.store, `store ${parts.store} is asked to give up a copy by the word for store ${store}`);
  return parcels.take(parcel, async () => {
    if (!parcels.isPresent(parcel)) return parcels.position;
    const refs = await refsToRelease(parts, parcel);
    return blobs.letGo(refs, { enter: () => parcels.enter({ op: 'del', parcel }, refs), isSpared });
  });
}

/** Empty when the parcel's record is lost: then the index holds too much until it is rebuilt. */
async function refsToRelease({ records, index }: GiveUpParts, parcel: ParcelId) {
  const refs = await records.refsOf(parcel);
  if (refs === undefined) await index.distrust();
  return refs ?? [];
}

/**
 * Expected: what a fetch counts on while it runs, which may take hours.
 *
 * All that its parcel lists is pinned (held-blobs.ts): what is here stays, and what comes is not swept away while the rest
 * is still on its way. Driven by store.ts.
 */
import type { ParcelId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import type { HeldBlobs } from './held-blobs.js';
import type { HeldParcels } from './held-parcels.js';
import type { Incoming } from './incoming.js';

/** Nothing of that leaves this store before its end. */
export interface Expected {
  /** As by `Store.missing`. */
  readonly missing: readonly BlobRef[];
  /** However the fetch went. What came for it, and is not held now, is kept for its time from here on. Never throws. */
  end(): Promise<void>;
}

export interface ExpectParts {
  readonly parcels: HeldParcels;
  readonly blobs: HeldBlobs;
  readonly incoming: Incoming;
  readonly ending: AbortSignal;
}

/** @param refs all that the parcel lists. @throws the signal's reason: what is here and was not hashed by this process is, first */
export async function expect(
  { parcels, blobs, incoming, ending }: ExpectParts,
  parcel: ParcelId,
  refs: readonly BlobRef[],
  signal: AbortSignal | undefined,
): Promise<Expected> {
  const pinned: string[] = [];
  const end = async (): Promise<void> => {
    // Another object may write to this disk by now. The next opening begins the time of what is here anew.
    if (ending.aborted) return;
    await parcels.take(parcel, async () => {
      await incoming.renew(pinned);
      await blobs.release(pinned);
    });
  };
  try {
    const { missing } = await blobs.pinAll(refs, pinned, signal);
    return { missing, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/**
 * Expected: the blobs that a fetch counts on while it runs, which may take hours.
 *
 * All blobs that its parcel lists are pinned (held-blobs.ts): those here stay, and those that come are not swept away
 * while the rest is still on its way. Driven by store.ts.
 */
import type { ParcelId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import type { HeldBlobs } from './held-blobs.js';
import type { HeldParcels } from './held-parcels.js';
import type { Incoming } from './incoming.js';

/** None of these blobs leaves this store before `end`. */
export interface Expected {
  /** As returned by `Store.missing`. */
  readonly missing: readonly BlobRef[];
  /**
   * To be called however the fetch went. What came for it and is not held is kept for its full time from then on. Never
   * throws.
   */
  end(): Promise<void>;
}

export interface ExpectParts {
  readonly parcels: HeldParcels;
  readonly blobs: HeldBlobs;
  readonly incoming: Incoming;
  readonly ending: AbortSignal;
}

/**
 * @param refs all that the parcel lists. @throws the signal's reason: what this process has not hashed yet is hashed
 * first
 */
export async function expect(
  { parcels, blobs, incoming, ending }: ExpectParts,
  parcel: ParcelId,
  refs: readonly BlobRef[],
  signal: AbortSignal | undefined,
): Promise<Expected> {
  const pinned: string[] = [];
  const end = async (): Promise<void> => {
    // Another object may write to this disk by now. The next opening restarts the time of what is here.
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

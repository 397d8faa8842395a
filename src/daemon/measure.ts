/**
 * Measure: how many bytes of a parcel a store lacks, and whether this host's other stores have them: before it claims a
 * copy, the machine must know what room that takes, and whether anything comes over the network.
 */
import type { Logger } from 'pino';
import { recordBlobs } from '../catalog/record.js';
import type { Effect } from '../core/effects.js';
import type { ObjectReader } from '../core/objects.js';
import type { BlobRef } from '../core/parcel.js';
import type { Store } from '../store/store.js';
import type { Unstamped } from './driver.js';
import { holdAll } from './own-files.js';
import type { OwnStores } from './own-stores.js';

export interface MeasureOptions {
  readonly stores: Pick<OwnStores, 'mounted' | 'answering'>;
  /** Reads records from wherever they are. */
  readonly objects: ObjectReader;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
}

/** Never rejects: when the bytes could not be found out, that is what the machine hears. */
export async function measure(
  { parcel, store: id }: Extract<Effect, { do: 'measure' }>,
  { stores, objects, tell, log }: MeasureOptions,
): Promise<void> {
  let missingBytes: number | undefined;
  let atHand = false;
  try {
    const store = stores.mounted(id);
    const record = await objects.get(parcel);
    if (store !== undefined && record !== undefined) {
      const blobs = await store.missing(recordBlobs(record));
      missingBytes = bytesToWrite(store, blobs);
      atHand = holdAll(stores.answering(), { but: id, blobs });
    }
  } catch (error) {
    log.debug(
      { code: 'NOT_MEASURED', parcel, err: error },
      'how much of a parcel is missing could not be found out; this is tried again',
    );
  }
  tell({ is: 'measured', parcel, store: id, missingBytes, atHand });
}

/** A large file is written again as a whole, however little of it has to come; earlier fetches' bytes are there. */
export const bytesToWrite = (store: Pick<Store, 'partialBytes'>, missing: readonly BlobRef[]): number =>
  missing.reduce((sum, ref) => sum + ref.bytes - store.partialBytes(ref), 0);

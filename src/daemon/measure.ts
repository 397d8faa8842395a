/** Measure: how many bytes of a parcel a store lacks, for the machine, which is to know before it claims a copy. */
import type { Logger } from 'pino';
import { recordBlobs } from '../catalog/record.js';
import type { Effect } from '../core/effects.js';
import type { ObjectReader } from '../core/objects.js';
import type { BlobRef } from '../core/parcel.js';
import type { Store } from '../store/store.js';
import type { Unstamped } from './driver.js';
import type { OwnStores } from './own-stores.js';

export interface MeasureOptions {
  readonly stores: Pick<OwnStores, 'mounted'>;
  /** Records from wherever they are. */
  readonly objects: ObjectReader;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
}

/** Never rejects: what could not be told is told as that. */
export async function measure(
  { parcel, store: id }: Extract<Effect, { do: 'measure' }>,
  { stores, objects, tell, log }: MeasureOptions,
): Promise<void> {
  let missingBytes: number | undefined;
  try {
    const store = stores.mounted(id);
    const record = await objects.get(parcel);
    if (store !== undefined && record !== undefined) {
      missingBytes = bytesToWrite(store, await store.missing(recordBlobs(record)));
    }
  } catch (error) {
    log.debug(
      { code: 'NOT_MEASURED', parcel, err: error },
      'what is missing of a parcel could not be told; it is tried again',
    );
  }
  tell({ is: 'measured', parcel, store: id, missingBytes });
}

/** Of a large file all is written anew, however little of it has to come; but what an earlier fetch left is there. */
export const bytesToWrite = (store: Pick<Store, 'partialBytes'>, missing: readonly BlobRef[]): number =>
  missing.reduce((sum, ref) => sum + ref.bytes - store.partialBytes(ref), 0);

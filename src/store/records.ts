/**
 * Records: the blobs that parcels list, from the records in a store's catalog. A record may be lost or damaged, so a
 * look-up may find none.
 *
 * Driven by commit.ts, give-up.ts, corrupt-parcels.ts and rescan.ts.
 */
import type { ParcelId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import type { ObjectFolder } from './object-folder.js';

/**
 * The non-empty blobs that a record lists, each once.
 * @throws on bytes that are no record: a store's catalog has snapshots and pages too
 */
export type BlobsOf = (record: Uint8Array) => readonly BlobRef[];

export class Records {
  readonly #objects: ObjectFolder;
  readonly blobsOf: BlobsOf;

  constructor(objects: ObjectFolder, blobsOf: BlobsOf) {
    this.#objects = objects;
    this.blobsOf = blobsOf;
  }

  /** `undefined` when the parcel's record is lost. */
  async refsOf(parcel: ParcelId): Promise<readonly BlobRef[] | undefined> {
    const record = await this.#objects.get(parcel);
    return record && this.blobsOf(record);
  }
}

/**
 * Records: what parcels list, by the records in a store's catalog. The catalog has snapshots and pages too, and a record may be
 * lost or damaged; so nobody is sure to find one.
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

  /** `undefined` when its record is lost. */
  async refsOf(parcel: ParcelId): Promise<readonly BlobRef[] | undefined> {
    const record = await this.#objects.get(parcel);
    return record && this.blobsOf(record);
  }
}

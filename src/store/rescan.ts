/**
 * Rescan: brings back what lies in a store whose log was begun anew.
 *
 * After a doubt nothing counts (recovery.ts). Then every parcel whose record is in `.catalog` is hashed, one after the other, and
 * is committed again when all of it is right. That it is due stands in the marker, until it has been through all of them.
 *
 * Driven by store.ts, for as long as its caller goes on asking.
 */
import type { Logger } from 'pino';
import type { LogPosition } from '../core/holdings-log.js';
import { type ParcelId, parseParcelId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import type { HeldBlobs } from './held-blobs.js';
import type { HeldParcels } from './held-parcels.js';
import { type Marker, writeMarker } from './marker.js';
import type { ObjectFolder } from './object-folder.js';
import type { Records } from './records.js';

export interface Rescanned {
  readonly parcel: ParcelId;
  readonly position: LogPosition;
}

export interface RescanParts {
  readonly storePath: string;
  readonly marker: Marker;
  readonly parcels: HeldParcels;
  readonly blobs: HeldBlobs;
  readonly objects: ObjectFolder;
  readonly records: Records;
  readonly commit: (parcel: ParcelId, record: Uint8Array) => Promise<LogPosition>;
  readonly log: Logger;
}

export class Rescan {
  readonly #parts: RescanParts;
  #isDue: boolean;

  constructor(parts: RescanParts) {
    this.#parts = parts;
    this.#isDue = parts.marker.rescan;
  }

  get isDue(): boolean {
    return this.#isDue;
  }

  /** Ends at the first `throw` or `break` of its caller; the next call goes on. */
  async *run(signal?: AbortSignal): AsyncGenerator<Rescanned> {
    const { storePath, marker, parcels, blobs, objects, commit, log } = this.#parts;
    if (!this.#isDue) return;
    for await (const id of objects.ids()) {
      signal?.throwIfAborted();
      const parcel = parseParcelId(id);
      if (parcels.isPresent(parcel)) continue;
      const record = await objects.get(id);
      const refs = record === undefined ? undefined : this.#refsIfRecord(record);
      if (record === undefined || refs === undefined) continue;
      // Not from the trash: what was dropped stays dropped.
      if ((await blobs.missing(refs, { fromTrash: false })).length > 0) continue;
      yield { parcel, position: await commit(parcel, record) };
    }
    this.#isDue = false;
    await writeMarker(storePath, { ...marker, rescan: false });
    log.info({ code: 'STORE_RESCANNED', parcels: parcels.count }, 'all that lies in this store was hashed');
  }

  #refsIfRecord(bytes: Uint8Array): readonly BlobRef[] | undefined {
    try {
      return this.#parts.records.blobsOf(bytes);
    } catch {
      // A snapshot or a page: only records list blobs.
      return undefined;
    }
  }
}

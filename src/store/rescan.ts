/**
 * Rescan: brings back what lies in a store whose log was begun anew.
 *
 * After a doubt nothing counts (recovery.ts). Then every parcel whose record is in `.catalog` is hashed, one after the other, and
 * is committed again when all of it is right. That it is due stands in the marker, until it has been through all of them.
 *
 * What goes wrong with one parcel keeps no other from counting. Was it for a passing reason, the rescan stays due; what a person
 * has to mend is left for whoever wants that parcel then, as if it lacked a file.
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
import { systemCode } from './own-folder.js';
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
  /** See `Store.whyGone`. */
  readonly whyGone: () => Promise<string | undefined>;
  readonly log: Logger;
}

/** These stay as they are until somebody mends them. */
const LASTING: ReadonlySet<string | undefined> = new Set(['STORE_TAMPERED', 'EACCES', 'EPERM']);

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

  /** As `Store.rescan`. */
  async *run(signal?: AbortSignal): AsyncGenerator<Rescanned> {
    const { storePath, marker, parcels, objects, log } = this.#parts;
    if (!this.#isDue) return;
    let isOver = true;
    for await (const id of objects.ids()) {
      signal?.throwIfAborted();
      const parcel = parseParcelId(id);
      if (parcels.isPresent(parcel)) continue;
      let position: LogPosition | undefined;
      try {
        position = await this.#bringBack(parcel);
      } catch (error) {
        signal?.throwIfAborted();
        await this.#mustWorkAfter(error);
        isOver &&= LASTING.has(systemCode(error));
        log.warn(
          { code: 'PARCEL_NOT_RESCANNED', parcel, err: error },
          'a parcel could not be hashed, and does not count',
        );
      }
      if (position !== undefined) yield { parcel, position };
    }
    if (!isOver) return;
    this.#isDue = false;
    await writeMarker(storePath, { ...marker, rescan: false });
    log.info({ code: 'STORE_RESCANNED', parcels: parcels.count }, 'all that lies in this store was hashed');
  }

  /** `undefined` when it is no parcel, or some of it is not here. */
  async #bringBack(parcel: ParcelId): Promise<LogPosition | undefined> {
    const { blobs, objects, commit } = this.#parts;
    const record = await objects.get(parcel);
    const refs = record === undefined ? undefined : this.#refsIfRecord(record);
    if (record === undefined || refs === undefined) return undefined;
    // Not from the trash: what was dropped stays dropped.
    if ((await blobs.missing(refs, { fromTrash: false })).length > 0) return undefined;
    return commit(parcel, record);
  }

  /** @throws when the next parcel would meet with the same */
  async #mustWorkAfter(error: unknown): Promise<void> {
    this.#parts.parcels.mustWork();
    if (systemCode(error) === 'STORE_FULL' || (await this.#parts.whyGone()) !== undefined) throw error;
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

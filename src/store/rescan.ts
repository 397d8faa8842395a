/**
 * Rescan: brings back the parcels of a store after a new log was begun.
 *
 * After a doubt nothing counts (recovery.ts). Then every parcel whose record is in `.catalog` is hashed, one after the
 * other, and is committed again when all of it is right. The marker says that a rescan is due until it has been through
 * all parcels.
 *
 * A failure with one parcel keeps no other from counting. If the reason is a passing one, the rescan stays due. If a
 * person has to mend it, the parcel is left for whoever wants it then, as if it lacked a file.
 *
 * Driven by store.ts, for as long as its caller keeps iterating.
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
import type { StoreRoot } from './store-root.js';

export interface Rescanned {
  readonly parcel: ParcelId;
  readonly position: LogPosition;
}

export interface RescanParts {
  readonly storePath: string;
  readonly root: Pick<StoreRoot, 'mustBeThere'>;
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

/** Errors that last until somebody mends their cause. */
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
    const { storePath, root, marker, parcels, objects, log } = this.#parts;
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
    // Another store's folder at that path would get this one's marker.
    await root.mustBeThere();
    this.#isDue = false;
    await writeMarker(storePath, { ...marker, rescan: false });
    log.info({ code: 'STORE_RESCANNED', parcels: parcels.count }, 'everything in this store was hashed');
  }

  /** `undefined` when the object is no parcel's record, or a blob of the parcel is not here. */
  async #bringBack(parcel: ParcelId): Promise<LogPosition | undefined> {
    const { blobs, objects, commit } = this.#parts;
    const record = await objects.get(parcel);
    const refs = record === undefined ? undefined : this.#refsIfRecord(record);
    if (record === undefined || refs === undefined) return undefined;
    // Not from the trash: a dropped parcel stays dropped.
    if ((await blobs.missing(refs, { fromTrash: false })).length > 0) return undefined;
    return commit(parcel, record);
  }

  /** @throws when the next parcel would fail in the same way */
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

/**
 * Taking back: restores a wanted parcel that nobody has a copy of and whose origin cannot be reached, when all its
 * bytes lie on a disk of this host: in the trash of a store, as strays, or as blobs of other parcels.
 *
 * A grab begins only where there is somebody to fetch from (core/grab.ts), so nothing would happen until the trash is
 * emptied. Here its blobs are looked for by name, without touching a parcel that is not whole. Then every byte is
 * hashed, and the copy is committed as after a fetch.
 *
 * Not done right after a start: what others hold is not known then, and rightly dropped copies would be taken back.
 */
import type { Logger } from 'pino';
import type { ParcelId, StoreId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { BlobRef } from '../core/parcel.js';
import { type LostParcel, TAKE_BACK_EVERY_MS } from '../core/taking-back.js';
import type { Store } from '../store/store.js';

export interface TakingBackOptions {
  readonly lost: () => Iterable<LostParcel>;
  /** The catalogs of this host: no peer is asked. */
  readonly reader: ObjectReader;
  /** The non-empty blobs of a record. @throws on bytes that are not a record */
  readonly blobsOf: (record: Uint8Array) => readonly BlobRef[];
  /** Except a store whose disk hangs: it would hold up the others. */
  readonly stores: () => Iterable<Store>;
  /** Reserves room for the parcel in the store until `giveRoomBack` (I6). @returns false where there is none */
  readonly keepRoom: (lost: LostParcel, store: StoreId) => boolean;
  readonly giveRoomBack: (parcel: ParcelId) => void;
  /** The store's log has one more operation. */
  readonly tell: (store: StoreId) => Promise<void>;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class TakingBack {
  readonly #options: TakingBackOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: TakingBackOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.takeBack().then(() => {
        if (!this.#options.signal.aborted) this.start();
      });
    }, TAKE_BACK_EVERY_MS).unref();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#running;
    clearTimeout(this.#timer);
  }

  /** Takes one parcel back after the other. Never rejects. */
  async takeBack(): Promise<void> {
    const { lost, signal } = this.#options;
    for (const one of [...lost()]) {
      if (signal.aborted) return;
      try {
        await this.#takeBack(one);
      } catch (error) {
        this.#warn(one, undefined, error);
      }
    }
  }

  #warn({ parcel }: LostParcel, store: StoreId | undefined, error: unknown): void {
    this.#options.log.warn(
      { code: 'NOT_TAKEN_BACK', parcel, store, err: error },
      'a parcel that nobody has a copy of could not be looked for on this host’s disks; this is tried again',
    );
  }

  async #takeBack(lost: LostParcel): Promise<void> {
    const { reader, blobsOf, stores } = this.#options;
    const record = await reader.get(lost.parcel);
    if (record === undefined) return;
    const refs = blobsOf(record);
    for (const store of [...stores()]) {
      // A store that is due for a rescan will find what lies there by itself.
      if (store.rescanDue) continue;
      try {
        if (await this.#takeOutOf(store, lost, { record, refs })) return;
      } catch (error) {
        // Another store may have it.
        this.#warn(lost, store.id, error);
      }
    }
  }

  /** @returns false where a byte of the parcel is missing or wrong, or there is no room for it */
  async #takeOutOf(
    store: Store,
    lost: LostParcel,
    { record, refs }: { readonly record: Uint8Array; readonly refs: readonly BlobRef[] },
  ): Promise<boolean> {
    const { keepRoom, giveRoomBack } = this.#options;
    if (!(await store.mayHaveAll(refs)) || !keepRoom(lost, store.id)) return false;
    try {
      return await this.#takeAll(store, lost.parcel, { record, refs });
    } finally {
      giveRoomBack(lost.parcel);
    }
  }

  async #takeAll(
    store: Store,
    parcel: ParcelId,
    { record, refs }: { readonly record: Uint8Array; readonly refs: readonly BlobRef[] },
  ): Promise<boolean> {
    const { tell, log } = this.#options;
    if ((await store.missing(refs)).length > 0) return false;
    await store.commit(parcel, record);
    await tell(store.id);
    log.info({ code: 'TAKEN_BACK', parcel, store: store.id }, 'the last copy of a parcel was taken out of the trash');
    return true;
  }
}

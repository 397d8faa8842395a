/**
 * Doubted copies: when this host could not give a blob of one of its copies, the copy is read whole at once, not only
 * at the next audit. What is wrong in it no longer counts from then on, and is fetched again.
 *
 * A copy is read once at a time, however many ask for it meanwhile. Where only the blob is known, the copy that lists it
 * is looked for first, one blob at a time in each store: a disk that gives nothing makes hundreds doubted, and each of
 * them is doubted again when it is next asked for.
 *
 * fetch-server.ts, blob-source.ts and fetcher.ts report here.
 */
import type { Logger } from 'pino';
import type { BlobId, Nonce, ParcelId, StoreId } from '../core/ids.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import type { Store } from '../store/store.js';
import type { Dropper } from './dropper.js';

export interface DoubtedBlob {
  readonly blob: BlobId;
  readonly store: StoreId;
  /** Parcels that may list it. */
  readonly likely: readonly ParcelId[];
}

export interface DoubtedCopiesOptions {
  readonly reader: Pick<Dropper, 'possess'>;
  readonly stores: { mounted(id: StoreId): Pick<Store, 'listerOf'> | undefined };
  readonly nonce: () => Nonce;
  readonly log: Logger;
}

export class DoubtedCopies {
  readonly #options: DoubtedCopiesOptions;
  /** By the copy that is read, or by the store in which a copy is looked for. */
  readonly #looks = new Map<string, Promise<void>>();
  readonly #ended = lastingAbort();

  constructor(options: DoubtedCopiesOptions) {
    this.#options = options;
  }

  /** Not waited for. Does nothing when the parcel is not held there. */
  look({ parcel, store }: { readonly parcel: ParcelId; readonly store: StoreId }): void {
    const { reader, nonce } = this.#options;
    this.#once(`${parcel} in ${store}`, async () => {
      // The result is reported where the copy is read, and so is a failure.
      await reader.possess({ parcel, store, nonce: nonce(), holders: [] }, this.#ended.signal);
    });
  }

  /** As `look`, for the copy in that store that lists the blob. */
  lookFor({ blob, store, likely }: DoubtedBlob): void {
    const { stores, log } = this.#options;
    const { signal } = this.#ended;
    this.#once(store, async () => {
      try {
        const parcel = await stores.mounted(store)?.listerOf(blob, likely, signal);
        if (parcel !== undefined) this.look({ parcel, store });
      } catch (error) {
        if (signal.aborted) return;
        log.warn(
          { code: 'DOUBTED_COPY_NOT_FOUND', store, blob, err: error },
          'which copy a doubtful file belongs to could not be read; its audit will find what is wrong',
        );
      }
    });
  }

  #once(what: string, look: () => Promise<void>): void {
    if (this.#ended.signal.aborted || this.#looks.has(what)) return;
    this.#looks.set(
      what,
      look().finally(() => this.#looks.delete(what)),
    );
  }

  /** Ends every read, and every search: on a slow disk one would hold up the end of the service for minutes. */
  async stop(): Promise<void> {
    this.#ended.abort(new Error('the service stops'));
    await Promise.all(this.#looks.values());
  }
}

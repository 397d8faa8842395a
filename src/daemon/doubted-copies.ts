/**
 * Doubted copies: when this host could not give a blob of one of its copies, the copy is read whole at once, not only
 * at the next audit. What is wrong in it no longer counts from then on, and is fetched again.
 *
 * A copy is read once at a time, however many ask for it meanwhile. fetch-server.ts and blob-source.ts report here.
 */
import type { Nonce, ParcelId, StoreId } from '../core/ids.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import type { Dropper } from './dropper.js';

export class DoubtedCopies {
  readonly #reader: Pick<Dropper, 'possess'>;
  readonly #nonce: () => Nonce;
  readonly #looks = new Map<string, Promise<void>>();
  readonly #ended = lastingAbort();

  constructor({ reader, nonce }: { readonly reader: Pick<Dropper, 'possess'>; readonly nonce: () => Nonce }) {
    this.#reader = reader;
    this.#nonce = nonce;
  }

  /** Not waited for. Does nothing when the parcel is not held there. */
  look({ parcel, store }: { readonly parcel: ParcelId; readonly store: StoreId }): void {
    const copy = `${parcel} in ${store}`;
    if (this.#ended.signal.aborted || this.#looks.has(copy)) return;
    const look = async (): Promise<void> => {
      // The result is reported where the copy is read, and so is a failure.
      await this.#reader.possess({ parcel, store, nonce: this.#nonce(), holders: [] }, this.#ended.signal);
      this.#looks.delete(copy);
    };
    this.#looks.set(copy, look());
  }

  /** Ends every read. */
  async stop(): Promise<void> {
    this.#ended.abort(new Error('the service stops'));
    await Promise.all(this.#looks.values());
  }
}

/**
 * Doubted copies: a copy of ours of which a blob could not be given is read whole, now and not only when an audit comes by: what is
 * wrong in it counts no more from then on, and is fetched again.
 *
 * One look at a copy at a time, however many ask for it meanwhile. Told of by fetch-server.ts and blob-source.ts.
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

  /** Not waited for. Nothing when the parcel is not held there. */
  look({ parcel, store }: { readonly parcel: ParcelId; readonly store: StoreId }): void {
    const copy = `${parcel} in ${store}`;
    if (this.#ended.signal.aborted || this.#looks.has(copy)) return;
    const look = async (): Promise<void> => {
      // Whatever it finds, and that it fails, is told where it is read.
      await this.#reader.possess({ parcel, store, nonce: this.#nonce(), holders: [] }, this.#ended.signal);
      this.#looks.delete(copy);
    };
    this.#looks.set(copy, look());
  }

  /** Ends every look. */
  async stop(): Promise<void> {
    this.#ended.abort(new Error('the service stops'));
    await Promise.all(this.#looks.values());
  }
}

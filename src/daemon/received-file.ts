/**
 * Received file: the blob of a fetch that is coming in, piece by piece. One call after the other: whoever does not wait for one, for
 * its disk hangs, still closes nothing under it.
 */
import type { BlobId } from '../core/ids.js';
import type { IncomingBlob } from '../store/receiving.js';
import type { Store } from '../store/store.js';
import { Turns } from '../store/turns.js';

interface Received {
  readonly incoming: IncomingBlob;
  readonly bytes: number;
}

export class ReceivedFile {
  readonly #store: Pick<Store, 'receive'>;
  readonly #turns = new Turns<'file'>();
  #current: (Received & { leftBytes: number }) | undefined;

  constructor(store: Pick<Store, 'receive'>) {
    this.#store = store;
  }

  begin({ blob, bytes }: { readonly blob: BlobId; readonly bytes: number }): Promise<void> {
    return this.#turns.take('file', async () => {
      this.#current = { incoming: await this.#store.receive({ blob, bytes }), bytes, leftBytes: bytes };
    });
  }

  /** Nothing comes of what belongs to no blob. */
  write(data: Uint8Array): Promise<void> {
    return this.#turns.take('file', async () => {
      const current = this.#current;
      await current?.incoming.write(data);
      if (current !== undefined) current.leftBytes -= data.length;
    });
  }

  /** The blob, once all its bytes are written: it is the caller's from then on. */
  takeWhole(): Received | undefined {
    const current = this.#current;
    if (current?.leftBytes !== 0) return undefined;
    this.#current = undefined;
    return current;
  }

  /** What has not come whole. */
  leave(): Promise<void> {
    return this.#turns.take('file', async () => {
      const current = this.#current;
      this.#current = undefined;
      await current?.incoming.abort();
    });
  }
}

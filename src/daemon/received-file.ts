/**
 * Received file: the blob that a fetch is receiving, piece by piece. Calls run one after the other, so a caller that
 * gives up waiting because the disk hangs closes nothing that an earlier call still uses.
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

  /** Bytes that belong to no blob are ignored. */
  write(data: Uint8Array): Promise<void> {
    return this.#turns.take('file', async () => {
      const current = this.#current;
      await current?.incoming.write(data);
      if (current !== undefined) current.leftBytes -= data.length;
    });
  }

  /** The blob, once all its bytes are written; from then on it belongs to the caller. */
  takeWhole(): Received | undefined {
    const current = this.#current;
    if (current?.leftBytes !== 0) return undefined;
    this.#current = undefined;
    return current;
  }

  /** Leaves the blob that has not come whole. */
  leave(): Promise<void> {
    return this.#turns.take('file', async () => {
      const current = this.#current;
      this.#current = undefined;
      await current?.incoming.abort();
    });
  }
}

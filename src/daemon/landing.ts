/**
 * Landing: writes complete blobs to disk while the next ones come in.
 *
 * A blob that hashes to another name does not keep the others from landing: a live file may have changed under its reader.
 * Any other failure is thrown by the next call.
 */
import { ClusterError } from '../core/fault.js';
import type { SmallBlob } from '../store/incoming.js';
import type { IncomingBlob } from '../store/receiving.js';
import type { Store } from '../store/store.js';

/** Bytes of all fetches together that wait for the disk: enough to write about a hundred small files at once. */
const LANDING_BYTES_MAX = 8 * 1024 * 1024;

/** What all fetches of this host together are writing to its disks. */
export class LandingRoom {
  bytes = 0;

  get isFull(): boolean {
    return this.bytes > LANDING_BYTES_MAX;
  }
}

/** The landing of one fetch. It waits only for its own writes, so every fetch goes on, at least one blob at a time. */
export class Landing {
  readonly #room: LandingRoom;
  readonly #under = new Set<Promise<void>>();
  #mismatch: ClusterError | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(room: LandingRoom) {
    this.#room = room;
  }

  /** Set when the bytes of a blob that has landed were not its own. */
  get mismatch(): ClusterError | undefined {
    return this.#mismatch;
  }

  /** `finish`es a received blob. Returns when there is room for more. */
  add(incoming: IncomingBlob, bytes: number): Promise<void> {
    return this.#take(bytes, () => incoming.finish());
  }

  /** Writes small blobs that came whole. Returns when there is room for more. */
  addSmall(store: Pick<Store, 'receiveSmall'>, blobs: readonly SmallBlob[]): Promise<void> {
    return this.#take(
      blobs.reduce((sum, { content }) => sum + content.length, 0),
      async () => {
        const [wrong] = await store.receiveSmall(blobs);
        if (wrong !== undefined)
          throw new ClusterError(
            'BLOB_MISMATCH',
            `blob ${wrong.blob}: other bytes than its own came; they were not kept`,
            {
              blame: 'peer',
            },
          );
      },
    );
  }

  async #take(bytes: number, finish: () => Promise<void>): Promise<void> {
    this.#room.bytes += bytes;
    const landing = this.#finish(finish).finally(() => {
      this.#room.bytes -= bytes;
      this.#under.delete(landing);
    });
    this.#under.add(landing);
    while (this.#room.isFull && this.#under.size > 0) await Promise.race(this.#under);
    this.#throwFailure();
  }

  /** Returns when all blobs have landed. */
  async all(): Promise<void> {
    await this.settled();
    this.#throwFailure();
  }

  /** As `all`, but never throws: for a caller that has already failed. */
  async settled(): Promise<void> {
    await Promise.all(this.#under);
  }

  async #finish(finish: () => Promise<void>): Promise<void> {
    try {
      await finish();
    } catch (error) {
      if (error instanceof ClusterError && error.code === 'BLOB_MISMATCH') this.#mismatch ??= error;
      else this.#failure ??= { error };
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

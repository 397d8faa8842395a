/**
 * Unwanted notes: since when, in this host's running time, nobody wants a parcel that it holds. Kept over a restart, so
 * that a host that is switched off every night still reaches the end of `gcGrace`.
 *
 * Not flushed each time: a lost note is made again later, and the parcel then stays longer.
 */
import type { Database, RootDatabase } from 'lmdb';
import { bytesOf, hexOf, type ParcelId, parseParcelId } from '../core/ids.js';
import { packRun, runFrom } from './running-bytes.js';

export interface UnwantedNote {
  readonly parcel: ParcelId;
  readonly sinceRunMs: number;
}

/** `sinceRunMs`: undefined for a parcel that is wanted again, or gone. */
export interface UnwantedChange {
  readonly parcel: ParcelId;
  readonly sinceRunMs: number | undefined;
}

export class UnwantedNotes {
  readonly #notes: Database<Buffer, Uint8Array>;

  constructor(root: RootDatabase<Buffer, Uint8Array>) {
    this.#notes = root.openDB({ name: 'unwanted', keyEncoding: 'binary', encoding: 'binary' });
  }

  /** @param ranMs the running time now */
  all(ranMs: number): UnwantedNote[] {
    return [...this.#notes.getRange({})].map(({ key, value }) => ({
      parcel: parseParcelId(hexOf(key)),
      sinceRunMs: runFrom(value, ranMs),
    }));
  }

  /** Written together, by another thread. */
  async change(changes: readonly UnwantedChange[]): Promise<void> {
    await this.#notes.batch(() => {
      for (const { parcel, sinceRunMs } of changes) {
        if (sinceRunMs === undefined) void this.#notes.remove(bytesOf(parcel));
        else void this.#notes.put(bytesOf(parcel), packRun(sinceRunMs));
      }
    });
  }
}

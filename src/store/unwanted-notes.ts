/**
 * Unwanted notes: since when, in this host's running time, nobody wants a parcel that it holds. Kept over a restart, so that
 * a host which is switched off every night still comes to the end of `gcGrace`.
 *
 * Not flushed each time: a note that is lost is made again, later, and then the parcel stays longer.
 */
import type { Database, RootDatabase } from 'lmdb';
import { bytesOf, hexOf, type ParcelId, parseParcelId } from '../core/ids.js';

export interface UnwantedNote {
  readonly parcel: ParcelId;
  readonly sinceRunMs: number;
}

/** 285,000 years of running time. */
const RUN_BYTES = 6;

export class UnwantedNotes {
  readonly #notes: Database<Buffer, Uint8Array>;

  constructor(root: RootDatabase<Buffer, Uint8Array>) {
    this.#notes = root.openDB({ name: 'unwanted', keyEncoding: 'binary', encoding: 'binary' });
  }

  /** What was noted later than `ranMs` (the running time was lost) counts from then on: rather too late than too early. */
  all(ranMs: number): UnwantedNote[] {
    return [...this.#notes.getRange({})].map(({ key, value }) => ({
      parcel: parseParcelId(hexOf(key)),
      sinceRunMs: Math.min(Buffer.from(value).readUIntBE(0, RUN_BYTES), ranMs),
    }));
  }

  async note(parcel: ParcelId, sinceRunMs: number): Promise<void> {
    const value = Buffer.alloc(RUN_BYTES);
    // Rounded up: rather a little later than too early.
    value.writeUIntBE(Math.ceil(sinceRunMs), 0, RUN_BYTES);
    await this.#notes.put(bytesOf(parcel), value);
  }

  async forget(parcel: ParcelId): Promise<void> {
    await this.#notes.remove(bytesOf(parcel));
  }
}

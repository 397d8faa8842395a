/**
 * Stray notes: since when, in this host's running time, no PRESENT parcel of its store lists a file under `.blobs`.
 * Kept over a restart, so that a host that is switched off every night still reaches the end of `gcGrace`.
 *
 * Not flushed each time: a lost note is made again later, and the file then stays longer. One table for all stores of
 * the host. Driven by stray-sweep.ts.
 */
import type { Database, RootDatabase } from 'lmdb';
import { type BlobId, bytesOf, hexOf, parseBlobId, type StoreId } from '../core/ids.js';
import { packRun, runFrom } from './running-bytes.js';

/** The notes of one store. */
export class StrayNotes {
  readonly #notes: Database<Buffer, Uint8Array>;
  readonly #store: Buffer;

  constructor(root: RootDatabase<Buffer, Uint8Array>, store: StoreId) {
    this.#notes = root.openDB({ name: 'strays', keyEncoding: 'binary', encoding: 'binary' });
    this.#store = Buffer.from(bytesOf(store));
  }

  /** Notes on blobs whose id begins with these two hex digits. @param ranMs the running time now */
  shard(shard: string, ranMs: number): Map<BlobId, number> {
    const start = this.#keyOf(shard);
    const end = Buffer.concat([this.#keyOf(shard.padEnd(64, 'f')), Buffer.of(0)]);
    const sinceRunMs = new Map<BlobId, number>();
    for (const { key, value } of this.#notes.getRange({ start, end }))
      sinceRunMs.set(parseBlobId(hexOf(key.subarray(this.#store.length))), runFrom(value, ranMs));
    return sinceRunMs;
  }

  async note(blob: BlobId, sinceRunMs: number): Promise<void> {
    await this.#notes.put(this.#keyOf(blob), packRun(sinceRunMs));
  }

  async forget(blob: BlobId): Promise<void> {
    await this.#notes.remove(this.#keyOf(blob));
  }

  #keyOf(digits: string): Buffer {
    return Buffer.concat([this.#store, bytesOf(digits)]);
  }
}

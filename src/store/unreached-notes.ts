/**
 * Unreached notes: since when, in this host's running time, nothing that is wanted leads to a catalog object that is
 * here. Kept over a restart, so that a host that is switched off every night still reaches the end of `gcGrace`.
 *
 * Not flushed each time: a lost note is made again later, and the object then stays longer. One table for all object
 * folders of the host. Driven by object-folder.ts.
 */
import type { Database, RootDatabase } from 'lmdb';
import type { ObjectId, StoreId } from '../core/ids.js';
import { packRun, runFrom } from './running-bytes.js';

/** In place of a store's id: the state folder's own catalog. */
const OWN_CATALOG = '0'.repeat(32);

/** The notes of one folder. */
export class UnreachedNotes {
  readonly #notes: Database<Buffer, Uint8Array>;
  readonly #place: string;

  /** @param store the store whose folder it is; undefined: the state folder's own */
  constructor(root: RootDatabase<Buffer, Uint8Array>, store?: StoreId) {
    this.#notes = root.openDB({ name: 'unreached', keyEncoding: 'binary', encoding: 'binary' });
    this.#place = store ?? OWN_CATALOG;
  }

  /** Undefined when it is not noted. @param ranMs the running time now */
  sinceRunMs(id: ObjectId, ranMs: number): number | undefined {
    const value = this.#notes.get(this.#keyOf(id));
    return value && runFrom(value, ranMs);
  }

  async note(id: ObjectId, sinceRunMs: number): Promise<void> {
    await this.#notes.put(this.#keyOf(id), packRun(sinceRunMs));
  }

  async forget(id: ObjectId): Promise<void> {
    await this.#notes.remove(this.#keyOf(id));
  }

  #keyOf(id: ObjectId): Buffer {
    return Buffer.from(this.#place + id, 'hex');
  }
}

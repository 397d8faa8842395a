/**
 * Objects: the immutable, content-addressed pieces of the catalog (snapshots, pages, records). Only the interfaces of
 * the places that keep them are here, so that catalog, store and net need not know each other.
 */
import type { ObjectId } from './ids.js';

export interface ObjectReader {
  /** The object's canonical bytes, whose BLAKE3 is `id`; `undefined` when it is not here. */
  get(id: ObjectId): Promise<Uint8Array | undefined>;
}

export interface ObjectWriter extends ObjectReader {
  has(id: ObjectId): Promise<boolean>;
  /** Keeps the bytes under their BLAKE3. Durable only after `flush`. */
  put(bytes: Uint8Array): Promise<ObjectId>;
  /** Returns when everything that was put before this call would survive a power cut. */
  flush(): Promise<void>;
}

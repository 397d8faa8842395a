/** A place for objects in memory, which counts what is new and can lose things. */
import { hashHex } from '../../src/core/hash.js';
import type { ObjectId } from '../../src/core/ids.js';
import type { ObjectWriter } from '../../src/core/objects.js';

export class KeptObjects implements ObjectWriter {
  readonly #objects = new Map<ObjectId, Uint8Array>();
  /** Ids that were new when they were put, since the last `forgetFresh`. */
  fresh: ObjectId[] = [];
  reads = 0;

  async get(id: ObjectId): Promise<Uint8Array | undefined> {
    this.reads += 1;
    return this.#objects.get(id);
  }

  async has(id: ObjectId): Promise<boolean> {
    return this.#objects.has(id);
  }

  async put(bytes: Uint8Array): Promise<ObjectId> {
    const id = hashHex(bytes) as ObjectId;
    if (!this.#objects.has(id)) {
      this.#objects.set(id, Uint8Array.from(bytes));
      this.fresh.push(id);
    }
    return id;
  }

  async flush(): Promise<void> {}

  lose(id: ObjectId): void {
    this.#objects.delete(id);
  }

  forgetFresh(): ObjectId[] {
    const fresh = this.fresh;
    this.fresh = [];
    return fresh;
  }
}

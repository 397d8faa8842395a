/**
 * Held reader: gives out a store's blobs, found by name and not hashed. The receiver hashes the bytes.
 *
 * A blob is held when a PRESENT parcel lists it. Anything else under a blob's name is a stray: a right blob of a
 * corrupt parcel, or a copy that has not been read again yet. Strays may be the last of their kind, and are given out
 * only on an explicit request for one.
 *
 * Driven by store.ts.
 */
import { type BlobId, parseBlobId } from '../core/ids.js';
import { readSmallFiles } from '../platform/small-files.js';
import type { Urgency } from '../platform/urgent-first.js';
import { readBlob, type StoredBlob } from './blob-reader.js';
import type { FanFolder } from './fan-folder.js';
import type { HeldBlobs } from './held-blobs.js';
import type { Incoming } from './incoming.js';

export class HeldReader {
  readonly #blobs: HeldBlobs;
  readonly #incoming: Incoming;
  readonly #blobFolder: FanFolder;

  constructor(parts: { readonly blobs: HeldBlobs; readonly incoming: Incoming; readonly blobFolder: FanFolder }) {
    this.#blobs = parts.blobs;
    this.#incoming = parts.incoming;
    this.#blobFolder = parts.blobFolder;
  }

  /** The blob's path; `undefined` when it is not held. */
  pathOf(blob: string): string | undefined {
    return this.#blobs.lookup(blob) === undefined ? undefined : this.#blobFolder.pathOf(parseBlobId(blob));
  }

  open(blob: BlobId): StoredBlob | undefined {
    const held = this.#blobs.lookup(blob);
    return held === undefined ? undefined : readBlob(this.#blobFolder.pathOf(blob), blob, held.bytes);
  }

  async openStray(blob: BlobId): Promise<StoredBlob | undefined> {
    const stray = this.#blobs.lookup(blob) === undefined ? await this.#incoming.stray(blob) : undefined;
    return stray === undefined ? undefined : readBlob(stray.path, blob, stray.bytes);
  }

  /** Reads all of them at once; undefined for a blob that is not held or not there in full. */
  async readSmall(blobs: readonly BlobId[], urgency?: Urgency): Promise<readonly (Uint8Array | undefined)[]> {
    const held = blobs.flatMap(blob => {
      const found = this.#blobs.lookup(blob);
      return found === undefined ? [] : [{ blob, path: this.#blobFolder.pathOf(blob), bytesMax: found.bytes }];
    });
    const read = await readSmallFiles(held, urgency);
    const contents = new Map(
      held.map(({ blob, bytesMax }, n) => {
        const one = read[n];
        const isWhole = one !== undefined && !(one instanceof Error) && one.content.length === bytesMax;
        return [blob, isWhole ? one.content : undefined];
      }),
    );
    return blobs.map(blob => contents.get(blob));
  }
}

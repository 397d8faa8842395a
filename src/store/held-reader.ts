/**
 * Held reader: gives out what a store has of blobs, found by their names and not hashed. Who receives the bytes does that.
 *
 * A blob is held when a PRESENT parcel lists it. What else lies under a blob's name is a stray: the right blobs of a corrupt
 * parcel, and copies that are not read again yet. Strays may be the last of their kind, and are given out only to who asks for
 * one by that word.
 *
 * Driven by store.ts.
 */
import { type BlobId, parseBlobId } from '../core/ids.js';
import { readSmallFiles } from '../platform/small-files.js';
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

  /** `undefined` for what is not held. */
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

  /** All read at once; undefined for what is not held, and what is not there in full. */
  async readSmall(blobs: readonly BlobId[]): Promise<readonly (Uint8Array | undefined)[]> {
    const held = blobs.flatMap(blob => {
      const found = this.#blobs.lookup(blob);
      return found === undefined ? [] : [{ blob, path: this.#blobFolder.pathOf(blob), bytesMax: found.bytes }];
    });
    const read = await readSmallFiles(held);
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

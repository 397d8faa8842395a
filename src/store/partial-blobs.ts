/**
 * Partial blobs: large blobs that are put together in order under `.incoming`, each in a file of its name. What is there of one is its
 * beginning, whatever came between, and is gone on with (assembly.ts).
 *
 * Driven by incoming.ts.
 */

import { assert } from '../core/fault.js';
import type { BlobId } from '../core/ids.js';
import { rm } from '../platform/disk-calls.js';
import { beginAnew, modifiedMs, sizeOf } from './incoming-file.js';
import type { ReceivingTells } from './receiving.js';

/** Where a large blob is put together in order (assembly.ts): what is there of it is its beginning, and is found again. */
export interface PartialBlob {
  readonly path: string;
  /** More of it, or less, is on disk. */
  wrote(bytes: number): void;
  /** It is whole and hashes to its name. */
  arrived(): Promise<void>;
  /** The file goes; what was written of it has been told. */
  remove(): Promise<void>;
  /** What is there stays for a while. */
  leave(): void;
}

/** Under `.incoming`. */
export const partialNameOf = (blob: string): string => `${blob}.part`;

export class PartialBlobs {
  readonly #path: string;
  /** Blob → how much of it is here. */
  readonly #bytes = new Map<string, number>();
  /** Those that are being put together now. */
  readonly #open = new Set<string>();

  constructor(path: string) {
    this.#path = path;
  }

  /** An earlier run has left that much of it. */
  found(blob: string, bytes: number): void {
    this.#bytes.set(blob, bytes);
  }

  bytes(blob: string): number {
    return this.#bytes.get(blob) ?? 0;
  }

  /** One at a time a blob. */
  begin(blob: BlobId, tell: ReceivingTells): PartialBlob {
    assert(!this.#open.has(blob), `blob ${blob} is put together twice`);
    this.#open.add(blob);
    const path = this.#pathOf(blob);
    const forget = () => {
      this.#bytes.delete(blob);
      this.#open.delete(blob);
    };
    return {
      path,
      wrote: bytes => {
        tell.wrote(bytes);
        this.#bytes.set(blob, this.bytes(blob) + bytes);
      },
      arrived: async () => {
        forget();
        await tell.arrived(path);
      },
      remove: async () => {
        tell.wrote(-(await remove(path)));
        forget();
      },
      leave: () => void this.#open.delete(blob),
    };
  }

  /** Kept for its time again, as if it had come now. */
  async renew(blob: string): Promise<void> {
    if (this.#bytes.has(blob)) await beginAnew(this.#pathOf(blob));
  }

  /** Removes what is there since before `beforeMs`, and nobody is at or counts on. */
  async sweep(
    beforeMs: number,
    { isPinned, wrote }: Pick<ReceivingTells, 'wrote'> & { readonly isPinned: (blob: string) => boolean },
  ): Promise<void> {
    for (const blob of this.#bytes.keys()) {
      const path = this.#pathOf(blob);
      const stays = () => this.#open.has(blob) || isPinned(blob);
      // Looked at again: somebody may have gone on with it while its time was read.
      if (stays() || (await modifiedMs(path)) >= beforeMs || stays()) continue;
      this.#bytes.delete(blob);
      wrote(-(await remove(path)));
    }
  }

  #pathOf(blob: string): string {
    return `${this.#path}/${partialNameOf(blob)}`;
  }
}

/** How many bytes it had. */
async function remove(path: string): Promise<number> {
  const bytes = await sizeOf(path);
  await rm(path, { force: true });
  return bytes;
}

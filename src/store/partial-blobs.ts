/**
 * Partial blobs: large blobs that are put together in order under `.incoming`, each in a file named after it. The file
 * always holds the beginning of the blob, even after an interruption, and the next try continues it (assembly.ts).
 *
 * Driven by incoming.ts.
 */

import { assert } from '../core/fault.js';
import type { BlobId } from '../core/ids.js';
import { rm } from '../platform/disk-calls.js';
import { beginAnew, modifiedMs, sizeOf } from './incoming-file.js';
import type { ReceivingTells } from './receiving.js';

/**
 * The file in which a large blob is put together in order (assembly.ts). It holds the blob's beginning, and is found
 * again after a restart.
 */
export interface PartialBlob {
  readonly path: string;
  /** More bytes of it, or fewer, are on disk. */
  wrote(bytes: number): void;
  /** It is whole and hashes to its name. */
  arrived(): Promise<void>;
  /** Removes the file, and reports its bytes as removed. */
  remove(): Promise<void>;
  /** Ends this use; the file stays for a while. */
  leave(): void;
}

/** The name of its file under `.incoming`. */
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

  /** Notes that an earlier run has left this many bytes of it. */
  found(blob: string, bytes: number): void {
    this.#bytes.set(blob, bytes);
  }

  bytes(blob: string): number {
    return this.#bytes.get(blob) ?? 0;
  }

  /** At most one at a time for a blob. */
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

  /** Restarts the time for which it is kept, as if it had come now. */
  async renew(blob: string): Promise<void> {
    if (this.#bytes.has(blob)) await beginAnew(this.#pathOf(blob));
  }

  /** Removes files last written before `beforeMs` that nobody uses or counts on. */
  async sweep(
    beforeMs: number,
    { isPinned, wrote }: Pick<ReceivingTells, 'wrote'> & { readonly isPinned: (blob: string) => boolean },
  ): Promise<void> {
    for (const blob of this.#bytes.keys()) {
      const path = this.#pathOf(blob);
      const stays = () => this.#open.has(blob) || isPinned(blob);
      // Checked again: somebody may have continued it while its time was read.
      if (stays() || (await modifiedMs(path)) >= beforeMs || stays()) continue;
      this.#bytes.delete(blob);
      wrote(-(await remove(path)));
    }
  }

  #pathOf(blob: string): string {
    return `${this.#path}/${partialNameOf(blob)}`;
  }
}

/** Returns how many bytes the file had. */
async function remove(path: string): Promise<number> {
  const bytes = await sizeOf(path);
  await rm(path, { force: true });
  return bytes;
}

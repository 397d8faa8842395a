/**
 * Blob content: a blob for a restore, from the first of some disks that has its own bytes.
 *
 * A disk may have lost or changed what it holds, so the bytes are hashed as they go by, and only bytes that are the blob's
 * get an `end`; else the next disk begins it anew.
 *
 * Driven by the service for its own stores (daemon/blob-source.ts), and by a restore from bare ones.
 */
import { createHasher } from '../core/hash.js';
import { type BlobId, hexOf } from '../core/ids.js';
import type { ContentFrame } from './restore-content.js';

export interface BlobDisk {
  openBlob(blob: BlobId): Promise<
    | {
        readonly bytes: number;
        read(signal: AbortSignal): AsyncIterable<Uint8Array>;
      }
    | undefined
  >;
}

/** Why a disk that has the blob's file could not give it. */
export type BlobFault = { readonly is: 'changed' } | { readonly is: 'unreadable'; readonly error: unknown };

/** @returns whether one of them gave the blob's own bytes */
export async function* contentFromDisks<Disk extends BlobDisk>(
  blob: BlobId,
  disks: Iterable<Disk>,
  { signal, onFault }: { readonly signal: AbortSignal; readonly onFault: (disk: Disk, fault: BlobFault) => void },
): AsyncGenerator<ContentFrame, boolean> {
  for (const disk of disks) {
    const check = new BlobCheck(blob);
    try {
      const held = await disk.openBlob(blob);
      if (held === undefined) continue;
      yield { kind: 'start', blob, bytes: held.bytes };
      for await (const data of held.read(signal)) {
        check.update(data);
        yield { kind: 'data', data };
      }
      if (check.isRight()) {
        yield { kind: 'end' };
        return true;
      }
      onFault(disk, { is: 'changed' });
    } catch (error) {
      signal.throwIfAborted();
      onFault(disk, { is: 'unreadable', error });
    } finally {
      check.end();
    }
  }
  return false;
}

/** Whether the bytes that went by are a blob's own. */
export class BlobCheck {
  readonly #blob: BlobId;
  readonly #hasher = createHasher();
  #ended = false;

  constructor(blob: BlobId) {
    this.#blob = blob;
  }

  update(data: Uint8Array): void {
    if (!this.#ended) this.#hasher.update(data);
  }

  /** Asked once, after the last byte. */
  isRight(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    return hexOf(this.#hasher.digest()) === this.#blob;
  }

  /** Harmless after `isRight`. */
  end(): void {
    if (!this.#ended) this.#hasher.dispose();
    this.#ended = true;
  }
}

/**
 * Blob content: gives a restore one blob, from the first of some disks that has the blob's own bytes.
 *
 * A disk may have lost or changed what it holds, so the bytes are hashed as they pass, and an `end` is given only if
 * they are the blob's; otherwise the next disk starts again. The rest of a blob cannot be checked without what came
 * before it. The receiver has that and checks the whole; so for a rest, the next disk continues where this one failed.
 *
 * Driven by the service for its own stores (daemon/blob-source.ts), and by a restore from bare ones.
 */
import type { ByteRange } from '../core/byte-range.js';
import { createHasher } from '../core/hash.js';
import { type BlobId, hexOf } from '../core/ids.js';
import type { Urgency } from '../platform/urgent-first.js';
import type { ContentFrame } from './restore-content.js';

export interface BlobDisk {
  openBlob(blob: BlobId): Promise<
    | {
        readonly bytes: number;
        read(signal: AbortSignal, ranges: readonly ByteRange[], urgency: Urgency): AsyncIterable<Uint8Array>;
      }
    | undefined
  >;
}

/** Why a disk that has the blob's file could not give the blob. */
export type BlobFault = { readonly is: 'changed' } | { readonly is: 'unreadable'; readonly error: unknown };

/**
 * What the receiver already has of a blob, from its first byte on: only the rest is given. The giver adds to it what it
 * gives.
 */
export interface Received {
  bytes: number;
}

/** @returns whether one of them gave the blob's own bytes; for a rest, whether all that was wanted was given */
export async function* contentFromDisks<Disk extends BlobDisk>(
  blob: BlobId,
  disks: Iterable<Disk>,
  {
    received,
    signal,
    onFault,
  }: {
    readonly received?: Received | undefined;
    readonly signal: AbortSignal;
    readonly onFault: (disk: Disk, fault: BlobFault) => void;
  },
): AsyncGenerator<ContentFrame, boolean> {
  for (const disk of disks) {
    const check = received === undefined ? new BlobCheck(blob) : undefined;
    try {
      const held = await disk.openBlob(blob);
      const from = received?.bytes ?? 0;
      // A file that ends before the rest begins has none of it.
      if (held === undefined || (received !== undefined && from >= held.bytes)) continue;
      yield { kind: 'start', blob, bytes: held.bytes, ...(received && { from }) };
      const rest = [{ offset: from, bytes: held.bytes - from }];
      for await (const data of held.read(signal, rest, { isUrgent: true })) {
        check?.update(data);
        if (received !== undefined) received.bytes += data.length;
        yield { kind: 'data', data };
      }
      if (check?.isRight() ?? true) {
        yield { kind: 'end' };
        return true;
      }
      onFault(disk, { is: 'changed' });
    } catch (error) {
      signal.throwIfAborted();
      onFault(disk, { is: 'unreadable', error });
    } finally {
      check?.end();
    }
  }
  return false;
}

/**
 * Whether the bytes that passed are a blob's own. On the event loop, on purpose: 256 KiB take 0.05 ms there (0.44 in
 * WebAssembly). To copy them, as they lie among other bytes, and to hand them to a thread and back, takes as much.
 */
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

  /** To be called once, after the last byte. */
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

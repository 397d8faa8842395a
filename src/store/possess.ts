/**
 * Possess: reads a whole parcel from this disk, in this call, and computes what each holder of the same bytes must
 * answer to one nonce (core/possession.ts).
 *
 * Every blob is checked against its BLAKE3 on the way, so a possession is only ever made of right bytes. The whole
 * parcel is read: some ranges of a large parcel that was scrubbed lately would do, but that needs a record
 * of scrubs that no store keeps yet. "From disk" means as the kernel gives it: what the kernel has cached is not read
 * from the platter again.
 *
 * In memory: one chunk, and a hasher for each holder. Driven by corrupt-parcels.ts, which decides what wrong bytes
 * mean.
 */
import type { HostId, Nonce, Possession } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { type PossessionHasher, possessionHasher } from '../core/possession.js';
import { hashFile } from './hash-file.js';
import { isBadSector, openOwnFile } from './own-folder.js';

/** Enough to see that a disk still reads. */
const GLANCE_BYTES = 64 * 1024;

export interface PossessionAsk {
  readonly nonce: Nonce;
  /** The hosts that would have to answer: each has its own possession. */
  readonly holders: readonly HostId[];
  readonly signal?: AbortSignal | undefined;
}

export type ParcelRead =
  | { readonly kind: 'whole'; readonly possessions: ReadonlyMap<HostId, Possession> }
  /**
   * The first blob whose file is gone, has other bytes than its name says, or cannot be read; in the last case also the
   * disk's error.
   */
  | { readonly kind: 'wrong'; readonly blob: BlobRef; readonly error?: unknown };

/**
 * @param refs the parcel's non-empty blobs in record order
 * @throws whatever the disk says, and the signal's reason: then nothing is known of the bytes
 */
export async function readParcel(
  refs: readonly BlobRef[],
  pathOf: (blob: string) => string,
  { nonce, holders, signal }: PossessionAsk,
): Promise<ParcelRead> {
  const hashers = new Map<HostId, PossessionHasher>();
  for (const holder of holders) if (!hashers.has(holder)) hashers.set(holder, possessionHasher(nonce, holder));
  try {
    for (const blob of refs) {
      signal?.throwIfAborted();
      for (const hasher of hashers.values()) hasher.blob(blob.bytes);
      const onChunk = (chunk: Uint8Array) => {
        for (const hasher of hashers.values()) hasher.update(chunk);
      };
      try {
        if (!(await isRight(pathOf(blob.blob), blob, { onChunk, signal }))) return { kind: 'wrong', blob };
      } catch (error) {
        if (!isBadSector(error)) throw error;
        return { kind: 'wrong', blob, error };
      }
    }
    const possessions = new Map<HostId, Possession>();
    for (const [holder, hasher] of hashers) {
      hashers.delete(holder);
      possessions.set(holder, hasher.digest());
    }
    return { kind: 'whole', possessions };
  } finally {
    for (const hasher of hashers.values()) hasher.dispose();
  }
}

/** Whether the file has exactly this blob's bytes. @throws whatever the disk says */
export async function isRight(
  path: string,
  { blob, bytes }: BlobRef,
  options: { readonly onChunk?: (chunk: Uint8Array) => void; readonly signal?: AbortSignal | undefined } = {},
): Promise<boolean> {
  return (await hashFile(path, { ...options, bytes }))?.hash === blob;
}

/** Whether the disk can still read the beginning of that file. */
export async function canBeRead(path: string): Promise<boolean> {
  try {
    const file = await openOwnFile(path);
    try {
      await file?.read(Buffer.allocUnsafe(GLANCE_BYTES), 0, GLANCE_BYTES, 0);
    } finally {
      await file?.close();
    }
    return file !== undefined;
  } catch {
    // Whatever the error, the file could not be read.
    return false;
  }
}

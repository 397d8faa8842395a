/**
 * Possess: reads a whole parcel from this disk, in this call, and computes what each holder of the same bytes must
 * answer to one nonce (core/possession.ts).
 *
 * Every blob is checked against its BLAKE3 on the way, so a possession is only ever made of right bytes. The whole
 * parcel is read: some ranges of a large parcel that was scrubbed lately would do, but that needs a record
 * of scrubs that no store keeps yet. "From disk": what the kernel has cached of a file is let go before it is read, or
 * on a host with more memory than store no later read would see what the disk has lost. Where that cannot be done
 * (macOS, no koffi) it means as the kernel gives it.
 *
 * Done by the thread of hash-file.ts. Driven by corrupt-parcels.ts, which decides what wrong bytes mean.
 */
import type { HostId, Nonce, Possession } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { hashFile, readFiles } from './hash-file.js';
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
  const hosts = [...new Set(holders)];
  const read = await readFiles(
    {
      paths: refs.map(({ blob }) => pathOf(blob)),
      sizes: refs.map(({ bytes }) => bytes),
      hashes: refs.map(({ blob }) => blob),
      possession: { nonce, holders: hosts },
      isFromDisk: true,
    },
    signal,
  );
  if (read.is === 'read')
    return { kind: 'whole', possessions: new Map(hosts.map((host, n) => [host, read.possessions[n] as Possession])) };
  const blob = refs[read.n] as BlobRef;
  if (read.is === 'unlike') return { kind: 'wrong', blob };
  if (!isBadSector(read.error)) throw read.error;
  return { kind: 'wrong', blob, error: read.error };
}

/** Whether the file has exactly this blob's bytes. @throws whatever the disk says */
export async function isRight(path: string, { blob, bytes }: BlobRef): Promise<boolean> {
  return (await hashFile(path, { bytes }))?.hash === blob;
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

/**
 * Store usage: what a store takes up, and what it lends by the limit or the reserve that its policy gives it.
 *
 * Driven by store.ts.
 */
import { statfs } from '../platform/disk-calls.js';

export interface StoreUsage {
  /** Everything under `.blobs`, `.catalog`, `.incoming` and `.trash`, as file sizes. */
  readonly usedBytes: number;
  /** Of these, what `emptyTrash` can give back. */
  readonly trashBytes: number;
  /** What its file system has left for this user. */
  readonly freeOnDiskBytes: number;
  readonly totalOnDiskBytes: number;
}

/**
 * Lent by one store beyond what it holds, at most: 64 TiB. Some file systems have no end (a tmpfs may say 8 EiB, as file
 * systems of a cloud do), and no heartbeat takes a number from 2^53 on, which the sum of 64 stores stays below.
 */
const LENT_FREE_BYTES_MAX = 2 ** 46;

export type LendingLimit = { readonly limitBytes: number } | { readonly reserveBytes: number };

/** Asks the disk; one system call. */
export async function usageOf(
  storePath: string,
  used: Pick<StoreUsage, 'usedBytes' | 'trashBytes'>,
): Promise<StoreUsage> {
  const disk = await statfs(storePath);
  return { ...used, freeOnDiskBytes: disk.bavail * disk.bsize, totalOnDiskBytes: disk.blocks * disk.bsize };
}

/** What the store lends in all, used room included: never more than its disk can give now. */
export function lentBytesOf({ usedBytes, freeOnDiskBytes }: StoreUsage, limit: LendingLimit): number {
  const freeBytes = (reserveBytes: number): number =>
    Math.min(LENT_FREE_BYTES_MAX, Math.max(0, freeOnDiskBytes - reserveBytes));
  return 'limitBytes' in limit
    ? Math.min(limit.limitBytes, usedBytes + freeBytes(0))
    : usedBytes + freeBytes(limit.reserveBytes);
}

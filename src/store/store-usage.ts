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
  return 'limitBytes' in limit
    ? Math.min(limit.limitBytes, usedBytes + freeOnDiskBytes)
    : usedBytes + Math.max(0, freeOnDiskBytes - limit.reserveBytes);
}

/**
 * Store room: what a store lends and uses, as the machine is told, and when its trash must go.
 *
 * Trash is used room on the disk and free room to the machine, for it is the first to go: what is told as used is without
 * it. So it goes when its time is up, when a `reserve` store's disk has less left than it is to leave, and when used and
 * reserved together would be more than is lent (I6 holds on the disk too): once a minute, and before a fetch begins.
 */
import type { Lending } from '../membership/policy.js';
import type { StoreUsage } from '../store/store-usage.js';

/** A mounted store, as far as its room goes. */
export interface RoomyStore {
  usage(): Promise<StoreUsage & { readonly trashBytes: number }>;
  lentBytes(limit: { readonly limitBytes: number } | { readonly reserveBytes: number }): Promise<number>;
  emptyTrash(limit: { readonly olderThanMs: number } | { readonly freeBytes: number }): Promise<unknown>;
}

export interface StoreRoom {
  readonly lentBytes: number;
  /** Without the trash. */
  readonly usedBytes: number;
}

/**
 * Looks at the disk, and empties as much of the trash as stands in the way, the oldest first.
 *
 * @param reservedBytes by the machine, for fetches that are claimed or under way; asked when the disk has been looked at
 */
export async function makeRoom(
  store: RoomyStore,
  { lends, reservedBytes }: { readonly lends: Lending; readonly reservedBytes: () => number },
): Promise<StoreRoom> {
  let usage = await store.usage();
  const lending = lendingOf(lends, usage);
  const free = async (bytes: number): Promise<void> => {
    const freeBytes = Math.min(usage.trashBytes, bytes);
    if (freeBytes <= 0) return;
    await store.emptyTrash({ freeBytes });
    usage = await store.usage();
  };
  // What is lent is what lies here and what is left above the reserve: below it, the trash would count as lent.
  if ('reserveBytes' in lending) await free(lending.reserveBytes - usage.freeOnDiskBytes);
  await free(usage.usedBytes + reservedBytes() - (await store.lentBytes(lending)));
  return { lentBytes: await store.lentBytes(lending), usedBytes: usage.usedBytes - usage.trashBytes };
}

function lendingOf(
  lends: Lending,
  { totalOnDiskBytes }: StoreUsage,
): { readonly limitBytes: number } | { readonly reserveBytes: number } {
  if (lends.kind === 'limit') return { limitBytes: lends.bytes };
  if (lends.kind === 'reserve') return { reserveBytes: lends.bytes };
  return { reserveBytes: Math.floor((totalOnDiskBytes * lends.percent) / 100) };
}

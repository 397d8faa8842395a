/**
 * Store room: what a store lends and uses, as the machine sees it, and when its trash must go.
 *
 * The trash is used room on the disk but free room to the machine, because it goes first: the used room that is
 * reported is without it. So it goes when its time is up, when the disk of a `reserve` store has less room left than
 * it must leave, and when used and reserved room together would be more than is lent (I6 holds on the disk too). This
 * is checked once a minute, and before a fetch begins.
 */
import type { Lending } from '../membership/policy.js';
import type { StoreUsage } from '../store/store-usage.js';

/** What matters of a mounted store for its room. */
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
 * Looks at the disk, and empties as much of the trash as is in the way, oldest first.
 *
 * @param reservedBytes what the machine has reserved for fetches that are claimed or under way; asked after the look
 * at the disk
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
  // What is lent is what lies here plus what is left above the reserve: below it, the trash would count as lent.
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

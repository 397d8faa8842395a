/**
 * Store room: what a store lends and uses, as the machine sees it, and when its trash must go.
 *
 * The trash is used room on the disk but free room to the machine, because it goes first: the used room that is
 * reported is without it. So it goes when its time is up, when the disk of a `reserve` store has less room left than
 * it must leave, and when used and reserved room together would be more than is lent (I6 holds on the disk too). This
 * is checked once a minute, and before a fetch begins.
 *
 * What is free on a disk is promised once, however many stores of this host lie there: each gets an equal share of it,
 * and what one may not take, by its limit, goes to the others.
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
 * @param othersWantBytes of each other store on this disk, how much more it may take
 */
export async function makeRoom(
  store: RoomyStore,
  {
    lends,
    reservedBytes,
    othersWantBytes = [],
  }: {
    readonly lends: Lending;
    readonly reservedBytes: () => number;
    readonly othersWantBytes?: readonly number[];
  },
): Promise<StoreRoom> {
  let usage = await store.usage();
  const lending = lendingOf(lends, usage);
  const free = async (bytes: number): Promise<void> => {
    const freeBytes = Math.min(usage.trashBytes, bytes);
    if (freeBytes <= 0) return;
    await store.emptyTrash({ freeBytes });
    usage = await store.usage();
  };
  const lentBytes = async (): Promise<number> => {
    const { usedBytes, freeOnDiskBytes } = usage;
    const reserved = 'reserveBytes' in lending ? lending.reserveBytes : 0;
    const wants = [wantedBytes(lends, usedBytes), ...othersWantBytes];
    const share = shareOf(Math.max(0, freeOnDiskBytes - reserved), wants);
    return Math.min(await store.lentBytes(lending), usedBytes + share);
  };
  // What is lent is what lies here plus what is left above the reserve: below it, the trash would count as lent.
  if ('reserveBytes' in lending) await free(lending.reserveBytes - usage.freeOnDiskBytes);
  await free(usage.usedBytes + reservedBytes() - (await lentBytes()));
  return { lentBytes: await lentBytes(), usedBytes: usage.usedBytes - usage.trashBytes };
}

/** How much more a store may take, if its disk has it. */
export const wantedBytes = (lends: Lending, usedBytes: number): number =>
  lends.kind === 'limit' ? Math.max(0, lends.bytes - usedBytes) : Number.POSITIVE_INFINITY;

/** The most that each of several may have of so many bytes, so that all get what they want or as much as the others. */
function shareOf(bytes: number, wants: readonly number[]): number {
  let left = bytes;
  const sorted = wants.toSorted((a, b) => a - b);
  for (const [at, want] of sorted.entries()) {
    const share = Math.floor(left / (sorted.length - at));
    if (want >= share) return share;
    left -= want;
  }
  return bytes;
}

function lendingOf(
  lends: Lending,
  { totalOnDiskBytes }: StoreUsage,
): { readonly limitBytes: number } | { readonly reserveBytes: number } {
  if (lends.kind === 'limit') return { limitBytes: lends.bytes };
  if (lends.kind === 'reserve') return { reserveBytes: lends.bytes };
  return { reserveBytes: Math.floor((totalOnDiskBytes * lends.percent) / 100) };
}

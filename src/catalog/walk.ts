/**
 * Walk: reads back a snapshot's parcels and entries.
 *
 * Everything streams: only a few records and pages are in memory at a time, however large the snapshot is. Pages and
 * records are checked against what referred to them (read-object.ts). Since parcels stand in the order of their first
 * paths, `walkEntries` can give path order (entries-in-order.ts), and find a path by reading a few records.
 */
import type { ObjectReader } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import { inPathOrder, type WalkedEntry } from './entries-in-order.js';
import { comparePaths, isAtOrUnder } from './path-order.js';
import { readPage, readSnapshot } from './read-object.js';
import type { SnapshotId } from './snapshot.js';
import { ahead, FIRST, Pages, recordsFrom, startFor } from './snapshot-pages.js';

/** The snapshot's parcels in the order of their first paths. Reads pages only. */
export async function* walkParcels(
  reader: ObjectReader,
  snapshot: SnapshotId,
  { signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<ParcelRef> {
  const { pages } = await readSnapshot(reader, snapshot);
  for await (const refs of ahead(pages, page => readPage(reader, page))) {
    signal?.throwIfAborted();
    yield* refs;
  }
}

/**
 * The snapshot's entries in path order; with `under`, only that path and what lies below it, found by reading a number of
 * records that grows with the logarithm of the snapshot's size. The first entry of all has the empty path: the source's
 * own folder.
 */
export async function* walkEntries(
  reader: ObjectReader,
  snapshot: SnapshotId,
  options: { readonly under?: Uint8Array; readonly signal?: AbortSignal } = {},
): AsyncGenerator<WalkedEntry> {
  for await (const stretch of walkStretches(reader, snapshot, options)) yield* stretch;
}

/** Parcels for which it is false are left out, and their records are not read. */
export type ParcelFilter = (ref: ParcelRef) => boolean;

/** `walkEntries` in stretches of at most one record each, for loops that should not await each entry. */
export async function* walkStretches(
  reader: ObjectReader,
  snapshot: SnapshotId,
  {
    under,
    signal,
    only,
  }: { readonly under?: Uint8Array; readonly signal?: AbortSignal; readonly only?: ParcelFilter } = {},
): AsyncGenerator<readonly WalkedEntry[]> {
  const pages = new Pages(reader, await readSnapshot(reader, snapshot));
  const wanted = under === undefined || under.length === 0 ? undefined : under;
  const start = wanted === undefined ? FIRST : await startFor(pages, wanted);
  for await (const stretch of inPathOrder(recordsFrom(pages, start, signal, only))) {
    if (wanted === undefined) {
      yield stretch;
      continue;
    }
    const inside = stretch.filter(({ entry }) => isAtOrUnder(entry.path, wanted));
    if (inside.length > 0) yield inside;
    const last = stretch.at(-1);
    if (last !== undefined && comparePaths(last.entry.path, wanted) > 0 && !isAtOrUnder(last.entry.path, wanted))
      return;
  }
}

/** The entry at exactly this path; undefined when the snapshot has none. */
export async function findEntry(
  reader: ObjectReader,
  snapshot: SnapshotId,
  path: Uint8Array,
): Promise<WalkedEntry | undefined> {
  for await (const walked of walkEntries(reader, snapshot, { under: path })) {
    return comparePaths(walked.entry.path, path) === 0 ? walked : undefined;
  }
  return undefined;
}

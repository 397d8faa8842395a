/** Changed parcels: the parcels that one snapshot has and another has not, found from their pages alone. */
import type { ObjectId, ParcelId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import { readPage, readSnapshot } from './read-object.js';
import type { SnapshotId } from './snapshot.js';
import { ahead } from './snapshot-pages.js';

export interface ChangedParcel {
  readonly ref: ParcelRef;
  readonly change: 'added' | 'removed';
}

/**
 * The parcels that only one of the two snapshots has, removed ones first. Pages that both have are not read. Holds the
 * references of the other pages in memory: 200 bytes for each parcel in them.
 */
export async function* changedParcels(
  reader: ObjectReader,
  before: SnapshotId | undefined,
  after: SnapshotId,
  { signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<ChangedParcel> {
  const pagesBefore = before === undefined ? [] : (await readSnapshot(reader, before)).pages;
  const pagesAfter = (await readSnapshot(reader, after)).pages;
  const kept = new Set<ObjectId>(pagesAfter);
  const had = new Set<ObjectId>(pagesBefore);
  const added = new Map<ParcelId, ParcelRef>();
  const collect = async (pages: readonly ObjectId[], visit: (ref: ParcelRef) => void): Promise<void> => {
    for await (const refs of ahead(pages, page => readPage(reader, page))) {
      signal?.throwIfAborted();
      for (const ref of refs) visit(ref);
    }
  };
  await collect(
    pagesAfter.filter(page => !had.has(page)),
    ref => void added.set(ref.id, ref),
  );
  const removed: ParcelRef[] = [];
  await collect(
    pagesBefore.filter(page => !kept.has(page)),
    ref => {
      if (!added.delete(ref.id)) removed.push(ref);
    },
  );
  for (const ref of removed) yield { ref, change: 'removed' };
  for (const ref of added.values()) yield { ref, change: 'added' };
}

/**
 * Files lost: how many files of a snapshot are gone, or have other content, in a later snapshot of the same source,
 * however many snapshots lie between.
 *
 * In each snapshot a path is in one parcel, so what lies in a parcel that both have is unchanged: only the records of
 * the other parcels are read, side by side and in path order.
 */
import type { ParcelId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import { changedParcels } from './changed-parcels.js';
import { diffEntries } from './diff.js';
import type { Entry } from './entry.js';
import type { SnapshotId } from './snapshot.js';
import { walkStretches } from './walk.js';

export interface FilesLost {
  readonly filesGone: number;
  readonly filesChanged: number;
}

/** @throws ObjectMissing; the signal's reason */
export async function filesLost(
  objects: ObjectReader,
  { before, after }: { readonly before: SnapshotId; readonly after: SnapshotId },
  signal: AbortSignal,
): Promise<FilesLost> {
  const changed = new Set<ParcelId>();
  for await (const { ref } of changedParcels(objects, before, after, { signal })) changed.add(ref.id);
  const entries = async function* (snapshot: SnapshotId): AsyncGenerator<Entry> {
    for await (const stretch of walkStretches(objects, snapshot, { signal, only: ({ id }) => changed.has(id) }))
      for (const { entry } of stretch) yield entry;
  };
  let filesGone = 0;
  let filesChanged = 0;
  for await (const difference of diffEntries(entries(before), entries(after))) {
    if (difference.kind === 'added' || difference.before.kind !== 'file') continue;
    if (difference.kind === 'removed' || difference.kind === 'type') filesGone += 1;
    else if (difference.kind === 'content') filesChanged += 1;
  }
  return { filesGone, filesChanged };
}

/**
 * Files lost: how many files of a snapshot are gone, or have other content, in a later snapshot of the same source,
 * however many snapshots lie between.
 *
 * Files are compared by path first. A file that was only renamed or moved counts among those that left by path, and is
 * not lost: `contentLost` finds that out from everything the later snapshot has, and is asked when so much left by path
 * that it matters.
 *
 * In each snapshot a path is in one parcel, so what lies in a parcel that both have is unchanged: only the records of
 * the other parcels are read, side by side and in path order.
 */
import type { BlobId, ParcelId } from '../core/ids.js';
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

export interface ContentLost extends FilesLost {
  /**
   * Of the files lost by their paths those whose content is still there: how many contents have how many such files.
   * When the last file with such a content goes, so many are lost at once.
   */
  readonly moved: ReadonlyMap<number, number>;
}

interface TwoSnapshots {
  readonly before: SnapshotId;
  readonly after: SnapshotId;
}

/** So many contents are looked for at once, in one pass over both snapshots: some 15 MB. */
const CONTENTS_MAX = 100_000;

/** By their paths. @throws ObjectMissing; the signal's reason */
export async function filesLost(objects: ObjectReader, pair: TwoSnapshots, signal: AbortSignal): Promise<FilesLost> {
  const lost = { filesGone: 0, filesChanged: 0 };
  for await (const { how } of lostByPath(objects, pair, signal)) lost[how] += 1;
  return lost;
}

/**
 * Of the files lost by their paths those whose content is nowhere in the later snapshot.
 *
 * @param contentsMax default 100,000; the snapshots are read again for each so many lost files
 * @throws ObjectMissing; the signal's reason
 */
export async function contentLost(
  objects: ObjectReader,
  pair: TwoSnapshots,
  signal: AbortSignal,
  contentsMax = CONTENTS_MAX,
): Promise<ContentLost> {
  const { filesGone, filesChanged } = await filesLost(objects, pair, signal);
  const passes = Math.ceil((filesGone + filesChanged) / contentsMax);
  const lost = { filesGone: 0, filesChanged: 0 };
  const moved = new Map<number, number>();
  for (let pass = 0; pass < passes; pass += 1) {
    const missing = new Map<BlobId, { filesGone: number; filesChanged: number }>();
    for await (const { blob, how } of lostByPath(objects, pair, signal)) {
      if (passOf(blob, passes) !== pass) continue;
      const files = missing.get(blob) ?? { filesGone: 0, filesChanged: 0 };
      files[how] += 1;
      missing.set(blob, files);
    }
    for await (const stretch of walkStretches(objects, pair.after, { signal }))
      for (const { entry } of stretch) {
        const { blob } = entry;
        const files = blob && missing.get(blob);
        if (files === undefined) continue;
        missing.delete(blob as BlobId);
        const count = files.filesGone + files.filesChanged;
        moved.set(count, (moved.get(count) ?? 0) + 1);
      }
    for (const files of missing.values()) {
      lost.filesGone += files.filesGone;
      lost.filesChanged += files.filesChanged;
    }
  }
  return { ...lost, moved };
}

/** A hash's first bits are spread evenly. */
const passOf = (blob: BlobId, passes: number): number => Number.parseInt(blob.slice(0, 8), 16) % passes;

async function* lostByPath(
  objects: ObjectReader,
  { before, after }: TwoSnapshots,
  signal: AbortSignal,
): AsyncGenerator<{ readonly blob: BlobId; readonly how: keyof FilesLost }> {
  const changed = new Set<ParcelId>();
  for await (const { ref } of changedParcels(objects, before, after, { signal })) changed.add(ref.id);
  const entries = async function* (snapshot: SnapshotId): AsyncGenerator<Entry> {
    for await (const stretch of walkStretches(objects, snapshot, { signal, only: ({ id }) => changed.has(id) }))
      for (const { entry } of stretch) yield entry;
  };
  for await (const difference of diffEntries(entries(before), entries(after))) {
    if (difference.kind === 'added' || difference.before.kind !== 'file') continue;
    const { blob } = difference.before;
    if (blob === undefined) continue;
    if (difference.kind === 'removed' || difference.kind === 'type') yield { blob, how: 'filesGone' };
    else if (difference.kind === 'content') yield { blob, how: 'filesChanged' };
  }
}

/**
 * Stray sweep: moves to the trash what lies under `.blobs` and has been listed by no PRESENT parcel for `gcGrace`.
 *
 * Strays come from a corrupt parcel that was fetched again elsewhere, from a commit that placed blobs but never entered
 * its `add`, and from a deletion whose `del` was entered but that a crash kept from the trash. They are used room and
 * count for nothing. Until their time is up, whoever wants them finds them (incoming.ts), and takes them back from the
 * trash after that.
 *
 * A stray stays while a fetch or a commit under way counts on it, or while it is spared: it may be the last of its
 * kind.
 *
 * In memory: the names of one shard, a 256th of all. Driven by store.ts.
 */
import { type BlobId, parseBlobId } from '../core/ids.js';
import type { FanFolder } from './fan-folder.js';
import type { HeldBlobs } from './held-blobs.js';
import type { StrayNotes } from './stray-notes.js';

export interface StraySweep {
  /** Some parcel that is short of copies lists it. */
  readonly isSpared: (blob: BlobId) => boolean;
  /** The running time now, and how long a stray stays. */
  readonly runMs: number;
  readonly graceMs: number;
  readonly signal: AbortSignal;
}

export interface SweptStrays {
  /** The strays that stay for now. */
  strays: number;
  trashed: number;
}

/** @throws the signal's reason, possibly half-way, and what the disk says */
export async function sweepStrays(
  { blobs, held, notes }: { readonly blobs: FanFolder; readonly held: HeldBlobs; readonly notes: StrayNotes },
  { isSpared, runMs, graceMs, signal }: StraySweep,
): Promise<SweptStrays> {
  const swept: SweptStrays = { strays: 0, trashed: 0 };
  for await (const { shard, ids } of blobs.shards()) {
    signal.throwIfAborted();
    const noted = notes.shard(shard, runMs);
    // Written when the shard is done: a note that the disk refuses must be awaited before anything else is.
    const fresh: BlobId[] = [];
    for (const blob of ids.map(parseBlobId)) {
      if (held.isListed(blob)) continue;
      const sinceRunMs = noted.get(blob);
      const isDue = sinceRunMs !== undefined && runMs - sinceRunMs >= graceMs;
      signal.throwIfAborted();
      if (isDue && !isSpared(blob) && (await held.reclaim(blob))) {
        swept.trashed += 1;
        continue;
      }
      swept.strays += 1;
      // Whatever is left in `noted` is forgotten below.
      noted.delete(blob);
      if (sinceRunMs === undefined) fresh.push(blob);
    }
    // These are held again, or gone.
    const gone = [...noted.keys()].map(blob => notes.forget(blob));
    await Promise.all([...gone, ...fresh.map(blob => notes.note(blob, runMs))]);
  }
  return swept;
}

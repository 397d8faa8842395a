/**
 * Stray sweep: moves to the trash what lies under `.blobs` and has been listed by no PRESENT parcel for `gcGrace`.
 *
 * Strays are what a corrupt parcel left that was taken again elsewhere, what a commit placed whose `add` did not come, and what a
 * crash kept from the trash whose `del` did. They are used room and count for nothing. Until their time is up whoever wants them
 * finds them (incoming.ts), and what lies in the trash is taken back from there.
 *
 * No stray goes that a fetch or a commit under way counts on, nor one that is spared: it may be the last of its kind.
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
  /** Those that stay for now. */
  strays: number;
  trashed: number;
}

/** @throws the signal's reason, in the middle, and what the disk says */
export async function sweepStrays(
  { blobs, held, notes }: { readonly blobs: FanFolder; readonly held: HeldBlobs; readonly notes: StrayNotes },
  { isSpared, runMs, graceMs, signal }: StraySweep,
): Promise<SweptStrays> {
  const swept: SweptStrays = { strays: 0, trashed: 0 };
  for await (const { shard, ids } of blobs.shards()) {
    signal.throwIfAborted();
    const noted = notes.shard(shard, runMs);
    const writes: Promise<void>[] = [];
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
      // Its note stays.
      noted.delete(blob);
      if (sinceRunMs === undefined) writes.push(notes.note(blob, runMs));
    }
    // Held again, or gone.
    for (const blob of noted.keys()) writes.push(notes.forget(blob));
    await Promise.all(writes);
  }
  return swept;
}

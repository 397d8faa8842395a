/**
 * Drill: restores a few randomly picked files from the copies, and throws the bytes away: a restore, on a sample. It
 * asks other hosts' copies first, then this host's own; never the origin's live file, because that is the file that a
 * restore would have to replace.
 *
 * It picks a parcel from the snapshot's pages, then a file in its record, so it reads a few objects, however large the
 * snapshot is. Without its record nobody knows what the bytes of a parcel are called: a record that nobody gives is a
 * failure of everything in the parcel. So the record must come as the bytes do. What this host's catalog or the
 * origin's has says nothing about the day when both are gone.
 */

import { readPage, readSnapshot } from '../catalog/read-object.js';
import { decodeRecord } from '../catalog/record.js';
import type { ContentFrame } from '../catalog/restore-content.js';
import type { BlobId, ObjectId, ParcelId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';

/**
 * For each file asked for, how many picks may find nothing new: small sources may have fewer files than are asked for.
 */
const PICKS_PER_FILE = 8;

export interface DrillOptions {
  /** Reads snapshots and pages: every trusted host has them. */
  readonly objects: ObjectReader;
  /** Reads a record from copies alone, those of other hosts first. */
  readonly record: (parcel: ParcelId, signal: AbortSignal) => Promise<Uint8Array | undefined>;
  readonly copies: (parcel: ParcelId, blobs: readonly BlobId[], signal: AbortSignal) => AsyncIterable<ContentFrame>;
  /** Names of the hosts that say that they hold the parcel. */
  readonly holders: (parcel: ParcelId) => readonly string[];
  /** A random whole number from 0, below `count`. */
  readonly below: (count: number) => number;
}

export interface Drilled {
  readonly parcel: ParcelId;
  /** Undefined when not even the names in the parcel could be read. */
  readonly path: Buffer | undefined;
  /** Size of the file, or of the parcel. */
  readonly bytes: number;
  /** Why the file could not be read; undefined when it came and is right. */
  readonly failure?: { readonly because: string; readonly hosts: readonly string[] };
}

/** How many files to try, and how large they may be. */
export interface DrillLimits {
  readonly files: number;
  /** At most. */
  readonly bytes: number;
  /** More than this, each being a parcel of its own. Default: 0. */
  readonly moreThanBytes?: number;
}

export async function* drill(
  { objects, record: recordOf, copies, holders, below }: DrillOptions,
  snapshot: ObjectId,
  { files: most, bytes: bytesMax, moreThanBytes = 0 }: DrillLimits,
  signal: AbortSignal,
): AsyncGenerator<Drilled> {
  const { pages } = await readSnapshot(objects, snapshot);
  // What is sought may be rare: then all pages are looked at, from one by chance on.
  const first = moreThanBytes > 0 && pages.length > 0 ? below(pages.length) : undefined;
  const picksMax = first === undefined ? most * PICKS_PER_FILE : pages.length;
  const done = new Set<string>();
  const nameless = new Set<ParcelId>();
  const isEnough = (): boolean => done.size + nameless.size >= most;
  const one = <T>(list: readonly T[]): T | undefined => list[below(list.length)];
  for (let picks = 0; picks < picksMax && !isEnough() && pages.length > 0; picks += 1) {
    signal.throwIfAborted();
    const page = first === undefined ? one(pages) : pages[(first + picks) % pages.length];
    // By the parcel, so that none is read for nothing: no limit is below what a run of small files has at most.
    const refs = (await readPage(objects, page as ObjectId)).filter(
      ({ bytes }) => bytes > moreThanBytes && bytes <= bytesMax,
    );
    const ref = refs.length === 0 ? undefined : one(refs);
    if (ref === undefined) continue;
    const record = await recordOf(ref.id, signal);
    if (record === undefined) {
      if (nameless.has(ref.id)) continue;
      nameless.add(ref.id);
      const failure = { because: 'no host gives the record that names the files in it', hosts: holders(ref.id) };
      yield { parcel: ref.id, path: undefined, bytes: ref.bytes, failure };
      continue;
    }
    const files = decodeRecord(record).entries.filter(({ size }) => size > moreThanBytes);
    const file = files.length === 0 ? undefined : one(files);
    if (file?.blob === undefined || done.has(file.path.toString('latin1'))) continue;
    done.add(file.path.toString('latin1'));
    const because = await failureOf(copies(ref.id, [file.blob], signal));
    const failure = because === undefined ? undefined : { because, hosts: holders(ref.id) };
    yield { parcel: ref.id, path: file.path, bytes: file.size, ...(failure && { failure }) };
  }
}

/** A sender of frames has checked the bytes against their hash before it says `end`. */
async function failureOf(frames: AsyncIterable<ContentFrame>): Promise<string | undefined> {
  let last: string | undefined = 'nothing came';
  for await (const frame of frames) {
    if (frame.kind === 'end') last = undefined;
    else if (frame.kind === 'unavailable') last = frame.because;
  }
  return last;
}

/**
 * Drill: restores a few files that were picked by chance from the copies, and throws the bytes away: what a restore would do, on a
 * sample. Other hosts' copies first, then our own; never the origin's live file, which is what would be gone.
 *
 * A parcel is picked among the snapshot's pages, then a file in its record: a few objects are read, however large the snapshot is.
 * Without its record nobody knows what a parcel's bytes are called: that nobody gives it is a failure of all that is in it. So it
 * has to come as the bytes do: what this host's own catalog has, and the origin's, says nothing about the day when they are gone.
 */

import { readPage, readSnapshot } from '../catalog/read-object.js';
import { decodeRecord } from '../catalog/record.js';
import type { ContentFrame } from '../catalog/restore-content.js';
import type { BlobId, ObjectId, ParcelId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';

/** Picks that found nothing new, for each file that is asked for: small sources have fewer files than that. */
const PICKS_PER_FILE = 8;

export interface DrillOptions {
  /** Snapshots and pages: every trusted host has them. */
  readonly objects: ObjectReader;
  /** From copies alone, those of others first. */
  readonly record: (parcel: ParcelId, signal: AbortSignal) => Promise<Uint8Array | undefined>;
  readonly copies: (parcel: ParcelId, blobs: readonly BlobId[], signal: AbortSignal) => AsyncIterable<ContentFrame>;
  /** Names of the hosts that say that they hold it. */
  readonly holders: (parcel: ParcelId) => readonly string[];
  /** A whole number from 0, below this. */
  readonly below: (count: number) => number;
}

export interface Drilled {
  readonly parcel: ParcelId;
  /** Undefined: not even the names in the parcel could be had. */
  readonly path: Buffer | undefined;
  /** Of the file, or of the parcel. */
  readonly bytes: number;
  /** Why it could not be had; undefined: it came, and is right. */
  readonly failure?: { readonly because: string; readonly hosts: readonly string[] };
}

/** @param most how many files, and how large each may be */
export async function* drill(
  { objects, record: recordOf, copies, holders, below }: DrillOptions,
  snapshot: ObjectId,
  most: { readonly files: number; readonly bytes: number },
  signal: AbortSignal,
): AsyncGenerator<Drilled> {
  const { pages } = await readSnapshot(objects, snapshot);
  const done = new Set<string>();
  const nameless = new Set<ParcelId>();
  const isEnough = (): boolean => done.size + nameless.size >= most.files;
  const one = <T>(list: readonly T[]): T | undefined => list[below(list.length)];
  for (let picks = 0; picks < most.files * PICKS_PER_FILE && !isEnough() && pages.length > 0; picks += 1) {
    signal.throwIfAborted();
    const refs = (await readPage(objects, one(pages) as ObjectId)).filter(({ bytes }) => bytes > 0);
    const ref = refs.length === 0 ? undefined : one(refs);
    if (ref === undefined) continue;
    const record = await recordOf(ref.id, signal);
    if (record === undefined) {
      if (nameless.has(ref.id)) continue;
      nameless.add(ref.id);
      const failure = { because: 'nobody gives the record that names what is in it', hosts: holders(ref.id) };
      yield { parcel: ref.id, path: undefined, bytes: ref.bytes, failure };
      continue;
    }
    const files = decodeRecord(record).entries.filter(({ size }) => size > 0 && size <= most.bytes);
    const file = files.length === 0 ? undefined : one(files);
    if (file?.blob === undefined || done.has(file.path.toString('latin1'))) continue;
    done.add(file.path.toString('latin1'));
    const because = await failureOf(copies(ref.id, [file.blob], signal));
    const failure = because === undefined ? undefined : { because, hosts: holders(ref.id) };
    yield { parcel: ref.id, path: file.path, bytes: file.size, ...(failure && { failure }) };
  }
}

/** Whoever gives frames has held the bytes against their hash before it says `end`. */
async function failureOf(frames: AsyncIterable<ContentFrame>): Promise<string | undefined> {
  let last: string | undefined = 'nothing came';
  for await (const frame of frames) {
    if (frame.kind === 'end') last = undefined;
    else if (frame.kind === 'unavailable') last = frame.because;
  }
  return last;
}

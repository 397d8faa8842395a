/**
 * Drill: restores a few files that were picked by chance from the copies, and throws the bytes away: what a restore would do, on a
 * sample. Other hosts' copies first, then our own; never the origin's live file, which is what would be gone.
 *
 * A parcel is picked among the snapshot's pages, then a file in its record: a few objects are read, however large the snapshot is.
 */

import { decodeRecord } from '../catalog/record.js';
import type { ContentFrame } from '../catalog/restore-content.js';
import { readPage, readSnapshot } from '../catalog/walk.js';
import type { BlobId, ObjectId, ParcelId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';

/** Picks that found nothing new, for each file that is asked for: small sources have fewer files than that. */
const PICKS_PER_FILE = 8;

export interface DrillOptions {
  /** Records too. */
  readonly objects: ObjectReader;
  readonly copies: (parcel: ParcelId, blobs: readonly BlobId[], signal: AbortSignal) => AsyncIterable<ContentFrame>;
  /** A whole number from 0, below this. */
  readonly below: (count: number) => number;
}

export interface Drilled {
  readonly parcel: ParcelId;
  readonly path: Buffer;
  readonly bytes: number;
  /** Why it could not be had; undefined: it came, and is right. */
  readonly failure?: { readonly because: string; readonly hosts: readonly string[] };
}

/** @param most how many files, and how large each may be */
export async function* drill(
  { objects, copies, below }: DrillOptions,
  snapshot: ObjectId,
  most: { readonly files: number; readonly bytes: number },
  signal: AbortSignal,
): AsyncGenerator<Drilled> {
  const { pages } = await readSnapshot(objects, snapshot);
  const done = new Set<string>();
  const one = <T>(list: readonly T[]): T | undefined => list[below(list.length)];
  for (let picks = 0; picks < most.files * PICKS_PER_FILE && done.size < most.files && pages.length > 0; picks += 1) {
    signal.throwIfAborted();
    const refs = await readPage(objects, one(pages) as ObjectId);
    const ref = refs.length === 0 ? undefined : one(refs);
    const record = ref && (await objects.get(ref.id));
    if (ref === undefined || record === undefined) continue;
    const files = decodeRecord(record).entries.filter(({ size }) => size > 0 && size <= most.bytes);
    const file = files.length === 0 ? undefined : one(files);
    if (file?.blob === undefined || done.has(file.path.toString('latin1'))) continue;
    done.add(file.path.toString('latin1'));
    const failure = await failureOf(copies(ref.id, [file.blob], signal));
    yield { parcel: ref.id, path: file.path, bytes: file.size, ...(failure && { failure }) };
  }
}

/** Whoever gives frames has held the bytes against their hash before it says `end`. */
async function failureOf(frames: AsyncIterable<ContentFrame>): Promise<Drilled['failure']> {
  let last: Drilled['failure'] = { because: 'nothing came', hosts: [] };
  for await (const frame of frames) {
    if (frame.kind === 'end') last = undefined;
    else if (frame.kind === 'unavailable') last = { because: frame.because, hosts: frame.hosts };
  }
  return last;
}

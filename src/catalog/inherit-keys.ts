/**
 * Inherit keys: which parcel of the last snapshot a changed parcel succeeds.
 *
 * A parcel takes the key of the one with which it shares the most bytes; each key is inherited once. So successors,
 * shifted runs and renamed folders keep their holders, and only their changed blobs move. Where bytes are equal, shared
 * paths decide: a large file that was rewritten shares no blob with its predecessor, and still keeps its holders. A
 * parcel that inherits no key gets one from its opening path.
 *
 * Shared bytes are exact for blobs that stayed at their path. Blobs that moved are found only among the few largest
 * blobs of each parcel of the last snapshot that is not unchanged in the new one, so that memory grows with parcels and
 * not with files: 16 blobs × some 50 bytes a changed parcel. A renamed folder is cut as before (cut.ts), so its parcels
 * are found whole.
 */
import { hashHex } from '../core/hash.js';
import { bytesOf, type Key, type SourceId, splitSourceId } from '../core/ids.js';
import { signable } from '../core/signed.js';
import type { Entry } from './entry.js';
import { blobsOf } from './record.js';

/** What a changed parcel and one of the last snapshot have in common. */
export interface Overlap {
  /** The latter's place in the last snapshot. */
  readonly ordinal: number;
  readonly key: Key;
  readonly bytes: number;
  readonly paths: number;
}

/** How many blobs, the largest ones, a parcel of the last snapshot is recognised by after a rename. */
const LARGEST_BLOBS = 16;

/** One key, or undefined, for each changed parcel. Equal claims go to the earlier parcel, and to the earlier predecessor. */
export function inheritKeys(overlaps: readonly (readonly Overlap[])[]): readonly (Key | undefined)[] {
  const keys: (Key | undefined)[] = overlaps.map(() => undefined);
  const claims = overlaps.flatMap((list, parcel) => list.map(overlap => ({ parcel, overlap })));
  claims.sort(
    (a, b) =>
      b.overlap.bytes - a.overlap.bytes ||
      b.overlap.paths - a.overlap.paths ||
      a.parcel - b.parcel ||
      a.overlap.ordinal - b.overlap.ordinal,
  );
  const given = new Set<number>();
  for (const { parcel, overlap } of claims) {
    if (keys[parcel] !== undefined || given.has(overlap.ordinal)) continue;
    given.add(overlap.ordinal);
    keys[parcel] = overlap.key;
  }
  return keys;
}

/** The key of a parcel without a predecessor. `turn`: 0, or more where that key is already used in the snapshot. */
export function openingKey(source: SourceId, path: Uint8Array, turn = 0): Key {
  const { origin, source: name } = splitSourceId(source);
  return hashHex(signable('scatterhoard/key/1', [bytesOf(origin), name, path, turn])).slice(0, 32) as Key;
}

/** 48 bits of an id. Two blobs that share them cost a worse guess about a rename, nothing more. */
export const fingerprintOf = (id: string): number => Number.parseInt(id.slice(0, 12), 16);

/** Parcels of the last snapshot that are not unchanged in the new one, to be found by their blobs. */
export class Predecessors {
  readonly #byBlob = new Map<number, { readonly ordinal: number; readonly key: Key }>();

  add({
    ordinal,
    key,
    entries,
  }: {
    readonly ordinal: number;
    readonly key: Key;
    readonly entries: readonly Entry[];
  }): void {
    const parcel = { ordinal, key };
    // Equal sizes in the order of the ids, which is arbitrary: in path order the sample would be the beginning of the
    // run.
    const largest = blobsOf(entries).sort((a, b) => b.bytes - a.bytes || (a.blob < b.blob ? -1 : 1));
    for (const { blob } of largest.slice(0, LARGEST_BLOBS)) {
      const fingerprint = fingerprintOf(blob);
      if (!this.#byBlob.has(fingerprint)) this.#byBlob.set(fingerprint, parcel);
    }
  }

  of(fingerprint: number): { readonly ordinal: number; readonly key: Key } | undefined {
    return this.#byBlob.get(fingerprint);
  }
}

/** The overlaps of one changed parcel, added up. */
export class OverlapCount {
  readonly #overlaps = new Map<number, { ordinal: number; key: Key; bytes: number; paths: number }>();

  add({
    ordinal,
    key,
    bytes = 0,
    paths = 0,
  }: {
    readonly ordinal: number;
    readonly key: Key;
    readonly bytes?: number;
    readonly paths?: number;
  }): void {
    const known = this.#overlaps.get(ordinal);
    if (known === undefined) this.#overlaps.set(ordinal, { ordinal, key, bytes, paths });
    else {
      known.bytes += bytes;
      known.paths += paths;
    }
  }

  list(): readonly Overlap[] {
    return [...this.#overlaps.values()];
  }
}

/**
 * Cut: where one parcel ends and the next begins.
 *
 * Entries come in path order. A file of 8 MiB or more is a parcel of its own and does not end the run around it. Smaller
 * entries form runs. A run closes after an entry for which hash(path), as a fraction of its range, is below 1/64 or
 * below size / 16 MiB, whichever is more. So cuts depend on the entries themselves: an inserted file moves the cuts
 * next to it and no others. All in integers.
 *
 * A file that was moved along with its folder keeps the mark of the path at which it was first met (scan-cache.ts). An
 * entry without content, which could not be recognised, is marked by its last name alone. So a renamed folder is cut as
 * before, and its parcels stay with their holders. When the cache is lost, moved files are cut by their present paths,
 * once.
 *
 * In memory: one run (512 entries) and the large files inside it (512). These are given after the run that encloses
 * them, since parcels are listed in the order of their first paths (entries-in-order.ts).
 */
import { hashHex } from '../core/hash.js';
import { SLASH } from '../platform/slash.js';
import type { Entry } from './entry.js';
import { entryBytesBound } from './entry.js';
import { RECORD_BYTES_MAX, RECORD_ENTRIES_MAX, RECORD_HEAD_BYTES_MAX } from './record.js';

/** A file of this size is a parcel of its own. */
export const PARCEL_FILE_BYTES = 8 * 1024 * 1024;
/** A run holds no more content than this, so that the cost of one fetch stays bounded. */
export const RUN_BYTES_MAX = 64 * 1024 * 1024;
/** Entries of a run and large files inside it, together: bounds the memory for walking and cutting. */
export const RUN_SPAN_MAX = RECORD_ENTRIES_MAX;

/** 1/64 of the range of a mark. */
const MARK_BELOW = 2 ** 32 / 64;
/** size / 16 MiB of the range of a mark is size × 256. */
const MARK_PER_BYTE = 2 ** 32 / (16 * 1024 * 1024);

/** 32 bits. */
const MARK_DIGITS = 8;

/** The first 32 bits of BLAKE3 of the path; for everything but a file with content, of the last name in it. */
export function cutMarkOf({ path, size }: { readonly path: Uint8Array; readonly size: number }): number {
  const digest = hashHex(size > 0 ? path : path.subarray(path.lastIndexOf(SLASH) + 1));
  return Number.parseInt(digest.slice(0, MARK_DIGITS), 16);
}

/** True when a run ends after an entry with this mark and size. */
export const endsRun = ({ mark, sizeBytes }: { readonly mark: number; readonly sizeBytes: number }): boolean =>
  mark < Math.max(MARK_BELOW, sizeBytes * MARK_PER_BYTE);

export interface Cuttable {
  readonly entry: Entry;
  /** `cutMarkOf` its path, or of the path where it was before. */
  readonly mark: number;
}

/** Takes entries in path order and gives runs, in the order of their first paths. */
export class Cutter<T extends Cuttable> {
  #run: T[] = [];
  #enclosed: T[][] = [];
  #runBytes = 0;
  #recordBytes = RECORD_HEAD_BYTES_MAX;

  /** The parcels that this entry completes; usually none. */
  push(item: T): readonly (readonly T[])[] {
    const { entry } = item;
    if (entry.size >= PARCEL_FILE_BYTES) {
      if (this.#run.length === 0) return [[item]];
      this.#enclosed.push([item]);
      return this.#span >= RUN_SPAN_MAX ? this.end() : [];
    }
    const recordBytes = entryBytesBound(entry);
    const full = this.#runBytes + entry.size > RUN_BYTES_MAX || this.#recordBytes + recordBytes > RECORD_BYTES_MAX;
    const closed = full ? this.end() : [];
    this.#run.push(item);
    this.#runBytes += entry.size;
    this.#recordBytes += recordBytes;
    if (this.#span < RUN_SPAN_MAX && !endsRun({ mark: item.mark, sizeBytes: entry.size })) return closed;
    return [...closed, ...this.end()];
  }

  /** Nothing is open: the next entry is cut as if it were the very first. */
  get isEmpty(): boolean {
    return this.#span === 0;
  }

  /** The parcels that are still open. */
  end(): readonly (readonly T[])[] {
    const closed = this.#run.length === 0 ? [] : [this.#run, ...this.#enclosed];
    this.#run = [];
    this.#enclosed = [];
    this.#runBytes = 0;
    this.#recordBytes = RECORD_HEAD_BYTES_MAX;
    return closed;
  }

  get #span(): number {
    return this.#run.length + this.#enclosed.length;
  }
}

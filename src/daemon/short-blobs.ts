/**
 * Short blobs: the blobs of parcels that have fewer copies than they should. Such a blob may lie here without
 * belonging to a copy, and be the last of its kind, even where no whole copy can be made from it. So it is not put in
 * the trash.
 *
 * They are known by the records that are here. No others are spared when something expires: while a large source is
 * copied for the first time, much of it has no copy and no record here, and if all of that were spared, the room that
 * it needs would not come free. A look reads the record of each short parcel, some 0.1 ms each. A fingerprint that two
 * blobs share spares one too many, which does no harm.
 *
 * Takes 8 bytes of memory a blob, while a look is valid.
 *
 * Driven by catalog-sweeper.ts, before a sweep, and by dropper.ts, for what expires.
 */
import { fingerprintOf } from '../catalog/inherit-keys.js';
import { recordBlobs } from '../catalog/record.js';
import { grown } from '../core/grown.js';
import type { ParcelId, SourceId } from '../core/ids.js';
import type { Machine } from '../core/machine.js';
import type { ObjectReader } from '../core/objects.js';
import { Turns } from '../store/turns.js';

/** Expiries come in thousands when a head unlists a snapshot: one look is valid for this long … */
const KEPT_MS_MIN = 60_000;
/** … or, where there is much to look at, this many times as long as the look took. */
const KEPT_LOOKS = 20;
const BLOBS_AT_FIRST = 1024;

export interface ShortParcel {
  readonly parcel: ParcelId;
  readonly copies: number;
}

export interface ShortBlobsOptions {
  readonly sources: () => Iterable<SourceId>;
  /** The source's wanted parcels that have fewer copies than they should. */
  readonly short: (source: SourceId) => Iterable<ShortParcel>;
  /** Reads from the state folder and from the mounted stores. */
  readonly reader: ObjectReader;
  /** Steady ms. */
  readonly nowMs: () => number;
}

export interface ShortLook {
  readonly has: (blob: string) => boolean;
  /** True when every parcel without a copy has its record here. */
  readonly isComplete: boolean;
}

export class ShortBlobs {
  readonly #options: ShortBlobsOptions;
  readonly #looking = new Turns<'look'>();
  #kept: { readonly look: ShortLook; readonly untilMs: number } | undefined;

  constructor(options: ShortBlobsOptions) {
    this.#options = options;
  }

  /** Looks now. */
  async look(): Promise<ShortLook> {
    const { sources, short, reader } = this.#options;
    let blobs = new Float64Array(BLOBS_AT_FIRST);
    let count = 0;
    let isComplete = true;
    for (const source of [...sources()]) {
      for (const { parcel, copies } of [...short(source)]) {
        const record = await reader.get(parcel);
        if (record === undefined) isComplete &&= copies > 0;
        else
          for (const { blob } of recordBlobs(record)) {
            if (count === blobs.length) blobs = grown(blobs, 0, 0);
            blobs[count] = fingerprintOf(blob);
            count += 1;
          }
      }
    }
    const sorted = blobs.subarray(0, count).sort();
    return { has: blob => isAmong(sorted, fingerprintOf(blob)), isComplete };
  }

  /** Gives the last look, if it is not too old. */
  recent(): Promise<ShortLook> {
    return this.#looking.take('look', async () => {
      const begunMs = this.#options.nowMs();
      if (this.#kept !== undefined && begunMs < this.#kept.untilMs) return this.#kept.look;
      const look = await this.look();
      const nowMs = this.#options.nowMs();
      const forMs = Math.max(KEPT_MS_MIN, KEPT_LOOKS * (nowMs - begunMs));
      const kept = { look, untilMs: nowMs + forMs };
      this.#kept = kept;
      setTimeout(() => {
        if (this.#kept === kept) this.#kept = undefined;
      }, forMs).unref();
      return look;
    });
  }
}

function isAmong(sorted: Float64Array, wanted: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < wanted) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === wanted;
}

export function* shortOf(
  source: SourceId,
  known: Pick<Machine['known'], 'wanted' | 'copies' | 'wantedCopies'>,
): Generator<ShortParcel> {
  for (const { id } of known.wanted(source)) {
    const copies = known.copies(id);
    if (copies < (known.wantedCopies(id) ?? 1)) yield { parcel: id, copies };
  }
}

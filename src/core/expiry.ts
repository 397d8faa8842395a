/**
 * Expiry: may a copy go because it is no longer wanted?
 *
 * This is judged by the newest head of its source that this host ever heard of, never by silence: a holder that has not
 * caught up keeps everything. A parcel that is referenced neither by a listed snapshot nor by one that keeps its `hold`
 * (hold.ts) waits `gcGrace` more. All times are the holder's own running time, so a host that was off for a month does
 * not wake up and clear its disk.
 *
 * Pure. Driven by the machine; `ExpiryWarrant.from` is the only maker of the warrant that a store demands (I7).
 */
import type { ParcelId, SourceId, StoreId } from './ids.js';

export interface ExpiryView {
  /** The parcel's source; undefined while neither a page nor a record has named it. */
  readonly source: SourceId | undefined;
  /** A listed snapshot, or one that keeps its hold, references it. */
  readonly wanted: boolean;
  /** The newest head in force here, and the newest that anybody has named. 0: none. */
  readonly headSeq: number;
  readonly heardSeq: number;
  /** This host's running time, over all its starts. */
  readonly runMs: number;
  /** Since when nobody wants it. */
  readonly unwantedSinceRunMs: number;
  readonly gcGraceMs: number;
  /** This host is dropping it, or is reading it for a grant. */
  readonly busy: boolean;
}

export type ExpiryVerdict =
  | { readonly act: 'keep'; readonly because: 'wanted' | 'no-head' | 'head-behind' | 'busy' }
  | { readonly act: 'wait'; readonly untilRunMs: number }
  /** The record must be read to learn the parcel's source. */
  | { readonly act: 'identify' }
  | { readonly act: 'expire' };

export function decideExpiry(view: ExpiryView): ExpiryVerdict {
  if (view.wanted) return { act: 'keep', because: 'wanted' };
  const dueRunMs = view.unwantedSinceRunMs + view.gcGraceMs;
  if (view.runMs < dueRunMs) return { act: 'wait', untilRunMs: dueRunMs };
  if (view.busy) return { act: 'keep', because: 'busy' };
  if (view.source === undefined) return { act: 'identify' };
  if (view.headSeq === 0) return { act: 'keep', because: 'no-head' };
  if (view.headSeq < view.heardSeq) return { act: 'keep', because: 'head-behind' };
  return { act: 'expire' };
}

/** The proof that a store demands before it lets an unwanted parcel go. */
export class ExpiryWarrant {
  readonly parcel: ParcelId;
  readonly store: StoreId;
  readonly source: SourceId;
  /** The head by which it is unwanted. */
  readonly headSeq: number;

  private constructor(parcel: ParcelId, store: StoreId, source: SourceId, headSeq: number) {
    this.parcel = parcel;
    this.store = store;
    this.source = source;
    this.headSeq = headSeq;
  }

  /** @returns undefined unless the verdict on this view is to expire. */
  static from(
    view: ExpiryView,
    { parcel, store }: { readonly parcel: ParcelId; readonly store: StoreId },
  ): ExpiryWarrant | undefined {
    if (decideExpiry(view).act !== 'expire' || view.source === undefined) return undefined;
    return new ExpiryWarrant(parcel, store, view.source, view.headSeq);
  }
}

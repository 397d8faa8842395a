/**
 * Entries in order: the entries of a snapshot's parcels, in path order.
 *
 * Parcels stand in the order of their first paths. A run (many entries) may enclose parcels of one large file each, and
 * nothing else; two runs never interleave, and a run closes within `RUN_SPAN_MAX` parcels and entries of its opening
 * (cut.ts). So it is enough to hold one run.
 */
import type { ParcelId } from '../core/ids.js';
import type { Entry } from './entry.js';
import { MalformedObject } from './malformed-object.js';
import { comparePaths } from './path-order.js';
import type { WalkedParcel } from './snapshot-pages.js';

export interface WalkedEntry {
  readonly entry: Entry;
  /** The parcel that the entry is in. */
  readonly parcel: ParcelId;
  readonly of: WalkedParcel;
}

/** Gives the entries of enclosed parcels between those of the run around them. */
export async function* inPathOrder(parcels: AsyncIterable<WalkedParcel>): AsyncGenerator<readonly WalkedEntry[]> {
  let run: { readonly parcel: WalkedParcel; at: number } | undefined;
  let last: Entry | undefined;
  const take = ({
    parcel,
    from,
    to,
  }: {
    readonly parcel: WalkedParcel;
    readonly from: number;
    readonly to: number;
  }): WalkedEntry[] => {
    const first = parcel.entries[from];
    if (last !== undefined && first !== undefined && from < to && comparePaths(last.path, first.path) >= 0) {
      throw new MalformedObject(`parcel ${parcel.ref.id}: its entries do not follow those of the parcels before it`);
    }
    last = to > from ? parcel.entries[to - 1] : last;
    return parcel.entries.slice(from, to).map(entry => ({ entry, parcel: parcel.ref.id, of: parcel }));
  };
  for await (const parcel of parcels) {
    const opening = parcel.entries[0]?.path ?? Buffer.alloc(0);
    if (run !== undefined) {
      const { entries } = run.parcel;
      let to = run.at;
      while (to < entries.length && comparePaths(entries[to]?.path ?? opening, opening) < 0) to += 1;
      if (to > run.at) yield take({ parcel: run.parcel, from: run.at, to });
      run = to < entries.length ? { parcel: run.parcel, at: to } : undefined;
    }
    if (run === undefined) run = { parcel, at: 0 };
    else yield take({ parcel, from: 0, to: parcel.entries.length });
  }
  if (run !== undefined) yield take({ parcel: run.parcel, from: run.at, to: run.parcel.entries.length });
}

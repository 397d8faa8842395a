/**
 * Scrub notes: how far this host's own scrub of each of its stores is. Kept over a restart, so that a host that is
 * switched off every night still comes to the end of its cycles.
 *
 * Not flushed each time: after a power cut a few parcels are read once more. Driven by the daemon's scrub-walk.ts.
 */
import { decode, encode } from 'cborg';
import type { Database, RootDatabase } from 'lmdb';
import { bytesOf, type ParcelId, parseParcelId, type StoreId } from '../core/ids.js';

/** One pass over all parcels of a store, in the order of their ids. Times are of the wall clock, in ms since 1970. */
export interface ScrubCycle {
  readonly beganMs: number;
  /** Parcels up to this one have been read in this cycle; undefined while none has. */
  readonly cursor: ParcelId | undefined;
  /** Parcels that the disk did not give in this cycle: nothing is known of them. */
  readonly unread: number;
  /** When a cycle in which every parcel was read came to its end; undefined for never. */
  readonly endedMs: number | undefined;
}

type CycleFields = [number, string | null, number, number | null];

export class ScrubNotes {
  readonly #notes: Database<Buffer, Uint8Array>;

  constructor(root: RootDatabase<Buffer, Uint8Array>) {
    this.#notes = root.openDB({ name: 'scrubs', keyEncoding: 'binary', encoding: 'binary' });
  }

  get(store: StoreId): ScrubCycle | undefined {
    const bytes = this.#notes.get(Buffer.from(bytesOf(store)));
    if (bytes === undefined) return undefined;
    const [beganMs, cursor, unread, endedMs] = decode(bytes) as CycleFields;
    return {
      beganMs,
      cursor: cursor === null ? undefined : parseParcelId(cursor),
      unread,
      endedMs: endedMs ?? undefined,
    };
  }

  async note(store: StoreId, { beganMs, cursor, unread, endedMs }: ScrubCycle): Promise<void> {
    const fields: CycleFields = [
      Math.floor(beganMs),
      cursor ?? null,
      unread,
      endedMs === undefined ? null : Math.floor(endedMs),
    ];
    await this.#notes.put(Buffer.from(bytesOf(store)), Buffer.from(encode(fields)));
  }
}

/**
 * Store rests: after a failure, a store of ours is not tried again for that purpose for a while, twice as long each
 * time.
 *
 * A full or read-only disk that refuses one removal will refuse the next: its log takes no `del`, and the store must be
 * reopened after each. Without a rest the store would come and go with every surplus parcel in it, and each time other
 * hosts would see its copies vanish and come back. A log that is doubted is read again with all its copies; two
 * machines with one identity make each other doubt their logs for as long as both run. And a disk that refuses a write
 * for lack of room, although it reported some, will refuse the next a moment later.
 *
 * Pure. Removals are driven by dropping.ts and expiring.ts, doubts by the owner of the stores, lack of room by
 * ceilings.ts.
 */
import type { StoreId } from './ids.js';

export interface RestTimes {
  /** The first rest, in ms. */
  readonly leastMs: number;
  /** The longest rest, in ms. */
  readonly mostMs: number;
}

export const REMOVAL_RESTS: RestTimes = { leastMs: 5_000, mostMs: 30 * 60_000 };
export const DOUBT_RESTS: RestTimes = { leastMs: 60_000, mostMs: 60 * 60_000 };
/**
 * The first rest is as long as that of a parcel that found a full disk, so that both are tried again together. The
 * longest is what a person who has made room may be kept waiting: by then each try costs only the beginning of one
 * transfer.
 */
export const NO_ROOM_RESTS: RestTimes = { leastMs: 60_000, mostMs: 30 * 60_000 };

export class StoreRests {
  readonly #times: RestTimes;
  readonly #rests = new Map<StoreId, { readonly count: number; readonly untilMs: number }>();

  constructor(times: RestTimes) {
    this.#times = times;
  }

  /** -Infinity for a store that never rested, or has recovered. */
  untilMs(store: StoreId): number {
    return this.#rests.get(store)?.untilMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Begins a rest after a failure. Other failures while the store rests count as part of the same one. */
  begin(store: StoreId, nowMs: number): void {
    const before = this.#rests.get(store);
    if (before !== undefined && nowMs < before.untilMs) return;
    const count = (before?.count ?? 0) + 1;
    const { leastMs, mostMs } = this.#times;
    this.#rests.set(store, { count, untilMs: nowMs + Math.min(mostMs, leastMs * 2 ** Math.min(count - 1, 16)) });
  }

  /** The store has succeeded: the next rest is a first one. */
  forget(store: StoreId): void {
    this.#rests.delete(store);
  }
}

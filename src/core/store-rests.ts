/**
 * Store rests: a store of ours with which something went wrong is left alone with that for a while, twice as long each time.
 *
 * What refuses one removal, a disk that is full or read-only, refuses the next: its log takes no `del`, and the store has to
 * be opened anew after each. Without a rest it would come and go with every parcel in it that is too many, and each time the
 * others would see its copies vanish and come back. A log that is doubted is read anew with all its copies; of two machines
 * with one identity each makes the other doubt its own, for as long as both run. And a disk that takes nothing for want of
 * room, though it told of some, will take nothing a moment later.
 *
 * Pure. Removals are driven by dropping.ts and expiring.ts, doubt by whoever owns the stores, want of room by ceilings.ts.
 */
import type { StoreId } from './ids.js';

export interface RestTimes {
  /** The first rest, in ms. */
  readonly leastMs: number;
  /** No rest is longer, in ms. */
  readonly mostMs: number;
}

export const REMOVAL_RESTS: RestTimes = { leastMs: 5_000, mostMs: 30 * 60_000 };
export const DOUBT_RESTS: RestTimes = { leastMs: 60_000, mostMs: 60 * 60_000 };
/**
 * First as long as a parcel that found a full disk waits, so that both are tried anew together. At last as long as a person who
 * has made room may be kept waiting: by then each try costs the beginning of one transfer.
 */
export const NO_ROOM_RESTS: RestTimes = { leastMs: 60_000, mostMs: 30 * 60_000 };

export class StoreRests {
  readonly #times: RestTimes;
  readonly #rests = new Map<StoreId, { readonly count: number; readonly untilMs: number }>();

  constructor(times: RestTimes) {
    this.#times = times;
  }

  /** -Infinity for a store that never rested, or is well again. */
  untilMs(store: StoreId): number {
    return this.#rests.get(store)?.untilMs ?? Number.NEGATIVE_INFINITY;
  }

  /** It went wrong. What was under way then, and goes wrong while the store rests, is part of it. */
  begin(store: StoreId, nowMs: number): void {
    const before = this.#rests.get(store);
    if (before !== undefined && nowMs < before.untilMs) return;
    const count = (before?.count ?? 0) + 1;
    const { leastMs, mostMs } = this.#times;
    this.#rests.set(store, { count, untilMs: nowMs + Math.min(mostMs, leastMs * 2 ** Math.min(count - 1, 16)) });
  }

  /** It went well. */
  forget(store: StoreId): void {
    this.#rests.delete(store);
  }
}

/**
 * Fetching: the fetches of what this host is after: which begin, from whom, how they get on, and whom to ask next when one
 * fails. Few full transfers rather than many thin ones, and no more from a slow source than it can give.
 *
 * A fetch that was given up goes on until it is known to have ended: so long its room is kept.
 *
 * Driven by pursuing.ts.
 */
import type { Effect, FetchFailure } from './effects.js';
import { unreachable } from './fault.js';
import { backOffMs } from './fetch-failures.js';
import type { Givers } from './givers.js';
import type { HostId, StoreId } from './ids.js';
import type { Paces } from './paces.js';
import type { ParcelTable, Row } from './parcel-table.js';
import {
  BACK_OFF_MS_MAX,
  FETCHES_MAX,
  FETCHES_OF_SLOW_MAX,
  FETCHES_PER_SOURCE_MAX,
  type Pursuit,
  SOURCE_TRIES_MAX,
} from './pursuit.js';
import type { Room } from './room.js';

export interface FetchingContext {
  readonly table: Pick<ParcelTable, 'id'>;
  readonly paces: Paces;
  readonly givers: Pick<Givers, 'all' | 'choose' | 'isConnected'>;
  readonly room: Pick<Room, 'takesNew'>;
  readonly nowMs: () => number;
  readonly emit: (effect: Effect) => void;
  readonly lookLater: (row: Row, atMs: number) => void;
}

/** What a fetch that was given up keeps until its end. */
type Ending = Pick<Pursuit, 'store' | 'reservedBytes'>;

export class Fetching {
  readonly #of: FetchingContext;
  readonly #fetches = new Map<number, Pursuit>();
  /** Given up, and not known to have ended: until then their bytes may still come to lie in the store. */
  readonly #ending = new Map<number, Ending>();
  /** Of each source, how many of the fetches; made anew before fetches start. */
  readonly #load = new Map<HostId, number>();
  /** What was last looked at for something to fetch: until it is another, or the time has come, nothing would be found. */
  #soughtOf = -1;
  #dueMs = Number.POSITIVE_INFINITY;
  #next = 1;

  constructor(context: FetchingContext) {
    this.#of = context;
  }

  get size(): number {
    return this.#fetches.size;
  }

  /** Of what is kept free for pursuits, how much is here. */
  get doneBytes(): number {
    let bytes = 0;
    for (const { reservedBytes, doneBytes } of this.#fetches.values()) bytes += Math.min(reservedBytes, doneBytes);
    return bytes;
  }

  /** Those of which more has come since their claims were last renewed. */
  moving(): readonly Pursuit[] {
    return [...this.#fetches.values()].filter(({ doneBytes, renewedBytes }) => doneBytes > renewedBytes);
  }

  /** Begins with what is cleared, in the order of the pursuits. @param version rises when another one is, or may be had from others */
  start(pursuits: ReadonlyMap<Row, Pursuit>, version: number): void {
    const { paces, givers, nowMs, lookLater } = this.#of;
    if (pursuits.size === this.#fetches.size) return;
    const soughtOf = version + paces.version;
    if (this.#soughtOf === soughtOf && nowMs() < this.#dueMs) return;
    this.#soughtOf = soughtOf;
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#load.clear();
    let slow = 0;
    for (const { from } of this.#fetches.values()) {
      if (from === undefined) continue;
      this.#load.set(from, (this.#load.get(from) ?? 0) + 1);
      if (paces.isSlow(from)) slow += 1;
    }
    let others = this.#fetches.size - slow;
    for (const pursuit of pursuits.values()) {
      if (others >= FETCHES_MAX && slow >= FETCHES_OF_SLOW_MAX) return;
      if (pursuit.stage !== 'cleared') continue;
      for (const untilMs of pursuit.avoidUntilMs.values())
        if (untilMs > nowMs()) this.#dueMs = Math.min(this.#dueMs, untilMs);
      const source = givers.choose(pursuit.row, pursuit.avoidUntilMs, this.#load);
      if (source.from === undefined) {
        // Nobody to ask now: every source has its time not to be asked before.
        if (source.nextMs !== Number.POSITIVE_INFINITY) lookLater(pursuit.row, source.nextMs);
        continue;
      }
      const isSlow = paces.isSlow(source.from);
      const load = this.#load.get(source.from) ?? 0;
      if (isSlow ? slow >= FETCHES_OF_SLOW_MAX || load > 0 : others >= FETCHES_MAX || load >= FETCHES_PER_SOURCE_MAX)
        continue;
      this.#load.set(source.from, load + 1);
      if (isSlow) slow += 1;
      else others += 1;
      this.#begin(pursuit, source.from);
    }
  }

  #begin(pursuit: Pursuit, from: HostId): void {
    const { table, paces, nowMs, emit } = this.#of;
    pursuit.stage = 'fetching';
    pursuit.fetch = this.#next;
    pursuit.from = from;
    pursuit.doneBytes = 0;
    pursuit.renewedBytes = 0;
    this.#next += 1;
    this.#fetches.set(pursuit.fetch, pursuit);
    paces.began(from, nowMs());
    emit({
      do: 'fetch',
      fetch: pursuit.fetch,
      parcel: table.id(pursuit.row),
      store: pursuit.store,
      from,
      purpose: pursuit.purpose,
      roomBytes: pursuit.reservedBytes,
    });
  }

  /** So much of a fetch is here now. @returns whose it is; undefined for one that was given up */
  came(fetch: number, doneBytes: number): Pursuit | undefined {
    const { paces, nowMs } = this.#of;
    const pursuit = this.#fetches.get(fetch);
    if (pursuit === undefined) return undefined;
    if (pursuit.from !== undefined) paces.came(pursuit.from, Math.max(0, doneBytes - pursuit.doneBytes), nowMs());
    pursuit.doneBytes = doneBytes;
    return pursuit;
  }

  /** A fetch has ended with a copy: so much of it came in all. @returns as `came` */
  got(fetch: number, receivedBytes: number): Pursuit | undefined {
    return this.came(fetch, Math.max(this.#fetches.get(fetch)?.doneBytes ?? 0, receivedBytes));
  }

  /** A fetch has ended without a copy. @returns whose it is; undefined for one that was given up */
  failed(fetch: number): Pursuit | undefined {
    const pursuit = this.#fetches.get(fetch);
    if (pursuit === undefined) return undefined;
    this.end(pursuit);
    pursuit.stage = 'cleared';
    return pursuit;
  }

  /** … that was given up, with a copy or without. @returns what was kept for it */
  endedAfterAll(fetch: number): Ending | undefined {
    const ending = this.#ending.get(fetch);
    this.#ending.delete(fetch);
    return ending;
  }

  /** One more failure: whom it asked is not asked before its time. @returns whether another is asked, or this one later */
  asksOn(pursuit: Pursuit, because: FetchFailure, retryAfterMs: number): boolean {
    const { from } = pursuit;
    pursuit.tries += 1;
    if (from === undefined) return false;
    // What it has not, or has wrong, it will not have right in a moment.
    const avoidMs = because === 'gone' || because === 'bad-bytes' ? BACK_OFF_MS_MAX : backOffMs(pursuit.tries);
    pursuit.avoidUntilMs.set(from, this.#of.nowMs() + Math.max(retryAfterMs, because === 'busy' ? 0 : avoidMs));
    return pursuit.tries < SOURCE_TRIES_MAX && !pursuit.hasLost && this.#layWithSource(pursuit, because);
  }

  /** Whether it lay with the source, so that asking on makes sense. */
  #layWithSource({ row, store, avoidUntilMs }: Pursuit, because: FetchFailure): boolean {
    const { room, givers, nowMs } = this.#of;
    if (!room.takesNew(store)) return false;
    switch (because) {
      case 'busy':
      case 'unreachable':
        return true;
      case 'gone':
      case 'bad-bytes':
        return givers
          .all(row)
          .some(
            source => givers.isConnected(source) && (avoidUntilMs.get(source) ?? Number.NEGATIVE_INFINITY) <= nowMs(),
          );
      case 'no-room':
      case 'outgrown':
      case 'disk':
      case 'cancelled':
        return false;
      default:
        return unreachable(because);
    }
  }

  /** Gives it up. @returns false where there is none: what was kept for it may be given back at once */
  cancel(pursuit: Pursuit): boolean {
    const { fetch } = pursuit;
    if (fetch === undefined) return false;
    this.#of.emit({ do: 'cancel-fetch', fetch });
    this.#ending.set(fetch, pursuit);
    return true;
  }

  /** It is under way no more. */
  end(pursuit: Pursuit): void {
    if (pursuit.fetch === undefined) return;
    this.#fetches.delete(pursuit.fetch);
    // Its place is another one's.
    this.#soughtOf = -1;
    pursuit.fetch = undefined;
    if (pursuit.from !== undefined) this.#of.paces.ended(pursuit.from, this.#of.nowMs());
  }

  /** What was reserved there went with it. */
  storeGone(store: StoreId): void {
    for (const [fetch, ending] of this.#ending) if (ending.store === store) this.#ending.delete(fetch);
  }
}

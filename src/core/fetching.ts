/**
 * Fetching: the fetches of the parcels that this host pursues: which ones begin, from which source, how they progress,
 * and which source comes next when one fails. A few full-speed transfers are better than many thin ones, and a slow
 * source gets no more than it can give.
 *
 * What is read from our own stores takes no link's time: such fetches are counted apart, and say nothing about a pace.
 *
 * A cancelled fetch goes on until it is known to have ended; its room is kept until then.
 *
 * Driven by pursuing.ts.
 */
import type { Effect, FetchFailure, Input } from './effects.js';
import { unreachable } from './fault.js';
import { backOffMs } from './fetch-failures.js';
import type { Fitting } from './fitting.js';
import type { Givers } from './givers.js';
import type { HostId, StoreId } from './ids.js';
import type { Marks } from './marks.js';
import type { Paces } from './paces.js';
import type { ParcelTable, Row } from './parcel-table.js';
import {
  BACK_OFF_MS_MAX,
  FETCHES_HERE_MAX,
  FETCHES_LINKED_MAX,
  FETCHES_MAX,
  FETCHES_OF_SLOW_MAX,
  FETCHES_PER_SOURCE_MAX,
  type Pursuit,
  SOURCE_TRIES_MAX,
} from './pursuit.js';
import type { Room } from './room.js';

export interface FetchingContext {
  readonly self: HostId;
  readonly table: Pick<ParcelTable, 'id'>;
  readonly paces: Paces;
  readonly givers: Pick<Givers, 'all' | 'choose' | 'isConnected'>;
  readonly room: Pick<Room, 'takesNew'>;
  readonly fitting: Pick<Fitting, 'lacksNothing'>;
  readonly nowMs: () => number;
  readonly emit: (effect: Effect) => void;
  readonly marks: Pick<Marks, 'lookLater'>;
}

export type Progress = Pick<Extract<Input, { is: 'fetch-progress' }>, 'doneBytes' | 'foundBytes'>;

/** What a cancelled fetch keeps until its end. */
type Ending = Pick<Pursuit, 'store' | 'reservedBytes'>;

export class Fetching {
  readonly #of: FetchingContext;
  readonly #fetches = new Map<number, Pursuit>();
  /** Cancelled, but not known to have ended: until then their bytes may still arrive in the store. */
  readonly #ending = new Map<number, Ending>();
  /** The number of fetches per source; recounted before fetches start. */
  readonly #load = new Map<HostId, number>();
  /**
   * The version at the last search for something to start: until it changes, or `#dueMs` comes, a search would find
   * nothing.
   */
  #soughtOf = -1;
  #dueMs = Number.POSITIVE_INFINITY;
  #next = 1;

  constructor(context: FetchingContext) {
    this.#of = context;
  }

  get size(): number {
    return this.#fetches.size;
  }

  /** How much of the room kept for pursuits is already filled. */
  get doneBytes(): number {
    let bytes = 0;
    for (const { reservedBytes, doneBytes } of this.#fetches.values()) bytes += Math.min(reservedBytes, doneBytes);
    return bytes;
  }

  /** The pursuits that have received more since their claims were last renewed. */
  moving(): readonly Pursuit[] {
    return [...this.#fetches.values()].filter(
      ({ doneBytes, foundBytes, renewedBytes }) => doneBytes + foundBytes > renewedBytes,
    );
  }

  /**
   * Starts cleared pursuits, in their order. @param version rises when another is cleared, or can be had from other
   * sources
   */
  start(pursuits: ReadonlyMap<Row, Pursuit>, version: number): void {
    const { self, paces, givers, fitting, nowMs, marks } = this.#of;
    if (pursuits.size === this.#fetches.size) return;
    const soughtOf = version + paces.version;
    if (this.#soughtOf === soughtOf && nowMs() < this.#dueMs) return;
    this.#soughtOf = soughtOf;
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#load.clear();
    let slow = 0;
    let here = 0;
    for (const { from } of this.#fetches.values()) {
      if (from === undefined) continue;
      this.#load.set(from, (this.#load.get(from) ?? 0) + 1);
      if (from === self) here += 1;
      else if (paces.isSlow(from)) slow += 1;
    }
    let others = this.#fetches.size - slow - here;
    for (const pursuit of pursuits.values()) {
      if (others >= FETCHES_MAX && slow >= FETCHES_OF_SLOW_MAX && here >= FETCHES_LINKED_MAX) return;
      if (pursuit.stage !== 'cleared') continue;
      for (const untilMs of pursuit.avoidUntilMs.values())
        if (untilMs > nowMs()) this.#dueMs = Math.min(this.#dueMs, untilMs);
      const source = givers.choose(pursuit.row, pursuit.avoidUntilMs, this.#load);
      if (source.from === undefined) {
        // Nobody can be asked now: each source is being avoided for a time.
        if (source.nextMs !== Number.POSITIVE_INFINITY) marks.lookLater(pursuit.row, source.nextMs);
        continue;
      }
      if (source.from === self) {
        if (here >= (fitting.lacksNothing(pursuit) ? FETCHES_LINKED_MAX : FETCHES_HERE_MAX)) continue;
        here += 1;
        this.#begin(pursuit, self);
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
    const { self, table, paces, nowMs, emit } = this.#of;
    pursuit.stage = 'fetching';
    pursuit.fetch = this.#next;
    pursuit.from = from;
    pursuit.doneBytes = 0;
    pursuit.foundBytes = 0;
    pursuit.renewedBytes = 0;
    this.#next += 1;
    this.#fetches.set(pursuit.fetch, pursuit);
    if (from !== self) paces.began(from, nowMs());
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

  /** So many bytes of the fetch have arrived or were found. @returns its pursuit; undefined for a cancelled fetch */
  came(fetch: number, { doneBytes, foundBytes = 0 }: Progress): Pursuit | undefined {
    const { self, paces, nowMs } = this.#of;
    const pursuit = this.#fetches.get(fetch);
    if (pursuit === undefined) return undefined;
    if (pursuit.from !== undefined && pursuit.from !== self)
      paces.came(pursuit.from, Math.max(0, doneBytes - pursuit.doneBytes), nowMs());
    pursuit.doneBytes = doneBytes;
    pursuit.foundBytes = foundBytes;
    return pursuit;
  }

  /** A fetch has ended with a copy, after `receivedBytes` in all. @returns as `came` */
  got(fetch: number, receivedBytes: number): Pursuit | undefined {
    return this.came(fetch, { doneBytes: Math.max(this.#fetches.get(fetch)?.doneBytes ?? 0, receivedBytes) });
  }

  /** A fetch has ended without a copy. @returns its pursuit; undefined for a cancelled fetch */
  failed(fetch: number): Pursuit | undefined {
    const pursuit = this.#fetches.get(fetch);
    if (pursuit === undefined) return undefined;
    this.end(pursuit);
    pursuit.stage = 'cleared';
    return pursuit;
  }

  /** A cancelled fetch has ended, with a copy or without. @returns what was kept for it */
  endedAfterAll(fetch: number): Ending | undefined {
    const ending = this.#ending.get(fetch);
    this.#ending.delete(fetch);
    return ending;
  }

  /**
   * Counts a failure; its source is avoided for a time. @returns whether to go on: with another source, or with this
   * one later
   */
  asksOn(pursuit: Pursuit, because: FetchFailure, retryAfterMs: number): boolean {
    const { from } = pursuit;
    pursuit.tries += 1;
    if (from === undefined) return false;
    // A source that lacks the bytes, or has wrong ones, will not have them right in a moment.
    const avoidMs = because === 'gone' || because === 'bad-bytes' ? BACK_OFF_MS_MAX : backOffMs(pursuit.tries);
    pursuit.avoidUntilMs.set(from, this.#of.nowMs() + Math.max(retryAfterMs, because === 'busy' ? 0 : avoidMs));
    return pursuit.tries < SOURCE_TRIES_MAX && !pursuit.hasLost && this.#layWithSource(pursuit, because);
  }

  /** Whether the failure was the source's, so that asking on makes sense. */
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

  /** Cancels its fetch. @returns false when there is none, so that what was kept for it can be released at once */
  cancel(pursuit: Pursuit): boolean {
    const { fetch } = pursuit;
    if (fetch === undefined) return false;
    this.#of.emit({ do: 'cancel-fetch', fetch });
    this.#ending.set(fetch, pursuit);
    return true;
  }

  /** Takes its fetch off the running ones. */
  end(pursuit: Pursuit): void {
    if (pursuit.fetch === undefined) return;
    this.#fetches.delete(pursuit.fetch);
    // Its place is free for another fetch.
    this.#soughtOf = -1;
    pursuit.fetch = undefined;
    const { self, paces, nowMs } = this.#of;
    if (pursuit.from !== undefined && pursuit.from !== self) paces.ended(pursuit.from, nowMs());
  }

  /** The store's reservations went with it. */
  storeGone(store: StoreId): void {
    for (const [fetch, ending] of this.#ending) if (ending.store === store) this.#ending.delete(fetch);
  }
}

/**
 * Room: what this host's own stores lend, use, and reserve for parcels that are on their way (I6: used + reserved ≤
 * lent).
 *
 * The stores measure the used bytes; reserved bytes are counted here, from a claim to its end. The lent bytes are what
 * the stores report, unless their disks prove otherwise (ceilings.ts).
 */
import { Ceilings } from './ceilings.js';
import { assert } from './fault.js';
import type { StoreId } from './ids.js';
import { WEIGHT_MIB_MAX } from './rendezvous.js';

const MIB = 1024 * 1024;
/** A stated weight is restated when the lent room has changed by more than this: ranks should not flap. */
const WEIGHT_CHANGE_PERCENT = 10;

export interface OwnStore {
  readonly store: StoreId;
  lentBytes: number;
  usedBytes: number;
  reservedBytes: number;
  /** The weight stated to others. */
  weightMiB: number;
  draining: boolean;
  /** Its copies are being read again: more may be in it than its log tells. */
  unread: boolean;
  /** Since when its disk has kept a request waiting; Infinity while it answers. */
  hangsSinceMs: number;
}

export interface FreeRoom {
  readonly store: StoreId;
  readonly freeBytes: number;
}

export class Room {
  readonly #stores = new Map<StoreId, OwnStore>();
  /** Stores that were mounted since the start and are not now. */
  readonly #away = new Set<StoreId>();
  readonly #ceilings = new Ceilings();
  #version = 0;

  /** Rises when a store comes or goes, begins or stops draining, or states a larger or smaller weight. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#stores.size;
  }

  /** Sum of the stated weights of the stores that take parcels. */
  get weightMiB(): number {
    let sum = 0;
    for (const { weightMiB, draining } of this.#stores.values()) if (!draining) sum += weightMiB;
    return Math.min(WEIGHT_MIB_MAX, sum);
  }

  stores(): IterableIterator<OwnStore> {
    return this.#stores.values();
  }

  takesParcels(store: StoreId): boolean {
    return this.#stores.get(store)?.draining === false;
  }

  /** Whether the store takes more parcels now: it neither drains nor hangs. */
  takesNew(store: StoreId): boolean {
    const own = this.#stores.get(store);
    return own !== undefined && takesNew(own);
  }

  /** The store holds and promises more than it lends: its limit was cut, or others use its disk. */
  isOver(store: StoreId): boolean {
    const own = this.#stores.get(store);
    return own !== undefined && own.usedBytes + own.reservedBytes > own.lentBytes;
  }

  /**
   * @returns whether the store is new, is back after having been away, has begun or stopped draining, has begun or ended
   * being read again, and has more free room.
   */
  measured({
    store,
    lentBytes,
    usedBytes,
    draining,
    unread,
  }: Pick<OwnStore, 'store' | 'lentBytes' | 'usedBytes' | 'draining' | 'unread'>): {
    readonly isNew: boolean;
    readonly isBack: boolean;
    readonly isOther: boolean;
    readonly isReadOtherwise: boolean;
    readonly grew: boolean;
  } {
    const known = this.#stores.get(store);
    if (known === undefined) {
      this.#stores.set(store, {
        store,
        lentBytes,
        usedBytes,
        draining,
        unread,
        hangsSinceMs: Number.POSITIVE_INFINITY,
        reservedBytes: 0,
        weightMiB: weightOf(lentBytes),
      });
      this.#version += 1;
      return { isNew: true, isBack: this.#away.delete(store), isOther: false, isReadOtherwise: false, grew: true };
    }
    const isOther = known.draining !== draining;
    const isReadOtherwise = known.unread !== unread;
    if (isOther) this.#version += 1;
    const grew = lentBytes - usedBytes > known.lentBytes - known.usedBytes;
    known.lentBytes = lentBytes;
    known.usedBytes = usedBytes;
    // Bytes in transit may already be measured, and may still be refused.
    if (known.reservedBytes === 0) this.#ceilings.holds(store, usedBytes);
    known.draining = draining;
    known.unread = unread;
    const change = Math.abs(weightOf(lentBytes) - known.weightMiB) * 100;
    if (change > known.weightMiB * WEIGHT_CHANGE_PERCENT) {
      known.weightMiB = weightOf(lentBytes);
      this.#version += 1;
    }
    return { isNew: false, isBack: false, isOther, isReadOtherwise, grew };
  }

  used(store: StoreId, usedBytes: number): void {
    const own = this.#stores.get(store);
    if (own !== undefined) own.usedBytes = usedBytes;
    this.#ceilings.holds(store, usedBytes);
  }

  /**
   * The disk had no room for this much, whatever it reports: for a while others are told so, and no more is stored
   * there.
   */
  refused(store: StoreId, neededBytes: number, nowMs: number): void {
    const own = this.#stores.get(store);
    if (own === undefined) return;
    this.#ceilings.refused(store, { heldBytes: own.usedBytes + own.reservedBytes, neededBytes }, nowMs);
  }

  /**
   * Notes whether its disk answers. While it does not, nothing new is stored there, and others are told that nothing
   * fits. Its weight in the ranks stays, because it usually answers again soon. @returns whether that has changed
   */
  hangs(store: StoreId, sinceMs: number): boolean {
    const own = this.#stores.get(store);
    if (own === undefined || (own.hangsSinceMs === Number.POSITIVE_INFINITY) === (sinceMs === Number.POSITIVE_INFINITY))
      return false;
    own.hangsSinceMs = sinceMs;
    return true;
  }

  hangsAny(): boolean {
    for (const own of this.#stores.values()) if (isHanging(own)) return true;
    return false;
  }

  /** Infinity for a store that answers, or is gone. */
  hangsSinceMs(store: StoreId): number {
    return this.#stores.get(store)?.hangsSinceMs ?? Number.POSITIVE_INFINITY;
  }

  /** When time alone may bring more room; Infinity for never. */
  get dueMs(): number {
    return this.#ceilings.dueMs;
  }

  /** @returns whether time alone has brought more room, so that others must be told. */
  liftCeilings(nowMs: number): boolean {
    return this.#ceilings.lift(nowMs);
  }

  /** What the store lends, limited by what its disk has shown. */
  lendableBytes(own: OwnStore): number {
    const { store, lentBytes, usedBytes, reservedBytes } = own;
    const heldBytes = usedBytes + reservedBytes;
    return Math.min(lentBytes, isHanging(own) ? heldBytes : this.#ceilings.bytesOf(store, heldBytes));
  }

  /** Whether any store's report is being tested (ceilings.ts). */
  get triesAny(): boolean {
    return this.#ceilings.triesAny;
  }

  /** Whether this much more in the store would test what its disk refused. */
  triesWith(store: StoreId, needBytes: number): boolean {
    const own = this.#stores.get(store);
    return own !== undefined && this.#ceilings.triesWith(store, own.usedBytes + own.reservedBytes + needBytes);
  }

  /**
   * Whether a copy that is in both should stay in `a`: rather in a store that takes parcels, then in the one with more
   * free room.
   */
  isBetterKept(a: OwnStore, b: OwnStore): boolean {
    if (a.draining !== b.draining) return b.draining;
    return this.#freeBytes(a) > this.#freeBytes(b);
  }

  #freeBytes(own: OwnStore): number {
    return this.lendableBytes(own) - own.usedBytes - own.reservedBytes;
  }

  /** @returns false when there was no such store. */
  remove(store: StoreId): boolean {
    this.#version += 1;
    if (!this.#stores.delete(store)) return false;
    this.#away.add(store);
    return true;
  }

  reserve(store: StoreId, bytes: number): void {
    const own = this.#stores.get(store);
    assert(own !== undefined, `not a mounted store: ${store}`);
    own.reservedBytes += bytes;
    assert(own.usedBytes + own.reservedBytes <= own.lentBytes, `store ${store} promises more than it lends`);
  }

  /** The most that any store which takes parcels lends, however much of it is used. */
  get mostLentBytes(): number {
    let most = 0;
    for (const { lentBytes, draining } of this.#stores.values()) if (!draining) most = Math.max(most, lentBytes);
    return most;
  }

  /** The store with the most free room of those that take new parcels. */
  roomiest(): FreeRoom | undefined {
    let best: FreeRoom | undefined;
    for (const own of this.#stores.values()) {
      const freeBytes = this.#freeBytes(own);
      if (!takesNew(own)) continue;
      if (best === undefined || freeBytes > best.freeBytes) best = { store: own.store, freeBytes };
    }
    return best;
  }

  /** Those that take new parcels, the one with the most free room first. */
  byFreeRoom(): readonly FreeRoom[] {
    return [...this.#stores.values()]
      .filter(takesNew)
      .map(own => ({ store: own.store, freeBytes: this.#freeBytes(own) }))
      .sort((a, b) => b.freeBytes - a.freeBytes);
  }

  /** @returns false, and reserves nothing, when there is no room, or the store takes no new parcels. */
  reserveIfFree(store: StoreId, bytes: number): boolean {
    return this.takesNew(store) && this.reserveForOwn(store, bytes);
  }

  /** The same for bytes that are on its disk already, also where no new parcels are taken. */
  reserveForOwn(store: StoreId, bytes: number): boolean {
    const own = this.#stores.get(store);
    if (own === undefined || bytes > this.#freeBytes(own)) return false;
    own.reservedBytes += bytes;
    return true;
  }

  /** Does nothing for a store that is gone: its reservations went with it. */
  release(store: StoreId, bytes: number): void {
    const own = this.#stores.get(store);
    if (own !== undefined) own.reservedBytes -= bytes;
  }

  /**
   * The store for a parcel: the first with room that `prefers` names, otherwise the roomiest; undefined when none has
   * room.
   */
  placeFor(
    needBytesIn: (store: StoreId) => number,
    prefers: (store: StoreId) => boolean,
  ): { readonly store: StoreId; readonly needBytes: number } | undefined {
    let best: { store: StoreId; needBytes: number; freeBytes: number } | undefined;
    for (const own of this.#stores.values()) {
      const { store } = own;
      if (!takesNew(own)) continue;
      const freeBytes = this.#freeBytes(own);
      const needBytes = needBytesIn(store);
      if (needBytes > freeBytes) continue;
      if (prefers(store)) return { store, needBytes };
      if (best === undefined || freeBytes > best.freeBytes) best = { store, needBytes, freeBytes };
    }
    return best;
  }
}

const isHanging = ({ hangsSinceMs }: OwnStore): boolean => hangsSinceMs !== Number.POSITIVE_INFINITY;

const takesNew = (own: OwnStore): boolean => !own.draining && !isHanging(own);

const weightOf = (lentBytes: number): number => Math.max(0, Math.min(WEIGHT_MIB_MAX, Math.floor(lentBytes / MIB)));

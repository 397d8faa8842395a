/**
 * Room: what this host's own stores lend, use, and keep free for parcels that are on their way (I6: used + reserved ≤ lent).
 *
 * Used bytes are measured by the stores; reserved ones are counted here, from a claim to its end. What is lent is their word,
 * unless their disks say otherwise (ceilings.ts).
 */
import { Ceilings } from './ceilings.js';
import { assert } from './fault.js';
import type { StoreId } from './ids.js';
import { WEIGHT_MIB_MAX } from './rendezvous.js';

const MIB = 1024 * 1024;
/** A stated weight is restated when the room lent has moved by more than this: ranks should not flap. */
const WEIGHT_CHANGE_PERCENT = 10;

export interface OwnStore {
  readonly store: StoreId;
  lentBytes: number;
  usedBytes: number;
  reservedBytes: number;
  /** As stated to others. */
  weightMiB: number;
  draining: boolean;
  /** Its disk has kept somebody waiting since then; Infinity while it answers. */
  hangsSinceMs: number;
}

export class Room {
  readonly #stores = new Map<StoreId, OwnStore>();
  /** Those that were here since the start and are not now. */
  readonly #away = new Set<StoreId>();
  readonly #ceilings = new Ceilings();
  #version = 0;

  /** Rises when a store comes or goes, begins or ends to be drained, or is stated to be larger or smaller. */
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

  /** … and more of them now. */
  takesNew(store: StoreId): boolean {
    const own = this.#stores.get(store);
    return own !== undefined && takesNew(own);
  }

  /** The store holds and promises more than it lends: its limit was cut, or its disk is wanted by others. */
  isOver(store: StoreId): boolean {
    const own = this.#stores.get(store);
    return own !== undefined && own.usedBytes + own.reservedBytes > own.lentBytes;
  }

  /** @returns whether the store is new, was here before and away, begins or ends to be drained, and has more free room than before. */
  measured({
    store,
    lentBytes,
    usedBytes,
    draining,
  }: Pick<OwnStore, 'store' | 'lentBytes' | 'usedBytes' | 'draining'>): {
    readonly isNew: boolean;
    readonly isBack: boolean;
    readonly isOther: boolean;
    readonly grew: boolean;
  } {
    const known = this.#stores.get(store);
    if (known === undefined) {
      this.#stores.set(store, {
        store,
        lentBytes,
        usedBytes,
        draining,
        hangsSinceMs: Number.POSITIVE_INFINITY,
        reservedBytes: 0,
        weightMiB: weightOf(lentBytes),
      });
      this.#version += 1;
      return { isNew: true, isBack: this.#away.delete(store), isOther: false, grew: true };
    }
    const isOther = known.draining !== draining;
    if (isOther) this.#version += 1;
    const grew = lentBytes - usedBytes > known.lentBytes - known.usedBytes;
    known.lentBytes = lentBytes;
    known.usedBytes = usedBytes;
    // What is on its way may be measured already, and be refused yet.
    if (known.reservedBytes === 0) this.#ceilings.holds(store, usedBytes);
    known.draining = draining;
    const change = Math.abs(weightOf(lentBytes) - known.weightMiB) * 100;
    if (change > known.weightMiB * WEIGHT_CHANGE_PERCENT) {
      known.weightMiB = weightOf(lentBytes);
      this.#version += 1;
    }
    return { isNew: false, isBack: false, isOther, grew };
  }

  used(store: StoreId, usedBytes: number): void {
    const own = this.#stores.get(store);
    if (own !== undefined) own.usedBytes = usedBytes;
    this.#ceilings.holds(store, usedBytes);
  }

  /** Its disk had no room for so much, whatever it says is free: for a while others are told so, and no more is put there. */
  refused(store: StoreId, neededBytes: number, nowMs: number): void {
    const own = this.#stores.get(store);
    if (own === undefined) return;
    this.#ceilings.refused(store, { heldBytes: own.usedBytes + own.reservedBytes, neededBytes }, nowMs);
  }

  /**
   * Whether its disk answers: while it does not, nothing new is put there, and others are told that nothing fits. It is as large as
   * before to those who rank hosts, for it mostly answers soon. @returns whether that is news
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

  /** Infinity for one that answers, or is gone. */
  hangsSinceMs(store: StoreId): number {
    return this.#stores.get(store)?.hangsSinceMs ?? Number.POSITIVE_INFINITY;
  }

  /** When there may be more room by time alone; Infinity for never. */
  get dueMs(): number {
    return this.#ceilings.dueMs;
  }

  /** @returns whether there is more room by time alone, and others are to be told. */
  liftCeilings(nowMs: number): boolean {
    return this.#ceilings.lift(nowMs);
  }

  /** What the store lends, as far as its disk goes along. */
  lendableBytes(own: OwnStore): number {
    const { store, lentBytes, usedBytes, reservedBytes } = own;
    const heldBytes = usedBytes + reservedBytes;
    return Math.min(lentBytes, isHanging(own) ? heldBytes : this.#ceilings.bytesOf(store, heldBytes));
  }

  /** Whether any store is to be tried so. */
  get triesAny(): boolean {
    return this.#ceilings.triesAny;
  }

  /** Whether so much more there would try what its disk refused. */
  triesWith(store: StoreId, needBytes: number): boolean {
    const own = this.#stores.get(store);
    return own !== undefined && this.#ceilings.triesWith(store, own.usedBytes + own.reservedBytes + needBytes);
  }

  /** Whether a copy that lies in both should stay in `a`: in what takes parcels, then where more room is left. */
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

  /** What the largest store that takes parcels lends, however much of it is used. */
  get mostLentBytes(): number {
    let most = 0;
    for (const { lentBytes, draining } of this.#stores.values()) if (!draining) most = Math.max(most, lentBytes);
    return most;
  }

  /** The store that takes parcels and has most free room. */
  roomiest(): { readonly store: StoreId; readonly freeBytes: number } | undefined {
    let best: { store: StoreId; freeBytes: number } | undefined;
    for (const own of this.#stores.values()) {
      const freeBytes = this.#freeBytes(own);
      if (!takesNew(own)) continue;
      if (best === undefined || freeBytes > best.freeBytes) best = { store: own.store, freeBytes };
    }
    return best;
  }

  /** @returns false, and reserves nothing, where the room is not there, or the store takes no parcels. */
  reserveIfFree(store: StoreId, bytes: number): boolean {
    return this.takesNew(store) && this.reserveForOwn(store, bytes);
  }

  /** … for what lies on its disk already. */
  reserveForOwn(store: StoreId, bytes: number): boolean {
    const own = this.#stores.get(store);
    if (own === undefined || bytes > this.#freeBytes(own)) return false;
    own.reservedBytes += bytes;
    return true;
  }

  /** Harmless for a store that is gone: its reservations went with it. */
  release(store: StoreId, bytes: number): void {
    const own = this.#stores.get(store);
    if (own !== undefined) own.reservedBytes -= bytes;
  }

  /** The store that takes something: the first that `prefers`, else the one with most free room; undefined when none has it. */
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

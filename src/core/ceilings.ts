/**
 * Ceilings: how much is put into a store of ours at most, since its disk refused a write for which there was to be room.
 *
 * What a file system says is free knows of no quota, no inodes that are used up and no blocks that are kept for root. Who
 * plans by that word alone plans on room that is not there, and nothing is moved for a parcel that fits nowhere else. So for a
 * while a refusal counts for more: of what was refused half is believed to fit, for something smaller may.
 *
 * When the time is up the word is tried: by one parcel at a time, the smallest first (claim-order.ts), until one lies there
 * that was not believed to fit. Then the word holds again. If the disk refuses once more, it is for twice as long. Were several
 * tried, or a large one, its refusal would bring the ceiling back over one that fits, each time.
 *
 * Pure. Driven by room.ts.
 */
import type { StoreId } from './ids.js';
import { NO_ROOM_RESTS, StoreRests } from './store-rests.js';

/** Of what was refused so much may fit: a few refusals find what does, and none is for a byte less. */
const BELIEVED_SHARE = 0.5;

export class Ceilings {
  readonly #rests = new StoreRests(NO_ROOM_RESTS);
  /** Used and reserved bytes together. Also of stores that are not mounted: one that refuses every write comes and goes. */
  readonly #inForce = new Map<StoreId, number>();
  /** … as they were when their time was up. */
  readonly #lifted = new Map<StoreId, number>();
  #dueMs = Number.POSITIVE_INFINITY;

  /** When the next one is to be lifted; Infinity while there is none. */
  get dueMs(): number {
    return this.#dueMs;
  }

  /** For a store that has used and reserved `heldBytes`; Infinity for one without. */
  bytesOf(store: StoreId, heldBytes: number): number {
    const bytes = this.#inForce.get(store);
    if (bytes !== undefined) return bytes;
    return this.triesWith(store, heldBytes) ? heldBytes : Number.POSITIVE_INFINITY;
  }

  /** Some store's word is tried. */
  get triesAny(): boolean {
    return this.#lifted.size > 0;
  }

  /** Whether so much, used and reserved, is more than was believed to fit before the time was up: it is tried. */
  triesWith(store: StoreId, heldBytes: number): boolean {
    return heldBytes > (this.#lifted.get(store) ?? Number.POSITIVE_INFINITY);
  }

  /** A store that has used and reserved `heldBytes` without it took no `neededBytes` more. */
  refused(store: StoreId, { heldBytes, neededBytes }: { heldBytes: number; neededBytes: number }, nowMs: number): void {
    this.#rests.begin(store, nowMs);
    const bytes = heldBytes + Math.floor(neededBytes * BELIEVED_SHARE);
    this.#inForce.set(store, Math.min(bytes, this.#inForce.get(store) ?? Number.POSITIVE_INFINITY));
    this.#dueMs = Math.min(this.#dueMs, this.#rests.untilMs(store));
  }

  /** Where more lies than was believed to fit, it was not so, or is so no more: the next refusal is a first one. */
  holds(store: StoreId, usedBytes: number): void {
    if (!this.triesWith(store, usedBytes)) return;
    this.#lifted.delete(store);
    this.#rests.forget(store);
  }

  /** Lifts those whose time is up. @returns whether there was one. */
  lift(nowMs: number): boolean {
    if (nowMs < this.#dueMs) return false;
    this.#dueMs = Number.POSITIVE_INFINITY;
    for (const [store, bytes] of this.#inForce) {
      const untilMs = this.#rests.untilMs(store);
      if (nowMs < untilMs) this.#dueMs = Math.min(this.#dueMs, untilMs);
      else {
        this.#inForce.delete(store);
        this.#lifted.set(store, bytes);
      }
    }
    return true;
  }
}

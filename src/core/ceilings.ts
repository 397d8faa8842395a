/**
 * Ceilings: the most that is put into one of our stores after its disk refused a write although room was reported.
 *
 * The free space that a file system reports ignores quotas, used-up inodes and blocks reserved for root. Trusting it
 * alone means planning with room that does not exist, and nothing is moved for a parcel that fits nowhere else. So for
 * a while the refusal counts for more than the report: half of the refused size is believed to fit, because something
 * smaller may.
 *
 * When that time is up, the report is tested with one parcel at a time, the smallest first (claim-order.ts), until one
 * is stored that was not believed to fit. Then the report is trusted again. If the disk refuses once more, the ceiling
 * returns for twice as long. Testing with several parcels or a large one would bring the ceiling back each time, below
 * parcels that do fit.
 *
 * A test with no less than was refused before shows nothing of the sizes between that and what is believed, and nothing
 * smaller is short of copies. But other hosts could make room by handing over families of such a size, and offer only
 * what is believed to fit. So the ceiling returns closer to what was refused each time, until less is refused.
 *
 * Pure. Driven by room.ts.
 */
import type { StoreId } from './ids.js';
import { NO_ROOM_RESTS, StoreRests } from './store-rests.js';

/**
 * The share of a refused size, or of what is in doubt below it, that is believed to fit: a few refusals find what does
 * fit, and none is over a single byte.
 */
const BELIEVED_SHARE = 0.5;

/** In used plus reserved bytes. */
interface Ceiling {
  readonly believedBytes: number;
  /** The least that was refused. */
  readonly refusedBytes: number;
}

export class Ceilings {
  readonly #rests = new StoreRests(NO_ROOM_RESTS);
  /** Unmounted stores are kept too: a disk that refuses every write comes and goes. */
  readonly #inForce = new Map<StoreId, Ceiling>();
  /** The ceilings whose time is up, and which are now tested. */
  readonly #lifted = new Map<StoreId, Ceiling>();
  #dueMs = Number.POSITIVE_INFINITY;

  /** When the next ceiling is to be lifted; Infinity while there is none. */
  get dueMs(): number {
    return this.#dueMs;
  }

  /** The ceiling of a store that has used and reserved `heldBytes`; Infinity without one. */
  bytesOf(store: StoreId, heldBytes: number): number {
    const ceiling = this.#inForce.get(store);
    if (ceiling !== undefined) return ceiling.believedBytes;
    return this.triesWith(store, heldBytes) ? heldBytes : Number.POSITIVE_INFINITY;
  }

  /** Some store's report is being tested. */
  get triesAny(): boolean {
    return this.#lifted.size > 0;
  }

  /** Whether `heldBytes`, used and reserved, exceeds the lifted ceiling, so that the report is being tested. */
  triesWith(store: StoreId, heldBytes: number): boolean {
    return heldBytes > (this.#lifted.get(store)?.believedBytes ?? Number.POSITIVE_INFINITY);
  }

  /** A store that has used and reserved `heldBytes`, without the refused parcel, refused `neededBytes` more. */
  refused(store: StoreId, { heldBytes, neededBytes }: { heldBytes: number; neededBytes: number }, nowMs: number): void {
    this.#rests.begin(store, nowMs);
    const inForce = this.#inForce.get(store);
    const tested = this.#lifted.get(store);
    const refusedBytes = heldBytes + neededBytes;
    if (tested !== undefined && refusedBytes >= tested.refusedBytes)
      this.#inForce.set(store, { ...tested, believedBytes: believedOf(tested.believedBytes, tested.refusedBytes) });
    else if (inForce === undefined || refusedBytes < inForce.refusedBytes) {
      const believedBytes = Math.min(believedOf(heldBytes, refusedBytes), inForce?.believedBytes ?? refusedBytes);
      this.#inForce.set(store, { believedBytes, refusedBytes });
    }
    this.#lifted.delete(store);
    this.#dueMs = Math.min(this.#dueMs, this.#rests.untilMs(store));
  }

  /**
   * A store that holds more than was believed to fit has disproved its ceiling: the next refusal counts as a first one.
   */
  holds(store: StoreId, usedBytes: number): void {
    if (!this.triesWith(store, usedBytes)) return;
    this.#lifted.delete(store);
    this.#rests.forget(store);
  }

  /** Lifts the ceilings whose time is up. @returns whether there was one. */
  lift(nowMs: number): boolean {
    if (nowMs < this.#dueMs) return false;
    this.#dueMs = Number.POSITIVE_INFINITY;
    for (const [store, ceiling] of this.#inForce) {
      const untilMs = this.#rests.untilMs(store);
      if (nowMs < untilMs) this.#dueMs = Math.min(this.#dueMs, untilMs);
      else {
        this.#inForce.delete(store);
        this.#lifted.set(store, ceiling);
      }
    }
    return true;
  }
}

const believedOf = (fitBytes: number, refusedBytes: number): number =>
  fitBytes + Math.floor((refusedBytes - fitBytes) * BELIEVED_SHARE);

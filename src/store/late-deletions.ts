/**
 * Late deletions: the parcels that were deleted last, in the order of the log, and not added since. A crash may have kept
 * their bytes from the trash, and after it they are moved there (recovery.ts).
 *
 * A checkpoint of the log carries them along (log-file.ts), for it drops the operations that say so.
 */
import type { LogOp } from '../core/holdings-log.js';
import type { ParcelId } from '../core/ids.js';

/**
 * Deletions that may not be done to their end: those under way when the service ended, and after a power cut those of the
 * half minute before, whose renames the disk may have forgotten. Their records are read only when there are strays.
 */
const LATE_DELETIONS_MAX = 10_000;

export class LateDeletions {
  readonly #parcels = new Set<ParcelId>();

  take(op: LogOp): void {
    if (op.op === 'head') return;
    this.#parcels.delete(op.parcel);
    if (op.op !== 'del') return;
    this.#parcels.add(op.parcel);
    const [oldest] = this.#parcels;
    if (oldest !== undefined && this.#parcels.size > LATE_DELETIONS_MAX) this.#parcels.delete(oldest);
  }

  has(parcel: ParcelId): boolean {
    return this.#parcels.has(parcel);
  }

  /** The oldest first. */
  all(): ParcelId[] {
    return [...this.#parcels];
  }
}

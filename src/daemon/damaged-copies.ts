/**
 * Damaged copies: a disk of ours that begins to fail is an alarm, until the next start. It will go on, and nobody but its owner can
 * look at it. Told of by the dropper, which reads whole copies for audits, drops and a scrub.
 */
import type { StoreId } from '../core/ids.js';
import type { Alarms } from './alarms.js';

export class DamagedCopies {
  readonly #pathOf: (store: StoreId) => string | undefined;
  readonly #alarms: Alarms;
  readonly #counts = new Map<StoreId, number>();

  constructor({
    pathOf,
    alarms,
  }: {
    readonly pathOf: (store: StoreId) => string | undefined;
    readonly alarms: Alarms;
  }) {
    this.#pathOf = pathOf;
    this.#alarms = alarms;
  }

  /** A parcel in that store was found with wrong or missing bytes. */
  note(store: StoreId): void {
    const count = (this.#counts.get(store) ?? 0) + 1;
    this.#counts.set(store, count);
    this.#alarms.raise(
      'COPIES_DAMAGED',
      store,
      `in ${this.#pathOf(store) ?? `store ${store}`} ${count === 1 ? 'a parcel was' : `${count} parcels were`} found with wrong or missing bytes since this service started: they count no more, and are fetched again from other hosts. Look at that disk (smartctl, the kernel's log); a disk that does this again is to be replaced`,
    );
  }
}

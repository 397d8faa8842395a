/**
 * Damaged copies: raises an alarm, until the next start, when a disk of this host begins to fail. The disk goes on
 * failing, and only its owner can look at it. Reported by the dropper, which reads copies for audits, drops and scrubs.
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

  /** Notes that a parcel in that store was found with wrong or missing bytes. */
  note(store: StoreId): void {
    const count = (this.#counts.get(store) ?? 0) + 1;
    this.#counts.set(store, count);
    this.#alarms.raise(
      'COPIES_DAMAGED',
      store,
      `in ${this.#pathOf(store) ?? `store ${store}`} ${count === 1 ? 'a parcel was' : `${count} parcels were`} found with wrong or missing bytes since this service started: they no longer count, and are fetched again from other hosts. Look at that disk (smartctl, the kernel's log); replace it if this happens again`,
    );
  }
}

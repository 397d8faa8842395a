/**
 * Taking back: restores parcels that have no copy and whose origin is out of reach from the trash of a store, as the
 * daemon does: the bytes are read whole, and the copy counts again when its `add` is durable.
 */
import type { ParcelId } from '../src/core/ids.js';
import { type LostParcel, TAKE_BACK_EVERY_MS } from '../src/core/taking-back.js';
import type { OwnStores } from './own-stores.js';
import type { Running } from './sim-host.js';
import type { StoreDisk } from './store-disk.js';
import type { Surroundings } from './surroundings.js';

export class TakingBack {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #stores: OwnStores;
  /** Set while the copy is in the store again and its room is still reserved. */
  #landed: { readonly store: StoreDisk; readonly bytes: number } | undefined;

  constructor({
    of,
    world,
    stores,
  }: {
    readonly of: Running;
    readonly world: Surroundings;
    readonly stores: OwnStores;
  }) {
    this.#of = of;
    this.#world = world;
    this.#stores = stores;
  }

  start(): void {
    this.#world.after(TAKE_BACK_EVERY_MS, () =>
      this.#of.enter(() => this.#takeBack([...this.#of.machine.known.lost()])),
    );
  }

  /** Bytes that the machine believes to be still on their way. */
  landedBytes(store: StoreDisk): number {
    return this.#landed?.store === store ? this.#landed.bytes : 0;
  }

  /** Handles one parcel after another. */
  #takeBack([lost, ...others]: readonly LostParcel[]): void {
    if (lost === undefined) this.start();
    else this.#takeOutOf([...this.#stores.answering()], lost, () => this.#takeBack(others));
  }

  #takeOutOf([store, ...others]: readonly StoreDisk[], lost: LostParcel, then: () => void): void {
    if (store === undefined) {
      then();
      return;
    }
    const { parcel, bytes } = lost;
    const next = (): void => this.#takeOutOf(others, lost, then);
    if (store.rescanDue || !store.trash.has(parcel)) {
      next();
      return;
    }
    this.#of.tell({ is: 'taking-back', parcel, store: store.id, bytes });
    if (!this.#of.machine.known.keepsRoomFor(parcel)) {
      next();
      return;
    }
    const ended = (isTaken: boolean): void => {
      this.#landed = undefined;
      this.#of.tell({ is: 'taken-back', parcel });
      if (isTaken) then();
      else next();
    };
    this.#world.after(this.#stores.readMs(store, bytes), () =>
      this.#of.enter(() => {
        if (!this.#commit(store, parcel, () => ended(true))) ended(false);
      }),
    );
  }

  /** @returns false when a byte is missing or wrong, or the disk refuses */
  #commit(store: StoreDisk, parcel: ParcelId, durable: () => void): boolean {
    const file = store.trash.get(parcel);
    if (this.#stores.mounted(store.id) !== store || store.failing || store.files.has(parcel)) return false;
    if (file?.content !== parcel) return false;
    const beforeBytes = store.usedBytes;
    store.put(parcel, file);
    this.#landed = { store, bytes: store.usedBytes - beforeBytes };
    const isTaken = this.#stores.append(store, { op: 'add', parcel }, () => {
      this.#world.counts.takenBack += 1;
      this.#stores.tellOps(store, segment => this.#of.tell({ is: 'own-ops', segment, usedBytes: store.usedBytes }));
      durable();
    });
    if (isTaken) store.trash.delete(parcel);
    else store.remove(parcel);
    return isTaken;
  }
}

/**
 * Mounted store: a store of this host whose disk is there. It says what the machine is told of the store, what the
 * store lends and uses as last measured, and how it is closed. Driven by own-stores.ts.
 */
import type { Logger } from 'pino';
import type { StoreId } from '../core/ids.js';
import type { StoreSetting } from '../membership/policy.js';
import type { Store } from '../store/store.js';
import type { Turns } from '../store/turns.js';
import type { Clock } from './clock.js';
import type { Unstamped } from './driver.js';
import { StoreLog, type StoreLogOptions } from './store-log.js';
import { makeRoom, type StoreRoom, wantedBytes } from './store-room.js';

export interface MountedStoreOptions extends Omit<StoreLogOptions, 'isMounted'> {
  readonly clock: Clock;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
  /** Whether this very object is still the mounted one. */
  readonly isMounted: (mounted: MountedStore) => boolean;
  /** The turns of all stores. */
  readonly turns: Turns<string>;
  /** How long blobs verified by an interrupted fetch are kept, in ms. */
  readonly partialMs: () => number;
  /** How long dropped and expired bytes lie in the trash, in ms. */
  readonly trashMs: () => number;
  /** Of which blobs bytes that were set aside stay in the trash for longer: they may be all that is left of a file. */
  readonly sparing: () => Promise<(blob: string) => boolean>;
  /** The other stores of this host on the same disk. */
  readonly besides: (mounted: MountedStore) => readonly MountedStore[];
  /** The bytes that the machine keeps free in a store for what it is about to fetch. */
  readonly reservedBytes: (store: StoreId) => number;
}

export class MountedStore {
  readonly store: Store;
  readonly log: StoreLog;
  /** As the machine was last told. */
  hangs = false;
  readonly #options: MountedStoreOptions;
  /** As the configuration says. */
  #setting: StoreSetting;
  #room: StoreRoom = { lentBytes: 0, usedBytes: 0 };

  constructor(store: Store, setting: StoreSetting, options: MountedStoreOptions) {
    this.store = store;
    this.#setting = setting;
    this.#options = options;
    this.log = new StoreLog(store, { ...options, isMounted: () => options.isMounted(this) });
  }

  get path(): string {
    return this.#setting.path;
  }

  /** As last measured. */
  get room(): StoreRoom {
    return this.#room;
  }

  /** How much more it may take, if its disk has it. */
  get wantsBytes(): number {
    const { lends, draining } = this.#setting;
    return draining ? 0 : wantedBytes(lends, this.#room.usedBytes);
  }

  configure(setting: StoreSetting): void {
    this.#setting = setting;
  }

  /** Removes what has outlived its time, measures the disk, and tells the machine, also of what nobody waited for. */
  async measure(): Promise<void> {
    const { clock, partialMs, trashMs, sparing } = this.#options;
    const { store } = this;
    await store.sweepIncoming(clock.wallMs() - partialMs());
    await store.emptyTrash({ olderThanMs: trashMs(), sparing });
    await this.makeRoom();
    await this.log.tellRest();
    this.tellMachine();
  }

  /** Tells the machine what was last measured, and how the store stands; nothing once the store is unmounted. */
  tellMachine(): void {
    const { store } = this;
    const { draining } = this.#setting;
    if (!this.#options.isMounted(this)) return;
    this.#options.tell({ is: 'store', store: store.id, ...this.#room, draining, unread: store.rescanDue });
  }

  /**
   * Removes trash that takes up reserved room. One such look at a time: two would remove twice what is in the way.
   */
  makeRoom(): Promise<void> {
    const { turns } = this.#options;
    const { lends } = this.#setting;
    const { store } = this;
    return turns.take(`room ${store.id}`, async () => {
      const reservedBytes = (): number => this.#options.reservedBytes(store.id);
      const othersWantBytes = this.#options.besides(this).map(({ wantsBytes }) => wantsBytes);
      this.#room = await makeRoom(store, { lends, reservedBytes, othersWantBytes });
    });
  }

  /** What the store uses now, without its trash; later reports show it too. */
  async usedBytes(): Promise<number> {
    const { usedBytes, trashBytes } = await this.store.usage();
    this.#room = { ...this.#room, usedBytes: usedBytes - trashBytes };
    return this.#room.usedBytes;
  }

  /** Also waits until all that is being told of the store has been told. */
  async close(): Promise<void> {
    await this.store.close();
    await this.log.toldEnds();
  }

  async closeOrWarn(): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      // Its disk may be gone already, and the store is no longer used.
      this.#options.log.warn(
        { code: 'STORE_NOT_CLOSED', store: this.store.id, err: error },
        'a store did not close cleanly',
      );
    }
  }
}

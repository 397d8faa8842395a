/**
 * Mounted store: a store of this host whose disk is there: what of it the machine is told, what it lends and uses, as it was measured last,
 * and its end. Driven by own-stores.ts.
 */
import type { Logger } from 'pino';
import type { StoreId } from '../core/ids.js';
import type { StoreSetting } from '../membership/policy.js';
import type { Store } from '../store/store.js';
import type { Turns } from '../store/turns.js';
import type { Clock } from './clock.js';
import type { Unstamped } from './driver.js';
import { StoreLog, type StoreLogOptions } from './store-log.js';
import { makeRoom, type StoreRoom } from './store-room.js';

export interface MountedStoreOptions extends Omit<StoreLogOptions, 'isMounted'> {
  readonly clock: Clock;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
  /** This one, still. */
  readonly isMounted: (mounted: MountedStore) => boolean;
  /** Of all stores. */
  readonly turns: Turns<string>;
  /** For how long what an interrupted fetch verified is kept. */
  readonly partialMs: () => number;
  /** For how long dropped and expired bytes lie in the trash. */
  readonly trashMs: () => number;
  /** What the machine keeps free in a store for what it is about to fetch. */
  readonly reservedBytes: (store: StoreId) => number;
}

export class MountedStore {
  readonly store: Store;
  readonly log: StoreLog;
  /** As the machine was told. */
  hangs = false;
  readonly #options: MountedStoreOptions;
  /** As the configuration has it. */
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

  /** As it was measured last. */
  get room(): StoreRoom {
    return this.#room;
  }

  configure(setting: StoreSetting): void {
    this.#setting = setting;
  }

  /** Removes what has had its time, looks at the disk, and tells the machine. */
  async measure(): Promise<void> {
    const { clock, tell, partialMs, trashMs } = this.#options;
    const { store } = this;
    await store.sweepIncoming(clock.wallMs() - partialMs());
    await store.emptyTrash({ olderThanMs: trashMs() });
    await this.makeRoom();
    tell({ is: 'store', store: store.id, ...this.#room, draining: this.#setting.draining });
  }

  /** Trash that is in the way of what is reserved goes. One look at a time, or two would remove twice what is in the way. */
  makeRoom(): Promise<void> {
    const { turns } = this.#options;
    const { lends } = this.#setting;
    const { store } = this;
    return turns.take(`room ${store.id}`, async () => {
      const reservedBytes = (): number => this.#options.reservedBytes(store.id);
      this.#room = await makeRoom(store, { lends, reservedBytes });
    });
  }

  /** Now, its trash apart; also for those who ask for a report. */
  async usedBytes(): Promise<number> {
    const { usedBytes, trashBytes } = await this.store.usage();
    this.#room = { ...this.#room, usedBytes: usedBytes - trashBytes };
    return this.#room.usedBytes;
  }

  /** Also what is being told of it has ended. */
  async close(): Promise<void> {
    await this.store.close();
    await this.log.toldEnds();
  }

  async closeOrWarn(): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      // Its disk may be gone already, and nothing of it is used any more.
      this.#options.log.warn(
        { code: 'STORE_NOT_CLOSED', store: this.store.id, err: error },
        'a store did not close cleanly',
      );
    }
  }
}

/**
 * Store rescans: after doubt about a store's log, every copy in the store is read again before it counts. A rescan runs
 * beside everything else; one that did not get through runs again after a rest. Driven by own-stores.ts.
 */
import type { Logger } from 'pino';
import { ClusterError } from '../core/fault.js';
import type { LogSegment } from '../core/holdings-log.js';
import type { StoreId } from '../core/ids.js';
import { type RestTimes, StoreRests } from '../core/store-rests.js';
import type { Alarms } from './alarms.js';
import type { Clock } from './clock.js';
import type { Unstamped } from './driver.js';
import type { MountedStore } from './mounted-store.js';

/** The rest after a rescan that did not get through. The next one hashes only what does not count yet. */
const RESCAN_RESTS: RestTimes = { leastMs: 60_000, mostMs: 60 * 60_000 };

export interface StoreRescansOptions {
  /** As in OwnStores. */
  readonly tellOps: (id: StoreId, completion: (segment: LogSegment) => Unstamped) => Promise<void>;
  readonly clock: Clock;
  readonly alarms: Alarms;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class StoreRescans {
  readonly #options: StoreRescansOptions;
  readonly #rests = new StoreRests(RESCAN_RESTS);
  readonly #running = new Set<MountedStore>();

  constructor(options: StoreRescansOptions) {
    this.#options = options;
  }

  /** The store has just been mounted: an earlier rest no longer applies. */
  mounted({ store }: MountedStore): void {
    this.#rests.forget(store.id);
  }

  /** Returns at once. */
  beginIfDue(mounted: MountedStore): void {
    const { store } = mounted;
    const { clock } = this.#options;
    if (!store.rescanDue || this.#running.has(mounted) || clock.nowMs() < this.#rests.untilMs(store.id)) return;
    this.#running.add(mounted);
    void this.#run(mounted).finally(() => this.#running.delete(mounted));
  }

  async #run(mounted: MountedStore): Promise<void> {
    const { clock, log, signal } = this.#options;
    const { id } = mounted.store;
    try {
      await this.#rescan(mounted);
    } catch (error) {
      if (signal.aborted) return;
      this.#rests.begin(id, clock.nowMs());
      log.error(
        { code: 'RESCAN_FAILED', store: id, err: error },
        'a store could not be read again to its end; it is tried again',
      );
    }
  }

  async #rescan(mounted: MountedStore): Promise<void> {
    const { store, path } = mounted;
    const { tellOps, alarms, log, signal } = this.#options;
    for await (const _ of store.rescan(signal)) await tellOps(store.id, segment => ({ is: 'log', segment }));
    if (store.rescanDue)
      throw new ClusterError('STORE_UNREAD', 'some of its parcels could not be hashed', { blame: 'passing' });
    log.info({ code: 'STORE_RESCANNED', store: store.id }, 'every copy of the store has been read again');
    alarms.clear('STORE_DOUBT', path);
    mounted.tellMachine();
  }
}

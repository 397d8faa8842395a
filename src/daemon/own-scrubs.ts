/**
 * Own scrubs: each mounted store of this host has a scrub of its own (scrub-walk.ts), from its mount until it is
 * unmounted or the service stops. A store that is mounted anew goes on where it was, once its former scrub has ended:
 * there is never more than one of a store.
 */
import type { Logger } from 'pino';
import type { ParcelId, StoreId } from '../core/ids.js';
import { abortWith } from '../platform/abort-with.js';
import { diskOf } from '../platform/disk.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import type { Store } from '../store/store.js';
import { Turns } from '../store/turns.js';
import type { OwnStores } from './own-stores.js';
import { pause } from './pause.js';
import { type ScrubProgress, ScrubWalk, type ScrubWalkOptions } from './scrub-walk.js';

export interface OwnScrubsOptions
  extends Pick<ScrubWalkOptions, 'reader' | 'nonce' | 'notes' | 'cycleMs' | 'isMoving' | 'isPaused' | 'clock' | 'log'> {
  readonly stores: Pick<OwnStores, 'answering' | 'mounted'>;
  readonly bytesOf: (parcel: ParcelId) => number | undefined;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class OwnScrubs {
  readonly #options: OwnScrubsOptions;
  readonly #turns = new Turns<StoreId>();
  readonly #ends = new Map<StoreId, AbortController>();
  readonly #walks = new Map<StoreId, ScrubWalk>();

  constructor(options: OwnScrubsOptions) {
    this.#options = options;
  }

  /** The store has been mounted. */
  begin(store: Store): void {
    this.#ends.get(store.id)?.abort(new Error('the store is mounted anew'));
    const end = lastingAbort();
    this.#ends.set(store.id, end);
    void this.#turns.take(store.id, () => this.#scrub(store, end));
  }

  /** Undefined for a store that is not mounted. */
  progress(id: StoreId): ScrubProgress | undefined {
    return this.#walks.get(id)?.progress;
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.values()) end.abort(new Error('the service stops'));
    await this.#turns.allDone();
  }

  async #scrub(store: Store, end: AbortController): Promise<void> {
    const { stores, log, signal } = this.#options;
    const undo = abortWith(end, [signal]);
    try {
      if (end.signal.aborted) return;
      const walk = new ScrubWalk({
        ...this.#options,
        store,
        isMounted: () => stores.mounted(store.id) === store,
        answers: () => [...stores.answering()].includes(store),
        calls: () => {
          const disk = diskOf(store.path);
          return { begun: disk?.callsBegun ?? 0, isBusy: disk?.isBusy === true };
        },
        pause,
      });
      this.#walks.set(store.id, walk);
      await walk.run(end.signal);
    } catch (error) {
      log.error(
        { code: 'SCRUB_FAILED', store: store.id, err: error },
        'the scrub of a store has ended; it begins again when the store is mounted next',
      );
    } finally {
      undo();
      this.#walks.delete(store.id);
    }
  }
}

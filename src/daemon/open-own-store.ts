/**
 * Open own store: opens a store of this host; begins a new log when what other hosts remember contradicts the one it
 * has (log-doubt.ts). Driven by own-stores.ts.
 */
import { randomBytes } from 'node:crypto';
import { recordBlobs } from '../catalog/record.js';
import { ClusterError } from '../core/fault.js';
import type { LogDoubt, RememberedLogs } from '../core/remembered-logs.js';
import type { StoreRests } from '../core/store-rests.js';
import { openStore, type StoreOpening } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import type { Alarms } from './alarms.js';
import type { Clock } from './clock.js';
import { doubtOf, wordsOf } from './log-doubt.js';

export interface OwnStoreOpening
  extends Pick<StoreOpening, 'cluster' | 'host' | 'boot' | 'previousBoot' | 'index' | 'log' | 'checkpointEveryOps'> {
  readonly remembered: RememberedLogs;
  /** Stores that were opened with a new log because of what other hosts remember. */
  readonly doubts: StoreRests;
  readonly clock: Clock;
  readonly alarms: Alarms;
}

/** Begins a new epoch if what other hosts remember contradicts the store's log. */
export async function openOwnStore(path: string, options: OwnStoreOpening): Promise<Store> {
  const { remembered, doubts, alarms, clock } = options;
  const store = await openWith(path, options);
  let doubt: LogDoubt | undefined;
  let words = '';
  try {
    doubt = await doubtOf(store, remembered);
    if (doubt !== undefined) words = wordsOf(doubt, store);
  } catch (error) {
    await store.close();
    throw error;
  }
  if (doubt === undefined) return store;
  await store.close();
  doubts.begin(store.id, clock.nowMs());
  alarms.raise(
    'STORE_DOUBT',
    path,
    `store ${path}: ${words}. It was put back from an old image, or a copy of this host runs elsewhere. A new log was begun, and each copy counts again once all of it has been read`,
  );
  return openWith(path, options, doubt);
}

async function openWith(path: string, options: OwnStoreOpening, doubt?: LogDoubt): Promise<Store> {
  const { cluster, host, boot, previousBoot, index, clock, log, checkpointEveryOps } = options;
  const opened = await openStore({
    path,
    cluster,
    host,
    boot,
    previousBoot,
    nowMs: clock.wallMs(),
    clocks: { wallMs: () => clock.wallMs(), steadyMs: () => clock.nowMs() },
    index,
    blobsOf: recordBlobs,
    log,
    random: () => randomBytes(8),
    ...(checkpointEveryOps === undefined ? {} : { checkpointEveryOps }),
    ...(doubt === undefined ? {} : { doubt }),
  });
  if (opened.kind === 'missing') throw new ClusterError('STORE_MISSING', opened.because, { blame: 'operator' });
  return opened.store;
}

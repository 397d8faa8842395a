/** Contract store: what a kind of store is to its contract, and how its tests come by one. */
import type { ExecutionContext } from 'ava';
import type { Store } from '../../src/store/store.js';
import type { TestBlob } from '../helpers/test-parcels.js';

export type ContractStore = Pick<
  Store,
  | 'appendHead'
  | 'close'
  | 'commit'
  | 'drop'
  | 'emptyTrash'
  | 'expect'
  | 'expire'
  | 'headSeq'
  | 'holds'
  | 'id'
  | 'isPresent'
  | 'lentBytes'
  | 'missing'
  | 'objects'
  | 'openBlob'
  | 'ops'
  | 'position'
  | 'positionAt'
  | 'possess'
  | 'present'
  | 'readSmall'
  | 'receive'
  | 'receiveSmall'
  | 'sweepIncoming'
  | 'usage'
>;

export interface StoreMaker {
  /** A new, empty store that lists blobs by `blobsOf`. */
  make(t: ExecutionContext): Promise<ContractStore>;
  /** The same store after its process ended as it should and began again. */
  reopen(t: ExecutionContext, store: ContractStore): Promise<ContractStore>;
  /** The store's wall clock goes on. */
  passTime(store: ContractStore, ms: number): void;
  /** What a failing disk does to the bytes of a held blob. */
  spoil(store: ContractStore, blob: TestBlob, how: Spoilt): Promise<void>;
}

export const SPOILT = ['gone', 'shorter', 'longer', 'other'] as const;
export type Spoilt = (typeof SPOILT)[number];

/** Turns of the event loop, so that what was begun gets on a little. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}

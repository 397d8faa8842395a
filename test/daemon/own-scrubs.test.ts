/** Own scrubs: one for each store, never two of one, and none once the service has stopped. */
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { parseNonce, parseParcelId, parseStoreId } from '../../src/core/ids.js';
import { OwnScrubs } from '../../src/daemon/own-scrubs.js';
import type { ScrubCycle } from '../../src/store/scrub-notes.js';
import type { Store } from '../../src/store/store.js';
import { until } from '../helpers/until.js';
import { SILENT } from '../store/real-store.js';

const PARCELS = [1, 2, 3].map(n => parseParcelId(hashHex(Buffer.of(n))));

const aStore = (id: string): Store =>
  ({
    id: parseStoreId(id.repeat(16)),
    path: `/nowhere/${id}`,
    present: () => PARCELS.values(),
    presentCount: PARCELS.length,
    isPresent: () => true,
    rescanDue: false,
  }) as unknown as Store;

test('each store is read for itself; one that is mounted anew goes on when its former read has ended; the stop ends all', async t => {
  const mounted = new Map<string, Store>();
  const notes = new Map<string, ScrubCycle>();
  const reads: { readonly store: string; readonly parcel: string; isOver: boolean; readonly end: () => void }[] = [];
  const going = () => reads.filter(({ isOver }) => !isOver).map(({ store }) => store);
  const scrubs = new OwnScrubs({
    stores: {
      mounted: id => mounted.get(id),
      answering: () => mounted.values(),
    },
    reader: {
      // As a disk that takes its time to end a call.
      possess: ({ store, parcel }) =>
        new Promise(resolve => {
          const read = {
            store,
            parcel,
            isOver: false,
            end: () => {
              read.isOver = true;
              resolve(new Map());
            },
          };
          reads.push(read);
        }),
    },
    bytesOf: () => 0,
    isPaused: () => false,
    nonce: () => parseNonce('0e'.repeat(16)),
    notes: { get: id => notes.get(id), note: async (id, cycle) => void notes.set(id, cycle) },
    // So that the first rest is short.
    cycleMs: () => 300,
    isMoving: () => false,
    clock: { nowMs: () => performance.now(), wallMs: () => 1_700_000_000_000 },
    log: SILENT,
    signal: new AbortController().signal,
  });
  const mount = (id: string): Store => {
    const store = aStore(id);
    mounted.set(store.id, store);
    scrubs.begin(store);
    return store;
  };
  const [a, b] = [mount('aa'), mount('bb')];
  await until('both are read', () => reads.length === 2);
  t.deepEqual(new Set(going()), new Set([a.id, b.id]));
  t.is(scrubs.progress(a.id)?.done, 0);
  mount('aa');
  mount('aa');
  t.is(reads.length, 2);
  for (const read of [...reads]) read.end();
  await until('both go on', () => reads.length === 4);
  const ofA = reads.filter(({ store }) => store === a.id).map(({ parcel }) => parcel);
  t.is(new Set(ofA).size, 1, 'a read that was called off is made again');
  t.is(new Set(reads.filter(({ store }) => store === b.id).map(({ parcel }) => parcel)).size, 2);
  const stopped = scrubs.stop();
  for (const read of reads) read.end();
  await stopped;
  t.is(scrubs.progress(a.id), undefined);
  t.is(reads.length, 4);
  t.is(notes.size, 2);
});

import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { LostParcel } from '../../src/core/taking-back.js';
import { TakingBack } from '../../src/daemon/taking-back.js';
import { blobOf, blobsOf, contentOf, grab, parcelOf, proofFor, type TestParcel } from '../helpers/test-parcels.js';
import { SILENT, TestHost } from '../store/real-store.js';

const DROPPED = parcelOf('dropped', 'shared');
const KEPT = parcelOf('kept', 'shared');

/** A store in whose trash one parcel lies, and somebody who looks for what is lost. */
async function begin(t: ExecutionContext) {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  for (const parcel of [DROPPED, KEPT]) await grab(store, parcel);
  await store.drop(proofFor(store.id, DROPPED.id));
  const state = {
    roomBytes: 1_000,
    keptBytes: 0,
    keptBytesWhenTold: [] as number[],
    ended: new AbortController(),
    stores: [store],
  };
  const lookFor = async (...parcels: readonly TestParcel[]): Promise<void> => {
    for (const { record } of parcels) await store.objects.put(record);
    const takingBack = new TakingBack({
      lost: () => parcels.map(({ id }): LostParcel => ({ parcel: id, bytes: 10 })),
      reader: store.objects,
      blobsOf,
      stores: () => state.stores,
      keepRoom: ({ bytes }) => {
        if (bytes > state.roomBytes) return false;
        state.keptBytes += bytes;
        return true;
      },
      giveRoomBack: () => {
        state.keptBytes -= 10;
      },
      tell: async () => {
        state.keptBytesWhenTold.push(state.keptBytes);
      },
      log: SILENT,
      signal: state.ended.signal,
    });
    await takingBack.takeBack();
  };
  const namesIn = (folder: string) => readdir(join(host.storePath, folder));
  return { host, store, state, lookFor, namesIn };
}

test('a lost parcel whose bytes lie in the trash is held again, and the machine hears of it', async t => {
  const { store, state, lookFor, namesIn } = await begin(t);
  await lookFor(DROPPED);
  t.true(store.isPresent(DROPPED.id));
  t.deepEqual(await contentOf(store, blobOf('dropped').blob), Buffer.from('dropped'));
  t.deepEqual(await namesIn('.trash'), []);
  t.deepEqual(state.keptBytesWhenTold, [10], 'its room is nobody else’s until the machine counts it as used');
  t.is(state.keptBytes, 0);
});

test('one of which something is missing stays where it is, and keeps no other from coming back', async t => {
  const { store, state, lookFor, namesIn } = await begin(t);
  const half = parcelOf('dropped', 'nowhere');
  await lookFor(half);
  t.deepEqual(await namesIn('.trash'), [blobOf('dropped').blob]);
  t.deepEqual(await namesIn('.incoming'), []);
  t.deepEqual(state.keptBytesWhenTold, []);
  await lookFor(half, DROPPED);
  t.false(store.isPresent(half.id));
  t.true(store.isPresent(DROPPED.id));
});

test('bytes that rotted in the trash do not come back', async t => {
  const { host, store, state, lookFor } = await begin(t);
  await writeFile(join(host.storePath, '.trash', blobOf('dropped').blob), 'DROPPED');
  await lookFor(DROPPED);
  t.false(store.isPresent(DROPPED.id));
  t.deepEqual(state.keptBytesWhenTold, []);
  t.is(state.keptBytes, 0, 'its room is free again');
});

test('a store that fails keeps no other from giving back what it has', async t => {
  const { store, state, lookFor } = await begin(t);
  const fails = {
    id: store.id,
    mayHaveAll: async () => {
      throw new Error('its disk does not answer');
    },
  } as unknown as typeof store;
  state.stores = [fails, store];
  await lookFor(DROPPED);
  t.true(store.isPresent(DROPPED.id));
});

test('without room for it nothing comes back, nor when the service is about to stop', async t => {
  const { store, state, lookFor } = await begin(t);
  state.roomBytes = 9;
  await lookFor(DROPPED);
  t.false(store.isPresent(DROPPED.id));
  state.roomBytes = 10;
  state.ended.abort();
  await lookFor(DROPPED);
  t.false(store.isPresent(DROPPED.id));
});

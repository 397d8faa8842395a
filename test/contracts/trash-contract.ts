/** Trash contract: what was dropped is used room that never counts, comes back while it is there, and goes oldest first. */
import type { TestFn } from 'ava';
import { blobOf, contentOf, grab, parcelOf, proofFor } from '../helpers/test-parcels.js';
import type { StoreMaker } from './contract-store.js';

export function testTrashContract(test: TestFn, { make, reopen, passTime }: StoreMaker): void {
  test('what was dropped is used room until the trash is emptied', async t => {
    const store = await make(t);
    const parcel = parcelOf(Buffer.alloc(10_000, 1), Buffer.alloc(5_000, 2));
    await grab(store, parcel);
    const before = await store.usage();
    t.is(before.trashBytes, 0);
    await store.drop(proofFor(store.id, parcel.id));
    t.like(await store.usage(), { usedBytes: before.usedBytes, trashBytes: 15_000 });
    t.is(await store.emptyTrash({ olderThanMs: 0 }), 15_000);
    t.like(await store.usage(), { usedBytes: before.usedBytes - 15_000, trashBytes: 0 });
    t.like(await (await reopen(t, store)).usage(), { usedBytes: before.usedBytes - 15_000, trashBytes: 0 });
  });

  test('what was dropped comes back from the trash without being sent again, and not after it was emptied', async t => {
    const store = await make(t);
    const parcel = parcelOf('one', Buffer.alloc(700_000, 7));
    await grab(store, parcel);
    await store.drop(proofFor(store.id, parcel.id));
    t.deepEqual(await store.missing(parcel.blobs), []);
    t.false(store.holds(blobOf('one').blob), 'found is not held');
    await store.commit(parcel.id, parcel.record);
    for (const { blob, content } of parcel.blobs) t.deepEqual(await contentOf(store, blob), content);
    t.is((await store.usage()).trashBytes, 0);
    await store.drop(proofFor(store.id, parcel.id));
    const again = await reopen(t, store);
    t.is((await again.usage()).trashBytes, 700_003);
    await again.commit(parcel.id, parcel.record); // nobody asked what is missing
    t.true(again.isPresent(parcel.id));
    await again.drop(proofFor(store.id, parcel.id));
    await again.emptyTrash({ olderThanMs: 0 });
    t.is((await again.missing(parcel.blobs)).length, 2);
    t.like(await t.throwsAsync(again.commit(parcel.id, parcel.record)), { code: 'BLOBS_MISSING' });
  });

  test('what came back from the trash is not swept away as a leftover of long ago', async t => {
    const store = await make(t);
    const parcel = parcelOf('old');
    await grab(store, parcel);
    await store.drop(proofFor(store.id, parcel.id));
    passTime(store, 10_000);
    await store.missing(parcel.blobs);
    await store.sweepIncoming(1_700_000_009_000);
    t.deepEqual(await store.missing(parcel.blobs), []);
    t.is((await store.usage()).trashBytes, 0);
  });

  test('the trash is emptied of what has been there long enough, whatever restarts came between', async t => {
    let store = await make(t);
    const [first, second] = [parcelOf('first'), parcelOf('second')];
    await grab(store, first);
    await grab(store, second);
    passTime(store, 50_000);
    await store.drop(proofFor(store.id, first.id));
    passTime(store, 1_000);
    await store.drop(proofFor(store.id, second.id));
    store = await reopen(t, store);
    passTime(store, 3_000);
    t.is(await store.emptyTrash({ olderThanMs: 4_001 }), 0);
    t.is(await store.emptyTrash({ olderThanMs: 4_000 }), 'first'.length);
    t.is((await store.missing(first.blobs)).length, 1);
    t.is((await store.missing(second.blobs)).length, 0);
  });

  test('for room the oldest of the trash goes first, and no more than is needed', async t => {
    let store = await make(t);
    const parcels = [1, 2, 3].map(n => parcelOf(Buffer.alloc(1_000, n)));
    for (const parcel of parcels) await grab(store, parcel);
    for (const n of [1, 0, 2]) {
      const parcel = parcels[n];
      if (parcel !== undefined) await store.drop(proofFor(store.id, parcel.id));
      passTime(store, 1_000);
    }
    t.is(await store.emptyTrash({ freeBytes: 0 }), 0);
    store = await reopen(t, store);
    t.is(await store.emptyTrash({ freeBytes: 1_000 }), 1_000);
    t.is((await store.usage()).trashBytes, 2_000);
    t.is(await store.emptyTrash({ freeBytes: 1_001 }), 2_000);
    t.is(await store.emptyTrash({ freeBytes: 1 }), 0);
    t.is((await store.usage()).trashBytes, 0);
  });

  test('two that need room at once do not count the same bytes', async t => {
    const store = await make(t);
    for (let n = 0; n < 4; n++) {
      const parcel = parcelOf(Buffer.alloc(1_000, n));
      await grab(store, parcel);
      await store.drop(proofFor(store.id, parcel.id));
    }
    const freed = await Promise.all([store.emptyTrash({ freeBytes: 1_500 }), store.emptyTrash({ freeBytes: 1_500 })]);
    t.deepEqual(freed, [2_000, 2_000]);
  });
}

/**
 * The store's contract: what every store keeps, whatever it is made of. A kind of store passes by registering itself here.
 *
 * One file an idea; in this one is what all of them keep at once, whatever order things happen in.
 */
import type { TestFn } from 'ava';
import fc from 'fast-check';
import {
  blobOf,
  contentOf,
  grab,
  NONCE,
  OTHER,
  parcelOf,
  presentByLog,
  proofFor,
  type TestParcel,
} from '../helpers/test-parcels.js';
import { testCommitContract } from './commit-contract.js';
import { type StoreMaker, turns } from './contract-store.js';
import { testGiveUpContract } from './give-up-contract.js';
import { testLogContract } from './log-contract.js';
import { testPossessContract } from './possess-contract.js';
import { testReceiveContract } from './receive-contract.js';
import { testTrashContract } from './trash-contract.js';
import { testUsageContract } from './usage-contract.js';

export function testStoreContract(test: TestFn, maker: StoreMaker): void {
  const { make, reopen } = maker;
  testLogContract(test, maker);
  testCommitContract(test, maker);
  testReceiveContract(test, maker);
  testGiveUpContract(test, maker);
  testTrashContract(test, maker);
  testPossessContract(test, maker);
  testUsageContract(test, maker);

  test('a closed store takes nothing more', async t => {
    const store = await make(t);
    await store.close();
    t.like(await t.throwsAsync(store.receive(blobOf('x'))), { code: 'STORE_CLOSED' });
    t.like(await t.throwsAsync(store.commit(parcelOf().id, parcelOf().record)), { code: 'STORE_CLOSED' });
    t.like(await t.throwsAsync(store.drop(proofFor(store.id, parcelOf().id))), { code: 'STORE_CLOSED' });
    t.like(await t.throwsAsync(store.possess(parcelOf().id, { nonce: NONCE, holders: [] })), { code: 'STORE_CLOSED' });
    t.like(await t.throwsAsync(store.emptyTrash({ olderThanMs: 0 })), { code: 'STORE_CLOSED' });
    t.like(await t.throwsAsync(store.sweepIncoming(0)), { code: 'STORE_CLOSED' });
  });

  test('whatever is committed, dropped and looked for at once, what the log says is held, whole, and counted once', async t => {
    let store = await make(t);
    const parcels = [[0], [0, 1], [1, 2], [0, 1, 2, 3], [3, 4], [4]].map(blobs =>
      parcelOf(...blobs.map(n => Buffer.alloc(100 + n, n))),
    );
    const step = fc.record({
      act: fc.constantFrom('grab', 'grab', 'commit', 'drop', 'drop', 'missing', 'fetch', 'possess', 'empty', 'sweep'),
      parcel: fc.nat(parcels.length - 1),
      gap: fc.integer({ min: 0, max: 6 }),
    });
    const bytesHere = async () => (await store.usage()).usedBytes - store.objects.usedBytes;
    const law = fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 24 }), async steps => {
      const refused = (error: { code?: string }) => {
        if (error.code !== 'BLOBS_MISSING') throw error;
      };
      const work = {
        grab: (parcel: TestParcel) => grab(store, parcel).catch(refused),
        commit: ({ id, record }: TestParcel) => store.commit(id, record).catch(refused),
        drop: ({ id }: TestParcel) => store.drop(proofFor(store.id, id)),
        missing: ({ blobs }: TestParcel) => store.missing(blobs),
        fetch: async (parcel: TestParcel) => {
          const { end } = await store.expect(parcel.id, parcel.blobs);
          await grab(store, parcel).catch(refused);
          await end();
        },
        possess: async ({ id }: TestParcel) => {
          const { kind } = await store.possess(id, { nonce: NONCE, holders: [OTHER] });
          if (kind === 'corrupt') throw new Error('what was only moved was taken for wrong');
        },
        empty: () => store.emptyTrash({ olderThanMs: 0 }),
        sweep: () => store.sweepIncoming(Number.MAX_SAFE_INTEGER),
      };
      // As after the run before: only then a run can be made smaller.
      for (const { id } of parcels) await store.drop(proofFor(store.id, id));
      await store.emptyTrash({ olderThanMs: 0 });
      const begun: Promise<unknown>[] = [];
      for (const { act, parcel, gap } of steps) {
        begun.push(work[act](parcels[parcel] ?? parcelOf()));
        await turns(gap);
      }
      await Promise.all(begun);
      for (const look of ['now', 'after a restart']) {
        if (look !== 'now') store = await reopen(t, store);
        t.deepEqual(new Set(store.present()), await presentByLog(store));
        const held = new Map(
          parcels.filter(({ id }) => store.isPresent(id)).flatMap(({ blobs }) => blobs.map(blob => [blob.blob, blob])),
        );
        for (const { blobs } of parcels)
          for (const { blob } of blobs) t.is(store.holds(blob), held.has(blob), `${look} ${blob}`);
        for (const { blob, content } of held.values()) t.deepEqual(await contentOf(store, blob), content);
        await store.emptyTrash({ olderThanMs: 0 });
        await store.sweepIncoming(Number.MAX_SAFE_INTEGER);
        t.is(
          await bytesHere(),
          [...held.values()].reduce((sum, { bytes }) => sum + bytes, 0),
          look,
        );
      }
    });
    await t.notThrowsAsync(fc.assert(law, { numRuns: 40, includeErrorInReport: true }));
  });
}

/** Usage contract: what is used is what is here, each blob once, and no more is lent than there is. */
import type { TestFn } from 'ava';
import fc from 'fast-check';
import { blobOf, grab, parcelOf } from '../helpers/test-parcels.js';
import type { StoreMaker } from './contract-store.js';

export function testUsageContract(test: TestFn, { make }: StoreMaker): void {
  test('a blob that two parcels share is kept once', async t => {
    const store = await make(t);
    const shared = Buffer.alloc(100_000, 3);
    await grab(store, parcelOf(shared, 'a'));
    const before = await store.usage();
    const second = parcelOf(shared, 'b');
    t.deepEqual(
      (await store.missing(second.blobs)).map(({ blob }) => blob),
      [blobOf('b').blob],
    );
    await grab(store, second);
    t.true((await store.usage()).usedBytes - before.usedBytes < 10_000);
  });

  test('what is used is the sum of what was received, however it was cut and shared', async t => {
    const store = await make(t);
    const sizes = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 4 });
    const seen = new Set<string>();
    const law = fc.asyncProperty(sizes, async blobSizes => {
      const parcel = parcelOf(...blobSizes.map(size => Buffer.alloc(size, size % 251)));
      const fresh = new Map(parcel.blobs.filter(({ blob }) => !seen.has(blob)).map(ref => [ref.blob, ref.bytes]));
      const before = (await store.usage()).usedBytes - store.objects.usedBytes;
      await grab(store, parcel);
      for (const blob of fresh.keys()) seen.add(blob);
      const after = (await store.usage()).usedBytes - store.objects.usedBytes;
      return after - before === [...fresh.values()].reduce((sum, bytes) => sum + bytes, 0);
    });
    await t.notThrowsAsync(fc.assert(law, { numRuns: 30 }));
  });

  test('a limit lends at most itself and at most what its disk can give; a reserve leaves that much', async t => {
    const store = await make(t);
    await grab(store, parcelOf(Buffer.alloc(50_000)));
    const { usedBytes, freeOnDiskBytes } = await store.usage();
    t.is(await store.lentBytes({ limitBytes: 1_000 }), 1_000);
    t.true((await store.lentBytes({ limitBytes: Number.MAX_SAFE_INTEGER })) < Number.MAX_SAFE_INTEGER);
    t.is(await store.lentBytes({ reserveBytes: Number.MAX_SAFE_INTEGER }), usedBytes);
    t.true((await store.lentBytes({ reserveBytes: freeOnDiskBytes / 2 })) > usedBytes);
  });
}

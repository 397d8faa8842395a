/** Receive contract: blobs on their way in. None counts before it was hashed, and what came for a fetch stays until its end. */
import type { TestFn } from 'ava';
import { encode } from 'cborg';
import { hashHex } from '../../src/core/hash.js';
import { parseBlobId, parseParcelId } from '../../src/core/ids.js';
import { blobOf, contentOf, grab, parcelOf, proofFor, receive } from '../helpers/test-parcels.js';
import type { StoreMaker } from './contract-store.js';

export function testReceiveContract(test: TestFn, { make, reopen }: StoreMaker): void {
  for (const [what, content] of [
    ['of the right size and another hash', 'wrong bytes'],
    ['a byte short', 'right byte'],
    ['a byte long', 'right bytes!'],
    ['none at all', ''],
  ] as const) {
    test(`bytes that are ${what} are refused and leave nothing`, async t => {
      const store = await make(t);
      const before = await store.usage();
      const { blob, bytes } = blobOf('right bytes');
      const receiving = async () => {
        const incoming = await store.receive({ blob, bytes });
        await incoming.write(Buffer.from(content));
        await incoming.finish();
      };
      t.like(await t.throwsAsync(receiving()), { code: 'BLOB_MISMATCH', blame: 'peer' });
      t.is((await store.missing([{ blob, bytes }])).length, 1);
      t.is((await store.usage()).usedBytes, before.usedBytes);
    });
  }

  test('small blobs are received many at once, but for those whose bytes are not their own', async t => {
    const store = await make(t);
    const before = await store.usage();
    const contents = Array.from({ length: 300 }, (_, n) => Buffer.from(`content ${n}`));
    const small = contents.map(content => ({ blob: parseBlobId(hashHex(content)), content }));
    const wrong = { blob: parseBlobId(hashHex(Buffer.from('right'))), content: Buffer.from('wrong') };
    t.deepEqual(await store.receiveSmall([...small, wrong]), [wrong]);
    // Twice: for two parcels that share them.
    t.deepEqual(await store.receiveSmall(small), []);
    const bytes = contents.reduce((sum, { length }) => sum + length, 0);
    t.is((await store.usage()).usedBytes, before.usedBytes + bytes);
    t.is((await store.missing([{ blob: wrong.blob, bytes: 5 }])).length, 1);
    const parcel = parcelOf(...contents.slice(0, 200));
    await store.commit(parcel.id, parcel.record);
    const asked = [...small.slice(0, 201).map(({ blob }) => blob), wrong.blob];
    const read = await store.readSmall(asked);
    t.deepEqual(
      read.map(content => (content === undefined ? undefined : Buffer.from(content).toString())),
      [...contents.slice(0, 200).map(String), undefined, undefined],
    );
  });

  test('a blob with more bytes than a record says counts as missing for that record', async t => {
    const store = await make(t);
    const { blob, bytes } = blobOf('held');
    await grab(store, parcelOf('held'));
    t.is((await store.missing([{ blob, bytes: bytes + 1 }])).length, 1);
    const lying = encode(['test record', [[blob, bytes + 1]]]);
    t.like(await t.throwsAsync(store.commit(parseParcelId(hashHex(lying)), lying)), { code: 'BLOBS_MISSING' });
  });

  test('an aborted blob leaves nothing, and can be received again', async t => {
    const store = await make(t);
    const before = await store.usage();
    const blob = blobOf(Buffer.alloc(3_000_000, 1));
    const incoming = await store.receive(blob);
    await incoming.write(blob.content.subarray(0, 2_000_000));
    t.true((await store.usage()).usedBytes > before.usedBytes);
    await incoming.abort();
    await incoming.abort();
    t.is((await store.usage()).usedBytes, before.usedBytes);
    await receive(store, blob);
    t.deepEqual(await store.missing([blob]), []);
  });

  test('a blob that came whole before a restart need not come again', async t => {
    const store = await make(t);
    await receive(store, blobOf('early'));
    const again = await reopen(t, store);
    t.deepEqual(await again.missing([blobOf('early')]), []);
    const parcel = parcelOf('early');
    await again.commit(parcel.id, parcel.record);
    t.deepEqual(await contentOf(again, blobOf('early').blob), Buffer.from('early'));
  });

  test('what came for a fetch stays as long as it runs, and what was held before it stays in its place', async t => {
    const store = await make(t);
    const [old, next] = [parcelOf('held'), parcelOf('held', 'first', 'last')];
    await grab(store, old);
    const { missing, end } = await store.expect(next.id, next.blobs);
    t.deepEqual(
      missing.map(({ blob }) => blob),
      ['first', 'last'].map(content => blobOf(content).blob),
    );
    await receive(store, blobOf('first'));
    await store.sweepIncoming(Number.MAX_SAFE_INTEGER);
    await store.drop(proofFor(store.id, old.id));
    await store.emptyTrash({ olderThanMs: 0 });
    await receive(store, blobOf('last'));
    await store.commit(next.id, next.record);
    await end();
    for (const { blob, content } of next.blobs) t.deepEqual(await contentOf(store, blob), content);
  });

  test('a fetch that failed leaves nothing behind but what is kept for its time', async t => {
    const store = await make(t);
    const bytesHere = async () => (await store.usage()).usedBytes - store.objects.usedBytes;
    const before = await bytesHere();
    const [old, next] = [parcelOf('held'), parcelOf('held', 'first', 'last')];
    await grab(store, old);
    const { end } = await store.expect(next.id, next.blobs);
    await receive(store, blobOf('first'));
    await store.drop(proofFor(store.id, old.id));
    t.is((await store.usage()).trashBytes, 0);
    await end();
    t.is((await store.usage()).trashBytes, 'held'.length);
    await store.sweepIncoming(Number.MAX_SAFE_INTEGER);
    await store.emptyTrash({ olderThanMs: 0 });
    t.is(await bytesHere(), before);
    t.deepEqual(await store.missing(next.blobs), next.blobs);
  });

  test('a fetch that ends when its store was opened anew moves nothing there', async t => {
    const store = await make(t);
    const [old, next] = [parcelOf('held'), parcelOf('held', 'new')];
    await grab(store, old);
    const { end } = await store.expect(next.id, next.blobs);
    await store.drop(proofFor(store.id, old.id));
    const again = await reopen(t, store);
    await grab(again, next);
    await end();
    for (const { blob, content } of next.blobs) t.deepEqual(await contentOf(again, blob), content);
  });
}

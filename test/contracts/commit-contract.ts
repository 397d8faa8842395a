/** Commit contract: a parcel becomes PRESENT whole, once, and for good. */
import type { TestFn } from 'ava';
import { sourceIdOf } from '../../src/core/ids.js';
import { blobOf, contentOf, grab, HOST, parcelOf, receive } from '../helpers/test-parcels.js';
import type { StoreMaker } from './contract-store.js';

export function testCommitContract(test: TestFn, { make, reopen }: StoreMaker): void {
  test('a committed parcel is present, its blobs are held and read back whole', async t => {
    const store = await make(t);
    const parcel = parcelOf('one', 'two', Buffer.alloc(700_000, 7));
    await grab(store, parcel);
    t.deepEqual([...store.present()], [parcel.id]);
    t.deepEqual(await store.missing(parcel.blobs), []);
    for (const { blob, content } of parcel.blobs) {
      t.true(store.holds(blob));
      t.deepEqual(await contentOf(store, blob), content);
    }
    t.deepEqual(Buffer.from((await store.objects.get(parcel.id)) ?? []), Buffer.from(parcel.record));
  });

  test('committing a parcel again, or twice at once, adds nothing to the log', async t => {
    const store = await make(t);
    const parcel = parcelOf('same');
    await receive(store, blobOf('same'));
    await Promise.all([store.commit(parcel.id, parcel.record), store.commit(parcel.id, parcel.record)]);
    await store.commit(parcel.id, parcel.record);
    t.is(store.position().seq, 1);
  });

  test('a parcel of which a blob is missing is refused, and nothing of it counts', async t => {
    const store = await make(t);
    const parcel = parcelOf('here', 'not here');
    await receive(store, blobOf('here'));
    t.like(await t.throwsAsync(store.commit(parcel.id, parcel.record)), { code: 'BLOBS_MISSING' });
    t.is(store.position().seq, 0);
    t.false(store.holds(blobOf('here').blob));
    t.is(await store.openBlob(blobOf('here').blob), undefined);
    t.deepEqual(
      (await store.missing(parcel.blobs)).map(({ blob }) => blob),
      [blobOf('not here').blob],
    );
    await receive(store, blobOf('not here'));
    await store.commit(parcel.id, parcel.record);
    t.true(store.isPresent(parcel.id));
  });

  test('a record with another hash than the parcel is refused', async t => {
    const store = await make(t);
    await receive(store, blobOf('x'));
    const error = await t.throwsAsync(store.commit(parcelOf('y').id, parcelOf('x').record));
    t.like(error, { code: 'RECORD_MISMATCH', blame: 'peer' });
    t.deepEqual([...store.present()], []);
  });

  test('parcels that share a blob can be received and committed at the same time', async t => {
    const store = await make(t);
    const parcels = [parcelOf('shared', 'a'), parcelOf('shared', 'b'), parcelOf('c', 'shared')];
    await Promise.all(parcels.flatMap(({ blobs }) => blobs.map(blob => receive(store, blob))));
    await Promise.all(parcels.map(({ id, record }) => store.commit(id, record)));
    t.is([...store.present()].length, 3);
    t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
  });

  test('parcels that share blobs may be committed at any moments', async t => {
    const store = await make(t);
    const parcels = Array.from({ length: 12 }, (_, n) => parcelOf('shared', `near ${n >> 1}`, `own ${n}`));
    for (const { blobs } of parcels) for (const blob of blobs) await receive(store, blob);
    const order = [3, 0, 7, 1, 1, 9, 2, 5, 4, 11, 6, 10, 8, 0];
    const commits: Promise<unknown>[] = [];
    for (const [turn, n] of order.entries()) {
      const parcel = parcels[n];
      if (parcel !== undefined) commits.push(store.commit(parcel.id, parcel.record));
      // Some of those before are flushing, some renaming, some in the log.
      for (let turns = 0; turns < turn * 3; turns++) await new Promise(setImmediate);
    }
    await Promise.all(commits);
    t.is([...store.present()].length, 12);
    t.is(store.position().seq, 12);
  });

  test('a parcel without blobs (folders, links, empty files) is committed by its record alone', async t => {
    const store = await make(t);
    const parcel = parcelOf();
    await store.commit(parcel.id, parcel.record);
    t.true(store.isPresent(parcel.id));
  });

  test('after a restart everything is as it was said to be', async t => {
    const store = await make(t);
    const source = sourceIdOf(HOST, 'photos');
    const parcels = [parcelOf('a', 'b'), parcelOf('b', 'c'), parcelOf()];
    for (const parcel of parcels) await grab(store, parcel);
    await store.appendHead(source, 9);
    const before = { position: store.position(), ops: await store.ops(0, 99), used: (await store.usage()).usedBytes };
    const again = await reopen(t, store);
    t.deepEqual(
      { position: again.position(), ops: await again.ops(0, 99), used: (await again.usage()).usedBytes },
      before,
    );
    t.deepEqual(new Set(again.present()), new Set(parcels.map(({ id }) => id)));
    t.is(again.headSeq(source), 9);
    t.deepEqual(await contentOf(again, blobOf('b').blob), Buffer.from('b'));
    await grab(again, parcelOf('d'));
    t.is(again.position().seq, before.position.seq + 1);
  });
}

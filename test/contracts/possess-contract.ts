/** Possess contract: a parcel is read whole or counts no more, and so do all that share what is wrong with it. */
import type { TestFn } from 'ava';
import { possessionHasher } from '../../src/core/possession.js';
import { blobOf, grab, HOST, NONCE, OTHER, parcelOf, proofFor, receive } from '../helpers/test-parcels.js';
import { SPOILT, type StoreMaker, turns } from './contract-store.js';

export function testPossessContract(test: TestFn, { make, reopen, spoil }: StoreMaker): void {
  test('possession is BLAKE3 over the nonce, the holder and the blobs with their lengths, one for each holder', async t => {
    const store = await make(t);
    const parcel = parcelOf('b', Buffer.alloc(600_000, 9), 'a');
    await grab(store, parcel);
    const expected = [HOST, OTHER].map(holder => {
      const hasher = possessionHasher(NONCE, holder);
      for (const { bytes, content } of parcel.blobs) {
        hasher.blob(bytes);
        hasher.update(content);
      }
      return [holder, hasher.digest()] as const;
    });
    const found = await store.possess(parcel.id, { nonce: NONCE, holders: [HOST, OTHER, HOST] });
    t.deepEqual(found, { kind: 'whole', possessions: new Map(expected) });
    t.is(store.position().seq, 1);
    const nobody = await store.possess(parcel.id, { nonce: NONCE, holders: [] });
    t.deepEqual(nobody, { kind: 'whole', possessions: new Map() });
  });

  test('a parcel without blobs is possessed when it is present, and one that is not present never is', async t => {
    const store = await make(t);
    const [empty, one] = [parcelOf(), parcelOf('1')];
    const ask = { nonce: NONCE, holders: [HOST] };
    t.deepEqual(await store.possess(empty.id, ask), { kind: 'absent' });
    await store.commit(empty.id, empty.record);
    t.is((await store.possess(empty.id, ask)).kind, 'whole');
    await receive(store, blobOf('1'));
    t.is((await store.possess(one.id, ask)).kind, 'absent');
    await store.commit(one.id, one.record);
    t.is((await store.possess(one.id, ask)).kind, 'whole');
    await store.drop(proofFor(store.id, one.id));
    t.is((await store.possess(one.id, ask)).kind, 'absent', 'the trash never grants');
  });

  test('a read for possession can be given up, and changes nothing', async t => {
    const store = await make(t);
    const parcel = parcelOf('1');
    await grab(store, parcel);
    await spoil(store, blobOf('1'), 'gone');
    const ask = { nonce: NONCE, holders: [HOST], signal: AbortSignal.abort(new Error('enough')) };
    await t.throwsAsync(store.possess(parcel.id, ask), { message: 'enough' });
    t.true(store.isPresent(parcel.id));
    t.is(store.position().seq, 1);
  });

  for (const how of SPOILT) {
    test(`a parcel of which a blob is ${how} is corrupt when it is read, and whole again once that blob came`, async t => {
      let store = await make(t);
      const [bad, good] = [blobOf('bad blob'), blobOf('good blob')];
      const parcel = parcelOf('good blob', 'bad blob', 'third');
      const other = parcelOf('good blob');
      await grab(store, parcel);
      await grab(store, other);
      const before = await store.usage();
      await spoil(store, bad, how);
      const found = await store.possess(parcel.id, { nonce: NONCE, holders: [HOST] });
      t.deepEqual(found, { kind: 'corrupt', position: store.position() });
      t.deepEqual(await store.ops(2, 9), [{ op: 'corrupt', parcel: parcel.id }]);
      t.deepEqual([...store.present()], [other.id]);
      t.false(store.holds(bad.blob));
      t.true(store.holds(good.blob));
      const asideBytes = { gone: 0, shorter: bad.bytes - 1, longer: bad.bytes + 1, other: bad.bytes }[how];
      t.like(await store.usage(), { usedBytes: before.usedBytes - bad.bytes + asideBytes, trashBytes: asideBytes });
      t.deepEqual(
        (await store.missing(parcel.blobs)).map(({ blob }) => blob),
        [bad.blob],
      );
      t.is((await store.possess(parcel.id, { nonce: NONCE, holders: [HOST] })).kind, 'absent');
      store = await reopen(t, store);
      t.deepEqual([...store.present()], [other.id]);
      await grab(store, parcel);
      t.is((await store.possess(parcel.id, { nonce: NONCE, holders: [HOST] })).kind, 'whole');
      t.like(await store.usage(), { usedBytes: before.usedBytes + asideBytes, trashBytes: asideBytes });
      await store.emptyTrash({ olderThanMs: 0 });
      t.is((await store.usage()).usedBytes, before.usedBytes);
    });
  }

  test('a wrong blob takes every parcel that lists it, and comes back once for all', async t => {
    const store = await make(t);
    const [first, second, third] = [parcelOf('shared', '1'), parcelOf('2', 'shared'), parcelOf('3')];
    for (const parcel of [first, second, third]) await grab(store, parcel);
    await spoil(store, blobOf('shared'), 'other');
    const found = await store.possess(first.id, { nonce: NONCE, holders: [HOST] });
    t.deepEqual(found, { kind: 'corrupt', position: store.position() });
    t.deepEqual(await store.ops(3, 9), [
      { op: 'corrupt', parcel: first.id },
      { op: 'corrupt', parcel: second.id },
    ]);
    t.deepEqual(
      (await store.missing(second.blobs)).map(({ blob }) => blob),
      [blobOf('shared').blob],
    );
    await grab(store, first);
    await grab(store, second);
    for (const { id } of [first, second, third])
      t.is((await store.possess(id, { nonce: NONCE, holders: [HOST] })).kind, 'whole');
  });

  test('a commit does not count on a blob that was just found wrong', async t => {
    const store = await make(t);
    for (let gap = 0; gap < 25; gap++) {
      const [old, next] = [parcelOf(`shared ${gap}`), parcelOf(`shared ${gap}`, `next ${gap}`)];
      await grab(store, old);
      await receive(store, blobOf(`next ${gap}`));
      await spoil(store, blobOf(`shared ${gap}`), 'other');
      const reading = store.possess(old.id, { nonce: NONCE, holders: [HOST] });
      await turns(gap);
      const commit = store.commit(next.id, next.record).catch((error: { code?: string }) => error.code);
      t.is((await reading).kind, 'corrupt');
      await commit;
      t.false(store.isPresent(old.id));
      // Refused, or taken before the wrong bytes were known, and then found out with the other.
      t.false(store.isPresent(next.id), `with a gap of ${gap}`);
    }
  });

  test('two who find the same blob wrong write it down once', async t => {
    const store = await make(t);
    const parcel = parcelOf('x');
    await grab(store, parcel);
    await spoil(store, blobOf('x'), 'gone');
    const ask = { nonce: NONCE, holders: [HOST] };
    const kinds = (await Promise.all([store.possess(parcel.id, ask), store.possess(parcel.id, ask)])).map(
      ({ kind }) => kind,
    );
    t.deepEqual(kinds.sort(), ['absent', 'corrupt']);
    t.is(store.position().seq, 2);
  });
}

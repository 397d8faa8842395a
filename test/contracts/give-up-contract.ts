/** Give-up contract: a parcel leaves by a proof or a warrant alone, and takes no blob with it that anybody counts on. */
import type { TestFn } from 'ava';
import { DropProof } from '../../src/core/drop-proof.js';
import { type ParcelId, parseStoreId } from '../../src/core/ids.js';
import { blobOf, contentOf, grab, parcelOf, proofFor, receive, warrantFor } from '../helpers/test-parcels.js';
import { type ContractStore, type StoreMaker, turns } from './contract-store.js';

export function testGiveUpContract(test: TestFn, { make, reopen }: StoreMaker): void {
  for (const [what, giveUp] of [
    ['dropped', (store: ContractStore, parcel: ParcelId) => store.drop(proofFor(store.id, parcel))],
    ['expired', (store: ContractStore, parcel: ParcelId) => store.expire(warrantFor(store.id, parcel), () => false)],
  ] as const) {
    test(`a parcel that was ${what} is not held any more, its del is in the log, and the others stay`, async t => {
      const store = await make(t);
      const [first, second] = [parcelOf('1', 'one'), parcelOf('2')];
      await grab(store, first);
      await grab(store, second);
      const position = await giveUp(store, first.id);
      t.deepEqual(await store.ops(2, 10), [{ op: 'del', parcel: first.id }]);
      t.deepEqual(position, store.position());
      t.is(position.seq, 3);
      t.deepEqual([...store.present()], [second.id]);
      t.false(store.isPresent(first.id));
      t.false(store.holds(blobOf('one').blob));
      t.is(await store.openBlob(blobOf('one').blob), undefined);
      t.deepEqual(await contentOf(store, blobOf('2').blob), Buffer.from('2'));
      const again = await reopen(t, store);
      t.deepEqual(again.position(), position);
      t.deepEqual([...again.present()], [second.id]);
      t.false(again.holds(blobOf('one').blob));
    });

    test(`a blob of a parcel that was ${what} stays as long as another parcel lists it`, async t => {
      const store = await make(t);
      const [first, second] = [parcelOf('shared', '1'), parcelOf('2', 'shared')];
      await grab(store, first);
      await grab(store, second);
      await giveUp(store, first.id);
      t.false(store.holds(blobOf('1').blob));
      t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
      t.is((await store.usage()).trashBytes, 1);
      await giveUp(store, second.id);
      t.false(store.holds(blobOf('shared').blob));
      t.is((await store.usage()).trashBytes, '12shared'.length);
    });

    test(`a parcel that is not here cannot be ${what}, nor can one twice: nothing is written`, async t => {
      const store = await make(t);
      const parcel = parcelOf('x');
      t.is((await giveUp(store, parcel.id)).seq, 0);
      await grab(store, parcel);
      await Promise.all([giveUp(store, parcel.id), giveUp(store, parcel.id)]);
      t.is((await giveUp(store, parcel.id)).seq, 2);
      t.is(store.position().seq, 2);
    });

    test(`a parcel is not ${what} by the word for another store`, async t => {
      const store = await make(t);
      const parcel = parcelOf('x');
      await grab(store, parcel);
      const elsewhere = Object.create(store, { id: { value: parseStoreId('77'.repeat(16)) } }) as ContractStore;
      const word = what === 'dropped' ? proofFor(elsewhere.id, parcel.id) : warrantFor(elsewhere.id, parcel.id);
      const refused = word instanceof DropProof ? store.drop(word) : store.expire(word, () => false);
      await t.throwsAsync(refused, { message: /^bug: store .* for store 7777/ });
      t.true(store.isPresent(parcel.id));
      t.is(store.position().seq, 1);
    });
  }

  test('a value that only looks like a proof or a warrant drops nothing', async t => {
    const store = await make(t);
    const parcel = parcelOf('x');
    await grab(store, parcel);
    await t.throwsAsync(store.drop({ ...proofFor(store.id, parcel.id) }), { message: /^bug: a drop needs a proof/ });
    await t.throwsAsync(
      store.expire({ ...warrantFor(store.id, parcel.id) }, () => false),
      { message: /^bug: an expiry needs/ },
    );
    t.true(store.isPresent(parcel.id));
  });

  test('a parcel that is grabbed while it is dropped is dropped first, and then held', async t => {
    const store = await make(t);
    const parcel = parcelOf('x', 'y');
    await grab(store, parcel);
    const dropping = store.drop(proofFor(store.id, parcel.id));
    const position = await store.commit(parcel.id, parcel.record);
    await dropping;
    t.true(store.isPresent(parcel.id));
    t.deepEqual(
      (await store.ops(0, 9)).map(({ op }) => op),
      ['add', 'del', 'add'],
    );
    t.is(position.seq, 3);
    t.deepEqual(await contentOf(store, blobOf('x').blob), Buffer.from('x'));
  });

  for (const first of ['commit', 'drop'] as const) {
    test(`a blob that a commit counts on survives the drop of the only parcel that listed it, ${first} first`, async t => {
      const store = await make(t);
      for (let gap = 0; gap < 40; gap++) {
        const shared = `shared ${gap}`;
        const [old, next] = [parcelOf(shared, `old ${gap}`), parcelOf(`next ${gap}`, shared)];
        await grab(store, old);
        await receive(store, blobOf(`next ${gap}`));
        const commit = () => store.commit(next.id, next.record);
        const drop = () => store.drop(proofFor(store.id, old.id));
        const begun = (first === 'commit' ? commit : drop)();
        await turns(gap);
        await Promise.all([begun, (first === 'commit' ? drop : commit)()]);
        t.true(store.isPresent(next.id));
        t.false(store.isPresent(old.id));
        const content = await contentOf(store, blobOf(shared).blob).catch((error: Error) => error.message);
        t.deepEqual(content, Buffer.from(shared), `with a gap of ${gap}`);
      }
    });
  }

  test('a commit that fails leaves what it counted on to the drop that waited for it', async t => {
    const store = await make(t);
    const old = parcelOf('shared');
    await grab(store, old);
    const next = parcelOf('shared', Buffer.alloc(300_000, 1), 'never sent');
    await receive(store, blobOf(Buffer.alloc(300_000, 1)));
    const failing = t.throwsAsync(store.commit(next.id, next.record));
    await store.drop(proofFor(store.id, old.id));
    t.like(await failing, { code: 'BLOBS_MISSING' });
    t.is((await store.usage()).trashBytes, 'shared'.length);
    t.deepEqual(await store.missing(old.blobs), []);
  });
}

/** A store whose index lies on another disk, which is full: the log has what the index has not. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { BlobIndex } from '../../src/store/blob-index.js';
import { HeldBlobs } from '../../src/store/held-blobs.js';
import type { Incoming } from '../../src/store/incoming.js';
import type { Store } from '../../src/store/store.js';
import { skip } from '../helpers/skip.js';
import { fillDisk, mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { blobOf, contentOf, grab, HOST, NONCE, parcelOf, proofFor } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

const INDEX_DISK_BYTES = 2 * 1024 * 1024;
/** So many that the index needs pages that it does not have yet. */
const LARGE_BLOBS = 3_000;
const LARGE = parcelOf('shared', ...Array.from({ length: LARGE_BLOBS }, (_, n) => `blob ${n}`));
const SMALL = parcelOf('small', 'shared');
const BEHIND = { code: 'STORE_BEHIND', message: /takes nothing until.*the disk of the state folder refused a write/ };

interface OnSmallDisk {
  readonly host: TestHost;
  readonly store: Store;
  fill(): void;
  makeRoom(): void;
  /** Opens the store once more, without a restart. */
  again(): Promise<Store>;
}

const onSmallDisk = (title: string, run: (t: ExecutionContext, on: OnSmallDisk) => Promise<void>): void =>
  test(title, async t => {
    const why = whyNoSmallDisk();
    if (why !== undefined) return skip(t, why);
    const host = await TestHost.begin(t);
    await host.index.close();
    const disk = join(host.folder, 'index');
    mountSmallDisk(t, disk, INDEX_DISK_BYTES);
    host.reopenIndex();
    const filling = join(disk, 'filling');
    await run(t, {
      host,
      store: await host.mount(),
      fill: () => fillDisk(filling),
      makeRoom: () => rmSync(filling),
      again: async () => {
        await host.store?.close();
        return host.mount();
      },
    });
  });

const possess = (store: Store, { id }: { readonly id: typeof SMALL.id }) =>
  store.possess(id, { nonce: NONCE, holders: [HOST] });

onSmallDisk(
  'a parcel that the log has and the index has not does not count, and all others are given',
  async (t, on) => {
    const { store } = on;
    await grab(store, SMALL);
    const before = store.position();
    t.deepEqual(await store.receiveSmall(LARGE.blobs), []);
    on.fill();
    await t.throwsAsync(store.commit(LARGE.id, LARGE.record), BEHIND);
    t.true(store.isBehind);
    t.is(await store.whyGone(), undefined);
    t.deepEqual(store.position(), before);
    t.deepEqual([...store.present()], [SMALL.id]);
    t.is((await possess(store, SMALL)).kind, 'whole');
    t.is((await possess(store, LARGE)).kind, 'absent');
    t.is((await contentOf(store, blobOf('small').blob))?.toString(), 'small');
    await t.throwsAsync(store.receive(blobOf('another')), BEHIND);
    await t.throwsAsync(store.drop(proofFor(store.id, SMALL.id)), BEHIND);
    await t.throwsAsync(store.catchUp());

    on.makeRoom();
    await store.catchUp();
    await t.throwsAsync(store.receive(blobOf('another')), BEHIND);
    const again = await on.again();
    t.false(again.isBehind);
    t.deepEqual(new Set(again.present()), new Set([SMALL.id, LARGE.id]));
    t.is((await possess(again, LARGE)).kind, 'whole');
  },
);

onSmallDisk('a copy whose `del` only the log has is possessed for nobody, and its bytes stay', async (t, on) => {
  const { store } = on;
  await grab(store, SMALL);
  t.deepEqual(await store.receiveSmall(LARGE.blobs), []);
  await store.commit(LARGE.id, LARGE.record);
  on.fill();
  await t.throwsAsync(store.drop(proofFor(store.id, LARGE.id)), BEHIND);
  t.false(store.isPresent(LARGE.id));
  t.is((await possess(store, LARGE)).kind, 'absent');
  t.is((await contentOf(store, blobOf('blob 1').blob))?.toString(), 'blob 1');
  on.makeRoom();
  await store.catchUp();
  // Told that it has reached the index, it is not counted down again.
  await store.catchUp();
  const again = await on.again();
  t.deepEqual([...again.present()], [SMALL.id]);
  t.is((await possess(again, SMALL)).kind, 'whole');
});

onSmallDisk('a blob that only an unindexed parcel lists stays where it is when its last pin goes', async (t, on) => {
  const { store } = on;
  await grab(store, SMALL);
  const expected = await store.expect(LARGE.id, LARGE.blobs);
  t.deepEqual(await store.receiveSmall(LARGE.blobs), []);
  // `shared` stays because the fetch counts on it.
  await store.drop(proofFor(store.id, SMALL.id));
  on.fill();
  await t.throwsAsync(store.commit(LARGE.id, LARGE.record), BEHIND);
  await expected.end();
  on.makeRoom();
  await store.catchUp();
  const again = await on.again();
  t.deepEqual([...again.present()], [LARGE.id]);
  t.is((await contentOf(again, blobOf('shared').blob))?.toString(), 'shared');
});

test('a sweep that runs when the index falls behind takes no stray any longer', async t => {
  const index = { isBehind: false, lookup: () => undefined };
  const incoming = { discardStray: async () => true };
  const blobs = new HeldBlobs(index as unknown as BlobIndex, incoming as unknown as Incoming, new Map());
  t.true(await blobs.reclaim(blobOf('stray').blob));
  index.isBehind = true;
  t.false(await blobs.reclaim(blobOf('stray').blob));
});

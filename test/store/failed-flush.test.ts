/**
 * A store after a flush that failed: the kernel shows what the disk may not have, and flushes it with success, for its pages
 * count as written. So what is looked at here is whether they are written once more.
 */
import { mkdirSync } from 'node:fs';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { createStore } from '../../src/store/create-store.js';
import type { Store } from '../../src/store/store.js';
import { withFailingFlush } from '../helpers/failing-flush.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { skip } from '../helpers/skip.js';
import { FailingDisk, whyNoFailingDisk } from '../helpers/small-disk.js';
import { blobOf, contentOf, grab, parcelOf, proofFor, receive } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

const LARGE = seededBytes(3 * 1024 * 1024, 8);
const NEXT = parcelOf('next', 'stray', LARGE);

const namesIn = (host: TestHost, folder: string) => readdir(join(host.storePath, folder));
const pathOf = (host: TestHost, content: string | Uint8Array) => {
  const { blob } = blobOf(content);
  return join(host.storePath, '.blobs', blob.slice(0, 2), blob);
};

async function failCommit(host: TestHost, store: Store): Promise<void> {
  const one = parcelOf('one that the disk does not take');
  for (const blob of one.blobs) await receive(store, blob);
  const committing = () => store.commit(one.id, one.record);
  await withFailingFlush(async () => {
    const error = await committing().catch((thrown: unknown) => thrown as { readonly code: string });
    if (!('code' in error) || error.code !== 'STORE_FAILED') throw new Error('the commit must fail', { cause: error });
  });
  await store.close().catch(() => {}); // it tells of the same failure
  host.store = undefined;
}

test.serial('what was on its way in when a flush failed is not believed, and comes once more', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  for (const blob of NEXT.blobs) await receive(store, blob);
  await failCommit(host, store);
  t.is((await namesIn(host, '.incoming')).length, 4);
  const again = await host.restart();
  t.deepEqual(await namesIn(host, '.incoming'), []);
  t.is((await again.missing(NEXT.blobs)).length, NEXT.blobs.length);
  await grab(again, NEXT);
  t.true(again.isPresent(NEXT.id));
});

test.serial('a stray is written anew after a flush that failed, and wrong bytes are set aside', async t => {
  const host = await TestHost.begin(t);
  await failCommit(host, await host.mount());
  for (const content of ['stray', LARGE]) await writeFile(pathOf(host, content), content);
  await writeFile(pathOf(host, 'next'), 'something else');
  const inodes = [(await stat(pathOf(host, 'stray'))).ino, (await stat(pathOf(host, LARGE))).ino];
  const again = await host.restart();
  t.deepEqual(await again.missing(NEXT.blobs), [{ blob: blobOf('next').blob, bytes: 4, content: Buffer.from('next') }]);
  t.is((await namesIn(host, '.trash')).length, 1);
  await grab(again, NEXT);
  t.true((await contentOf(again, blobOf(LARGE).blob))?.equals(LARGE));
  t.false(inodes.includes((await stat(pathOf(host, 'stray'))).ino));
  t.false(inodes.includes((await stat(pathOf(host, LARGE))).ino));
  t.deepEqual(await namesIn(host, '.incoming'), []);
});

test.serial('… and so is what comes back from the trash', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  await grab(store, NEXT);
  await store.drop(proofFor(store.id, NEXT.id));
  await failCommit(host, store);
  const record = join(host.storePath, '.catalog/objects', NEXT.id.slice(0, 2), NEXT.id);
  const inodes = [(await stat(join(host.storePath, '.trash', blobOf('next').blob))).ino, (await stat(record)).ino];
  const again = await host.restart();
  const { usedBytes } = await again.usage();
  t.deepEqual(await again.missing(NEXT.blobs), []);
  t.is((await again.usage()).usedBytes, usedBytes);
  await again.commit(NEXT.id, NEXT.record);
  t.false(inodes.includes((await stat(pathOf(host, 'next'))).ino));
  t.false(inodes.includes((await stat(record)).ino), 'and the record with it');
});

test.serial('when the machine has started since, what is read is what the disk has', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  for (const blob of NEXT.blobs) await receive(store, blob);
  await failCommit(host, store);
  await host.index.blobsOf(store.id).noteFlushFailed('another boot');
  const again = await host.restart();
  t.deepEqual(await again.missing(NEXT.blobs), []);
});

test.serial('on a disk that really fails, what is announced afterwards is on it', async t => {
  const why = whyNoFailingDisk();
  if (why !== undefined) return skip(t, why);
  let disk: FailingDisk | undefined;
  const host = await TestHost.begin(t, path => {
    disk = new FailingDisk(t, path);
    mkdirSync(join(disk.path, 'store'));
  });
  if (disk === undefined) return t.fail();
  const path = join(disk.path, 'store');
  await createStore(path, host.opening());
  const mount = () => host.mount({ path });
  // More than 8 files, which one call flushes.
  const contents = Array.from({ length: 16 }, (_, n) => seededBytes(200_000, n));
  const parcel = parcelOf(...contents);
  const store = await mount();
  for (const blob of parcel.blobs) await receive(store, blob);
  disk.fail();
  t.like(await t.throwsAsync(store.commit(parcel.id, parcel.record)), { code: 'STORE_FAILED' });
  await t.throwsAsync(store.close(), { code: 'STORE_FAILED' });
  disk.mend();
  const again = await mount();
  await grab(again, parcel);
  t.true(again.isPresent(parcel.id));
  await again.close();
  disk.remount();
  const last = await mount();
  for (const [n, { blob }] of parcel.blobs.entries()) {
    t.true((await contentOf(last, blob))?.equals(contents[n] as Uint8Array), `blob ${n}`);
  }
});

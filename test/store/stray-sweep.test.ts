/** Sweeps of strays: what no copy lists goes to the trash when its time is up, and never what somebody counts on. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parseNonce } from '../../src/core/ids.js';
import type { Store } from '../../src/store/store.js';
import { blobOf, contentOf, grab, parcelOf } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

const GRACE_MS = 1_000;
const { signal } = new AbortController();
const ROTTEN = parcelOf('rots', 'left', 'shared');
const KEPT = parcelOf('kept', 'shared');

const sweep = (store: Store, runMs: number, spared: readonly string[] = []) =>
  store.sweepStrays({ runMs, graceMs: GRACE_MS, isSpared: blob => spared.includes(blob), signal });
const pathOf = (host: TestHost, content: string) => {
  const { blob } = blobOf(content);
  return join(host.storePath, '.blobs', blob.slice(0, 2), blob);
};
const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
const trashOf = (host: TestHost) => readdir(join(host.storePath, '.trash'));

/** A store in which one parcel has lost a blob: another one of its blobs is a stray now, the third is of a parcel that is whole. */
async function begin(t: ExecutionContext) {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  for (const parcel of [ROTTEN, KEPT]) await grab(store, parcel);
  await rm(pathOf(host, 'rots'));
  t.like(await store.possess(ROTTEN.id, { nonce: parseNonce('0f'.repeat(16)), holders: [] }), { kind: 'corrupt' });
  return { host, store };
}

test('a stray goes to the trash when its grace is over, after a restart too, and what is held stays', async t => {
  const { host, store } = await begin(t);
  t.deepEqual(await sweep(store, 5_000), { strays: 1, trashed: 0 });
  t.deepEqual(await sweep(store, 5_000 + GRACE_MS - 1), { strays: 1, trashed: 0 });
  const again = await host.restart();
  const before = await again.usage();
  t.deepEqual(await sweep(again, 5_000 + GRACE_MS), { strays: 0, trashed: 1 });
  t.deepEqual(await trashOf(host), [blobOf('left').blob]);
  const after = await again.usage();
  t.is(after.usedBytes - after.trashBytes, before.usedBytes - before.trashBytes - 'left'.length);
  for (const content of ['kept', 'shared']) {
    t.deepEqual(await contentOf(again, blobOf(content).blob), Buffer.from(content));
  }
  await grab(again, ROTTEN);
  t.deepEqual(await contentOf(again, blobOf('left').blob), Buffer.from('left'), 'taken back from there');
});

test('one that is spared stays, however long', async t => {
  const { host, store } = await begin(t);
  const spared = [blobOf('left').blob];
  for (const runMs of [0, GRACE_MS, 9 * GRACE_MS]) {
    t.deepEqual(await sweep(store, runMs, spared), { strays: 1, trashed: 0 });
  }
  t.true(await isThere(pathOf(host, 'left')));
  t.deepEqual(await sweep(store, 9 * GRACE_MS), { strays: 0, trashed: 1 });
});

test('one that was held in between begins its grace anew', async t => {
  const { host, store } = await begin(t);
  await sweep(store, 0);
  await grab(store, ROTTEN);
  t.deepEqual(await sweep(store, GRACE_MS - 1), { strays: 0, trashed: 0 });
  await rm(pathOf(host, 'rots'));
  await store.possess(ROTTEN.id, { nonce: parseNonce('0f'.repeat(16)), holders: [] });
  t.deepEqual(await sweep(store, GRACE_MS), { strays: 1, trashed: 0 });
  t.true(await isThere(pathOf(host, 'left')));
});

test('what a commit counts on while it is swept is held afterwards, whichever came first', async t => {
  const contents = Array.from({ length: 300 }, (_, n) => `one of many ${n}`);
  const many = parcelOf('rots', ...contents);
  for (const isSweptFirst of [true, false]) {
    const host = await TestHost.begin(t);
    const store = await host.mount();
    await grab(store, many);
    await rm(pathOf(host, 'rots'));
    await store.possess(many.id, { nonce: parseNonce('0f'.repeat(16)), holders: [] });
    t.deepEqual(await sweep(store, 0), { strays: 300, trashed: 0 });
    const works = [() => sweep(store, GRACE_MS), () => grab(store, many)];
    await Promise.all((isSweptFirst ? works : works.reverse()).map(work => work()));
    t.true(store.isPresent(many.id));
    for (const content of contents) {
      t.deepEqual(await contentOf(store, blobOf(content).blob), Buffer.from(content));
    }
  }
});

test('while a rescan is due nothing goes, for nothing counts yet', async t => {
  const { host } = await begin(t);
  const store = await host.restart(() => rm(join(host.storePath, '.catalog', 'log')));
  t.true(store.rescanDue);
  for (const runMs of [0, GRACE_MS, 9 * GRACE_MS]) t.deepEqual(await sweep(store, runMs), { strays: 0, trashed: 0 });
  t.true(await isThere(pathOf(host, 'kept')));
});

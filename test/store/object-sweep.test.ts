/** Sweeps of an object folder: what nothing leads to goes when its time is up, and never what somebody has just found here. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import type { ObjectId } from '../../src/core/ids.js';
import { openIndexDatabase } from '../../src/store/index-database.js';
import { ObjectFolder } from '../../src/store/object-folder.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { blobOf, grab, parcelOf, proofFor } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

const SILENT = pino({ level: 'silent' });
const GRACE_MS = 1_000;
const { signal } = new AbortController();

async function aFolder(t: ExecutionContext) {
  const root = temporaryFolder(t);
  const path = join(root, 'objects');
  let index = openIndexDatabase(join(root, 'index'));
  let objects = await ObjectFolder.open(path, { log: SILENT, notes: index.unreachedOf() });
  const close = async (): Promise<void> => {
    await objects.close();
    await index.close();
  };
  t.teardown(close);
  return {
    put: async (content: string): Promise<ObjectId> => {
      const id = await objects.put(Buffer.from(content));
      await objects.flush();
      return id;
    },
    objects: () => objects,
    sweep: (runMs: number, reached: readonly ObjectId[] = []) =>
      objects.sweep({ isReached: id => reached.includes(id), runMs, graceMs: GRACE_MS, signal }),
    restart: async (): Promise<void> => {
      await close();
      index = openIndexDatabase(join(root, 'index'));
      objects = await ObjectFolder.open(path, { log: SILENT, notes: index.unreachedOf() });
    },
    names: async (): Promise<string[]> =>
      (await readdir(path, { recursive: true })).filter(name => name.length > 60).map(name => name.slice(3)),
  };
}

test('what nothing leads to goes when it has been so for the grace, over a restart too; all else stays', async t => {
  const folder = await aFolder(t);
  const [kept, left, back] = [await folder.put('kept'), await folder.put('left'), await folder.put('back')];
  t.deepEqual(await folder.sweep(5_000, [kept]), { unreached: 2, removed: 0 });
  t.deepEqual(await folder.sweep(5_000 + GRACE_MS - 1, [kept, back]), { unreached: 1, removed: 0 });
  await folder.restart();
  t.deepEqual(await folder.sweep(5_000 + GRACE_MS, [kept]), { unreached: 1, removed: 1 });
  t.deepEqual((await folder.names()).sort(), [kept, back].sort());
  t.false(await folder.objects().has(left));
  t.deepEqual(await folder.sweep(5_000 + 2 * GRACE_MS - 1, [kept]), { unreached: 1, removed: 0 }, 'reached in between');
  t.deepEqual(await folder.sweep(5_000 + 2 * GRACE_MS, [kept]), { unreached: 0, removed: 1 });
  t.is(await folder.put('left'), left);
  t.true(await folder.objects().has(left));
});

test('what is put, read or looked for begins its grace anew', async t => {
  const folder = await aFolder(t);
  const uses: ((id: ObjectId) => Promise<unknown>)[] = [
    id => folder.objects().get(id),
    id => folder.objects().has(id),
    () => folder.objects().put(Buffer.from('used')),
  ];
  for (const use of uses) {
    const id = await folder.put('used');
    await folder.sweep(0);
    await use(id);
    for (const runMs of [GRACE_MS, 2 * GRACE_MS - 1]) t.is((await folder.sweep(runMs)).removed, 0);
    // The old note may be there for some more sweeps: the first one after it makes the new one.
    let removed = 0;
    for (let n = 4; removed === 0 && n < 100; n += 1) ({ removed } = await folder.sweep(n * GRACE_MS));
    t.is(removed, 1);
  }
});

test('what is looked for in the very step in which its time is up stays', async t => {
  const folder = await aFolder(t);
  const id = await folder.put('used');
  await folder.sweep(0);
  const looking: Promise<boolean>[] = [];
  const isReached = (): boolean => {
    looking.push(folder.objects().has(id));
    return false;
  };
  t.is((await folder.objects().sweep({ isReached, runMs: GRACE_MS, graceMs: GRACE_MS, signal })).removed, 0);
  t.deepEqual(await Promise.all(looking), [true]);
  t.truthy(await folder.objects().get(id));
});

test('an object that is put while it is swept is there afterwards, whichever came first', async t => {
  const folder = await aFolder(t);
  const contents = Array.from({ length: 300 }, (_, n) => `object ${n}`);
  const ids: ObjectId[] = [];
  for (const content of contents) ids.push(await folder.objects().put(Buffer.from(content)));
  await folder.objects().flush();
  await folder.sweep(0);
  const putAll = async (): Promise<void> => {
    // Against the sweep's own order, so that they meet, however fast either is.
    for (const [n] of [...ids.entries()].sort(([, a], [, b]) => (a < b ? 1 : -1)))
      await folder.objects().put(Buffer.from(contents[n] as string));
    await folder.objects().flush();
  };
  let asked = 0;
  let putting: Promise<void> | undefined;
  const isReached = (): boolean => {
    asked += 1;
    if (asked === 20) putting = putAll();
    return false;
  };
  const { removed } = await folder.objects().sweep({ isReached, runMs: GRACE_MS, graceMs: GRACE_MS, signal });
  await putting;
  t.true(removed >= 19 && removed < ids.length, `${removed} were removed`);
  t.deepEqual((await folder.names()).sort(), [...ids].sort());
  for (const [n, id] of ids.entries()) {
    t.true(await folder.objects().has(id));
    t.is(Buffer.from((await folder.objects().get(id)) ?? []).toString(), contents[n] as string);
  }
});

test('a folder without notes is never swept, and a sweep ends when it is told to', async t => {
  const root = temporaryFolder(t);
  const objects = await ObjectFolder.open(join(root, 'objects'), { log: SILENT });
  t.teardown(() => objects.close());
  const all = { isReached: () => false, graceMs: 0 };
  for (const runMs of [0, 1]) t.deepEqual(await objects.sweep({ ...all, runMs, signal }), { unreached: 0, removed: 0 });
  const folder = await aFolder(t);
  await t.throwsAsync(folder.objects().sweep({ ...all, runMs: 0, signal: AbortSignal.abort(new Error('enough')) }), {
    message: 'enough',
  });
});

test('a store keeps the records of what it holds; while it is to be rescanned it keeps all', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  const [held, dropped] = [parcelOf('held'), parcelOf('dropped')];
  for (const parcel of [held, dropped]) await grab(store, parcel);
  await store.drop(proofFor(store.id, dropped.id));
  const page = await store.objects.put(Buffer.from('a page'));
  await store.objects.flush();
  const sweep = (at: typeof store, runMs: number) =>
    at.sweepObjects({ isReached: () => false, runMs, graceMs: GRACE_MS, signal });
  t.deepEqual(await sweep(store, 0), { unreached: 2, removed: 0 });
  t.deepEqual(await sweep(store, GRACE_MS), { unreached: 0, removed: 2 });
  for (const gone of [page, dropped.id]) t.false(await store.objects.has(gone));
  t.true(await store.objects.has(held.id));
  t.deepEqual(await store.missing([blobOf('held')]), []);

  // Without its log it begins a new one, and finds by the records what lies there.
  const again = await host.restart(() => rm(join(host.storePath, '.catalog', 'log')));
  t.true(again.rescanDue);
  for (const runMs of [0, GRACE_MS, 9 * GRACE_MS]) t.deepEqual(await sweep(again, runMs), { unreached: 0, removed: 0 });
  for await (const _ of again.rescan());
  t.true(again.isPresent(held.id));
});

/**
 * Bad sectors: what a store makes of files that its disk does not give. Reads are made to fail in the whole process; so these
 * tests go one by one.
 */
import { statSync } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parseNonce, parseObjectId } from '../../src/core/ids.js';
import type { Store } from '../../src/store/store.js';
import type { TreeEntry } from '../../src/store/tree-view.js';
import { answerReads, unreadableAt } from '../helpers/reading-thread.js';
import { grab, parcelOf, proofFor, receive, type TestBlob, type TestParcel } from '../helpers/test-parcels.js';
import { until } from '../helpers/until.js';
import { TestHost } from './real-store.js';

const ASK = { nonce: parseNonce('0e'.repeat(16)), holders: [] };
const PARCEL = parcelOf('first', 'second');
const [FIRST] = PARCEL.blobs as [TestBlob];

async function begin(t: ExecutionContext, ...parcels: readonly TestParcel[]) {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  for (const parcel of parcels) await grab(store, parcel);
  return { host, store };
}

const TREE = { originName: 'imac', source: 'photos', snapshot: parseObjectId('ab'.repeat(32)) };

async function* entriesOf({ blobs }: TestParcel): AsyncGenerator<TreeEntry> {
  for (const { blob, bytes, content } of blobs) yield { kind: 'file', path: content, blob, bytes };
}

/** From now on the disk does not give the files of these blobs: as often as it is asked, or so many times. */
async function breakDisk(t: ExecutionContext, host: TestHost, blobs: readonly TestBlob[], times = 100): Promise<void> {
  const broken = new Set<number>();
  for (const { blob } of blobs) broken.add((await stat(join(host.storePath, '.blobs', blob.slice(0, 2), blob))).ino);
  const file = await open(process.execPath);
  const handles = Object.getPrototypeOf(file) as { read: (...args: unknown[]) => Promise<unknown> };
  await file.close();
  const { read } = handles;
  let left = times;
  handles.read = async function (this: FileHandle, ...args) {
    if (left > 0 && broken.has((await this.stat()).ino)) {
      left -= 1;
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' });
    }
    return read.apply(this, args);
  };
  t.teardown(() => {
    handles.read = read;
  });
  answerReads(t, async (files, readFiles) => {
    const n = left === 0 ? -1 : files.paths.findIndex(path => broken.has(statSync(path, NO_THROW)?.ino ?? 0));
    if (n < 0) return readFiles(files);
    const before = await readFiles({ ...files, paths: files.paths.slice(0, n) });
    if (before.is !== 'read') return before;
    left -= 1;
    return unreadableAt(n);
  });
}

const NO_THROW = { throwIfNoEntry: false } as const;

test.serial(
  'a copy of which the disk twice does not give a file, and gives others, is corrupt, and whole again once that came',
  async t => {
    const { host, store } = await begin(t, PARCEL);
    await breakDisk(t, host, [FIRST]);
    t.deepEqual(await store.possess(PARCEL.id, ASK), { kind: 'corrupt', position: store.position() });
    t.deepEqual(await store.ops(1, 9), [{ op: 'corrupt', parcel: PARCEL.id }]);
    t.deepEqual(
      (await store.missing(PARCEL.blobs)).map(({ blob }) => blob),
      [FIRST.blob],
    );
    await receive(store, FIRST);
    await store.commit(PARCEL.id, PARCEL.record);
    t.is((await store.possess(PARCEL.id, ASK)).kind, 'whole');
  },
);

test.serial('a tree has the file that came for one that the disk does not give, and keeps nothing of that', async t => {
  for (const isTrashEmptied of [false, true]) {
    const { host, store } = await begin(t, PARCEL);
    const update = () => store.updateTree({ ...TREE, files: entriesOf(PARCEL) });
    await update();
    const { usedBytes } = await store.usage();
    await breakDisk(t, host, [FIRST]);
    t.is((await store.possess(PARCEL.id, ASK)).kind, 'corrupt');
    await receive(store, FIRST);
    await store.commit(PARCEL.id, PARCEL.record);
    t.like(await store.usage(), { usedBytes: usedBytes + FIRST.bytes, trashBytes: FIRST.bytes });
    if (isTrashEmptied) t.is(await store.emptyTrash({ olderThanMs: 0 }), FIRST.bytes);
    t.like(await update(), { placed: 2, unplaced: 0, left: 0 });
    const { ino } = await stat(join(host.storePath, '.blobs', FIRST.blob.slice(0, 2), FIRST.blob));
    t.is((await stat(join(host.storePath, 'imac/photos', FIRST.content.toString()))).ino, ino);
  }
});

test.serial('a file that the disk does not give is given once more when it does, however long that takes', async t => {
  const { host, store } = await begin(t, PARCEL);
  const { usedBytes } = await store.usage();
  // The read that finds it, the second look at it.
  await breakDisk(t, host, [FIRST], 2);
  t.is((await store.possess(PARCEL.id, ASK)).kind, 'corrupt');
  await store.emptyTrash({ olderThanMs: 0 });
  t.is((await store.usage()).usedBytes, usedBytes);
  t.deepEqual(await store.missing(PARCEL.blobs), []);
  await store.commit(PARCEL.id, PARCEL.record);
  t.is((await store.possess(PARCEL.id, ASK)).kind, 'whole');
  t.is((await store.usage()).usedBytes, usedBytes);
});

test.serial(
  "one that another copy counts on, which could not be found, is in nobody's way at the next opening",
  async t => {
    const other = parcelOf('first', 'of another');
    const { host, store } = await begin(t, PARCEL, other);
    await breakDisk(t, host, [FIRST]);
    await rm(join(host.storePath, '.catalog/objects', other.id.slice(0, 2), other.id));
    t.is((await store.possess(PARCEL.id, ASK)).kind, 'corrupt');
    t.true(store.isPresent(other.id));
    const again = await host.restart();
    t.deepEqual(await again.missing(PARCEL.blobs), [FIRST]);
  },
);

test.serial(
  'with many parcels one that another copy counts on stays where it is, and that copy counts no more soon',
  async t => {
    const other = parcelOf('first', 'of another');
    const { host } = await begin(t, PARCEL, other);
    const store = await host.restart(undefined, { soughtAtOnceMax: 0 });
    const { usedBytes } = await store.usage();
    await breakDisk(t, host, [FIRST]);
    t.is((await store.possess(PARCEL.id, ASK)).kind, 'corrupt');
    await until('the other copy counts no more', () => !store.isPresent(other.id));
    await store.close();
    t.deepEqual(await readdir(join(host.storePath, '.trash')), []);
    t.is((await stat(join(host.storePath, '.blobs', FIRST.blob.slice(0, 2), FIRST.blob))).size, FIRST.bytes);
    t.like(await (await host.restart()).usage(), { usedBytes });
  },
);

test.serial('a file that stands alone in its parcel is held against those of others', async t => {
  const [alone, other] = [parcelOf('alone'), parcelOf('other')];
  const { host, store } = await begin(t, alone, other);
  await breakDisk(t, host, alone.blobs);
  t.is((await store.possess(alone.id, ASK)).kind, 'corrupt');
});

test.serial('a disk that gives a file when it is asked again says nothing of it', async t => {
  const { host, store } = await begin(t, PARCEL);
  await breakDisk(t, host, [FIRST], 1);
  await t.throwsAsync(store.possess(PARCEL.id, ASK), { code: 'EIO' });
  t.true(store.isPresent(PARCEL.id));
  t.is((await store.possess(PARCEL.id, ASK)).kind, 'whole');
});

test.serial('a disk that gives no file at all says nothing of any', async t => {
  const { host, store } = await begin(t, PARCEL);
  await breakDisk(t, host, PARCEL.blobs);
  await t.throwsAsync(store.possess(PARCEL.id, ASK), { code: 'EIO' });
  t.true(store.isPresent(PARCEL.id));
  t.is(store.position().seq, 1);
});

test.serial('nor does one whose marker is gone', async t => {
  const { host, store } = await begin(t, PARCEL);
  await breakDisk(t, host, [FIRST]);
  await rename(join(host.storePath, '.scatterhoard'), join(host.storePath, 'elsewhere'));
  await t.throwsAsync(store.possess(PARCEL.id, ASK), { code: 'STORE_MISSING' });
  t.true(store.isPresent(PARCEL.id));
});

test.serial('of a corrupt copy also what else the disk does not give comes again', async t => {
  const parcel = parcelOf('first', 'second', 'third');
  const { host, store } = await begin(t, parcel);
  const broken = parcel.blobs.slice(0, 2);
  await breakDisk(t, host, broken);
  const { usedBytes } = await store.usage();
  t.is((await store.possess(parcel.id, ASK)).kind, 'corrupt');
  t.deepEqual(await store.missing(parcel.blobs), broken);
  await grab(store, parcel);
  t.is((await store.possess(parcel.id, ASK)).kind, 'whole');
  await store.emptyTrash({ olderThanMs: 0 });
  t.is((await store.usage()).usedBytes, usedBytes);
});

test.serial('what the disk does not give any more of the trash, or of an earlier run, comes again', async t => {
  const { host, store } = await begin(t, PARCEL);
  const { usedBytes } = await store.usage();
  await breakDisk(t, host, [FIRST]);
  await store.drop(proofFor(store.id, PARCEL.id));
  for (const where of ['in the trash', 'left by a fetch', 'left by an earlier run']) {
    if (where === 'left by an earlier run') await host.restart();
    const here = host.store as Store;
    t.deepEqual(await here.missing(PARCEL.blobs), [FIRST], where);
  }
  const again = host.store as Store;
  await grab(again, PARCEL);
  t.is((await again.possess(PARCEL.id, ASK)).kind, 'whole');
  t.is((await again.usage()).usedBytes, usedBytes + FIRST.bytes, 'it stays until its time is up');
  await again.sweepIncoming(Number.MAX_SAFE_INTEGER);
  await again.emptyTrash({ olderThanMs: 0 });
  t.is((await again.usage()).usedBytes, usedBytes);
});

test.serial('all copies but the one that the disk does not give are read again after a doubt', async t => {
  const [bad, good, better] = [parcelOf('bad'), parcelOf('good'), parcelOf('better')];
  const { host } = await begin(t, bad, good, better);
  await breakDisk(t, host, bad.blobs);
  const again = await host.restart(undefined, { doubt: { because: 'a test', counterSeen: 2_000_000_000_000 } });
  const found: string[] = [];
  for await (const { parcel } of again.rescan()) found.push(parcel);
  t.deepEqual(found.sort(), [good.id, better.id].sort());
  t.false(again.rescanDue);
});

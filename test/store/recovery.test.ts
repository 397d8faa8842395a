import { cp, mkdir, readdir, readFile, rename, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { pino } from 'pino';
import { compareEpochs } from '../../src/core/holdings-log.js';
import { parseClusterId, parseHostId, parseNonce, sourceIdOf } from '../../src/core/ids.js';
import { createStore } from '../../src/store/create-store.js';
import { openStore } from '../../src/store/open-store.js';
import type { Store } from '../../src/store/store.js';
import { blobOf, contentOf, grab, parcelOf, proofFor, receive } from '../helpers/test-parcels.js';
import { CLUSTER, HOST, TestHost } from './real-store.js';

const A = parcelOf('a1', 'shared');
const B = parcelOf('b1', 'shared');
const C = parcelOf('c1', 'c2');

const blobPath = (host: TestHost, content: string) => {
  const { blob } = blobOf(content);
  return join(host.storePath, '.blobs', blob.slice(0, 2), blob);
};
const trashPath = (host: TestHost, content: string) => join(host.storePath, '.trash', blobOf(content).blob);
const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
const recordPath = (host: TestHost, id: string) => join(host.storePath, '.catalog/objects', id.slice(0, 2), id);
const logPath = (host: TestHost) => join(host.storePath, '.catalog/log');

async function hostWithParcels(t: Parameters<typeof TestHost.begin>[0], ...parcels: (typeof A)[]): Promise<TestHost> {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  for (const parcel of parcels) await grab(store, parcel);
  return host;
}

/** These records cannot be read until what this returns is called. */
function failReads({ objects }: Store, ids: readonly string[]): () => void {
  const get = objects.get.bind(objects);
  const failing: typeof get = async id => {
    if (ids.includes(id)) throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
    return get(id);
  };
  Object.assign(objects, { get: failing });
  return () => void Object.assign(objects, { get });
}

async function rescanned(store: Store): Promise<string[]> {
  const parcels: string[] = [];
  for await (const { parcel } of store.rescan()) parcels.push(parcel);
  return parcels.sort();
}

test('a parcel that lacks a blob gets a corrupt operation, and the others stay', async t => {
  const host = await hostWithParcels(t, A, B, C);
  const store = await host.restart(() => rm(blobPath(host, 'a1')));
  t.deepEqual(new Set(store.present()), new Set([B.id, C.id]));
  t.deepEqual(await store.ops(3, 10), [{ op: 'corrupt', parcel: A.id }]);
  t.false(store.holds(blobOf('a1').blob));
  t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
  await grab(store, A);
  t.true(store.isPresent(A.id));
  t.is(store.position().seq, 5);
});

test('a lost blob that two parcels share takes both, and the rest of them is hashed instead of fetched', async t => {
  const host = await hostWithParcels(t, A, B, C);
  const store = await host.restart(() => rm(blobPath(host, 'shared')));
  t.deepEqual([...store.present()], [C.id]);
  t.deepEqual(
    (await store.missing(A.blobs)).map(({ blob }) => blob),
    [blobOf('shared').blob],
  );
});

test('a parcel whose record is lost is corrupt, and its blobs do not count', async t => {
  const host = await hostWithParcels(t, A, C);
  const store = await host.restart(() => rm(recordPath(host, A.id)));
  t.deepEqual([...store.present()], [C.id]);
  t.false(store.holds(blobOf('a1').blob));
  await grab(store, A);
  t.true(store.isPresent(A.id));
});

test('a record that is damaged on disk is written anew by the commit that relies on it', async t => {
  const host = await hostWithParcels(t, A, C);
  const spoil = () => writeFile(recordPath(host, A.id), 'spoilt');
  await spoil();
  t.like(await host.store?.possess(A.id, { nonce: parseNonce('0f'.repeat(16)), holders: [] }), { kind: 'corrupt' });
  const store = await host.restart(); // which knows nothing of the damage
  await grab(store, A);
  t.true(store.isPresent(A.id));
  t.deepEqual(Buffer.from((await store.objects.get(A.id)) ?? []), Buffer.from(A.record));
  t.true((await host.restart()).isPresent(A.id));
});

test('all blobs lost: every parcel is corrupt, none is forgotten', async t => {
  const host = await hostWithParcels(t, A, B, C);
  const store = await host.restart(async () => {
    await rm(join(host.storePath, '.blobs'), { recursive: true });
  });
  t.deepEqual([...store.present()], []);
  t.is((await store.ops(3, 10)).filter(({ op }) => op === 'corrupt').length, 3);
});

test('files under .blobs that the log does not cover never count, and come back by their hash alone', async t => {
  const host = await hostWithParcels(t, A);
  const [right, wrong] = [blobOf('stray'), blobOf('not stray')];
  const store = await host.restart(async () => {
    await writeFile(blobPath(host, 'stray'), 'stray');
    await writeFile(blobPath(host, 'not stray'), 'something else');
  });
  t.false(store.holds(right.blob));
  t.is(await store.openBlob(right.blob), undefined);
  t.deepEqual(
    (await store.missing([right, wrong])).map(({ blob }) => blob),
    [wrong.blob],
  );
  t.is((await readdir(join(host.storePath, '.trash'))).length, 1, 'wrong bytes are set aside, not thrown away');
  const { id, record } = parcelOf('stray');
  await store.commit(id, record);
  t.deepEqual(await contentOf(store, right.blob), Buffer.from('stray'));
  await grab(store, parcelOf('not stray'));
  t.deepEqual(await contentOf(store, wrong.blob), Buffer.from('not stray'));
});

test('what is used is the same after a restart with strays, leftovers and trash', async t => {
  const host = await hostWithParcels(t, A, C);
  let store = await host.restart(async () => {
    await writeFile(blobPath(host, 'stray'), 'stray');
    await writeFile(blobPath(host, 'not stray'), 'x'.repeat(1_000));
  });
  const before = (await store.usage()).usedBytes;
  await store.missing([blobOf('stray'), blobOf('not stray')]);
  await receive(store, blobOf(Buffer.alloc(5_000, 5)));
  t.is((await store.usage()).usedBytes, before + 5_000);
  store = await host.restart();
  t.is((await store.usage()).usedBytes, before + 5_000);
});

test('an index that was deleted is made anew from the log and the records', async t => {
  const host = await hostWithParcels(t, A, B);
  const before = host.store?.position();
  const store = await host.restart(() => host.forgetIndex());
  t.deepEqual(store.position(), before);
  t.deepEqual(new Set(store.present()), new Set([A.id, B.id]));
  t.true(store.holds(blobOf('shared').blob));
  t.false(store.rescanDue);
});

/** Opens the host's store with an index of before what happens in `since`. */
async function withOldIndex(host: TestHost, since: (store: Store) => Promise<void>): Promise<Store> {
  const old = join(host.folder, 'old-index');
  const store = await host.restart(async () => {
    await cp(join(host.folder, 'index'), old, { recursive: true });
  });
  await since(store);
  host.boot -= 1; // the old index knows the boot before
  return host.restart(async () => {
    await rm(join(host.folder, 'index'), { recursive: true });
    await rename(old, join(host.folder, 'index'));
    const marker = join(host.storePath, '.scatterhoard');
    await writeFile(marker, (await readFile(marker, 'utf8')).replace('"boot": 2', '"boot": 1'));
  });
}

test('an index that is behind the log is brought up to it', async t => {
  const host = await hostWithParcels(t, A);
  const store = await withOldIndex(host, async before => {
    await grab(before, B);
    await grab(before, C);
  });
  t.false(store.rescanDue);
  t.is([...store.present()].length, 3);
  t.true(store.holds(blobOf('c2').blob));
  t.is(store.position().seq, 3);
});

test('a torn tail of the log is cut, and the parcel behind it is not present', async t => {
  const host = await hostWithParcels(t, A, B);
  const { size } = await stat(logPath(host));
  const store = await host.restart(async () => {
    await host.forgetIndex(); // it would remember the operation
    await truncate(logPath(host), size - 5);
  });
  t.deepEqual([...store.present()], [A.id]);
  t.false(store.rescanDue);
  t.false(store.holds(blobOf('b1').blob));
  await grab(store, B);
  t.true(store.isPresent(B.id));
});

for (const [what, spoil] of [
  [
    'damaged before its end',
    async (host: TestHost) => {
      const bytes = await readFile(logPath(host));
      bytes[200] = (bytes[200] ?? 0) ^ 1;
      await writeFile(logPath(host), bytes);
    },
  ],
  ['missing', (host: TestHost) => rm(logPath(host))],
  [
    'shorter than the index remembers',
    async (host: TestHost) => truncate(logPath(host), (await stat(logPath(host))).size - 1),
  ],
  [
    'of a marker with another boot counter',
    async (host: TestHost) => {
      const marker = join(host.storePath, '.scatterhoard');
      await writeFile(marker, (await readFile(marker, 'utf8')).replace('"boot": 1', '"boot": 7'));
    },
  ],
] as const) {
  test(`a log that is ${what} begins a greater epoch, and only what hashes right comes back`, async t => {
    const host = await hostWithParcels(t, A, B, C);
    const before = host.store?.position();
    if (before === undefined) return t.fail();
    const store = await host.restart(async () => {
      await spoil(host);
      await writeFile(blobPath(host, 'c2'), 'C2');
    });
    t.true(store.rescanDue);
    t.deepEqual([...store.present()], []);
    t.false(store.holds(blobOf('a1').blob));
    t.is(compareEpochs(store.position().epoch, before.epoch), 1);
    t.is(store.position().seq, 0);
    t.deepEqual(await rescanned(store), [A.id, B.id].sort());
    t.false(store.rescanDue);
    t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
    t.is((await store.missing(C.blobs)).length, 1);
    const again = await host.restart();
    t.false(again.rescanDue);
    t.deepEqual(again.position(), store.position());
  });
}

test('a rescan that was interrupted goes on after a restart', async t => {
  const host = await hostWithParcels(t, A, B, C);
  let store = await host.restart(() => rm(logPath(host)));
  for await (const { parcel } of store.rescan()) {
    t.true(store.isPresent(parcel));
    break;
  }
  t.is(store.position().seq, 1);
  store = await host.restart();
  t.true(store.rescanDue);
  t.is((await rescanned(store)).length, 2);
  t.is(store.position().seq, 3);
});

test('a rescan goes past a parcel of which a file is none of ours', async t => {
  const host = await hostWithParcels(t, A, B, C);
  const store = await host.restart(async () => {
    await rm(logPath(host));
    await rm(blobPath(host, 'b1'));
    await symlink('/etc/hostname', blobPath(host, 'b1'));
  });
  t.deepEqual(await rescanned(store), [A.id, C.id].sort());
  t.false(store.rescanDue, 'nothing would be swept while that lies there');
});

test('a rescan goes past a parcel that cannot be read yet, and stays due for it alone', async t => {
  const host = await hostWithParcels(t, A, B, C);
  const store = await host.restart(() => rm(logPath(host)));
  const undo = failReads(store, [B.id]);
  t.deepEqual(await rescanned(store), [A.id, C.id].sort());
  t.true(store.rescanDue);
  undo();
  t.deepEqual(await rescanned(store), [B.id]);
  t.false(store.rescanDue);
});

test('a rescan ends at once when its disk is gone', async t => {
  const host = await hostWithParcels(t, A, B, C);
  const store = await host.restart(() => rm(logPath(host)));
  const undo = failReads(store, [A.id, B.id, C.id]);
  const marker = join(host.storePath, '.scatterhoard');
  await rename(marker, `${marker}.away`);
  await t.throwsAsync(rescanned(store), { code: 'EMFILE' });
  undo();
  await rename(`${marker}.away`, marker);
  t.is((await rescanned(store)).length, 3);
});

test('a rescan can be cancelled', async t => {
  const host = await hostWithParcels(t, A, B);
  const store = await host.restart(() => rm(logPath(host)));
  await t.throwsAsync(
    async () => {
      for await (const _ of store.rescan(AbortSignal.abort(new Error('enough')))) t.fail();
    },
    { message: 'enough' },
  );
  t.true(store.rescanDue);
});

test("a peer's doubt begins an epoch above what it has seen", async t => {
  const host = await hostWithParcels(t, A);
  const counterSeen = 9_000_000_000_000;
  const store = await host.restart(async () => {}, { doubt: { because: 'a peer has more', counterSeen } });
  t.is(store.position().epoch.counter, counterSeen + 1);
  t.deepEqual(await rescanned(store), [A.id]);
});

test('the boot counter of the state folder is asked only when the index knows nothing', async t => {
  const host = await hostWithParcels(t, A);
  // The service began twice while this disk was away.
  host.boot += 2;
  let store = await host.restart();
  t.false(store.rescanDue);
  store = await host.restart(() => host.forgetIndex());
  t.false(store.rescanDue);
  host.boot += 2;
  store = await host.restart(() => host.forgetIndex());
  t.true(store.rescanDue);
});

test('the marker of an older image of the disk is in doubt, though it is only one boot old', async t => {
  const host = await hostWithParcels(t, A);
  const marker = join(host.storePath, '.scatterhoard');
  const older = await readFile(marker);
  await host.restart();
  const store = await host.restart(() => writeFile(marker, older));
  t.true(store.rescanDue);
});

for (const content of ['a', 'a1 and more']) {
  test(`a blob whose file has ${content.length} bytes instead of 2 is not given out`, async t => {
    const host = await hostWithParcels(t, A);
    const store = await host.restart(() => writeFile(blobPath(host, 'a1'), content));
    t.like(await t.throwsAsync(contentOf(store, blobOf('a1').blob)), { code: 'BLOB_UNREADABLE' });
  });
}

test('of a disk and its copy only one is mounted', async t => {
  const host = await hostWithParcels(t, A);
  const path = join(host.folder, 'copy');
  await cp(host.storePath, path, { recursive: true });
  t.is((await openStore(host.opening({ path }))).kind, 'missing');
  await host.store?.close();
  host.store = undefined;
  const opened = await openStore(host.opening({ path }));
  t.is(opened.kind, 'mounted');
  if (opened.kind === 'mounted') await opened.store.close();
});

test('what a crash left of a marker or a head is removed', async t => {
  const host = await hostWithParcels(t, A);
  const left = ['.scatterhoard.new-0123456789ab', '.catalog/heads/x.photos.new-0123456789ab'];
  await host.restart(async () => {
    for (const name of left) await writeFile(join(host.storePath, name), 'half');
  });
  for (const name of left) await t.throwsAsync(stat(join(host.storePath, name)), { code: 'ENOENT' });
});

test('a store mounted twice in one start is not in doubt', async t => {
  const host = await hostWithParcels(t, A);
  await host.store?.close();
  const store = await host.mount();
  t.false(store.rescanDue);
  t.true(store.isPresent(A.id));
});

test('a store that was just made is not in doubt', async t => {
  const host = await TestHost.begin(t);
  t.false((await host.mount({ boot: 1, previousBoot: 0 })).rescanDue);
});

for (const [what, spoil, changes] of [
  ['whose folder is gone', (path: string) => rm(path, { recursive: true }), {}],
  [
    'whose disk is not mounted',
    async (path: string) => {
      await rm(path, { recursive: true });
      await mkdir(path);
    },
    {},
  ],
  ['whose marker is broken', (path: string) => writeFile(join(path, '.scatterhoard'), '{'), {}],
  [
    'of a later format',
    async (path: string) => {
      const marker = join(path, '.scatterhoard');
      await writeFile(marker, (await readFile(marker, 'utf8')).replace('store 1', 'store 2'));
    },
    {},
  ],
  ['of another host', async () => {}, { host: parseHostId('b2'.repeat(16)) }],
  ['of another cluster', async () => {}, { cluster: parseClusterId('d2'.repeat(16)) }],
  [
    'whose .blobs is a symlink',
    async (path: string) => {
      await rename(join(path, '.blobs'), join(path, 'moved'));
      await symlink('moved', join(path, '.blobs'));
    },
    {},
  ],
  [
    'whose marker is a symlink',
    async (path: string) => {
      await rename(join(path, '.scatterhoard'), join(path, 'moved'));
      await symlink('moved', join(path, '.scatterhoard'));
    },
    {},
  ],
] as const) {
  test(`a store ${what} is missing, and nothing is made in its place`, async t => {
    const host = await hostWithParcels(t, A);
    await host.stop();
    await spoil(host.storePath);
    const before = await readdir(host.storePath).catch(() => 'no folder');
    const { openIndexDatabase } = await import('../../src/store/index-database.js');
    host.index = openIndexDatabase(join(host.folder, 'index'));
    t.is((await openStore(host.opening(changes))).kind, 'missing');
    t.deepEqual(await readdir(host.storePath).catch(() => 'no folder'), before);
  });
}

test('a store whose disk is pulled says so', async t => {
  const host = await hostWithParcels(t, A);
  t.is(await host.store?.whyGone(), undefined);
  await rename(host.storePath, `${host.storePath}.gone`);
  t.regex((await host.store?.whyGone()) ?? '', /not mounted/);
  await rename(`${host.storePath}.gone`, host.storePath);
  t.is(await host.store?.whyGone(), undefined);
});

test('a store is made once, in a folder that exists and holds no blobs', async t => {
  const host = await hostWithParcels(t, A);
  const options = { ...host.opening(), cluster: CLUSTER, host: HOST };
  t.like(await t.throwsAsync(createStore(host.storePath, options)), { code: 'STORE_EXISTS', blame: 'operator' });
  t.like(await t.throwsAsync(createStore(join(host.folder, 'nothing'), options)), { code: 'STORE_FOLDER_MISSING' });
  await rm(join(host.storePath, '.scatterhoard'));
  t.like(await t.throwsAsync(createStore(host.storePath, options)), { code: 'STORE_HAS_REMAINS' });
  await host.stop();
  for (const shard of await readdir(join(host.storePath, '.blobs'))) {
    // As a copy of the disk without its empty folders.
    if (shard !== blobOf('shared').blob.slice(0, 2))
      await rm(join(host.storePath, '.blobs', shard), { recursive: true });
  }
  t.like(await t.throwsAsync(createStore(host.storePath, options)), { code: 'STORE_HAS_REMAINS' });
  const path = join(host.folder, 'other');
  await mkdir(path);
  await mkdir(join(path, 'lost+found'));
  await t.notThrowsAsync(createStore(path, options));
});

test('leftovers are swept when they are old enough, and not while a commit counts on them', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  const empty = (await store.usage()).usedBytes;
  await receive(store, blobOf('old'));
  await store.sweepIncoming(Date.now() - 60_000);
  t.deepEqual(await store.missing([blobOf('old')]), []);
  const { id, record } = parcelOf('old');
  await Promise.all([store.commit(id, record), store.sweepIncoming(Date.now() + 60_000)]);
  t.true(store.isPresent(id));
  await receive(store, blobOf('older'));
  const again = await host.restart(); // now it is a leftover that nobody has hashed
  await again.sweepIncoming(Date.now() + 60_000);
  t.is((await again.missing([blobOf('older')])).length, 1);
  t.deepEqual(await readdir(join(host.storePath, '.incoming')), []);
  t.true((await again.usage()).usedBytes > empty);
});

test('what a fetch has verified is kept its time from the end of the fetch, and of a night that the host was off', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  const { id, blobs } = parcelOf('came', 'did not');
  const folder = join(host.storePath, '.incoming');
  const makeOld = async () => {
    for (const name of await readdir(folder)) await utimes(join(folder, name), 1, 1);
  };
  const { end } = await store.expect(id, blobs);
  await receive(store, blobOf('came'));
  await makeOld();
  await end();
  await store.sweepIncoming(Date.now() - 60_000);
  t.deepEqual(await store.missing(blobs), blobs.slice(1));
  const again = await host.restart(makeOld);
  await again.sweepIncoming(Date.now() - 60_000);
  t.deepEqual(await again.missing(blobs), blobs.slice(1));
  await again.sweepIncoming(Date.now() + 60_000);
  t.deepEqual(await again.missing(blobs), blobs);
});

test('a fetch that is given up does not wait for what was left behind to be hashed, which stays', async t => {
  const host = await TestHost.begin(t);
  const { id, blobs } = parcelOf('came', 'did not');
  await receive(await host.mount(), blobOf('came'));
  const again = await host.restart();
  await t.throwsAsync(again.expect(id, blobs, AbortSignal.abort(new Error('given up'))), { message: 'given up' });
  t.deepEqual(await again.missing(blobs), blobs.slice(1));
});

for (const isRestarted of [false, true]) {
  test(`what came back from the trash and was not used goes there again${isRestarted ? ', after a restart too' : ''}`, async t => {
    const host = await hostWithParcels(t, C);
    let store = host.store as Store;
    await store.drop(proofFor(store.id, C.id));
    const { usedBytes } = await store.usage();
    host.nowMs += 23 * 3_600_000;
    t.deepEqual(await store.missing(C.blobs), []);
    if (isRestarted) store = await host.restart();
    const inTrash = () => Promise.all(['c1', 'c2'].map(content => isThere(trashPath(host, content))));
    t.deepEqual(await inTrash(), [false, false]);
    await store.sweepIncoming(Date.now() + 10 * 24 * 3_600_000);
    t.deepEqual(await inTrash(), [true, true]);
    t.deepEqual(await readdir(join(host.storePath, '.incoming')), []);
    t.is((await store.usage()).usedBytes, usedBytes);
    host.nowMs += 23 * 3_600_000;
    await store.emptyTrash({ olderThanMs: 24 * 3_600_000 });
    t.deepEqual(await store.missing(C.blobs), [], 'for its full time');
  });
}

test('folders are 0700 and files 0600', async t => {
  const host = await hostWithParcels(t, A);
  const names = await readdir(host.storePath, { recursive: true });
  t.true(names.length > 0);
  for (const name of names) {
    const found = await stat(join(host.storePath, name));
    t.is(found.mode & 0o777, found.isDirectory() ? 0o700 : 0o600, name);
  }
});

test('bytes of a deletion that a crash kept from the trash count for nothing, and come back by their hash', async t => {
  const host = await hostWithParcels(t, A, B, C);
  await host.store?.drop(proofFor(host.store.id, A.id));
  const before = await host.store?.usage();
  // As a crash leaves it that came after `del` was durable.
  const store = await host.restart(() => rename(trashPath(host, 'a1'), blobPath(host, 'a1')));
  t.deepEqual(new Set(store.present()), new Set([B.id, C.id]));
  t.false(store.holds(blobOf('a1').blob));
  t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
  t.like(await store.usage(), { usedBytes: before?.usedBytes, trashBytes: 0 });
  await grab(store, A);
  t.deepEqual(await contentOf(store, blobOf('a1').blob), Buffer.from('a1'));
});

test('right files of a damaged copy stay where a restore finds them, though a parcel that was deleted had them too', async t => {
  for (const isCheckpointed of [false, true]) {
    const host = await hostWithParcels(t, A, B);
    const store = host.store as Store;
    await store.drop(proofFor(store.id, A.id));
    await writeFile(blobPath(host, 'b1'), 'XX');
    const { kind } = await store.possess(B.id, { nonce: parseNonce('0e'.repeat(16)), holders: [] });
    t.is(kind, 'corrupt');
    if (isCheckpointed) await store.makeCheckpoint(TOLD);
    for (const _ of [1, 2]) {
      const again = await host.restart();
      t.true(await isThere(blobPath(host, 'shared')));
      t.not(await again.openStray(blobOf('shared').blob), undefined);
    }
  }
});

test('a deletion that is not in the log has not happened, whatever lies in the trash', async t => {
  const host = await hostWithParcels(t, A, C);
  const log = await readFile(logPath(host));
  await host.store?.drop(proofFor(host.store.id, A.id));
  const store = await host.restart(async () => {
    await host.forgetIndex();
    await writeFile(logPath(host), log);
    await truncate(logPath(host), log.length);
  });
  t.deepEqual([...store.present()], [C.id]);
  t.deepEqual(await store.ops(2, 9), [{ op: 'corrupt', parcel: A.id }]);
  await grab(store, A);
  t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
});

test('a parcel that was taken back after its deletion keeps its files', async t => {
  const host = await hostWithParcels(t, A);
  await host.store?.drop(proofFor(host.store.id, A.id));
  if (host.store !== undefined) await grab(host.store, A);
  await writeFile(blobPath(host, 'c1'), 'c1');
  const store = await host.restart();
  t.deepEqual([...store.present()], [A.id]);
  t.deepEqual(await contentOf(store, blobOf('a1').blob), Buffer.from('a1'));
  t.true(await isThere(blobPath(host, 'c1')), 'nobody deleted it');
});

test('what is left of a corrupt parcel stays under .blobs, for it may be the last of its kind', async t => {
  const host = await hostWithParcels(t, A, C);
  for (const { id } of [A, C]) await host.store?.drop(proofFor(host.store.id, id));
  if (host.store !== undefined) await grab(host.store, A);
  await host.restart(() => rm(blobPath(host, 'shared')));
  const store = await host.restart();
  t.deepEqual([...store.present()], []);
  t.true(await isThere(blobPath(host, 'a1')));
  t.deepEqual(
    (await store.missing(A.blobs)).map(({ blob }) => blob),
    [blobOf('shared').blob],
  );
});

test('a log in doubt moves nothing to the trash, and a rescan takes nothing out of it', async t => {
  const host = await hostWithParcels(t, A, B, C);
  await host.store?.drop(proofFor(host.store.id, A.id));
  await host.store?.drop(proofFor(host.store.id, C.id));
  const store = await host.restart(async () => {
    await rename(trashPath(host, 'c1'), blobPath(host, 'c1'));
    await rm(logPath(host));
  });
  t.true(await isThere(blobPath(host, 'c1')));
  t.deepEqual(await rescanned(store), [B.id]);
  t.true(await isThere(trashPath(host, 'a1')));
  const again = await host.restart();
  t.true(await isThere(blobPath(host, 'c1')));
  t.deepEqual(await again.missing(C.blobs), []);
});

test('after a doubt a deletion takes nothing that waits for the rescan', async t => {
  const host = await hostWithParcels(t, A, B);
  await host.store?.drop(proofFor(host.store.id, A.id));
  const store = await host.restart(async () => {}, { doubt: { because: 'a peer has more', counterSeen: 1 } });
  t.true(await isThere(blobPath(host, 'shared')));
  t.deepEqual(await rescanned(store), [B.id]);
});

test('an index that is behind a deletion is brought up to it, and so is one made anew', async t => {
  const host = await hostWithParcels(t, A, B);
  const old = join(host.folder, 'old-index');
  await host.stop();
  await cp(join(host.folder, 'index'), old, { recursive: true });
  let store = await host.restart();
  await store.drop(proofFor(store.id, A.id));
  for (const remake of [() => rename(old, join(host.folder, 'index')), async () => {}]) {
    host.boot -= 1; // the old index knows the boot before
    store = await host.restart(async () => {
      await host.forgetIndex();
      await remake();
      const marker = join(host.storePath, '.scatterhoard');
      await writeFile(marker, (await readFile(marker, 'utf8')).replace(/"boot": \d/, `"boot": ${host.boot}`));
    });
    t.false(store.rescanDue);
    t.false(store.holds(blobOf('a1').blob));
    t.true(store.holds(blobOf('shared').blob));
  }
  await store.drop(proofFor(store.id, B.id));
  t.false(store.holds(blobOf('shared').blob));
});

test('right bytes that come while wrong ones under their name are being read are not taken for these', async t => {
  const host = await hostWithParcels(t, A);
  const { blobs, id, record } = parcelOf('late');
  // Large, so that reading them takes longer than receiving the right ones.
  const store = await host.restart(() => writeFile(blobPath(host, 'late'), Buffer.alloc(40_000_000)));
  const looking = store.missing(blobs);
  for (const blob of blobs) await receive(store, blob);
  await store.commit(id, record);
  await looking;
  t.deepEqual(await contentOf(store, blobOf('late').blob), Buffer.from('late'));
});

// ---- checkpoints

const TOLD = async () => undefined;

test('a store whose log stands on a checkpoint has what it had, and its index is not made anew', async t => {
  const host = await hostWithParcels(t, A, B, C);
  const lines: string[] = [];
  const before = host.store as Store;
  const source = sourceIdOf(HOST, 'photos');
  await before.appendHead(source, 4);
  await before.drop(proofFor(before.id, B.id));
  await before.makeCheckpoint(TOLD);
  t.is(before.base?.count, 3);
  for (const more of [false, true]) {
    if (more) await grab(host.store as Store, B);
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
    const store = await host.restart(undefined, { log });
    t.false(store.rescanDue);
    t.deepEqual([...store.present()].sort(), (more ? [A.id, B.id, C.id] : [A.id, C.id]).sort());
    t.is(store.headSeq(source), 4);
    t.is(store.position().seq, more ? 6 : 5);
    t.true(store.holds(blobOf('shared').blob));
  }
  t.deepEqual(
    lines.filter(line => line.includes('INDEX_REBUILD')),
    [],
  );
});

test('an index from before the checkpoint is no doubt, and is made anew', async t => {
  const host = await hostWithParcels(t, A);
  const store = await withOldIndex(host, async before => {
    await grab(before, B);
    await grab(before, C);
    await before.makeCheckpoint(TOLD);
  });
  t.false(store.rescanDue);
  t.is([...store.present()].length, 3);
  t.true(store.holds(blobOf('c2').blob));
  await store.drop(proofFor(store.id, B.id));
  t.true(store.holds(blobOf('shared').blob), 'counted once for A');
});

test('a log from before a checkpoint that the index knows of is in doubt', async t => {
  const host = await hostWithParcels(t, A, B);
  const log = await readFile(logPath(host));
  await grab(host.store as Store, C);
  await (host.store as Store).makeCheckpoint(TOLD);
  const store = await host.restart(() => writeFile(logPath(host), log));
  t.true(store.rescanDue);
});

test('commits go on beside a checkpoint, and a store that is closed gives it up', async t => {
  const host = await hostWithParcels(t, A);
  const store = host.store as Store;
  await store.makeCheckpoint(async at => {
    t.is(at.seq, 1);
    await grab(store, B);
    t.deepEqual(await store.ops(0, 9), [
      { op: 'add', parcel: A.id },
      { op: 'add', parcel: B.id },
    ]);
  });
  t.is(store.base?.at.seq, 1);
  t.deepEqual(await store.ops(1, 9), [{ op: 'add', parcel: B.id }]);
  const failing = store.makeCheckpoint(async () => {
    throw new Error('nobody listens');
  });
  await t.throwsAsync(failing, { message: 'nobody listens' });
  t.false(await isThere(`${logPath(host)}.new`));
  t.is(store.base?.at.seq, 1);
  await grab(store, C);
  const given = store.makeCheckpoint(TOLD);
  await Promise.all([t.throwsAsync(given, { code: 'STORE_CLOSED' }), store.close()]);
  const again = await host.restart();
  t.is([...again.present()].length, 3);
});

test('a checkpoint is due by what happened since the last one', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount({ checkpointEveryOps: 3 });
  const due: boolean[] = [];
  for (const parcel of [A, B, C]) {
    await grab(store, parcel);
    due.push(store.isCheckpointDue);
  }
  t.deepEqual(due, [false, false, true]);
  await store.makeCheckpoint(TOLD);
  t.false(store.isCheckpointDue);
});

import { existsSync, statSync } from 'node:fs';
import { chmod, chown, copyFile, lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { parseObjectId } from '../../src/core/ids.js';
import { datedTreeFrom, treeNameOf } from '../../src/store/tree-name.js';
import type { TreeEntry } from '../../src/store/tree-view.js';
import { updateTree } from '../../src/store/tree-view.js';
import { Turns } from '../../src/store/turns.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { blobOf, contentOf, grab, parcelOf, proofFor } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

const NEWEST = parseObjectId('5a'.repeat(32));
const OLD = parseObjectId('0d'.repeat(32));
const datedMs = Date.UTC(2026, 10, 1, 10, 0, 0);
const NAME = 'photos@2026-11-01T10-00-00Z';
const named = { originName: 'imac', source: 'photos' };
const dated = { ...named, datedMs, snapshot: OLD };

async function* each(files: Readonly<Record<string, string>>): AsyncGenerator<TreeEntry> {
  for (const [path, content] of Object.entries(files)) {
    const { blob, bytes } = blobOf(content);
    yield { kind: 'file', path: Buffer.from(path), blob, bytes };
  }
}

test('a dated tree stands beside that of the newest snapshot, and the updates of each leave the other alone', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  await grab(store, parcelOf('old', 'new', 'same'));
  await store.updateTree({ ...named, snapshot: NEWEST, files: each({ a: 'new', same: 'same' }) });
  const report = await store.updateTree({ ...dated, files: each({ a: 'old', 'b/c': 'old', same: 'same' }) });
  t.deepEqual(report, { placed: 3, unplaced: 0, absent: 0, left: 0 });
  await store.updateTree({ ...named, snapshot: NEWEST, files: each({ a: 'new' }) });

  const origin = join(host.storePath, 'imac');
  t.deepEqual((await readdir(origin)).sort(), [
    'photos',
    'photos.b3',
    'photos.snapshot',
    NAME,
    `${NAME}.b3`,
    `${NAME}.snapshot`,
  ]);
  t.deepEqual(await readdir(join(origin, 'photos')), ['a']);
  t.deepEqual((await readdir(join(origin, NAME))).sort(), ['a', 'b', 'same']);
  const lines = ['a', 'b/c'].map(path => `${hashHex(Buffer.from('old'))}  ${NAME}/${path}\n`);
  t.is(
    await readFile(join(origin, `${NAME}.b3`), 'utf8'),
    `${lines.join('')}${hashHex(Buffer.from('same'))}  ${NAME}/same\n`,
  );
  t.is(await readFile(join(origin, `${NAME}.snapshot`), 'utf8'), `${OLD}\n`);
  t.is((await lstat(join(origin, NAME, 'a'))).nlink, 3, 'names of the blob, and no copies');
});

test('a dated tree is known after a restart, also one that was not finished', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  await grab(store, parcelOf('old'));
  async function* failing(): AsyncGenerator<TreeEntry> {
    yield* each({ a: 'old' });
    throw new Error('the power went');
  }
  await t.throwsAsync(store.updateTree({ ...dated, files: failing() }), { message: 'the power went' });
  const again = await host.restart();
  t.deepEqual(await again.datedTrees(), [dated]);
  await again.updateTree({ ...dated, files: each({ a: 'old', b: 'old' }) });
  t.deepEqual(await readdir(join(host.storePath, 'imac', NAME)), ['a', 'b']);
});

test('what leaves the trash leaves a dated tree too, and its list with the next update', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  await grab(store, parcelOf('dropped'));
  await grab(store, parcelOf('kept'));
  const files = { a: 'dropped', b: 'kept' };
  await store.updateTree({ ...dated, files: each(files) });
  await store.drop(proofFor(store.id, parcelOf('dropped').id));
  t.is(await store.emptyTrash({ olderThanMs: 0 }), 'dropped'.length);
  const tree = join(host.storePath, 'imac', NAME);
  t.deepEqual(await readdir(tree), ['b']);
  t.deepEqual(await store.updateTree({ ...dated, files: each(files) }), {
    placed: 1,
    unplaced: 0,
    absent: 1,
    left: 0,
  });
  t.is(await readFile(`${tree}.b3`, 'utf8'), `${hashHex(Buffer.from('kept'))}  ${NAME}/b\n`);
});

test('a removed one takes no byte with it, and leaves what somebody else put there', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  await grab(store, parcelOf('old', 'new'));
  await store.updateTree({ ...named, snapshot: NEWEST, files: each({ a: 'new' }) });
  const files = { a: 'old', 'b/c': 'old', [`n${'x'.repeat(255)}`]: 'old' };
  await store.updateTree({ ...dated, files: each(files) });
  const origin = join(host.storePath, 'imac');
  t.true(existsSync(join(origin, `${NAME}.unplaced`)));
  t.is(await store.removeTree(dated), 0);
  t.deepEqual((await readdir(origin)).sort(), ['photos', 'photos.b3', 'photos.snapshot']);
  t.deepEqual(await store.datedTrees(), []);
  t.deepEqual(await contentOf(store, blobOf('old').blob), Buffer.from('old'));

  await store.updateTree({ ...dated, files: each(files) });
  await writeFile(join(origin, NAME, 'b', 'mine'), 'only here');
  t.is(await store.removeTree(dated), 1);
  t.deepEqual(await store.datedTrees(), []);
  t.deepEqual(await readdir(join(origin, NAME)), ['b']);
  t.is(await readFile(join(origin, NAME, 'b', 'mine'), 'utf8'), 'only here');
});

test('only a name that the program makes, in a folder that it makes, is a dated tree', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  const origin = join(host.storePath, 'imac');
  const outside = join(host.folder, 'outside');
  for (const folder of [origin, outside]) {
    await mkdir(folder);
    for (const name of ['photos', 'photos@yesterday', 'photos@2026-13-01T10-00-00Z', `-${NAME}`])
      await writeFile(join(folder, `${name}.snapshot`), `${OLD}\n`);
  }
  await writeFile(join(origin, `${NAME}.snapshot`), 'no id');
  await writeFile(join(outside, `${NAME}.snapshot`), `${OLD}\n`);
  await symlink(outside, join(host.storePath, 'mini'));
  t.deepEqual(await store.datedTrees(), []);
  await writeFile(join(origin, `${NAME}.snapshot`), `${OLD}\n`);
  t.deepEqual(await store.datedTrees(), [dated]);

  t.is(treeNameOf({ ...dated, datedMs: datedMs + 999 }), NAME);
  t.deepEqual(datedTreeFrom('imac', NAME), { ...named, datedMs });
  for (const bad of [-1, Date.UTC(10_000, 0), Number.NaN, 8.7e15])
    t.throws(() => treeNameOf({ ...named, datedMs: bad }), { code: 'BAD_NAME' });
  await t.throwsAsync(store.updateTree({ ...dated, source: '../x', files: each({}) }), { code: 'BAD_NAME' });
});

test("a folder of somebody else's keeps no tree from being found", async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  await grab(store, parcelOf('old'));
  await store.updateTree({ ...dated, files: each({ a: 'old' }) });
  const folder = join(host.storePath, 'private');
  await mkdir(folder);
  await writeFile(join(folder, `${NAME}.snapshot`), `${OLD}\n`);
  t.teardown(() => chmod(folder, 0o700));
  // Root reads what others have locked; everybody else cannot give a folder away.
  if (process.getuid?.() === 0) await chown(folder, 1, 1);
  else await chmod(folder, 0);
  await symlink('/etc/hostname', join(host.storePath, 'imac', 'photos@2026-12-01T10-00-00Z.snapshot'));
  t.deepEqual(await store.datedTrees(), [dated]);
});

test('without hard links there is none, for it would be a copy; the tree of the newest lists what has no place', async t => {
  const elsewhere = '/dev/shm';
  const host = await TestHost.begin(t);
  if (!existsSync(elsewhere) || statSync(elsewhere).dev === statSync(host.folder).dev)
    return skip(t, 'no second file system, over which nothing can be linked as on FAT');
  const blobs = temporaryFolder(t, { below: elsewhere });
  const { blob } = blobOf('old');
  await writeFile(join(host.folder, 'old'), 'old');
  await copyFile(join(host.folder, 'old'), join(blobs, blob));
  const place = {
    storePath: host.storePath,
    linksPath: dirname(host.storePath),
    blobPathOf: () => join(blobs, blob),
    inodes: new Turns<number>(),
  };
  const refusal = await t.throwsAsync(updateTree({ ...dated, files: each({ a: 'old' }) }, place), {
    code: 'NO_HARD_LINKS',
  });
  t.regex(refusal?.message ?? '', /no hard links.*restore/);
  t.deepEqual(await readdir(join(host.storePath, 'imac', NAME)), []);
  const report = await updateTree({ ...named, snapshot: NEWEST, files: each({ a: 'old' }) }, place);
  t.deepEqual(report, { placed: 0, unplaced: 1, absent: 0, left: 0, noHardLinks: true });
});

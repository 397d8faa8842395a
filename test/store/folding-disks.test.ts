import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { mountCasefold, mountVfat } from '../helpers/folding-disk.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { blobOf, contentOf, grab, parcelOf } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';
import { updateAll } from './tree-on-folding.js';

test('on a folder of ext4 that folds case a tree has the names of the snapshot that it shows', async t => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'disk');
  mkdirSync(path);
  const disk = mountCasefold(t, path, join(folder, 'image'));
  if ('why' in disk) return skip(t, disk.why);
  await updateAll(t, disk.path, { hasLinks: true });
});

test('on vfat, without links and with folded case, a tree has the folders of the snapshot that it shows', async t => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'disk');
  mkdirSync(path);
  const disk = mountVfat(t, path, join(folder, 'image'));
  if ('why' in disk) return skip(t, disk.why);
  await updateAll(t, disk.path, { hasLinks: false });
});

test('a store on vfat has its blobs, also after a restart, and says what has no place in its tree', async t => {
  const folder = temporaryFolder(t);
  let why: string | undefined;
  const host = await TestHost.begin(t, path => {
    const disk = mountVfat(t, path, join(folder, 'image'));
    if ('why' in disk) why = disk.why;
  });
  if (why !== undefined) return skip(t, why);
  const store = await host.mount();
  await grab(store, parcelOf('one', 'two'));
  const { blob, bytes } = blobOf('one');
  const files = async function* () {
    yield { kind: 'file' as const, path: Buffer.from('one.txt'), blob, bytes };
  };
  const view = { originName: 'imac', source: 'photos', snapshot: '5a'.repeat(32) as never, files: files() };
  t.like(await store.updateTree(view), { placed: 0, unplaced: 1 });
  t.deepEqual(readdirSync(join(host.storePath, 'imac')).sort(), [
    'photos',
    'photos.b3',
    'photos.snapshot',
    'photos.unplaced',
  ]);
  const again = await host.restart();
  t.deepEqual(await contentOf(again, blob), Buffer.from('one'));
});

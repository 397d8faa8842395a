import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { sourceIdOf } from '../../src/core/ids.js';
import { openBareStore } from '../../src/store/bare-store.js';
import { blobOf, contentOf, grab, parcelOf } from '../helpers/test-parcels.js';
import { HOST, TestHost } from './real-store.js';

test('a disk alone gives out heads, configurations, objects and blobs, and nothing on it changes', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  const parcel = parcelOf('a photo');
  const source = sourceIdOf(HOST, 'photos');
  await grab(store, parcel);
  await store.putHead(source, Buffer.from('signed head 1'));
  await store.putHead(source, Buffer.from('signed head 2'));
  await store.putConfig(2, Buffer.from('version 2'));
  await store.putConfig(10, Buffer.from('version 10'));
  t.deepEqual(await store.heads(), [source]);
  t.is((await store.head(source))?.toString(), 'signed head 2');
  t.is(await store.head(sourceIdOf(HOST, 'other')), undefined);
  await store.putHead(sourceIdOf(HOST, 'gone'), Buffer.from('signed head of it'));
  await store.removeHead(sourceIdOf(HOST, 'gone'));
  await store.removeHead(sourceIdOf(HOST, 'gone'));
  t.is(await store.head(sourceIdOf(HOST, 'gone')), undefined);
  t.deepEqual(await store.heads(), [source]);
  await store.close();

  const before = (await readdir(host.storePath, { recursive: true })).sort();
  const bare = await openBareStore(host.storePath, { onDamaged: id => t.fail(id), onNoMarker: why => t.fail(why) });
  t.is(bare.marker?.host, HOST);
  t.deepEqual(await bare.heads(), [source]);
  t.is((await bare.head(source))?.toString(), 'signed head 2');
  t.deepEqual(await bare.configVersions(), [2, 10]);
  t.is((await bare.config(10))?.toString(), 'version 10');
  t.deepEqual(Buffer.from((await bare.objects.get(parcel.id)) ?? []), Buffer.from(parcel.record));
  t.deepEqual(await contentOf(bare, blobOf('a photo').blob), Buffer.from('a photo'));
  t.is(await bare.openBlob(blobOf('not held').blob), undefined);
  t.deepEqual((await readdir(host.storePath, { recursive: true })).sort(), before);
});

test('a folder that is no store is refused', async t => {
  const host = await TestHost.begin(t);
  for (const path of [host.folder, join(host.folder, 'nothing')]) {
    t.like(await t.throwsAsync(openBareStore(path, { onDamaged: id => t.fail(id), onNoMarker: why => t.fail(why) })), {
      code: 'NOT_A_STORE',
      blame: 'operator',
    });
  }
});

test('a store whose marker is lost or broken gives out the rest; one of a later format does not', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  const parcel = parcelOf('a photo');
  await grab(store, parcel);
  await store.close();
  const path = join(host.storePath, '.scatterhoard');
  const marker = readFileSync(path, 'utf8');
  const told: string[] = [];
  const open = () =>
    openBareStore(host.storePath, { onDamaged: id => t.fail(id), onNoMarker: because => told.push(because) });
  for (const spoil of [() => writeFileSync(path, '{'), () => writeFileSync(path, '{}'), () => rmSync(path)]) {
    spoil();
    const bare = await open();
    t.is(bare.marker, undefined);
    t.deepEqual(await contentOf(bare, blobOf('a photo').blob), Buffer.from('a photo'));
  }
  t.deepEqual(told.length, 3);
  t.is(told[2], 'it is missing');
  writeFileSync(path, marker.replace('store 1', 'store 2'));
  const refused = await t.throwsAsync(open());
  t.like(refused, { code: 'NOT_A_STORE' });
  t.regex(refused?.message ?? '', /store 2/);
});

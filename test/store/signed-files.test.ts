import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { sourceIdOf } from '../../src/core/ids.js';
import { HOST, TestHost } from './real-store.js';

test('heads and configurations are used room, each once, however many come for one source at once', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  const { usedBytes } = await store.usage();
  const [photos, gone] = [sourceIdOf(HOST, 'photos'), sourceIdOf(HOST, 'gone')];
  await store.putHead(gone, Buffer.alloc(1_000));
  await Promise.all([
    ...[300, 100, 200].map(bytes => store.putHead(photos, Buffer.alloc(bytes))),
    store.removeHead(gone),
    store.removeHead(gone),
    store.putConfig(7, Buffer.alloc(50)),
    store.putConfig(7, Buffer.alloc(50)),
  ]);
  t.is((await store.head(photos))?.length, 200, 'the last one stays');
  t.is((await store.usage()).usedBytes, usedBytes + 200 + 50);
  t.is((await (await host.restart()).usage()).usedBytes, usedBytes + 200 + 50);
});

test('what lies in the place of a head is not read to be replaced or removed, for it may not be readable', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  const { usedBytes } = await store.usage();
  const [photos, gone] = [sourceIdOf(HOST, 'photos'), sourceIdOf(HOST, 'gone')];
  for (const source of [photos, gone]) {
    await store.putHead(source, Buffer.alloc(10));
    // Longer than any that is read.
    truncateSync(join(host.storePath, '.catalog/heads', source.replace('/', '.')), 17 * 1024 * 1024);
    await t.throwsAsync(store.head(source));
  }
  await store.putHead(photos, Buffer.alloc(200));
  t.is((await store.head(photos))?.length, 200);
  await store.removeHead(gone);
  t.is(await store.head(gone), undefined);
  t.is((await (await host.restart()).usage()).usedBytes, usedBytes + 200);
});

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

/** The end of a store: what is let go of, whatever its disk says. */
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { blobOf, grab, parcelOf } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

test.serial(
  'a store that its disk does not let close cleanly is closed all the same, and can be opened again',
  async t => {
    const host = await TestHost.begin(t);
    const store = await host.mount();
    await grab(store, parcelOf('held'));
    const log = await stat(join(host.storePath, '.catalog/log'));
    const file = await open(process.execPath);
    const handles = Object.getPrototypeOf(file) as { close: () => Promise<void> };
    await file.close();
    const { close } = handles;
    handles.close = async function (this: FileHandle) {
      const { ino } = await this.stat();
      await close.call(this);
      if (ino === log.ino) throw Object.assign(new Error('EIO: i/o error, close'), { code: 'EIO' });
    };
    t.teardown(() => {
      handles.close = close;
    });
    await t.throwsAsync(store.close(), { code: 'EIO' });
    handles.close = close;
    const again = await host.mount();
    t.true(again.isPresent(parcelOf('held').id));
  },
);

test.serial('a sweep that is under way when the store is closed takes nothing away from the next mount', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  // More than are looked at while a store closes that waits for nobody.
  const blobs = Array.from({ length: 2_000 }, (_, n) => blobOf(`blob ${n}`));
  t.deepEqual(await store.receiveSmall(blobs), []);
  const sweeping = store.sweepIncoming(Number.MAX_SAFE_INTEGER);
  await store.close();
  t.deepEqual(await readdir(join(host.storePath, '.incoming')), []);
  await sweeping;
});

/** The end of a store: what is let go of, whatever its disk says. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { blobOf, grab, parcelOf } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

test('a store that its disk does not let close cleanly is closed all the same, and can be opened again', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  await grab(store, parcelOf('held'));
  const large = blobOf(Buffer.alloc(9_000_000));
  t.truthy(await store.assemble(large));
  const part = join(host.storePath, '.incoming', `${large.blob}.part`);
  await rm(part);
  await mkdir(part);
  await t.throwsAsync(store.close(), { code: 'STORE_TAMPERED' });
  await rm(part, { recursive: true });
  const again = await host.mount();
  t.true(again.isPresent(parcelOf('held').id));
});

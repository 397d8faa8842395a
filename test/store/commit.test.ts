/** The end of a commit that fails. Flushes of folders are held in the whole process; so these tests go one by one. */
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { writeSmallFile } from '../../src/platform/small-files.js';
import { parcelOf, receive, type TestBlob } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

/** From now on the flush of a folder waits for `go`. */
async function holdFolderFlushes(t: ExecutionContext) {
  const file = await open(process.execPath);
  const handles = Object.getPrototypeOf(file) as { sync: () => Promise<void> };
  await file.close();
  const { sync } = handles;
  let go = () => {};
  const held = new Promise<void>(resolve => {
    go = resolve;
  });
  let reach = () => {};
  const reached = new Promise<void>(resolve => {
    reach = resolve;
  });
  handles.sync = async function (this: FileHandle) {
    if ((await this.stat()).isDirectory()) {
      reach();
      await held;
    }
    return sync.apply(this);
  };
  t.teardown(() => {
    go();
    handles.sync = sync;
  });
  return { reached, go };
}

test.serial(
  'a commit whose record cannot be placed has ended when it says so, with its blobs in their place',
  async t => {
    const host = await TestHost.begin(t);
    const store = await host.mount();
    const parcel = parcelOf('a blob');
    const [blob] = parcel.blobs as [TestBlob];
    await receive(store, blob);
    const objects = join(host.storePath, '.catalog', 'objects', parcel.id.slice(0, 2));
    await rm(objects, { recursive: true });
    const { reached, go } = await holdFolderFlushes(t);
    const seen: string[] = [];
    const committing = t
      .throwsAsync(store.commit(parcel.id, parcel.record), { code: 'ENOENT' })
      .then(() => void seen.push('over'));
    await reached;
    // Done behind the rename of the record, which has failed by now.
    await writeSmallFile(join(host.folder, 'behind'), Buffer.from('it'), 0o600);
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    seen.push('flushed');
    go();
    await committing;
    t.deepEqual(seen, ['flushed', 'over']);
    t.false(store.isPresent(parcel.id));
    await mkdir(objects);
    await store.commit(parcel.id, parcel.record);
    t.true(store.isPresent(parcel.id));
  },
);

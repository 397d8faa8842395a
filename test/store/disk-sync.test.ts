import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { syncFileSystemOf } from '../../src/platform/sync-file-system.js';
import { DiskSync } from '../../src/store/disk-sync.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

async function folderOf(t: ExecutionContext, count: number) {
  const folder = temporaryFolder(t);
  const paths = Array.from({ length: count }, (_, n) => join(folder, `file ${n}`));
  for (const path of paths) await writeFile(path, 'x');
  return { folder, paths, sync: await DiskSync.open(folder) };
}

for (const count of [0, 1, 7, 8, 100]) {
  test(`${count} files and their folder are flushed`, async t => {
    const { folder, paths, sync } = await folderOf(t, count);
    await t.notThrowsAsync(sync.flush([...paths, folder]));
    await sync.close();
  });
}

test('a file that another commit moved on meanwhile is no failure', async t => {
  const { folder, paths, sync } = await folderOf(t, 2);
  await t.notThrowsAsync(sync.flush([join(folder, 'moved on'), ...paths]));
  await t.notThrowsAsync(sync.flush(paths));
  await sync.close();
});

test('a flush that fails is final: none after it is believed', async t => {
  const { folder, paths, sync } = await folderOf(t, 20);
  if (syncFileSystemOf(folder) === undefined) return skip(t, 'there is no syncfs that can be believed');
  await sync.close(); // syncfs on a closed descriptor fails as a broken disk would
  const first = await t.throwsAsync(sync.flush(paths));
  t.like(first, { code: 'STORE_FAILED', blame: 'operator' });
  t.is(await t.throwsAsync(sync.flush(paths.slice(0, 1))), first);
});

test('where one call for all cannot be believed, each of many files is flushed', async t => {
  if (process.platform !== 'linux') return skip(t, 'there is no proc file system');
  // Of proc the one call succeeds; its files refuse an fsync.
  const names = ['cmdline', 'environ', 'io', 'limits', 'maps', 'mounts', 'stat', 'status'];
  const sync = await DiskSync.open('/proc/self');
  const failure = await t.throwsAsync(sync.flush(names.map(name => `/proc/self/${name}`)));
  t.like(failure, { code: 'STORE_FAILED', cause: { code: 'EINVAL', syscall: 'fsync' } });
  await sync.close();
});

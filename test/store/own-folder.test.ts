import { createHook } from 'node:async_hooks';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ClusterError } from '../../src/core/fault.js';
import { makeOwnFolder, readOwnFile, readRareOwnFile, storeFull } from '../../src/store/own-folder.js';
import { foreignFolder } from '../helpers/foreign-folder.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const failure = (code: string) => Object.assign(new Error(`${code}: write`), { code });

test('no room, and none by a quota, are told as a full store', t => {
  for (const code of ['ENOSPC', 'EDQUOT']) {
    const told = storeFull(failure(code), '/srv/hoard/.incoming/1');
    t.true(told instanceof ClusterError);
    if (!(told instanceof ClusterError)) continue;
    t.is(told.code, 'STORE_FULL');
    t.regex(told.message, new RegExp(`/srv/hoard/.incoming/1 .*${code}.*stored before is as it was.*try again`));
  }
});

test('any other failure of the disk stays what it is: of a file that is too large for it, too', t => {
  for (const error of [failure('EIO'), failure('EFBIG')]) t.is(storeFull(error, '/srv/hoard'), error);
});

test('a folder of another user is not touched, and nobody is told to move away what may be the only copy', async t => {
  const { path, owner } = foreignFolder(t);
  const error = await t.throwsAsync(makeOwnFolder(path), { code: 'STORE_TAMPERED' });
  t.regex(
    error?.message ?? '',
    new RegExp(`belongs to user ${owner}, .* as user ${owner}, .*chown -R ${process.getuid?.()} `),
  );
  t.notRegex(error?.message ?? '', /move/);
});

test('a rare file is read as any other, and no thread begins for it', async t => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'marker');
  let threads = 0;
  const hook = createHook({
    init(_, type) {
      if (type === 'WORKER') threads += 1;
    },
  }).enable();
  t.teardown(() => hook.disable());

  t.is(await readRareOwnFile(path, 4), undefined);
  writeFileSync(path, 'four');
  t.is((await readRareOwnFile(path, 4))?.toString(), 'four');
  await t.throwsAsync(readRareOwnFile(path, 3), { code: 'STORE_TAMPERED', message: /more than the 3 bytes/ });
  symlinkSync('marker', join(folder, 'link'));
  await t.throwsAsync(readRareOwnFile(join(folder, 'link'), 4), { code: 'STORE_TAMPERED', message: /is a symlink/ });
  await t.throwsAsync(readRareOwnFile(folder, 4), { code: 'STORE_TAMPERED', message: /is not a plain file/ });
  t.is(threads, 0);

  t.is((await readOwnFile(path, 4))?.toString(), 'four');
  t.is(threads, 1, 'what is read in a thread is seen to be');
});

import { readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { readIfThere, writeDurable } from '../../src/platform/durable.js';
import { makeUnreadable, whyNoBadSector } from '../helpers/bad-sector.js';
import { skip } from '../helpers/skip.js';
import { fillDisk, mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

test('a file is replaced as a whole, with the mode asked for, and nothing is left beside it', async t => {
  const path = join(temporaryFolder(t), 'marker');
  await writeFile(path, 'old and much longer', { mode: 0o644 });
  await writeDurable(path, 'new');
  t.is(await readFile(path, 'utf8'), 'new');
  t.is((await stat(path)).mode & 0o777, 0o600);
  t.deepEqual(await readdir(join(path, '..')), ['marker']);
});

test('a write that cannot be done leaves the old file and nothing beside it', async t => {
  const path = join(temporaryFolder(t), 'marker');
  await t.throwsAsync(writeDurable(join(path, 'below', 'nothing'), 'x'), { code: 'ENOENT' });
  await writeDurable(path, 'old');
  await t.throwsAsync(writeDurable(`${path}/x`, 'new'), { code: 'ENOTDIR' });
  t.is(readIfThere(path)?.toString(), 'old');
  t.deepEqual(await readdir(join(path, '..')), ['marker']);
});

test('a symlink in the place of the file is replaced, and what it points to stays as it is', async t => {
  const root = temporaryFolder(t);
  await writeFile(join(root, 'elsewhere'), 'mine');
  await symlink('elsewhere', join(root, 'marker'));
  await writeDurable(join(root, 'marker'), 'new');
  t.is(readIfThere(join(root, 'elsewhere'))?.toString(), 'mine');
  t.is(readIfThere(join(root, 'marker'))?.toString(), 'new');
});

test('a missing file reads as undefined, an unreadable one throws', async t => {
  const root = temporaryFolder(t);
  t.is(readIfThere(join(root, 'nothing')), undefined);
  t.throws(() => readIfThere(root), { code: 'EISDIR' });
});

test('a file with a bad sector is a damaged one, and the next write puts another in its place', async t => {
  const path = join(temporaryFolder(t), 'boot');
  const why = whyNoBadSector();
  if (why !== undefined) return skip(t, why);
  makeUnreadable(path);
  t.is(readIfThere(path)?.toString(), 'cannot be read: EIO');
  await writeDurable(path, '7');
  t.is(readIfThere(path)?.toString(), '7');
});

test('what could not be written names its path, although Node does not', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const folder = temporaryFolder(t);
  mountSmallDisk(t, folder, 64 * 1024);
  const path = join(folder, 'marker');
  await writeDurable(path, 'old');
  fillDisk(join(folder, 'filler'));
  const error = await writeDurable(path, 'new').catch((failure: unknown) => failure);
  t.like(error, { code: 'ENOSPC', path });
  t.is(readIfThere(path)?.toString(), 'old');
});

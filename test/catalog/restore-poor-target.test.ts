/** Targets whose file system can do less than the source's, as their calls would answer. */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MARK_FOLDER } from '../../src/catalog/restore-names.js';
import { lutimes } from '../../src/platform/posix.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { Blobs, entryOf, fileOf, placed, restore } from './restore-fixture.js';
import { failWith, standIn } from './stand-in.js';

test.serial('--overwrite leaves a file in its place until the symlink for it could be made', async t => {
  const target = temporaryFolder(t);
  writeFileSync(join(target, 'l'), 'mine');
  const list = placed([entryOf('l', { kind: 'symlink', target: Buffer.from('a') })]);
  standIn(t, 'symlinkSync', () => () => failWith('EPERM'));
  const { report, problems } = await restore({ target, list, blobs: new Blobs(), existing: 'overwrite' });
  t.like(report, { symlinks: 0, failed: 1 });
  t.regex(problems[0]?.because ?? '', /EPERM/);
  t.is(readFileSync(join(target, 'l'), 'utf8'), 'mine');
  t.deepEqual(readdirSync(target), ['l']);
});

test.serial('--overwrite puts a file back when the folder for it cannot be made', async t => {
  const target = temporaryFolder(t);
  writeFileSync(join(target, 'd'), 'mine');
  const list = placed([entryOf('d', { kind: 'directory' })]);
  standIn(t, 'mkdirSync', real => (path, options) => {
    if (String(path) === join(target, 'd')) failWith('ENOSPC');
    real(path, options);
  });
  const request = { target, list, blobs: new Blobs(), existing: 'overwrite' } as const;
  await t.throwsAsync(restore(request), { code: 'RESTORE_STOPPED' });
  t.is(readFileSync(join(target, 'd'), 'utf8'), 'mine');
  t.deepEqual(readdirSync(join(target, MARK_FOLDER)).sort(), ['links', 'mark']);
});

test('--overwrite puts symlinks and folders in the place of files, and leaves nothing beside', async t => {
  const target = temporaryFolder(t);
  for (const name of ['d', 'l']) writeFileSync(join(target, name), 'mine');
  mkdirSync(join(target, 'other'));
  const list = placed([
    entryOf('d', { kind: 'directory' }),
    entryOf('l', { kind: 'symlink', target: Buffer.from('d') }),
  ]);
  const { report } = await restore({ target, list, blobs: new Blobs(), existing: 'overwrite', verify: true });
  t.like(report, { folders: 1, symlinks: 1, failed: 0, notSet: 0, verified: 2 });
  t.is(readlinkSync(join(target, 'l')), 'd');
  t.deepEqual(readdirSync(target).sort(), ['d', 'l', 'other']);
});

test('a restore goes on where times are kept to two seconds, and still leaves alone what was changed', async t => {
  const target = join(temporaryFolder(t), 'target');
  const list = placed([fileOf('a', 'right'), fileOf('b', 'mine.'), fileOf('c', 'lost')]);
  await restore({ target, list, blobs: new Blobs().add('right').add('mine.') });
  writeFileSync(join(target, 'b'), 'yours');
  for (const name of ['a', 'b']) lutimes(Buffer.from(join(target, name)), 1_600_000_000_000_000_000n);

  const blobs = new Blobs().add('lost');
  const { report, problems } = await restore({ target, list, blobs });
  t.like(report, { files: 1, kept: 1, failed: 1 });
  t.deepEqual(
    problems.map(({ path }) => path.toString()),
    ['b'],
  );
  t.is(readFileSync(join(target, 'b'), 'utf8'), 'yours');
  t.is(blobs.asked.length, 1);
});

test.serial('a restore goes on where there are no hard links, and tells of them again', async t => {
  const target = join(temporaryFolder(t), 'target');
  const link = { link: '00000000000000aa' };
  const list = placed([fileOf('a', 'linked', link), fileOf('b', 'linked', link), fileOf('c', 'lost')]);
  standIn(t, 'linkSync', () => () => failWith('EPERM'));
  const first = await restore({ target, list, blobs: new Blobs().add('linked') });
  t.like(first.report, { files: 2, failed: 1, notSet: 2 });

  const { report, problems } = await restore({ target, list, blobs: new Blobs().add('lost') });
  t.like(report, { files: 1, kept: 2, failed: 0, resumable: false });
  t.deepEqual(
    problems.map(problem => problem.kind === 'not-set' && problem.what),
    ['hard link', 'hard link'],
  );
});

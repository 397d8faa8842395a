/** Targets whose file system can do less than the source's, as their calls would answer. */
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MARK_FOLDER } from '../../src/catalog/restore-names.js';
import { lutimes } from '../../src/platform/posix.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { Blobs, entryOf, fileOf, placed, restore } from './restore-fixture.js';
import { failWith, foldNames, namedPath, standIn } from './stand-in.js';

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
    if (namedPath(path) === join(target, 'd')) failWith('ENOSPC');
    real(path, options);
  });
  const request = { target, list, blobs: new Blobs(), existing: 'overwrite' } as const;
  await t.throwsAsync(restore(request), { code: 'RESTORE_STOPPED' });
  t.is(readFileSync(join(target, 'd'), 'utf8'), 'mine');
  t.deepEqual(readdirSync(join(target, MARK_FOLDER)).sort(), ['folders', 'links', 'mark']);
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

const FOLDED = placed([
  entryOf('', { kind: 'directory' }),
  entryOf('.Scatterhoard-Restore', { kind: 'directory' }),
  fileOf('.Scatterhoard-Restore/mark', 'six'),
  fileOf('A.txt', 'one'),
  entryOf('D', { kind: 'directory', mode: 0o750 }),
  fileOf('D/x', 'three'),
  entryOf('L', { kind: 'symlink', target: Buffer.from('D') }),
  fileOf('a.txt', 'two'),
  entryOf('d', { kind: 'directory', mode: 0o700 }),
  fileOf('d/X', 'four'),
  fileOf('d/y', 'five'),
  entryOf('l', { kind: 'symlink', target: Buffer.from('d') }),
]);

for (const existing of ['refuse', 'keep', 'overwrite'] as const) {
  test.serial(`where two names are one, the second is told and takes nothing away (existing: ${existing})`, async t => {
    const target = temporaryFolder(t);
    if (existing !== 'refuse') writeFileSync(join(target, 'mine'), 'mine');
    const blobs = new Blobs();
    for (const content of ['one', 'two', 'three', 'four', 'five', 'six']) blobs.add(content);
    foldNames(t, target, name => name.toLowerCase());

    const { report, problems } = await restore({ target, list: FOLDED, blobs, existing, verify: true });
    t.deepEqual(
      problems.map(({ path }) => path.toString()),
      ['.Scatterhoard-Restore', '.Scatterhoard-Restore/mark', 'a.txt', 'd', 'd/X', 'd/y', 'l'],
    );
    t.like(report, { files: 2, folders: 1, symlinks: 1, kept: 0, failed: 7, verified: 4, resumable: false });
    t.is(readFileSync(join(target, 'A.txt'), 'utf8'), 'one');
    t.is(readlinkSync(join(target, 'L'), 'utf8'), 'D');
    t.deepEqual(readdirSync(join(target, 'D')), ['x']);
    t.is(statSync(join(target, 'D')).mode & 0o777, 0o750);
    t.false(existsSync(join(target, MARK_FOLDER)));
  });
}

for (const existing of ['keep', 'overwrite'] as const) {
  test.serial(
    `a folder that was there and folds names by itself is asked about them (existing: ${existing})`,
    async t => {
      const target = temporaryFolder(t);
      const [mine, disk] = [join(target, 'mine'), join(target, 'mine', 'disk')];
      mkdirSync(disk, { recursive: true });
      foldNames(t, disk, name => name.toLowerCase());
      const folder = (path: string) => entryOf(path, { kind: 'directory' });
      const list = placed([
        folder('mine'),
        fileOf('mine/A.txt', 'one'),
        fileOf('mine/a.txt', 'two'),
        folder('mine/disk'),
        fileOf('mine/disk/A.txt', 'one'),
        fileOf('mine/disk/a.txt', 'two'),
        folder('mine/disk/new'),
        fileOf('mine/disk/new/B', 'one'),
        fileOf('mine/disk/new/b', 'two'),
      ]);
      const blobs = new Blobs().add('one').add('two');
      const { report, problems } = await restore({ target, list, blobs, existing, verify: true });
      t.deepEqual(
        problems.map(({ path }) => path.toString()),
        ['mine/disk/a.txt', 'mine/disk/new/b'],
      );
      t.like(report, { files: 4, failed: 2, resumable: false });
      t.is(readFileSync(join(mine, 'a.txt'), 'utf8'), 'two');
      t.is(readFileSync(join(disk, 'A.txt'), 'utf8'), 'one');
      t.deepEqual(readdirSync(disk).sort(), ['A.txt', 'new']);
      t.deepEqual(readdirSync(mine).sort(), ['A.txt', 'a.txt', 'disk']);
      t.deepEqual(readdirSync(join(disk, 'new')), ['B']);
      t.is(statSync(join(disk, 'new'), { bigint: true }).mtimeNs, entryOf('').mtimeNs);
    },
  );
}

test.serial('names are refused only where this file system takes them for one', async t => {
  if (process.platform !== 'linux') return skip(t, 'file systems here may fold more');
  const target = join(temporaryFolder(t), 'target');
  const names = ['A', 'a', 'e\u0301', '\u00e9'];
  foldNames(t, target, name => name.normalize());
  const blobs = new Blobs();
  for (const name of names) blobs.add(name);
  const { problems } = await restore({ target, list: placed(names.map(name => fileOf(name, name))), blobs });
  t.deepEqual(
    problems.map(({ path }) => path.toString()),
    ['\u00e9'],
  );
  for (const name of names.slice(0, 3)) t.is(readFileSync(join(target, name), 'utf8'), name);
});

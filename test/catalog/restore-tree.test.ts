import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Entry } from '../../src/catalog/entry.js';
import { comparePaths } from '../../src/catalog/path-order.js';
import { escapePath } from '../../src/catalog/path-text.js';
import { LINKS_KEPT_MAX } from '../../src/catalog/rehearse.js';
import { MARK_FOLDER } from '../../src/catalog/restore-names.js';
import { FAILED_KEPT_MAX } from '../../src/catalog/restore-tally.js';
import { lutimes, posix } from '../../src/platform/posix.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { Blobs, entryOf, fileOf, parcelNumber, placed, restore, scan } from './restore-fixture.js';

/** An account without rights, whatever its number means here. */
const NOBODY = 65_534;

const named = (folder: string, name: Buffer | string): Buffer =>
  Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name)]);

/** A tree with all that a source may hold. */
function makeTree(folder: string): void {
  mkdirSync(join(folder, 'deep'), { recursive: true });
  mkdirSync(join(folder, `deep/${'down/'.repeat(40)}`), { recursive: true });
  mkdirSync(join(folder, 'empty folder'));
  const names: (string | Buffer)[] = [
    'plain.txt',
    'ünïcödé-été-日本-🐦',
    'e\u0301 not normalised',
    'with\nnewline',
    '-leading dash',
    'x'.repeat(255),
    Buffer.from([0x6e, 0xff, 0xfe, 0x80]),
    'back\\slash',
    ' spaces ',
    '...',
    'deep/file',
    `deep/${'down/'.repeat(40)}bottom`,
  ];
  for (const [index, name] of names.entries())
    writeFileSync(named(folder, name), `content ${index % 7}`.repeat(index * 50));
  writeFileSync(join(folder, 'empty'), '');
  writeFileSync(join(folder, 'just below 8 MiB'), Buffer.alloc(8 * 1024 * 1024 - 1, 1));
  writeFileSync(join(folder, 'exactly 8 MiB'), Buffer.alloc(8 * 1024 * 1024, 2));
  writeFileSync(join(folder, 'above 8 MiB'), Buffer.alloc(8 * 1024 * 1024 + 1, 3));
  writeFileSync(join(folder, 'linked'), 'one inode');
  linkSync(join(folder, 'linked'), join(folder, 'deep/linked too'));
  linkSync(join(folder, 'linked'), join(folder, 'deep/and again'));
  symlinkSync('plain.txt', join(folder, 'symlink'));
  symlinkSync('/nowhere/at/all', join(folder, 'dangling'));
  symlinkSync(Buffer.from([0x2e, 0x2e, 0x2f, 0xff]), named(folder, Buffer.from([0xfe, 0x6c])));
  symlinkSync('deep', join(folder, 'symlink to a folder'));
  mkdirSync(join(folder, 'read-only folder/inner'), { recursive: true });
  writeFileSync(join(folder, 'read-only folder/inner/file'), 'read only');
  chmodSync(join(folder, 'read-only folder/inner/file'), 0o444);
  chmodSync(join(folder, 'read-only folder/inner'), 0o555);
  chmodSync(join(folder, 'read-only folder'), 0o500);
  writeFileSync(join(folder, 'no rights'), 'secret', { mode: 0o600 });
  chmodSync(join(folder, 'no rights'), 0o000);
  chmodSync(join(folder, 'empty'), 0o1755);
  let ns = 1_234_567_890_000_000_001n;
  for (const { path } of scan(Buffer.from(folder)).reverse()) {
    ns += 1_000_000_007n;
    lutimes(path.length === 0 ? Buffer.from(folder) : named(folder, path), ns);
  }
}

/** What two trees must agree in. Inodes are compared by which names share one. */
function comparable(folder: string): readonly string[] {
  const firstOf = new Map<string, string>();
  return scan(Buffer.from(folder)).map(entry => {
    const path = escapePath(entry.path);
    if (entry.link !== undefined && !firstOf.has(entry.link)) firstOf.set(entry.link, path);
    const link = entry.link === undefined ? '' : `same as ${firstOf.get(entry.link)}`;
    const target = entry.target === undefined ? '' : `→ ${escapePath(entry.target)}`;
    return [
      path,
      entry.kind,
      entry.mode.toString(8),
      entry.uid,
      entry.gid,
      entry.mtimeNs,
      entry.blob,
      target,
      link,
    ].join(' | ');
  });
}

test('a restored tree equals its source in content, mode, time to the nanosecond, links and bytes of names', async t => {
  const folder = temporaryFolder(t);
  const [source, target] = [join(folder, 'source'), join(folder, 'new/target')];
  mkdirSync(source);
  makeTree(source);
  const entries = scan(Buffer.from(source));
  const blobs = new Blobs().addAllOf(Buffer.from(source), entries);
  const expected = comparable(source);

  const { report, problems } = await restore({ target, list: placed(entries), blobs, verify: true });

  t.deepEqual(problems, []);
  t.deepEqual(comparable(target), expected);
  t.is(report.verified, entries.length - 1);
  t.false(existsSync(join(target, MARK_FOLDER)));
  t.is(report.resumable, false);
});

test('an existing empty folder is taken as the target', async t => {
  const target = temporaryFolder(t);
  const { report } = await restore({ target, list: placed([fileOf('a', 'x')]), blobs: new Blobs().add('x') });
  t.is(report.files, 1);
  t.deepEqual(readdirSync(target), ['a']);
});

test('a target that is not empty is refused, and stays as it is', async t => {
  const target = temporaryFolder(t);
  writeFileSync(join(target, 'mine'), 'mine');
  await t.throwsAsync(restore({ target, list: placed([fileOf('a', 'x')]), blobs: new Blobs().add('x') }), {
    code: 'TARGET_NOT_EMPTY',
    message: /mine/,
  });
  t.deepEqual(readdirSync(target), ['mine']);
});

test('a target that is a file is refused', async t => {
  const target = join(temporaryFolder(t), 'file');
  writeFileSync(target, '');
  await t.throwsAsync(restore({ target, list: [], blobs: new Blobs() }), { code: 'TARGET_NOT_FOLDER' });
});

test('a rehearsal writes nothing and says what would be written', async t => {
  const target = join(temporaryFolder(t), 'target');
  const list = placed([entryOf('d', { kind: 'directory' }), fileOf('d/a', 'four')]);
  const { report } = await restore({ target, list, blobs: new Blobs(), dryRun: true });
  t.like(report, { files: 1, bytes: 4, folders: 1 });
  t.false(existsSync(target));
});

test('a rehearsal of --overwrite looks past a file that stands in the place of a folder, as the restore does', async t => {
  const target = temporaryFolder(t);
  writeFileSync(join(target, 'd'), 'no folder');
  const list = placed([entryOf('d', { kind: 'directory' }), fileOf('d/a', 'four')]);
  const request = { target, list, blobs: new Blobs().add('four'), existing: 'overwrite' } as const;
  const rehearsed = await restore({ ...request, dryRun: true });
  t.is(readFileSync(join(target, 'd'), 'utf8'), 'no folder');
  const { report } = await restore(request);
  t.deepEqual(rehearsed.report, report);
  t.like(report, { files: 1, bytes: 4, folders: 1 });
});

test('a rehearsal counts as the restore does: symlinks that are right, what no restore can make, and folders in the way', async t => {
  const target = temporaryFolder(t);
  const link = (path: string, to: string) => entryOf(path, { kind: 'symlink', target: Buffer.from(to) });
  const blobs = new Blobs().add('four').add('x');
  await restore({ target, list: placed([fileOf('a', 'four'), link('right', 'a'), link('wrong', 'a')]), blobs });
  execFileSync('mkfifo', [join(target, 'pipe')]);
  mkdirSync(join(target, 'way'));
  mkdirSync(join(target, 'way2'));
  const there = lstatSync(join(target, 'pipe'), { bigint: true });
  const list = placed([
    fileOf('a', 'four'),
    entryOf('pipe', { kind: 'fifo', mtimeNs: there.mtimeNs }),
    link('right', 'a'),
    fileOf('way', 'x'),
    link('way2', 'a'),
    link('wrong', 'b'),
  ]);
  const request = { target, list, blobs, existing: 'overwrite' } as const;
  const rehearsed = await restore({ ...request, dryRun: true });
  t.is(readlinkSync(join(target, 'wrong')), 'a');
  const restored = await restore(request);
  t.like(restored.report, { files: 0, symlinks: 1, kept: 2, failed: 3 });
  t.deepEqual(rehearsed.report, restored.report);
  const byPath = ({ path: a }: { readonly path: Buffer }, { path: b }: { readonly path: Buffer }) =>
    Buffer.compare(a, b);
  t.deepEqual([...rehearsed.problems].sort(byPath), [...restored.problems].sort(byPath));
});

test('what lies below something that stays where its folder should be fails, in a rehearsal too', async t => {
  const target = temporaryFolder(t);
  writeFileSync(join(target, 'd'), 'no folder');
  const folder = (path: string) => entryOf(path, { kind: 'directory', mode: 0o755 });
  const list = placed([folder('d'), fileOf('d/a', 'four'), folder('d/e'), fileOf('d/e/b', 'x'), fileOf('d2', 'four')]);
  const request = { target, list, blobs: new Blobs().add('four').add('x'), existing: 'keep' } as const;
  const rehearsed = await restore({ ...request, dryRun: true });
  const restored = await restore(request);
  t.like(restored.report, { files: 1, folders: 0, failed: 4 });
  t.deepEqual(rehearsed.report, restored.report);
  const told = ({ problems }: typeof restored): string[] =>
    problems.map(({ path, because }) => `${path.toString()}: ${because}`).sort();
  t.deepEqual(told(rehearsed), told(restored));
});

test('a rehearsal counts the content of a file with several names once, as the restore does', async t => {
  const target = temporaryFolder(t);
  const link = (path: string) => fileOf(path, 'four', { link: '0000000000000001' });
  const blobs = new Blobs().add('four');
  const fresh = { target, list: placed([link('a'), link('b'), link('c')]), blobs };
  const rehearsed = await restore({ ...fresh, dryRun: true });
  t.like(rehearsed.report, { files: 3, bytes: 4 });
  t.deepEqual(rehearsed, await restore(fresh));

  // One that is there and right is what the others are linked to.
  const more = { ...fresh, list: placed([link('a'), link('d')]), existing: 'overwrite' } as const;
  const again = await restore({ ...more, dryRun: true });
  t.like(again.report, { kept: 1, files: 1, bytes: 0 });
  t.deepEqual(again, await restore(more));
});

test('a rehearsal remembers the names of so many files, and counts each name of one more as a file of its own', async t => {
  const file = (number: number, name: string) =>
    fileOf(`${String(number).padStart(8, '0')}${name}`, 'x', { link: number.toString(16).padStart(16, '0') });
  const list = placed([
    ...Array.from({ length: LINKS_KEPT_MAX - 1 }, (_, number) => file(number, 'a')),
    ...[LINKS_KEPT_MAX - 1, LINKS_KEPT_MAX].flatMap(number => [file(number, 'a'), file(number, 'b')]),
  ]);
  const target = join(temporaryFolder(t), 'target');
  const { report } = await restore({ target, list, blobs: new Blobs(), dryRun: true });
  t.like(report, { files: LINKS_KEPT_MAX + 3, bytes: LINKS_KEPT_MAX + 2 });
});

test('a rehearsal of --keep-existing tells of a file in the place of a folder, as the restore does', async t => {
  const target = temporaryFolder(t);
  writeFileSync(join(target, 'd'), 'no folder');
  const request = {
    target,
    list: placed([entryOf('d', { kind: 'directory' })]),
    blobs: new Blobs(),
    existing: 'keep',
  } as const;
  const rehearsed = await restore({ ...request, dryRun: true });
  t.deepEqual(rehearsed, await restore(request));
  t.is(rehearsed.report.failed, 1);
});

test('below a path, its content lands in the target itself; a single file lands in it by its name', async t => {
  const folder = temporaryFolder(t);
  const blobs = new Blobs().add('x').add('y');
  const under = (path: string) => ({ snapshot: 's', sourceId: 'i', under: Buffer.from(path) });
  const below = [entryOf('2024/summer', { kind: 'directory', mode: 0o750 }), fileOf('2024/summer/a', 'x')];
  await restore({ target: join(folder, 'one'), list: placed(below), blobs, mark: under('2024/summer') });
  t.deepEqual(readdirSync(join(folder, 'one')), ['a']);
  t.is(statSync(join(folder, 'one')).mode & 0o777, 0o750);

  await restore({ target: join(folder, 'two'), list: placed([fileOf('2024/b', 'y')]), blobs, mark: under('2024/b') });
  t.is(readFileSync(join(folder, 'two/b'), 'utf8'), 'y');
  t.is(statSync(join(folder, 'two')).mode & 0o700, 0o700);
});

test('content that several files of a parcel share is asked for once', async t => {
  const target = join(temporaryFolder(t), 'target');
  const blobs = new Blobs().add('same');
  const list = ['a', 'b', 'c'].map(path => ({ entry: fileOf(path, 'same'), parcel: parcelNumber(1) }));
  const { report } = await restore({ target, list, blobs });
  t.is(report.files, 3);
  t.deepEqual(
    blobs.asked.map(({ blobs }) => blobs.length),
    [1],
  );
  t.is(readFileSync(join(target, 'c'), 'utf8'), 'same');
  t.not(statSync(join(target, 'a')).ino, statSync(join(target, 'b')).ino);
});

test('names of one inode whose contents differ become files of their own', async t => {
  const target = join(temporaryFolder(t), 'target');
  const link = { link: '00000000000000aa' };
  const list = placed([fileOf('a', 'old', link), fileOf('b', 'new', link)]);
  await restore({ target, list, blobs: new Blobs().add('old').add('new') });
  t.deepEqual(
    ['a', 'b'].map(name => readFileSync(join(target, name), 'utf8')),
    ['old', 'new'],
  );
});

test('wrong bytes never get a name: the blob is asked for again, then reported', async t => {
  const target = join(temporaryFolder(t), 'target');
  const blobs = new Blobs().corrupt('right', 'wrong').add('other');
  const { report, problems } = await restore({
    target,
    list: placed([fileOf('a', 'right'), fileOf('b', 'other')]),
    blobs,
  });
  t.deepEqual(readdirSync(target).sort(), [MARK_FOLDER, 'b']);
  t.is(report.failed, 1);
  t.is(problems[0]?.path.toString(), 'a');
  t.is(blobs.asked.length, 2);
});

test('bytes beyond the announced size are not written, and the file is reported', async t => {
  const target = join(temporaryFolder(t), 'target');
  const blobs = new Blobs().corrupt('right', 'right and then some');
  const { report } = await restore({ target, list: placed([fileOf('a', 'right')]), blobs });
  t.is(report.failed, 1);
  t.false(existsSync(join(target, 'a')));
});

test('what nobody has is named with the hosts to switch on, and the same restore run again gets the rest', async t => {
  const target = join(temporaryFolder(t), 'target');
  const list = placed([entryOf('', { kind: 'directory' }), fileOf('here', 'x'), fileOf('there', 'y')]);
  const blobs = new Blobs().add('x').add('y');
  blobs.unavailable.add(fileOf('', 'y').blob ?? '');
  const first = await restore({ target, list, blobs });
  t.is(first.report.failed, 1);
  t.true(first.report.resumable);
  const [problem] = first.problems;
  t.regex(problem?.because ?? '', /switch on attic/);

  blobs.unavailable.clear();
  const again = await restore({ target, list, blobs });
  t.like(again.report, { files: 1, kept: 1, failed: 0, resumable: false });
  t.deepEqual(readdirSync(target).sort(), ['here', 'there']);
});

test('a restore that is interrupted leaves whole files only, and goes on where it was', async t => {
  const target = join(temporaryFolder(t), 'target');
  const contents = Array.from({ length: 20 }, (_, index) => `content ${index}`);
  const blobs = new Blobs();
  for (const content of contents) blobs.add(content);
  const link = { link: '00000000000000bb' };
  const list = placed([
    ...contents.map((content, index) => fileOf(`f${String(index).padStart(2, '0')}`, content)),
    fileOf('linked1', 'content 0', link),
    fileOf('linked2', 'content 0', link),
  ]);
  const interrupt = new AbortController();
  let seen = 0;
  await t.throwsAsync(
    restore({
      target,
      list,
      blobs,
      signal: interrupt.signal,
      onProgress: () => {
        seen += 1;
        if (seen === 12) interrupt.abort(new Error('interrupted'));
      },
    }),
    { message: 'interrupted' },
  );
  const left: string[] = readdirSync(target).filter(name => name !== MARK_FOLDER);
  t.true(left.length > 0 && left.length < 22);
  for (const name of left) t.is(readFileSync(join(target, name), 'utf8'), `content ${Number(name.slice(1))}`);

  const { report } = await restore({ target, list, blobs });
  t.is(report.kept, left.length);
  t.is(report.kept + report.files, 22);
  t.is(statSync(join(target, 'linked1')).ino, statSync(join(target, 'linked2')).ino);
});

test('another restore is not mixed into the target of an unfinished one', async t => {
  const target = join(temporaryFolder(t), 'target');
  await restore({ target, list: placed([fileOf('a', 'gone')]), blobs: new Blobs() });
  const mark = { snapshot: 'other', sourceId: 'other', under: Buffer.alloc(0) };
  await t.throwsAsync(restore({ target, list: [], blobs: new Blobs(), mark }), {
    code: 'TARGET_NOT_EMPTY',
    message: /unfinished restore of .*photos/,
  });
});

test('a resumed restore leaves a file alone that was changed in the meantime, and says so', async t => {
  const target = join(temporaryFolder(t), 'target');
  const list = placed([fileOf('a', 'mine'), fileOf('b', 'gone')]);
  await restore({ target, list, blobs: new Blobs().add('mine') });
  writeFileSync(join(target, 'a'), 'edited');
  const { report } = await restore({ target, list, blobs: new Blobs().add('mine').add('gone') });
  t.is(readFileSync(join(target, 'a'), 'utf8'), 'edited');
  t.like(report, { files: 1, failed: 1 });
});

test('--overwrite replaces what differs, even with equal size and time, and keeps what is right and what is not its own', async t => {
  const target = temporaryFolder(t);
  const list = placed([
    entryOf('', { kind: 'directory', mode: 0o700 }),
    fileOf('a', 'aaaa'),
    fileOf('b', 'bbbb'),
    entryOf('l', { kind: 'symlink', target: Buffer.from('a') }),
  ]);
  const blobs = new Blobs().add('aaaa').add('bbbb');
  await restore({ target, list, blobs });
  writeFileSync(join(target, 'b'), 'rott');
  lutimes(Buffer.from(join(target, 'b')), 1_600_000_000_123_456_789n);
  writeFileSync(join(target, 'mine'), 'mine');
  chmodSync(target, 0o711);

  const { report } = await restore({ target, list, blobs, existing: 'overwrite' });
  t.like(report, { files: 1, kept: 2, failed: 0 });
  t.is(readFileSync(join(target, 'b'), 'utf8'), 'bbbb');
  t.is(readFileSync(join(target, 'mine'), 'utf8'), 'mine');
  t.is(statSync(target).mode & 0o777, 0o711, 'a folder with files of others keeps its own mode');
});

test('--keep-existing writes only what is absent', async t => {
  const target = temporaryFolder(t);
  writeFileSync(join(target, 'a'), 'mine');
  const list = placed([fileOf('a', 'theirs'), fileOf('b', 'b')]);
  const { report } = await restore({ target, list, blobs: new Blobs().add('theirs').add('b'), existing: 'keep' });
  t.like(report, { files: 1, kept: 1 });
  t.is(readFileSync(join(target, 'a'), 'utf8'), 'mine');
});

test('--overwrite never writes through a symlink, neither one in the place of a file nor of a folder', async t => {
  const folder = temporaryFolder(t);
  const [target, outside] = [join(folder, 'target'), join(folder, 'outside')];
  mkdirSync(target);
  mkdirSync(outside);
  writeFileSync(join(outside, 'file'), 'untouched');
  utimesSync(join(outside, 'file'), 1, 1);
  symlinkSync(join(outside, 'file'), join(target, 'file'));
  symlinkSync(outside, join(target, 'folder'));
  const list = placed([fileOf('file', 'new'), entryOf('folder', { kind: 'directory' }), fileOf('folder/file', 'new')]);

  const { report } = await restore({ target, list, blobs: new Blobs().add('new'), existing: 'overwrite' });
  t.is(report.failed, 0);
  t.is(readFileSync(join(outside, 'file'), 'utf8'), 'untouched');
  t.is(statSync(join(outside, 'file')).mtimeMs, 1000);
  t.true(lstatSync(join(target, 'file')).isFile());
  t.true(lstatSync(join(target, 'folder')).isDirectory());
});

test('--keep-existing reports what lies below a symlink that stands for a folder, and writes nothing there', async t => {
  const folder = temporaryFolder(t);
  const [target, outside] = [join(folder, 'target'), join(folder, 'outside')];
  mkdirSync(target);
  mkdirSync(outside);
  symlinkSync(outside, join(target, 'folder'));
  const list = placed([entryOf('folder', { kind: 'directory', mode: 0o777 }), fileOf('folder/file', 'new')]);
  const { report } = await restore({ target, list, blobs: new Blobs().add('new'), existing: 'keep' });
  t.is(report.failed, 2);
  t.deepEqual(readdirSync(outside), []);
  t.not(statSync(outside).mode & 0o777, 0o777);
});

test('a mark folder that is a symlink is not followed', async t => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'outside'));
  mkdirSync(join(folder, 'target'));
  symlinkSync(join(folder, 'outside'), join(folder, 'target', MARK_FOLDER));
  const request = { target: join(folder, 'target'), list: placed([fileOf('a', 'x')]), blobs: new Blobs().add('x') };
  await t.throwsAsync(restore(request), { code: 'TARGET_NOT_FOLDER' });
  t.deepEqual(readdirSync(join(folder, 'outside')), []);
});

test('setuid and setgid stay where the owner is as it was', async t => {
  const target = join(temporaryFolder(t), 'target');
  const tool = fileOf('tool', 'x', { mode: 0o6755 });
  const { report } = await restore({ target, list: placed([tool]), blobs: new Blobs().add('x') });
  t.is(report.notSet, 0);
  t.is(statSync(join(target, 'tool')).mode & 0o7777, 0o6755);
});

// Serial: for as long as it takes, this process has another effective user.
test.serial('an owner that cannot be set is told, and setuid and setgid are left out', async t => {
  const folder = temporaryFolder(t);
  const tool = fileOf('tool', 'x', { mode: 0o6755, uid: 12_345, gid: 54_321 });
  const asRoot = process.getuid?.() === 0;
  if (asRoot) {
    // Loaded while this process may still read the folder that koffi lies in, which need not be open to others.
    posix();
    chownSync(folder, NOBODY, NOBODY);
    process.setegid?.(NOBODY);
    process.seteuid?.(NOBODY);
  }
  try {
    const { problems } = await restore({
      target: join(folder, 't'),
      list: placed([tool]),
      blobs: new Blobs().add('x'),
    });
    const told = problems.map(problem => problem.kind === 'not-set' && problem.what);
    t.deepEqual(told, ['owner', 'mode']);
  } finally {
    if (asRoot) process.seteuid?.(0);
    if (asRoot) process.setegid?.(0);
  }
  t.is(statSync(join(folder, 't/tool')).mode & 0o7777, 0o755);
});

test('as root, the owner is the one of the snapshot', async t => {
  if (process.getuid?.() !== 0) return skip(t, 'only root can give files away');
  const target = join(temporaryFolder(t), 'target');
  const tool = fileOf('tool', 'x', { mode: 0o6755, uid: 12_345, gid: 54_321 });
  await restore({ target, list: placed([tool]), blobs: new Blobs().add('x') });
  const { mode, uid, gid } = statSync(join(target, 'tool'));
  t.deepEqual([mode & 0o7777, uid, gid], [0o6755, 12_345, 54_321]);
});

test('what this version cannot make is reported and the rest restored', async t => {
  const target = join(temporaryFolder(t), 'target');
  const list = placed([fileOf('a', 'x'), entryOf('pipe', { kind: 'fifo' })]);
  const { report, problems } = await restore({ target, list, blobs: new Blobs().add('x') });
  t.like(report, { files: 1, failed: 1, resumable: false });
  t.is(problems[0]?.path.toString(), 'pipe');
  t.deepEqual(readdirSync(target), ['a']);
});

test('--verify finds what changed under its hands', async t => {
  const target = join(temporaryFolder(t), 'target');
  let isChanged = false;
  const { report, problems } = await restore({
    target,
    list: placed([fileOf('a', 'right')]),
    blobs: new Blobs().add('right'),
    verify: true,
    onProgress: ({ phase, files }) => {
      if (phase !== 'write' || files !== 1 || isChanged) return;
      isChanged = true;
      writeFileSync(join(target, 'a'), 'wrong');
    },
  });
  t.is(report.failed, 1);
  t.regex(problems[0]?.because ?? '', /read back: its bytes differ/);
});

test('--verify neither tells again of what failed nor calls it verified', async t => {
  const target = temporaryFolder(t);
  execFileSync('mkfifo', [join(target, 'pipe')]);
  const list = placed(
    [
      entryOf('folder', { kind: 'directory', mtimeNs: 1n }),
      fileOf('lost', 'nobody has it'),
      fileOf('right', 'right'),
      entryOf('pipe', { kind: 'fifo' }),
      entryOf('symlink', { kind: 'symlink' }),
    ].sort((a, b) => comparePaths(a.path, b.path)),
  );
  const { report, problems } = await restore({
    target,
    list,
    blobs: new Blobs().add('right'),
    existing: 'overwrite',
    verify: true,
  });
  t.deepEqual(problems.map(({ path }) => path.toString()).sort(), ['lost', 'pipe', 'symlink']);
  t.like(report, { failed: 3, verified: 2 });
});

test('of failures that are too many to be kept, --verify tells again, and never calls one verified', async t => {
  const target = temporaryFolder(t);
  execFileSync('mkfifo', [join(target, 'pipe')]);
  const refused = Array.from({ length: FAILED_KEPT_MAX }, (_, index) => entryOf(`${index}`, { kind: 'fifo' }));
  const list = placed([...refused, entryOf('pipe', { kind: 'fifo' })].sort((a, b) => comparePaths(a.path, b.path)));
  const { report } = await restore({ target, list, blobs: new Blobs(), existing: 'overwrite', verify: true });
  t.like(report, { failed: FAILED_KEPT_MAX + 2, verified: 0 });
});

test('entries are never all in memory: a parcel is fetched before the entries after the next ones are pulled', async t => {
  const target = join(temporaryFolder(t), 'target');
  const blobs = new Blobs();
  const entries: Entry[] = [];
  for (let index = 0; index < 400; index += 1) {
    blobs.add(`content ${index}`);
    entries.push(fileOf(`f${String(index).padStart(4, '0')}`, `content ${index}`));
  }
  const list = placed(entries, 10);
  let pulled = 0;
  let ahead = 0;
  let passes = 0;
  const { report } = await restore({
    target,
    list,
    blobs,
    entries: async function* () {
      passes += 1;
      for (const each of list) {
        if (passes === 1) ahead = Math.max(ahead, ++pulled - (blobs.asked.length - 4) * 10);
        yield each;
      }
    },
  });
  t.is(report.files, 400);
  t.true(ahead <= 61, `${ahead} entries ahead of the fetches`);
});

test('what is lacking in a later pass alone is told once, and the same restore goes on with it', async t => {
  const target = join(temporaryFolder(t), 'out');
  const all = placed([
    entryOf('', { kind: 'directory' }),
    fileOf('a', 'four'),
    entryOf('link', { kind: 'symlink', target: Buffer.from('a') }),
  ]);
  let passes = 0;
  const entries = async function* () {
    passes += 1;
    if (passes === 1) return yield* all;
    yield* all.slice(0, 2);
    yield { after: Buffer.from('a'), lacking: 'a parcel' };
  };
  const request = { target, list: all, blobs: new Blobs().add('four') };
  const { report, problems } = await restore({ ...request, entries, verify: true });
  t.deepEqual(
    problems.map(({ kind, because }) => [kind, because]),
    [['lacking', 'a parcel']],
  );
  t.like(report, { failed: 1, resumable: true });
  t.like((await restore(request)).report, { failed: 0, kept: 1, symlinks: 1 });
});

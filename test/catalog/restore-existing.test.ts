/** What a restore makes of files that are there already: right, wrong, unreadable, its own or somebody else's. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { lutimes } from '../../src/platform/posix.js';
import { skip } from '../helpers/skip.js';
import { fillDisk, mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { Blobs, entryOf, fileOf, interruptedRestore, ON_DISK, placed, restore } from './restore-fixture.js';
import { failWith, standIn } from './stand-in.js';

const MTIME_NS = entryOf('').mtimeNs;

/** A file that looks like one of the snapshot. */
function writeLike(path: string, content: string): void {
  writeFileSync(path, content);
  chmodSync(path, 0o644);
  lutimes(Buffer.from(path), MTIME_NS);
}

const list = placed([entryOf('', { kind: 'directory' }), fileOf('bad', 'right'), fileOf('zoo', 'other')]);
const allBlobs = () => new Blobs().add('right').add('other');

test.serial('--overwrite replaces a file that cannot be read, and goes on', async t => {
  const target = temporaryFolder(t);
  writeLike(join(target, 'bad'), 'rotte');
  failToRead(t, '/bad');
  const { report } = await restore({ target, list, blobs: allBlobs(), existing: 'overwrite' });
  t.like(report, { files: 2, failed: 0 });
  t.is(readFileSync(join(target, 'zoo'), 'utf8'), 'other');
});

test.serial('what --verify cannot read is told, and the rest is read back', async t => {
  const target = join(temporaryFolder(t), 'target');
  failToRead(t, '/bad');
  const { report, problems } = await restore({ target, list, blobs: allBlobs(), verify: true });
  t.like(report, { files: 2, failed: 1, verified: 1 });
  t.regex(problems[0]?.because ?? '', /cannot be read: EIO/);
});

test.serial('a file of the last run that cannot be read is told, and the rest is restored', async t => {
  const target = join(temporaryFolder(t), 'target');
  await restore({ target, list, blobs: new Blobs().add('right') });
  lutimes(Buffer.from(join(target, 'bad')), MTIME_NS + 1_000_000_000n);
  failToRead(t, '/bad');
  const { report, problems } = await restore({ target, list, blobs: allBlobs() });
  t.like(report, { files: 1, kept: 0, failed: 1 });
  t.regex(problems[0]?.because ?? '', /cannot be read: EIO/);
});

/** Whoever opens such a path to read it gets the answer of a disk with a bad sector. */
function failToRead(t: Parameters<typeof standIn>[0], end: string): void {
  standIn(t, 'openSync', real => (path, flags, mode) => {
    if (String(path).endsWith(end)) failWith('EIO');
    return real(path, flags, mode);
  });
}

for (const existing of ['overwrite', 'keep'] as const) {
  test(`a file that was there before an interrupted restore with "${existing}" is not taken for restored by its looks`, async t => {
    const target = temporaryFolder(t);
    writeLike(join(target, 'zoo'), 'OTHER');
    const big = Buffer.alloc(1000, 1);
    const some = placed([entryOf('', { kind: 'directory' }), fileOf('a', big), fileOf('zoo', 'other')], 1);
    const blobs = new Blobs().add(big).add('other');
    const request = { target, list: some, blobs, existing } as const;
    await t.throwsAsync(interruptedRestore(request, { afterBytes: 10 }), { message: 'interrupted' });

    const { report, problems } = await restore({ target, list: some, blobs });
    t.is(report.failed, 1);
    t.is(problems[0]?.path.toString(), 'zoo');
    t.is(readFileSync(join(target, 'zoo'), 'utf8'), 'OTHER');
  });
}

test('a file with the right bytes that was there before keeps its mode, which is told', async t => {
  const target = temporaryFolder(t);
  writeLike(join(target, 'zoo'), 'other');
  chmodSync(join(target, 'zoo'), 0o640);
  const some = placed([entryOf('', { kind: 'directory' }), fileOf('a', 'lost'), fileOf('zoo', 'other')]);
  await restore({ target, list: some, blobs: new Blobs().add('other'), existing: 'keep' });
  const { report, problems } = await restore({ target, list: some, blobs: new Blobs().add('lost') });
  t.like(report, { files: 1, kept: 1, failed: 0, notSet: 1 });
  t.like(problems[0], { kind: 'not-set', what: 'mode and time' });
});

test.serial('what could not be set is told again by the run that goes on, and read back as wrong', async t => {
  const target = join(temporaryFolder(t), 'target');
  const some = placed([fileOf('late', 'late'), fileOf('tool', 'x', { mode: 0o755 })]);
  standIn(t, 'fchmodSync', () => () => failWith('EPERM'));
  const told = ({ problems }: Awaited<ReturnType<typeof restore>>) =>
    problems.map(problem => [problem.path.toString(), problem.kind === 'not-set' ? problem.what : problem.because]);
  const first = await restore({ target, list: some, blobs: new Blobs().add('x') });
  t.deepEqual(told(first).at(-1), ['tool', 'mode']);
  const next = await restore({ target, list: some, blobs: new Blobs().add('late'), verify: true });
  t.like(next.report, { files: 1, kept: 1, notSet: 2 });
  t.deepEqual(told(next).sort(), [
    ['late', 'mode'],
    ['late', 'read back: its mode or owner differs'],
    ['tool', 'mode'],
    ['tool', 'read back: its mode or owner differs'],
  ]);
});

test.serial('bits that were left out because they would speak for another owner are told by each run', async t => {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const target = join(temporaryFolder(t), 'target');
  // The owner is somebody else for the entry; whoever is root is kept from giving it away.
  const list = placed([fileOf('late', 'late', { uid, gid }), fileOf('tool', 'x', { mode: 0o6755, uid: uid + 1, gid })]);
  const blobs = new Blobs().add('x');
  standIn(t, 'fchownSync', () => () => failWith('EPERM'));
  const modes = ({ problems }: Awaited<ReturnType<typeof restore>>) =>
    problems.flatMap(problem => (problem.kind === 'not-set' && problem.what === 'mode' ? [problem.because] : []));
  const first = await restore({ target, list, blobs });
  t.is(modes(first).length, 1);
  const next = await restore({ target, list, blobs: new Blobs().add('late'), verify: true });
  t.deepEqual(modes(next), modes(first));
  t.is(lstatSync(join(target, 'tool')).mode & 0o7777, 0o2755);
});

test('--overwrite gives a symlink that points to the right place the owner and the time that it had', async t => {
  if (process.getuid?.() !== 0) return skip(t, 'only root may give a symlink to somebody');
  const target = temporaryFolder(t);
  const link = join(target, 'l');
  symlinkSync('x', link);
  lchownSync(link, 1234, 1234);
  const list = placed([entryOf('l', { kind: 'symlink', target: Buffer.from('x'), uid: 0, gid: 0 })]);
  const kept = await restore({ target, list, blobs: new Blobs(), existing: 'keep', verify: true });
  t.regex(kept.problems[0]?.because ?? '', /^read back: its/);
  const { report, problems } = await restore({ target, list, blobs: new Blobs(), existing: 'overwrite', verify: true });
  t.deepEqual(problems, []);
  t.like(report, { kept: 1, verified: 1 });
  t.is(lstatSync(link).uid, 0);
});

test('what a restore that was killed has left on a disk below the target goes with the next one, and nothing else', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const target = join(temporaryFolder(t), 'target');
  const disk = join(target, 'on', 'disk');
  mkdirSync(disk, { recursive: true });
  mountSmallDisk(t, disk, 1024 * 1024);
  const program = fileURLToPath(new URL('./restore-killed-run.js', import.meta.url));
  const { signal, stderr } = spawnSync(process.execPath, [program, target], { encoding: 'utf8' });
  t.is(signal, 'SIGKILL', stderr);
  const left = readdirSync(disk);
  t.is(left.length, 1);
  t.regex(left[0] ?? '', /^\.scatterhoard-part-/);
  writeFileSync(join(disk, '.scatterhoard-part-0-1'), 'of another restore');
  const { report } = await restore({ target, list: ON_DISK, blobs: new Blobs().add('content') });
  t.like(report, { files: 1, failed: 0 });
  t.deepEqual(readdirSync(disk).sort(), ['.scatterhoard-part-0-1', 'file']);
  t.deepEqual(readdirSync(target), ['on']);
});

test.serial('a file that fails is told once, however many pieces of it come', async t => {
  const big = Buffer.alloc(9 * 1024 * 1024, 7);
  standIn(t, 'openSync', real => (path, flags, mode) => {
    if (/part-[^/]*$/.test(String(path))) failWith('EFBIG');
    return real(path, flags, mode);
  });
  const { report, problems } = await restore({
    target: join(temporaryFolder(t), 'target'),
    list: placed([entryOf('', { kind: 'directory' }), fileOf('big', big)]),
    blobs: new Blobs().add(big),
  });
  t.is(report.failed, 1);
  t.is(problems.length, 1);
});

test('a rehearsal of a restore that goes on fails what the restore would: a file that was changed meanwhile', async t => {
  const target = join(temporaryFolder(t), 'target');
  await restore({ target, list, blobs: new Blobs().add('right') });
  writeFileSync(join(target, 'bad'), 'newer words');
  const rehearsed = await restore({ target, list, blobs: allBlobs(), dryRun: true });
  t.like(rehearsed.report, { files: 1, kept: 0, failed: 1 });
  t.deepEqual(rehearsed, await restore({ target, list, blobs: allBlobs() }));
});

test.serial('a rehearsal goes on behind what cannot be looked at, and behind all below it', async t => {
  const target = temporaryFolder(t);
  const folder = (path: string) => entryOf(path, { kind: 'directory' });
  const some = placed([
    folder(''),
    folder('shut'),
    fileOf('shut/a', 'right'),
    fileOf('unseen', 'right'),
    fileOf('z', 'right'),
  ]);
  standIn(t, 'lstatSync', real => (path, options) => {
    if (/\/(shut|unseen)$/.test(String(path))) failWith('EACCES');
    return real(path, options);
  });
  const request = { target, list: some, blobs: allBlobs() };
  const rehearsed = await restore({ ...request, dryRun: true });
  t.like(rehearsed.report, { files: 1, folders: 0, failed: 3 });
  const { report, problems } = await restore(request);
  t.deepEqual(rehearsed.report, report);
  const paths = (some: typeof problems) => some.map(({ path }) => path.toString()).sort();
  t.deepEqual(paths(rehearsed.problems), paths(problems));
});

test('what is kept, and each further name of a file, counts as done', async t => {
  const target = join(temporaryFolder(t), 'target');
  const link = { link: '00000000000000aa' };
  const some = placed([
    ...list.map(({ entry }) => entry),
    fileOf('zz1', 'linked', link),
    fileOf('zz2', 'linked', link),
  ]);
  const done: number[] = [];
  const request = {
    target,
    list: some,
    onProgress: ({ bytes, keptBytes }: { readonly bytes: number; readonly keptBytes: number }) =>
      done.push(bytes + keptBytes),
  };
  await restore({ ...request, blobs: new Blobs().add('right').add('linked') });
  t.is(done.at(-1), 17);
  await restore({ ...request, blobs: allBlobs() });
  t.is(done.at(-1), 22);
});

test('a target that has no room even for the mark stops the restore, and says how to go on', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const disk = temporaryFolder(t);
  mountSmallDisk(t, disk, 256 * 1024);
  const request = { target: join(disk, 'target'), list: placed([fileOf('a', 'a'.repeat(1000))]) };
  fillDisk(join(disk, 'filler'));
  for (const _run of ['first', 'second']) {
    const error = await t.throwsAsync(restore({ ...request, blobs: new Blobs() }), { code: 'RESTORE_STOPPED' });
    t.regex(error?.message ?? '', /no room left on the target.*stay.*run the same command again/);
  }
  unlinkSync(join(disk, 'filler'));
  const { report } = await restore({ ...request, blobs: new Blobs().add('a'.repeat(1000)) });
  t.like(report, { files: 1, failed: 0 });
});

/** A folder with one of its own in it, of which somebody else's is only there for its owner. */
const FOLDERS = placed([
  entryOf('', { kind: 'directory' }),
  entryOf('mine', { kind: 'directory' }),
  entryOf('mine/new', { kind: 'directory', mode: 0o711 }),
  fileOf('mine/new/x', 'x'),
  entryOf('new', { kind: 'directory', mode: 0o711 }),
  entryOf('new/in', { kind: 'directory', mode: 0o711 }),
  fileOf('new/in/late', 'late'),
]);
const modeAt = (target: string) => (path: string) => lstatSync(join(target, path)).mode & 0o7777;
const timeAt = (target: string) => (path: string) => lstatSync(join(target, path), { bigint: true }).mtimeNs;

test('--keep-existing leaves a folder that was there as it was, and gives those that it makes what the snapshot has', async t => {
  const target = temporaryFolder(t);
  const [mode, time] = [modeAt(target), timeAt(target)];
  mkdirSync(join(target, 'mine'), { mode: 0o700 });
  lutimes(Buffer.from(join(target, 'mine')), 5n);
  const request = { target, list: FOLDERS, existing: 'keep' } as const;
  // Of two runs of which the first lacks something, the second knows what the first has made.
  const first = await restore({ ...request, blobs: new Blobs().add('x') });
  t.like(first.report, { files: 1, folders: 3, failed: 1 });
  const { report, problems } = await restore({ ...request, blobs: new Blobs().add('late'), verify: true });
  t.deepEqual(problems, []);
  t.like(report, { files: 1, failed: 0 });
  t.is(mode('mine'), 0o700);
  t.not(time('mine'), MTIME_NS);
  for (const path of ['mine/new', 'new', 'new/in']) {
    t.is(mode(path), 0o711, path);
    t.is(time(path), MTIME_NS, path);
  }
  t.deepEqual(readdirSync(target).sort(), ['mine', 'new']);

  await restore({ ...request, existing: 'overwrite', blobs: new Blobs().add('x').add('late') });
  t.is(mode('mine'), 0o755);
});

test('a folder that was there and that nobody may write gets its mode and its time back, also when the restore fails', async t => {
  const target = temporaryFolder(t);
  const [mode, time] = [modeAt(target), timeAt(target)];
  mkdirSync(join(target, 'mine'));
  chmodSync(join(target, 'mine'), 0o555);
  lutimes(Buffer.from(join(target, 'mine')), 5n);
  const request = { target, list: FOLDERS, existing: 'keep' } as const;
  const blobs = new Blobs().add('x').add('late');
  await t.throwsAsync(interruptedRestore({ ...request, blobs }, { afterBytes: 1 }), { message: 'interrupted' });
  t.is(mode('mine'), 0o555);
  t.is(time('mine'), 5n);
  const { report } = await restore({ ...request, blobs });
  t.like(report, { files: 2, failed: 0 });
  t.is(mode('mine'), 0o555);
  t.is(time('mine'), 5n);
  t.is(mode('mine/new'), 0o711);

  await restore({ ...request, existing: 'overwrite', blobs });
  t.is(mode('mine'), 0o755);
  t.is(time('mine'), MTIME_NS);
});

test('--overwrite keeps a hard-linked file whose other names are not asked for, and links those that are there by themselves', async t => {
  const target = join(temporaryFolder(t), 'target');
  const link = { link: '00000000000000aa' };
  const [one, other] = [fileOf('one', 'linked', link), fileOf('other', 'linked', link)];
  const blobs = new Blobs().add('linked');
  await restore({ target, list: placed([one]), blobs });
  const { ino } = lstatSync(join(target, 'one'));
  const again = { target, existing: 'overwrite' } as const;
  const runs = async (entries: readonly ReturnType<typeof fileOf>[]) => {
    const request = { ...again, list: placed(entries) };
    const { report: rehearsed } = await restore({ ...request, blobs, dryRun: true });
    const asked = new Blobs().add('linked');
    const { report } = await restore({ ...request, blobs: asked });
    t.deepEqual(rehearsed, report);
    return { kept: report.kept, files: report.files, asked: asked.asked.length };
  };
  t.deepEqual(await runs([one]), { kept: 1, files: 0, asked: 0 });

  writeLike(join(target, 'other'), 'linked');
  t.deepEqual(await runs([one, other]), { kept: 1, files: 1, asked: 0 });
  t.is(lstatSync(join(target, 'one')).ino, ino);
  t.is(lstatSync(join(target, 'other')).ino, ino);
  t.deepEqual(await runs([one, other]), { kept: 2, files: 0, asked: 0 });
});

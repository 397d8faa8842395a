/** What a restore makes of files that are there already: right, wrong, unreadable, its own or somebody else's. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { lutimes } from '../../src/platform/posix.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { Blobs, entryOf, fileOf, interruptedRestore, placed, restore } from './restore-fixture.js';
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

import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import test from 'ava';
import { type ChangedParcel, changedParcels } from '../../src/catalog/changed-parcels.js';
import { readSnapshot } from '../../src/catalog/read-object.js';
import { recut, type TornEntry } from '../../src/catalog/recut.js';
import { encodeSnapshot, isPartial, verifySnapshot } from '../../src/catalog/snapshot.js';
import { readSmallSourceFiles, readSourceFile, type SourceFile, SourceGone } from '../../src/catalog/source-file.js';
import { findEntry } from '../../src/catalog/walk.js';
import { DiskHangs } from '../../src/platform/disk.js';
import { failingCall, failReads } from '../helpers/failing-reads.js';
import { anyTimeMs, aSource, ScratchSource } from './scratch-source.js';

/** More than is read in one go. */
const LARGE_BYTES = 300_000;

async function serve(source: ScratchSource, path: string, { cached = true } = {}): Promise<SourceFile | 'gone'> {
  const entry = await source.entry(path);
  return readSourceFile({ root: source.root, source: aSource, entry, cache: cached ? source.cache : undefined });
}

async function content(file: SourceFile | 'gone'): Promise<Buffer> {
  if (file === 'gone') throw new Error('gone');
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.read()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function tornAt(source: ScratchSource, ...paths: readonly string[]): Promise<TornEntry[]> {
  const torn: TornEntry[] = [];
  for (const path of paths) {
    const found =
      source.last === undefined ? undefined : await findEntry(source.objects, source.last, Buffer.from(path));
    if (found === undefined) throw new Error(`no entry ${path}`);
    torn.push({ parcel: found.parcel, path: found.entry.path });
  }
  return torn;
}

test('a live file is served whole, with and without the cache, and an empty one without being opened', async t => {
  const source = new ScratchSource(t);
  const big = Buffer.alloc(600 * 1024, 'x');
  source.write({ big, empty: '', 'folder/small': 'small' });
  linkSync(source.path('folder/small'), source.path('linked'));
  await source.take();
  for (const cached of [true, false]) {
    t.deepEqual(await content(await serve(source, 'big', { cached })), big);
    t.is((await content(await serve(source, 'folder/small', { cached }))).toString(), 'small');
    t.is((await content(await serve(source, 'linked', { cached }))).toString(), 'small');
  }
  unlinkSync(source.path('empty'));
  t.is((await content(await serve(source, 'empty'))).length, 0);
});

test('a file that was touched, or got another name, is still the same content', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'content', b: 'content of b' });
  await source.take();
  utimesSync(source.path('a'), 1, 1);
  linkSync(source.path('b'), source.path('b2'));
  t.is((await content(await serve(source, 'a'))).toString(), 'content');
  t.is((await content(await serve(source, 'b'))).toString(), 'content of b');
});

test('a file that was changed, replaced, removed, or became a link, a folder or a fifo, is gone', async t => {
  const source = new ScratchSource(t);
  source.write({
    same: '12345',
    longer: '1',
    replaced: 'old',
    removed: 'x',
    link: 'x',
    folder: 'x',
    'in/a': 'x',
    stays: '',
  });
  await source.take();
  const { atime, mtime } = statSync(source.path('same'));
  writeFileSync(source.path('same'), '54321');
  utimesSync(source.path('same'), atime, mtime);
  writeFileSync(source.path('longer'), '12');
  source.write({ other: 'new' });
  renameSync(source.path('other'), source.path('replaced'));
  unlinkSync(source.path('removed'));
  unlinkSync(source.path('link'));
  symlinkSync('stays', source.path('link'));
  unlinkSync(source.path('folder'));
  mkdirSync(source.path('folder'));
  rmSync(source.path('in'), { recursive: true });
  source.write({ in: 'now a file' });
  for (const path of ['same', 'longer', 'replaced', 'removed', 'link', 'folder', 'in/a']) {
    for (const cached of [true, false]) t.is(await serve(source, path, { cached }), 'gone', path);
  }
});

test('no symlink below the source is followed to a file, though it be the same content; one above it is', async t => {
  const source = new ScratchSource(t);
  const large = Buffer.alloc(LARGE_BYTES, 'large');
  const deep = Array.from({ length: 20 }, (_, n) => String(n).repeat(100)).join('/');
  source.write({ 'a/b/small': 'small', 'a/b/large': large, [`${deep}/large`]: large });
  await source.take();
  const paths = ['a/b/small', 'a/b/large', `${deep}/large`];
  const there = join(source.folder, 'there');
  symlinkSync(source.root, there);
  for (const root of [source.root, there])
    for (const path of paths) {
      const entry = await source.entry(path);
      const served = await readSourceFile({ root, source: aSource, entry, cache: undefined });
      t.is((await content(served)).length, entry.size, path);
      const [small] = await readSmallSourceFiles({ root, source: aSource, entries: [entry], cache: undefined });
      t.is(small?.length, entry.size, path);
    }
  const held = await serve(source, 'a/b/large', { cached: false });
  for (const moved of ['a/b', '0'.repeat(100)]) {
    const to = join(source.folder, basename(moved));
    renameSync(source.path(moved), to);
    symlinkSync(to, source.path(moved));
  }
  for (const path of paths) {
    for (const cached of [true, false]) t.is(await serve(source, path, { cached }), 'gone', path);
    const entries = [await source.entry(path)];
    const small = await readSmallSourceFiles({ root: source.root, source: aSource, entries, cache: undefined });
    t.deepEqual(small, [undefined], path);
  }
  await t.throwsAsync(content(held), { instanceOf: SourceGone });
});

test('a file that changes while it is read ends in SourceGone and never in its last chunk', async t => {
  const source = new ScratchSource(t);
  source.write({ a: Buffer.alloc(600 * 1024, 'a') });
  await source.take();
  const file = await serve(source, 'a');
  if (file === 'gone') throw new Error('gone');
  let given = 0;
  await t.throwsAsync(
    async () => {
      for await (const chunk of file.read()) {
        given += chunk.length;
        writeFileSync(source.path('a'), Buffer.alloc(600 * 1024, 'b'));
      }
    },
    { instanceOf: SourceGone },
  );
  t.true(given < file.bytes);
  // Changed between the check and the first byte.
  writeFileSync(source.path('a'), Buffer.alloc(600 * 1024, 'a'));
  const again = await serve(source, 'a');
  if (again === 'gone') throw new Error('gone');
  unlinkSync(source.path('a'));
  await t.throwsAsync(() => content(again), { instanceOf: SourceGone });
});

test.serial('a file that its file system cannot give is gone, whatever the error', async t => {
  const source = new ScratchSource(t);
  source.write({ large: Buffer.alloc(LARGE_BYTES, 'l') });
  await source.take();
  const given = await serve(source, 'large');
  for (const code of ['Unknown system error -117', 'EBADMSG', 'ETIMEDOUT', 'ENOTCONN']) {
    await failReads(t, failingCall(code));
    t.is(await serve(source, 'large', { cached: false }), 'gone', code);
    await t.throwsAsync(content(given), { instanceOf: SourceGone }, code);
  }
  const folder = '/sys/class/net/lo';
  if (!existsSync(`${folder}/duplex`)) return t.log('SKIPPED for a small file: only Linux has one that gives EINVAL');
  const entry = { ...(await source.entry('large')), path: Buffer.from('duplex'), size: 4096 };
  t.is(await readSourceFile({ root: folder, source: aSource, entry, cache: undefined }), 'gone');
});

test.serial('a file is not gone for what this process lacks, a disk that hangs, or a reader who left', async t => {
  const source = new ScratchSource(t);
  source.write({ large: Buffer.alloc(LARGE_BYTES, 'l') });
  await source.take();
  const entry = await source.entry('large');
  const reading = (signal?: AbortSignal) =>
    readSourceFile({ root: source.root, source: aSource, entry, cache: undefined, ...(signal && { signal }) });
  await t.throwsAsync(reading(AbortSignal.abort(failingCall('ECONNRESET'))), { code: 'ECONNRESET' });
  const given = await serve(source, 'large');
  for (const error of [
    failingCall('EMFILE'),
    failingCall('ENOMEM'),
    failingCall('EAGAIN'),
    new DiskHangs(source.root),
  ]) {
    await failReads(t, error);
    t.is(await t.throwsAsync(reading()), error);
    t.is(await t.throwsAsync(content(given)), error);
  }
});

test('no single file is gone when the whole source is', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'a' });
  await source.take();
  const entry = await source.entry('a');
  unlinkSync(source.path('a'));
  const reading = () => readSourceFile({ root: source.root, source: aSource, entry, cache: source.cache });
  await t.throwsAsync(reading, { code: 'SOURCE_MISSING' });
  rmSync(source.root, { recursive: true });
  await t.throwsAsync(reading, { code: 'SOURCE_MISSING' });
});

test('a re-cut carries torn entries over from the snapshot before or leaves them out, and keeps everything else', async t => {
  const source = new ScratchSource(t);
  for (let index = 0; index < 400; index += 1) source.write({ [`d${index % 4}/f${index}`]: `content ${index}` });
  source.write({ 'd1/torn': 'old content' });
  const first = await source.take();
  source.write({ 'd1/torn': 'new content, longer', 'd2/new': 'never held' });
  const second = await source.take({ nowMs: anyTimeMs + 5, holdDays: 30 });
  const torn = await tornAt(source, 'd1/torn', 'd2/new');
  const done = await recut({
    snapshot: second.snapshot,
    previous: first.snapshot,
    torn,
    objects: source.objects,
    signer: source.signer,
  });
  t.like(done, { stale: 1, missed: 1 });

  const sealed = await source.objects.get(done.snapshot);
  const snapshot = verifySnapshot(sealed ?? new Uint8Array(), source.keys.publicKey);
  t.like(snapshot, {
    timeMs: anyTimeMs + 5,
    holdDays: 30,
    recutOf: second.snapshot,
    stale: 1,
    missed: 1,
    files: second.files - 1,
  });
  t.true(isPartial(snapshot));
  t.is(snapshot.bytes, second.bytes - 'new content, longer'.length + 'old content'.length - 'never held'.length);

  const [before, after] = [await source.entries(second.snapshot), await source.entries(done.snapshot)];
  const old = await source.entry('d1/torn', first.snapshot);
  t.deepEqual(
    after,
    before
      .filter(({ path }) => path.toString() !== 'd2/new')
      .map(entry => (entry.path.equals(old.path) ? { ...old, stale: true } : entry)),
  );
  const changes: ChangedParcel[] = [];
  for await (const change of changedParcels(source.objects, second.snapshot, done.snapshot)) changes.push(change);
  t.deepEqual(
    new Set(changes.filter(({ change }) => change === 'removed').map(({ ref }) => ref.id)),
    new Set(torn.map(({ parcel }) => parcel)),
  );
  const keys = (kind: string): string[] =>
    changes
      .filter(({ change }) => change === kind)
      .map(({ ref }) => ref.key)
      .sort();
  t.deepEqual(keys('added'), keys('removed'));
});

test('a re-cut leaves no less than nothing of a sum that was too high to be told', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'a', torn: 'more than nothing' });
  const taken = await source.take();
  const told = { ...(await readSnapshot(source.objects, taken.snapshot)), bytes: 1 };
  source.last = await source.objects.put(encodeSnapshot(told, source.signer));
  const torn = await tornAt(source, 'torn');
  const { objects, signer } = source;
  const done = await recut({ snapshot: source.last, previous: undefined, torn, objects, signer });
  t.like(await readSnapshot(objects, done.snapshot), { files: 1, bytes: 0 });
});

test('a re-cut without a snapshot before, or with the same lost blob in it, leaves out; a parcel left empty goes', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'a', large: Buffer.alloc(8 * 1024 * 1024, 'l') });
  const first = await source.take();
  const torn = await tornAt(source, 'large');
  const alone = await recut({
    snapshot: first.snapshot,
    previous: undefined,
    torn,
    objects: source.objects,
    signer: source.signer,
  });
  t.deepEqual(await source.paths(alone.snapshot), ['a']);
  t.like(await readSnapshot(source.objects, alone.snapshot), { missed: 1, files: 1, bytes: 1 });
  const second = await source.take();
  const same = await recut({
    snapshot: second.snapshot,
    previous: first.snapshot,
    torn,
    objects: source.objects,
    signer: source.signer,
  });
  t.like(same, { stale: 0, missed: 1 });
  t.deepEqual(await source.paths(same.snapshot), ['a']);
});

test('a stale entry whose old blob is lost too becomes missed', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'one', b: 'b' });
  const first = await source.take();
  source.write({ a: 'two' });
  const second = await source.take();
  const order = { objects: source.objects, signer: source.signer };
  const once = await recut({
    snapshot: second.snapshot,
    previous: first.snapshot,
    torn: await tornAt(source, 'a'),
    ...order,
  });
  source.last = once.snapshot;
  const twice = await recut({
    snapshot: once.snapshot,
    previous: first.snapshot,
    torn: await tornAt(source, 'a'),
    ...order,
  });
  t.like(await readSnapshot(source.objects, twice.snapshot), { stale: 0, missed: 1, files: 1 });
  t.deepEqual(await source.paths(twice.snapshot), ['b']);
});

test('the snapshot after a re-cut reads the file again and is whole', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'one', b: 'b' });
  const first = await source.take();
  source.write({ a: 'two' });
  const second = await source.take();
  const torn = await tornAt(source, 'a');
  const cut = await recut({
    snapshot: second.snapshot,
    previous: first.snapshot,
    torn,
    objects: source.objects,
    signer: source.signer,
  });
  source.last = cut.snapshot;
  source.write({ a: 'three' });
  const third = await source.take();
  t.like(third, { stale: 0, missed: 0 });
  t.is((await source.entry('a')).size, 5);
});

test('a file that never stops changing is carried over, or missed the first time', async t => {
  const source = new ScratchSource(t);
  source.write({ log: '', fine: 'fine' });
  // Takes longer to read than a busy machine keeps the writer waiting; without bytes on the disk.
  truncateSync(source.path('log'), 512 * 1024 * 1024);
  const writer = spawn(process.execPath, [
    '-e',
    `const fs = require('node:fs'); const log = fs.openSync(process.argv[1], 'r+'); process.stdout.write('writing');
     for (let n = 0; ; n = (n + 1) % 256) fs.writeSync(log, Buffer.from([n]), 0, 1, 0);`,
    source.path('log'),
  ]);
  t.teardown(() => void writer.kill('SIGKILL'));
  await new Promise<void>(resolve => writer.stdout.once('data', () => resolve()));
  const first = await source.take();
  t.like(first, { stale: 0, missed: 1 });
  t.is(first.unread[0]?.because, 'UNSTABLE');
  t.deepEqual(await source.paths(), ['fine']);
  const ended = new Promise<void>(resolve => writer.once('exit', () => resolve()));
  writer.kill('SIGKILL');
  await ended;
  t.like(await source.take(), { stale: 0, missed: 0 });
  chmodSync(source.path('fine'), 0o600);
});

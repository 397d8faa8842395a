import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { lookAtForbidden, unseen } from '../../src/catalog/forbidden-folder.js';
import { readPage, readSnapshot } from '../../src/catalog/read-object.js';
import { ScanCache } from '../../src/catalog/scan-cache.js';
import { isPartial, verifySnapshot } from '../../src/catalog/snapshot.js';
import { decideBrake, takeSnapshot } from '../../src/catalog/take-snapshot.js';
import { findEntry } from '../../src/catalog/walk.js';
import { EMPTY_BLOB, hashHex } from '../../src/core/hash.js';
import type { ObjectId } from '../../src/core/ids.js';
import type { ParcelRef } from '../../src/core/parcel.js';
import { FolderAway, whyNoFolderAway } from '../helpers/hanging-disk.js';
import { skip } from '../helpers/skip.js';
import { aFile, aFolder, snapshotOf } from './made-snapshots.js';
import { anyTimeMs, aSource, ScratchSource, settle } from './scratch-source.js';

/** Far above what a scan of two files takes; in ms. */
const SCAN_MS_MAX = 20_000;
const HOUR_MS = 3_600_000;

const bytesPath = (root: string, ...names: readonly Buffer[]): Buffer =>
  Buffer.concat([Buffer.from(root), ...names.flatMap(name => [Buffer.from('/'), name])]);

test('every kind of name, link and mode is recorded as it is', async t => {
  const source = new ScratchSource(t);
  const names = [
    Buffer.from('plain.txt'),
    Buffer.from('ünï 漢字'),
    Buffer.from('new\nline'),
    Buffer.from('-rf'),
    Buffer.from('x'.repeat(255)),
    Buffer.from([0x66, 0xff, 0xfe]),
    Buffer.from('back\\slash'),
  ];
  for (const name of names) writeFileSync(bytesPath(source.root, name), name);
  source.write({ 'deep/a/b/c/d/e/f/g': 'deep', 'deep.txt': 'after deep and its content', empty: '' });
  mkdirSync(source.path('empty-folder'));
  symlinkSync('/nowhere/at/all', source.path('dangling'));
  symlinkSync(Buffer.from([0x2e, 0x2e, 0x2f, 0xff]), source.path('odd-target'));
  linkSync(source.path('plain.txt'), source.path('zz-other-name'));
  chmodSync(source.path('plain.txt'), 0o4750);
  chmodSync(source.path('empty-folder'), 0o1500);
  execFileSync('mkfifo', [source.path('fifo')]);

  const taken = await source.take();
  t.is(taken.stale + taken.missed, 0);
  t.is(taken.files, names.length + 4);
  for (const name of names) {
    const entry = await source.entry(name);
    const stat = lstatSync(bytesPath(source.root, name), { bigint: true });
    t.is(String(entry.blob), hashHex(name));
    t.is(entry.mtimeNs, stat.mtimeNs);
    t.is(BigInt(entry.size), stat.size);
  }
  const plain = await source.entry('plain.txt');
  t.is(plain.mode, 0o4750);
  t.is(plain.user, execFileSync('id', ['-un']).toString().trim());
  t.regex(plain.link ?? '', /^[0-9a-f]{16}$/);
  const other = await source.entry('zz-other-name');
  t.deepEqual([other.link, other.blob], [plain.link, plain.blob]);
  t.is((await source.entry('deep.txt')).link, undefined);
  t.is(String((await source.entry('empty')).blob), EMPTY_BLOB);
  t.is((await source.entry('dangling')).target?.toString(), '/nowhere/at/all');
  t.deepEqual((await source.entry('odd-target')).target, Buffer.from([0x2e, 0x2e, 0x2f, 0xff]));
  t.is((await source.entry('fifo')).kind, 'fifo');
  t.is((await source.entry('empty-folder')).mode, 0o1500);
  const [root] = await source.entries();
  t.is(root?.path.length, 0);
  t.is(root?.mtimeNs, statSync(source.root, { bigint: true }).mtimeNs);
  t.deepEqual((await source.paths()).filter(path => path.startsWith('deep')).slice(-2), [
    'deep/a/b/c/d/e/f/g',
    'deep.txt',
  ]);
});

test('sockets are left out, fifos are not waited for', async t => {
  const source = new ScratchSource(t);
  const server = createServer();
  await new Promise<void>(resolve => server.listen(source.path('socket'), resolve));
  t.teardown(() => void server.close());
  execFileSync('mkfifo', [source.path('fifo')]);
  await source.take();
  t.deepEqual(await source.paths(), ['fifo']);
});

test('a snapshot is signed by the origin and says what it holds', async t => {
  const source = new ScratchSource(t);
  source.write({ a: '12345', 'b/c': '123' });
  const taken = await source.take({ holdDays: 30 });
  const sealed = await source.objects.get(taken.snapshot);
  const snapshot = verifySnapshot(sealed ?? new Uint8Array(), source.keys.publicKey);
  t.like(snapshot, { files: 2, bytes: 8, stale: 0, missed: 0, holdDays: 30, timeMs: anyTimeMs, recutOf: undefined });
  t.false(isPartial(snapshot));
});

test('a second snapshot of an unchanged tree has the same pages and puts nothing but itself', async t => {
  const source = new ScratchSource(t);
  for (let index = 0; index < 300; index += 1) source.write({ [`dir${index % 7}/file${index}`]: `content ${index}` });
  linkSync(source.path('dir0/file0'), source.path('dir1/hard'));
  const first = await source.take();
  source.objects.forgetFresh();
  const second = await source.take({ nowMs: anyTimeMs + 1000 });
  const [a, b] = [
    await readSnapshot(source.objects, first.snapshot),
    await readSnapshot(source.objects, second.snapshot),
  ];
  t.deepEqual(b.pages, a.pages);
  t.deepEqual(source.objects.forgetFresh(), [second.snapshot]);
  t.is(second.reused, second.parcels);
  t.is(second.filesGone + second.filesChanged, 0);
});

test('a path whose time no entry can have comes with the nearest that one can, and its snapshot can be read', async t => {
  const source = new ScratchSource(t);
  source.write({ 'folder/late': 'late', early: 'early', usual: 'usual' });
  symlinkSync('nowhere', source.path('link'));
  const late = ['folder/late', 'link', 'folder', ''];
  for (const path of late) touch(source.path(path), '32503680000');
  // As few file systems take.
  touch(source.path('early'), '-90000000000');
  const timeOf = (path: string) => lstatSync(source.path(path), { bigint: true }).mtimeNs;
  if (timeOf('link') < 2n ** 63n) return skip(t, 'this file system takes no time after 2262');
  // Among the first, files that have just changed are sent in another way than those that have not.
  for (const before of [Promise.resolve(), settle(source)]) {
    await before;
    source.cache.flush();
    const { missed, stale } = await source.take();
    t.is(missed + stale, 0);
    for (const path of late) t.is((await source.entry(path)).mtimeNs, 2n ** 63n - 1n, path);
    const early = timeOf('early');
    t.is((await source.entry('early')).mtimeNs, early < -(2n ** 63n) ? -(2n ** 63n) : early);
    t.is((await source.entry('usual')).mtimeNs, timeOf('usual'));
  }
});

test('a change of mtime below a microsecond changes no record, a real one changes its own', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'x', b: 'y' });
  touch(source.path('a'), '1600000000.000000000');
  const first = await source.take();
  source.objects.forgetFresh();
  touch(source.path('a'), '1600000000.000000999');
  const second = await source.take();
  t.is(second.reused, second.parcels);
  touch(source.path('a'), '1600000000.000001000');
  const third = await source.take();
  t.is(third.reused, third.parcels - 1);
  t.not(first.snapshot, third.snapshot);
});

test('unchanged files are not read again, changed ones are', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'x'.repeat(1000), b: 'y'.repeat(500) });
  await settle(source);
  const read: number[] = [];
  const onProgress = ({ readBytes }: { readonly readBytes: number }): void => void read.push(readBytes);
  await source.take({ onProgress });
  t.is(read.at(-1), 1500);
  await source.take({ onProgress });
  t.is(read.at(-1), 0);
  source.write({ b: 'z'.repeat(500) });
  await source.take({ onProgress });
  t.is(read.at(-1), 500);
  t.is(String((await source.entry('b')).blob), hashHex(Buffer.from('z'.repeat(500))));
});

test('a file that was not settled when it was read is read once more, and is known to who serves it', async t => {
  const source = new ScratchSource(t, { settleMs: HOUR_MS });
  source.write({ a: 'x'.repeat(1000), b: 'y'.repeat(500) });
  await settle(source);
  const readBytesOf = async (cache: ScanCache): Promise<number> => {
    let read = 0;
    await source.take({
      cache,
      onProgress: ({ readBytes }) => {
        read = readBytes;
      },
    });
    return read;
  };
  t.is(await readBytesOf(source.cache), 1500);
  t.is(await readBytesOf(source.cache), 1500);
  const stat = statSync(source.path('a'), { bigint: true });
  const file = { source: aSource, path: Buffer.from('a'), link: undefined };
  t.is(source.cache.lastRead(file, stat) as string | undefined, hashHex(Buffer.from('x'.repeat(1000))));
  const later = new ScanCache(source.cache.path, { nowMs: anyTimeMs, settleMs: 0 });
  t.is(await readBytesOf(later), 1500);
  t.is(await readBytesOf(later), 0);
  await later.close();
});

test('removed names leave, new names come, a file may become a folder and back', async t => {
  const source = new ScratchSource(t);
  source.write({ 'a/1': '1', 'a/2': '2', b: 'b', c: 'c' });
  await source.take();
  rmSync(source.path('a'), { recursive: true });
  rmSync(source.path('b'));
  source.write({ a: 'now a file', 'b/inside': 'now a folder', d: 'new' });
  const second = await source.take();
  t.deepEqual(await source.paths(), ['a', 'b', 'b/inside', 'c', 'd']);
  t.is(second.filesGone, 3);
  t.is(second.filesBefore, 4);
});

test('excluded paths, with whatever bytes, are left out; what lies below an excluded folder too', async t => {
  const source = new ScratchSource(t);
  source.write({
    'a.tmp': '',
    'a.TMP': '',
    'keep.txt': '',
    'new\nline.tmp': '',
    'cache/x': '',
    'deep/cache/y': '',
    'ü1.bak': '',
    'u1.bak': '',
    'only/here.log': '',
    'not/only/here.log': '',
  });
  await source.take({ exclude: ['*.tmp', 'cache/', 'ü*.bak', '/only'] });
  t.deepEqual(await source.paths(), ['a.TMP', 'deep', 'keep.txt', 'not', 'not/only', 'not/only/here.log', 'u1.bak']);
});

test('what a restore into the source keeps there for a while is left out, in whichever folder', async t => {
  const source = new ScratchSource(t);
  const work = [
    '.scatterhoard-restore/part-1',
    'deep/er/.scatterhoard-restore/links/1',
    'deep/.scatterhoard-part-0123456789ab-7',
  ];
  source.write(Object.fromEntries(work.map(path => [path, 'half a file'])));
  source.write({ 'deep/er/.scatterhoard-restored': 'a', 'deep/.scatterhoard-part-mine': 'b', z: 'z' });
  // The policy cannot bring it back.
  for (const exclude of [[], ['!*']]) {
    t.is((await source.take({ exclude })).missed, 0);
    const paths = ['deep', 'deep/.scatterhoard-part-mine', 'deep/er', 'deep/er/.scatterhoard-restored', 'z'];
    t.deepEqual(await source.paths(), paths);
  }
});

test('patterns can say what alone is wanted, in every folder', async t => {
  const source = new ScratchSource(t);
  source.write({ 'a.jpg': '', 'a.txt': '', 'trip/b.jpg': '', 'trip/b.txt': '', 'trip/raw/c.jpg': '', 'd.jpg/e': '' });
  await source.take({ exclude: ['*', '!*/', '!*.jpg', '/trip/raw/'] });
  t.deepEqual(await source.paths(), ['a.jpg', 'd.jpg', 'trip', 'trip/b.jpg']);
});

test('stores and state folders are never scanned, under whatever name, and a source inside one is refused', async t => {
  const source = new ScratchSource(t);
  source.write({ 'hoard/blob': 'x', 'fine/y': 'y' });
  symlinkSync(source.path('hoard'), join(source.folder, 'alias'));
  symlinkSync('loop', join(source.folder, 'loop'));
  const folders = ['alias', 'absent', 'loop'].map(name => lookAtForbidden(join(source.folder, name)));
  const forbidden = await Promise.all(folders);
  await source.take({ forbidden });
  t.deepEqual(await source.paths(), ['fine', 'fine/y']);
  const bound = forbidden.map(({ identity }) => ({ path: '/another/name', identity }));
  await source.take({ forbidden: bound });
  t.deepEqual(await source.paths(), ['fine', 'fine/y']);
  for (const root of [
    unseen(source.root),
    { path: '/another/name', identity: (await lookAtForbidden(source.root)).identity },
  ])
    for (const path of [source.path('hoard'), source.root])
      t.like(await takeSnapshot(source.order({ path, previous: undefined, forbidden: [root] })), {
        kind: 'refused',
        because: 'inside-store',
      });
});

test('nothing is asked of a store in the source, for its disk may hang', async t => {
  const why = whyNoFolderAway();
  if (why !== undefined) return skip(t, why);
  const source = new ScratchSource(t);
  source.write({ 'fine/y': 'y' });
  mkdirSync(source.path('hoard'));
  const hoard = await lookAtForbidden(source.path('hoard'));
  new FolderAway(t, source.path('hoard')).goAway();
  const signal = AbortSignal.timeout(SCAN_MS_MAX);
  for (const forbidden of [[hoard], [unseen(source.path('hoard'))]]) {
    await source.take({ forbidden, crossMounts: true, signal });
    t.deepEqual(await source.paths(), ['fine', 'fine/y']);
  }
});

test('a source that is absent, a file, or empty when it was not, is refused and not taken for empty', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'a' });
  await source.take();
  const before = source.last;
  unlinkSync(source.path('a'));
  t.like(await takeSnapshot(source.order()), { kind: 'refused', because: 'empty-source' });
  t.like(await takeSnapshot(source.order({ exclude: ['*'] })), { kind: 'refused', because: 'empty-source' });
  // A fresh ext4 is as empty.
  mkdirSync(source.path('lost+found'));
  t.like(await takeSnapshot(source.order()), { kind: 'refused', because: 'empty-source' });
  rmdirSync(source.path('lost+found'));
  renameSync(source.root, `${source.root}-away`);
  t.like(await takeSnapshot(source.order()), { kind: 'refused', because: 'missing-source' });
  writeFileSync(source.root, 'a file');
  t.like(await takeSnapshot(source.order()), { kind: 'refused', because: 'not-a-folder' });
  unlinkSync(source.root);
  renameSync(`${source.root}-away`, source.root);
  t.is(source.last, before);
  const accepted = await source.take({ missing: 'let-go' });
  t.is(accepted.files, 0);
  t.deepEqual(await source.paths(), []);
  // Empty and it was so before: nothing to brake.
  await source.take();
  mkdirSync(source.path('lost+found'));
  await source.take();
  t.deepEqual(await source.paths(), ['lost+found']);
  await source.take();
});

test('the first snapshot of an empty folder is a snapshot', async t => {
  const source = new ScratchSource(t);
  const taken = await source.take();
  t.like(taken, { files: 0, bytes: 0, parcels: 1 });
});

test('another device is told by a lost mount, or by its number together with lost names', t => {
  const tally = { met: 100, topBefore: 10, topKept: 10, rootUnmounted: false };
  t.is(decideBrake({ tally, sameDevice: true }), undefined);
  t.is(decideBrake({ tally, sameDevice: false }), undefined);
  t.is(decideBrake({ tally: { ...tally, topKept: 5 }, sameDevice: false }), undefined);
  t.is(decideBrake({ tally: { ...tally, topKept: 4 }, sameDevice: false })?.because, 'other-device');
  t.is(decideBrake({ tally: { ...tally, topKept: 4 }, sameDevice: true }), undefined);
  t.is(decideBrake({ tally: { ...tally, rootUnmounted: true }, sameDevice: true })?.because, 'other-device');
  t.is(decideBrake({ tally: { ...tally, met: 1, topKept: 0 }, sameDevice: true })?.because, 'empty-source');
});

test('an aborted scan ends with the signal’s reason and the cache can be used on', async t => {
  const source = new ScratchSource(t);
  for (let index = 0; index < 2000; index += 1) source.write({ [`d${index % 20}/f${index}`]: `${index}` });
  const reason = new Error('enough');
  const controller = new AbortController();
  const aborted = t.throwsAsync(
    takeSnapshot(source.order({ signal: controller.signal, onProgress: () => controller.abort(reason) })),
  );
  t.is(await aborted, reason);
  await t.throwsAsync(takeSnapshot(source.order({ signal: AbortSignal.abort(reason) })), { is: reason });
  t.is((await source.take()).files, 2000);
});

test('a damaged worker order is an error of the call', async t => {
  const source = new ScratchSource(t);
  // A pattern that cannot be sent to the worker.
  const exclude = [Symbol('x') as unknown as string];
  await t.throwsAsync(takeSnapshot(source.order({ exclude })));
});

const touch = (path: string, seconds: string): unknown => execFileSync('touch', ['-h', '-d', `@${seconds}`, path]);

test('a folder with 200,000 entries is one like any other', async t => {
  const source = new ScratchSource(t);
  const count = 200_000;
  for (let n = 0; n < count; n += 1) closeSync(openSync(source.path(String(n)), 'w'));
  const first = await source.take();
  t.like(await readSnapshot(source.objects, first.snapshot), { files: count, stale: 0, missed: 0 });
});

for (const [what, lose] of [
  ['records', ({ id }: ParcelRef, n: number) => (n % 3 === 0 ? id : undefined)],
  ['a page', (_: ParcelRef, n: number, page: ObjectId) => (n === 0 ? page : undefined)],
] as const) {
  test(`${what} of the last snapshot that nobody has any more are made anew from what is in the folder`, async t => {
    const source = new ScratchSource(t);
    for (let n = 0; n < 600; n += 1) source.write({ [`folder${n % 7}/file${n}`]: `content ${n}` });
    await settle(source);
    const first = await source.take();
    const before = await source.entries();
    const { pages } = await readSnapshot(source.objects, first.snapshot);
    const lost: ObjectId[] = [];
    for (const page of pages) {
      for (const [n, ref] of (await readPage(source.objects, page)).entries()) {
        const id = lose(ref, n, page);
        if (id !== undefined) lost.push(id);
      }
    }
    t.true(lost.length > 0);
    for (const id of lost) source.objects.lose(id);
    // What is lost inside a section is not seen while nothing in it changes.
    const next = await source.take({ cache: undefined });
    t.regex(next.lastUnread ?? '', new RegExp(lost.join('|')));
    t.deepEqual(await source.entries(), before);
    // A mount that is away may have been in what cannot be read.
    t.deepEqual([next.stale, next.missed, next.filesBefore, next.filesGone], [0, 1, 600, 0]);
    const after = await source.take();
    t.is(after.lastUnread, undefined);
    rmSync(source.root, { recursive: true });
    mkdirSync(source.root);
    for (const id of lost) source.objects.lose(id);
    const emptied = await takeSnapshot(source.order());
    t.is(emptied.kind === 'refused' && emptied.because, 'empty-source');
  });
}

test('while what was carried over lies where the last snapshot cannot be read, there is none that would forget it', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'a' });
  const size = 9 * 1024 * 1024;
  const away = ['disk', 'disk/1', 'disk/2'];
  const last = await snapshotOf(source.objects, [
    aFolder(''),
    aFile('a'),
    aFolder('disk', { mount: true, stale: true }),
    { ...aFile('disk/1', { size }), stale: true },
    { ...aFile('disk/2', { size }), stale: true },
    aFile('z', { size }),
  ]);
  source.last = last;
  const recordOf = async (path: string): Promise<ObjectId> =>
    (await findEntry(source.objects, last, Buffer.from(path)))?.parcel as ObjectId;
  const [record, other] = [await recordOf('disk/2'), await recordOf('z')];
  const bytes = (await source.objects.get(record)) as Uint8Array;

  source.objects.lose(record);
  const error = await t.throwsAsync(source.take(), { code: 'HISTORY_LOST' } as object);
  t.regex(error?.message ?? '', /^source photos was not backed up: 1 of its files and folders.*All snapshots are kept/);
  t.regex(error?.message ?? '', new RegExp(record));
  // Who lets go of what is lost lets go of what is away, too, and is told so before.
  t.regex(error?.message ?? '', /lets go of all that is missing: the source's folder \(.* is lost .*\), disk \(/);

  await source.objects.put(bytes);
  source.objects.lose(other);
  const taken = await source.take();
  t.like(taken, { stale: 3, missed: 1 });
  t.deepEqual(await source.paths(), ['a', ...away]);

  source.objects.lose(record);
  t.is((await source.take({ missing: 'let-go' })).missed, 1);
  t.deepEqual(await source.paths(), ['a']);
});

test('a source with more pages than a snapshot can list is refused with a word on what to do, one with as many is taken', async t => {
  const source = new ScratchSource(t);
  source.write({ file: 'content' });
  const refused = (kept: string) => ({
    code: 'SOURCE_TOO_LARGE',
    message: `source photos was not backed up: its 1 parcels take 1 pages, and a snapshot lists at most 0; ${kept}. Divide it into several sources, or leave something out with 'exclude'`,
  });
  await t.throwsAsync(source.take({ pagesMax: 0 }), refused('it has no snapshot yet'));
  const { snapshot } = await source.take({ pagesMax: 1 });
  source.write({ another: 'content' });
  await t.throwsAsync(source.take({ pagesMax: 0 }), refused('its earlier snapshots are kept'));
  t.is(source.last, snapshot);
  t.deepEqual(await source.paths(), ['file']);
});

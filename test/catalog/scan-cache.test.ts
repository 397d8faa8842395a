import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { open } from 'lmdb';
import { ScanCache } from '../../src/catalog/scan-cache.js';
import { type BlobId, type HostId, type ObjectId, sourceIdOf } from '../../src/core/ids.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { anyTimeMs, aSource } from './scratch-source.js';

const blob = '12'.repeat(32) as BlobId;
const stat = { size: 5n, mtimeNs: 1_700_000_000_123_456_789n, ctimeNs: 1_700_000_000_123_456_789n, ino: 77n };
const longAfterNs = stat.ctimeNs + 100_000_000_000n;
const file = { source: aSource, path: Buffer.from('a/b'), link: undefined };
const DAY_MS = 86_400_000;
const FILES = 20_000;
/** A file takes 110 where pages are full, and twice as much where each is split in the middle. */
const BYTES_A_FILE_MAX = 150;

function cachePath(t: ExecutionContext): string {
  return join(temporaryFolder(t), 'scan.mdb');
}

test('what was put is found again, also after it was opened anew, while size, times and inode are the same', async t => {
  const path = cachePath(t);
  const cache = new ScanCache(path, { nowMs: anyTimeMs });
  cache.put(file, stat, { blob, readFromNs: longAfterNs });
  t.is(cache.lookup(file, stat).blob, blob);
  await cache.close();
  const again = new ScanCache(path, { nowMs: anyTimeMs });
  t.is(again.lookup(file, stat).blob, blob);
  for (const change of [{ size: 6n }, { mtimeNs: stat.mtimeNs + 1n }, { ctimeNs: stat.ctimeNs + 1n }, { ino: 78n }]) {
    t.is(again.lookup(file, { ...stat, ...change }).blob, undefined);
  }
  t.is(again.lookup({ ...file, path: Buffer.from('a/c') }, stat).blob, undefined);
  t.is(again.lookup({ ...file, source: sourceIdOf('cd'.repeat(16) as HostId, 'photos') }, stat).blob, undefined);
  await again.close();
});

test('sections of which the disk lost a bit are none', async t => {
  const path = cachePath(t);
  const snapshot = 'ab'.repeat(32) as ObjectId;
  const sections = Buffer.from('some sections of a snapshot');
  const cache = new ScanCache(path, { nowMs: anyTimeMs });
  cache.putSections(aSource, snapshot, sections);
  t.deepEqual(cache.sections(aSource, snapshot), sections);
  t.is(cache.sections(aSource, 'cd'.repeat(32) as ObjectId), undefined);
  await cache.close();
  const disk = readFileSync(path);
  for (let at = disk.indexOf(sections); at >= 0; at = disk.indexOf(sections, at + 1)) disk.write('S', at);
  writeFileSync(path, disk);
  const again = new ScanCache(path, { nowMs: anyTimeMs });
  t.is(again.sections(aSource, snapshot), undefined);
  await again.close();
});

test('a file or folder of whose value the disk lost a bit is as if it had never been met', async t => {
  const path = cachePath(t);
  const folder = { inode: '0011223344556677', birthtimeNs: 1_600_000_000_123_456_789n };
  const place = Buffer.from('where it was');
  const mark = 0x11_22_33_44;
  const known = { blob, mark, isBare: true };
  const [dayBytes, markBytes] = [Math.floor(anyTimeMs / DAY_MS) + 2 ** 31, mark].map(number => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(number);
    return bytes;
  }) as [Buffer, Buffer];
  const kept = Buffer.from(blob, 'hex');
  for (const lost of [kept, Buffer.concat([dayBytes, markBytes]), markBytes, place]) {
    const cache = new ScanCache(path, { nowMs: anyTimeMs });
    cache.put(file, stat, { blob, readFromNs: longAfterNs, mark, isBare: true });
    cache.noteFolder(aSource, folder, place);
    t.deepEqual(cache.lookup(file, stat), known);
    await cache.close();
    const disk = readFileSync(path);
    for (let at = disk.indexOf(lost); at >= 0; at = disk.indexOf(lost, at + 1))
      disk.writeUInt8(disk.readUInt8(at) ^ 1, at);
    writeFileSync(path, disk);
    const again = new ScanCache(path, { nowMs: anyTimeMs });
    if (lost === place) t.is(again.folderPath(aSource, folder), undefined);
    else t.deepEqual(again.lookup(file, stat), { blob: undefined, mark: undefined, isBare: false });
    again.put(file, stat, { blob, readFromNs: longAfterNs, mark, isBare: true });
    t.deepEqual(again.lookup(file, stat), known);
    await again.close();
  }
});

test('the value of another file is none', async t => {
  const path = cachePath(t);
  const cache = new ScanCache(path, { nowMs: anyTimeMs });
  const other = { ...file, path: Buffer.from('a/c') };
  const otherBlob = '34'.repeat(32) as BlobId;
  cache.put(file, stat, { blob, readFromNs: longAfterNs });
  cache.put(other, stat, { blob: otherBlob, readFromNs: longAfterNs });
  await cache.close();
  const disk = open<Buffer, Buffer>({ path, noSubdir: true, keyEncoding: 'binary', encoding: 'binary' });
  const values = [...disk.getRange()].filter(({ value }) => value.includes(Buffer.from(blob, 'hex')));
  for (const { key, value } of disk.getRange())
    if (value.includes(Buffer.from(otherBlob, 'hex'))) disk.putSync(key, values[0]?.value ?? value);
  await disk.close();
  const again = new ScanCache(path, { nowMs: anyTimeMs });
  t.is(again.lookup(file, stat).blob, blob);
  t.is(again.lookup(other, stat).blob, undefined);
  await again.close();
});

test('a moved file is found where it was, with its mark, and from then on where it is', async t => {
  const cache = new ScanCache(cachePath(t), { nowMs: anyTimeMs });
  const path = Buffer.from('c/b');
  const moved = { ...file, path, formerPath: file.path };
  cache.put(file, stat, { blob, readFromNs: longAfterNs, mark: 7 });
  for (const change of [{ size: 6n }, { mtimeNs: stat.mtimeNs + 1n }, { ctimeNs: stat.ctimeNs + 1n }, { ino: 78n }])
    t.deepEqual(cache.lookup(moved, { ...stat, ...change }), { blob: undefined, mark: 7, isBare: false });
  t.deepEqual(cache.lookup({ ...file, path }, stat), { blob: undefined, mark: undefined, isBare: false });
  t.deepEqual(cache.lookup(moved, stat), { blob, mark: 7, isBare: false });
  cache.flush();
  t.deepEqual(cache.lookup({ ...file, path }, stat), { blob, mark: 7, isBare: false });
  // Its content is another now, and its mark the same.
  cache.put({ ...file, path }, { ...stat, size: 6n }, { blob, readFromNs: longAfterNs });
  t.deepEqual(cache.lookup({ ...file, path }, { ...stat, size: 6n }), { blob, mark: 7, isBare: false });
  await cache.close();
});

test('that a file has no attributes is kept with its content, wherever it moves, and is not taken for its age', async t => {
  const path = cachePath(t);
  const moved = { ...file, path: Buffer.from('c/b'), formerPath: file.path };
  const cache = new ScanCache(path, { nowMs: anyTimeMs });
  cache.put(file, stat, { blob, readFromNs: longAfterNs, mark: 7, isBare: true });
  for (const one of [file, moved, moved]) t.deepEqual(cache.lookup(one, stat), { blob, mark: 7, isBare: true });
  t.false(cache.lookup(file, { ...stat, ctimeNs: stat.ctimeNs + 1n }).isBare);
  cache.sweep(aSource);
  await cache.close();

  // Renewed after a month, and so not swept after another two.
  for (const day of [40, 90]) {
    const later = new ScanCache(path, { nowMs: anyTimeMs + day * DAY_MS });
    t.deepEqual(later.lookup(file, stat), { blob, mark: 7, isBare: true });
    later.sweep(aSource);
    t.is(later.lookup(moved, stat).blob, blob);
    await later.close();
  }
  const last = new ScanCache(path, { nowMs: anyTimeMs + 200 * DAY_MS });
  last.sweep(aSource);
  t.is(last.lookup(file, stat).blob, undefined);
  await last.close();
});

test('a folder is known by its inode and its birth, if that is precise', async t => {
  const cache = new ScanCache(cachePath(t), { nowMs: anyTimeMs });
  const folder = { inode: '0011223344556677', birthtimeNs: 1_600_000_000_123_456_789n };
  cache.noteFolder(aSource, folder, file.path);
  t.deepEqual(cache.folderPath(aSource, folder), file.path);
  cache.noteFolder(aSource, folder, Buffer.from('c'));
  t.deepEqual(cache.folderPath(aSource, folder), Buffer.from('c'));
  t.is(cache.folderPath(aSource, { ...folder, birthtimeNs: folder.birthtimeNs + 1n }), undefined);
  t.is(cache.folderPath(aSource, { ...folder, inode: '0011223344556688' }), undefined);
  const farBorn = { ...folder, birthtimeNs: 2n ** 70n + 1n };
  cache.noteFolder(aSource, farBorn, Buffer.from('d'));
  t.deepEqual(cache.folderPath(aSource, farBorn), Buffer.from('d'));
  // None, and as FAT stamps it: such inodes are made up anew at each mount.
  for (const birthtimeNs of [0n, 1_600_000_000_120_000_000n]) {
    cache.noteFolder(aSource, { ...folder, birthtimeNs }, file.path);
    t.is(cache.folderPath(aSource, { ...folder, birthtimeNs }), undefined);
  }
  await cache.close();
});

test('names of one inode share what is known of it', async t => {
  const cache = new ScanCache(cachePath(t), { nowMs: anyTimeMs });
  cache.put({ ...file, link: '0011223344556677' }, stat, { blob, readFromNs: longAfterNs });
  t.is(cache.lookup({ ...file, path: Buffer.from('other'), link: '0011223344556677' }, stat).blob, blob);
  t.is(cache.lookup({ ...file, link: '0011223344556688' }, stat).blob, undefined);
  await cache.close();
});

test('a file changed so shortly before it was read that a later change could look the same is not kept', async t => {
  const cache = new ScanCache(cachePath(t), { nowMs: anyTimeMs, settleMs: 0 });
  const coarse = { ...stat, ctimeNs: 1_700_000_000_000_000_000n };
  for (const [one, readFromNs, kept] of [
    [stat, stat.ctimeNs + 49_999_999n, false],
    [stat, stat.ctimeNs + 50_000_000n, true],
    [stat, stat.ctimeNs - 1n, false],
    [coarse, coarse.ctimeNs + 2_099_999_999n, false],
    [coarse, coarse.ctimeNs + 2_100_000_000n, true],
  ] as const) {
    const path = Buffer.from(`${one.ctimeNs}-${readFromNs}`);
    cache.put({ ...file, path }, one, { blob, readFromNs });
    t.is(cache.lookup({ ...file, path }, one).blob, kept ? blob : undefined);
  }
  await cache.close();
});

test('a file changed less than 90 s before it was read is read again, and known to who serves it; its mark stays', async t => {
  const cache = new ScanCache(cachePath(t), { nowMs: anyTimeMs });
  const moved = { ...file, path: Buffer.from('c/b'), formerPath: file.path };
  for (const ctimeNs of [stat.ctimeNs, 1_700_000_000_000_000_000n]) {
    const one = { ...stat, ctimeNs };
    cache.put(file, one, { blob, readFromNs: ctimeNs + 89_999_999_999n, mark: 7, isBare: true });
    for (const asked of [file, moved])
      t.deepEqual(cache.lookup(asked, one), { blob: undefined, mark: 7, isBare: false });
    t.is(cache.lastRead(file, one), blob);
    t.is(cache.lastRead(file, { ...one, size: 6n }), undefined);
    cache.put(file, one, { blob, readFromNs: ctimeNs + 90_000_000_000n, mark: 7, isBare: true });
    t.deepEqual(cache.lookup(file, one), { blob, mark: 7, isBare: true });
    t.is(cache.lastRead(file, one), blob);
  }
  await cache.close();
});

test('what is found to be wrong is believed no more, though the file was changed too shortly before to be kept', async t => {
  const cache = new ScanCache(cachePath(t), { nowMs: anyTimeMs });
  const right = '34'.repeat(32) as BlobId;
  for (const isWritten of [true, false]) {
    for (const [readFromNs, found] of [
      [longAfterNs, right],
      [stat.ctimeNs, undefined],
    ] as const) {
      cache.put(file, stat, { blob, readFromNs: longAfterNs, mark: 7 });
      if (isWritten) cache.flush();
      cache.correct(file, stat, { blob: right, readFromNs });
      t.is(cache.lookup(file, stat).blob, found);
      cache.flush();
      t.is(cache.lookup(file, stat).blob, found);
    }
    cache.put(file, stat, { blob: right, readFromNs: longAfterNs, mark: 7 });
    cache.correct(file, stat, { blob: right, readFromNs: longAfterNs });
    t.deepEqual(cache.lookup(file, stat), { blob: right, mark: 7, isBare: false });
  }
  await cache.close();
});

test('what no scan has met for two months is swept, what a scan meets stays', async t => {
  const path = cachePath(t);
  const met = { ...file, path: Buffer.from('met') };
  const folder = (inode: string) => ({ inode, birthtimeNs: 1_600_000_000_123_456_789n });
  const other = { ...file, source: sourceIdOf('cd'.repeat(16) as HostId, 'photos') };
  for (const day of [0, 31, 62]) {
    const cache = new ScanCache(path, { nowMs: anyTimeMs + day * DAY_MS });
    if (day === 0) for (const one of [file, met, other]) cache.put(one, stat, { blob, readFromNs: longAfterNs });
    else t.is(cache.lookup(met, stat).blob, blob);
    for (const inode of day === 0 ? ['met', 'left'] : ['met']) cache.noteFolder(aSource, folder(inode), file.path);
    cache.sweep(aSource);
    t.is(cache.lookup(met, stat).blob, blob);
    t.is(cache.lookup(other, stat).blob, blob);
    await cache.close();
  }
  const cache = new ScanCache(path, { nowMs: anyTimeMs });
  t.is(cache.lookup(file, stat).blob, undefined);
  t.is(cache.folderPath(aSource, folder('left')), undefined);
  t.deepEqual(cache.folderPath(aSource, folder('met')), file.path);
  await cache.close();
});

test('what is met in a row fills the database page by page, of a later source too', async t => {
  const path = cachePath(t);
  const cache = new ScanCache(path, { nowMs: anyTimeMs });
  for (const [n, name] of ['photos', 'music', 'work'].entries()) {
    const source = sourceIdOf('cd'.repeat(16) as HostId, name);
    for (let i = 0; i < FILES; i += 1) {
      const [folder, number] = [String(Math.floor(i / 100)).padStart(4, '0'), String(i).padStart(6, '0')];
      const one = { source, path: Buffer.from(`folder-${folder}/file-${number}`), link: undefined };
      cache.put(one, stat, { blob, readFromNs: longAfterNs, mark: 7 });
    }
    cache.flush();
    t.true(statSync(path).size < (n + 1) * FILES * BYTES_A_FILE_MAX);
  }
  await cache.close();
});

test('paths of any length are told apart', async t => {
  const cache = new ScanCache(cachePath(t), { nowMs: anyTimeMs });
  const blobOf = (n: number): BlobId => n.toString(16).padStart(64, '0') as BlobId;
  const start = Buffer.alloc(4095, 'deep/');
  const paths = [55, 56, 57, 70, 71, 72, 73, 1000, 4094].flatMap(length =>
    ['a', 'b'].map(end => Buffer.concat([start.subarray(0, length), Buffer.from(end)])),
  );
  for (const [n, path] of paths.entries())
    cache.put({ ...file, path }, stat, { blob: blobOf(n), readFromNs: longAfterNs });
  cache.flush();
  t.deepEqual(
    paths.map(path => cache.lookup({ ...file, path }, stat).blob),
    paths.map((_, n) => blobOf(n)),
  );
  await cache.close();
});

test('sources that two threads meet first do not share a place', async t => {
  const path = cachePath(t);
  const caches = [0, 1].map(() => new ScanCache(path, { nowMs: anyTimeMs }));
  const sources = ['photos', 'music'].map(name => sourceIdOf('cd'.repeat(16) as HostId, name));
  for (const [n, cache] of caches.entries()) {
    const own = { ...file, source: sources[n] ?? aSource };
    cache.put(own, { ...stat, ino: BigInt(n) }, { blob, readFromNs: longAfterNs });
    cache.flush();
  }
  for (const cache of caches) {
    const found = (n: number, ino: bigint) =>
      cache.lookup({ ...file, source: sources[n] ?? aSource }, { ...stat, ino }).blob;
    t.deepEqual([found(0, 0n), found(1, 1n), found(0, 1n), found(1, 0n)], [blob, blob, undefined, undefined]);
  }
  for (const cache of caches) await cache.close();
});

test('a cache of another format is emptied, and one of this format is not', async t => {
  const path = cachePath(t);
  const old = open<Buffer, Buffer>({ path, noSubdir: true, keyEncoding: 'binary', encoding: 'binary' });
  old.putSync(Buffer.alloc(32, 'k'), Buffer.alloc(68, 'v'));
  // As the format before this one began: its number, and one source.
  old.putSync(Buffer.of(0), Buffer.of(2, 0, 0, 0, 1, 0, 0, 0));
  await old.close();
  const cache = new ScanCache(path, { nowMs: anyTimeMs });
  cache.put(file, stat, { blob, readFromNs: longAfterNs });
  await cache.close();
  const again = new ScanCache(path, { nowMs: anyTimeMs });
  t.is(again.lookup(file, stat).blob, blob);
  await again.close();
  const seen = open<Buffer, Buffer>({ path, noSubdir: true, keyEncoding: 'binary', encoding: 'binary' });
  t.is(seen.getBinary(Buffer.alloc(32, 'k')), undefined);
  await seen.close();
});

/** Hash file: what files of a store hash to, read in a thread in which no reading holds up another. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { putBack, setApart } from '../../src/platform/disk.js';
import { hashFile, readFiles } from '../../src/store/hash-file.js';
import { isOpenHere } from '../helpers/is-open-here.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { HOST, NONCE } from '../helpers/test-parcels.js';
import { until } from '../helpers/until.js';

const MIB = 1024 * 1024;

function aFolder(t: ExecutionContext) {
  const folder = temporaryFolder(t);
  const write = (name: string, content: Uint8Array): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  return { folder, write };
}

const nobodys = { nonce: NONCE, holders: [] };
/** As they are. */
const whole = (paths: readonly string[]) => ({ paths, sizes: [], hashes: [], possession: nobodys, isFromDisk: false });

test('a file of any size hashes to what it has, and says so when it has another size, or is not there', async t => {
  const { folder, write } = aFolder(t);
  for (const bytes of [0, 1, 256 * 1024, 256 * 1024 + 1, 9 * MIB]) {
    const content = seededBytes(bytes, 1);
    const path = write(String(bytes), content);
    t.deepEqual(await hashFile(path), { hash: hashHex(content), bytes });
    t.deepEqual(await hashFile(path, { bytes }), { hash: hashHex(content), bytes });
    t.deepEqual(await hashFile(path, { bytes: bytes + 1 }), { hash: undefined, bytes });
  }
  t.is(await hashFile(join(folder, 'absent')), undefined);
});

/** In statfs, for a file system in memory. */
const TMPFS_MAGIC = 0x01021994;

/** What this process has read from disks, in bytes; undefined where the system does not say. */
function readFromDisks(): number | undefined {
  const io = existsSync('/proc/self/io') ? readFileSync('/proc/self/io', 'utf8') : '';
  const bytes = /^read_bytes: (\d+)$/m.exec(io)?.[1];
  return bytes === undefined ? undefined : Number(bytes);
}

test.serial('what is to be read from the disk is not taken from what the kernel has cached', async t => {
  const { folder, write } = aFolder(t);
  if (readFromDisks() === undefined) return skip(t, 'the system does not say what was read from disks');
  // A file system in memory has nothing else than the cache.
  if (statfsSync(folder).type === TMPFS_MAGIC) return skip(t, 'temporary files lie in memory');
  const content = seededBytes(8 * MIB, 1);
  const path = write('cached', content);
  const file = openSync(path, 'r');
  fsyncSync(file);
  closeSync(file);
  const reading = async (isFromDisk: boolean): Promise<number> => {
    const before = readFromDisks() ?? 0;
    t.like(await readFiles({ ...whole([path]), hashes: [hashHex(content)], isFromDisk }), { is: 'read' });
    return (readFromDisks() ?? 0) - before;
  };
  t.true((await reading(false)) < MIB);
  t.true((await reading(true)) >= content.length);
});

test('of many files the first that is not as it must be is named, and none behind it is looked at', async t => {
  const { folder, write } = aFolder(t);
  const contents = Array.from({ length: 200 }, (_, n) => seededBytes(1 + n, n));
  const paths = contents.map((content, n) => write(String(n), content));
  const right = { ...whole(paths), sizes: contents.map(({ length }) => length), hashes: contents.map(hashHex) };
  t.like(await readFiles(right), { is: 'read', last: { hash: hashHex(contents[199] as Uint8Array), bytes: 200 } });
  const hashes = right.hashes.with(150, right.hashes[0] as string);
  t.like(await readFiles({ ...right, hashes }), { is: 'unlike', n: 150, found: { bytes: 151 } });
  t.like(await readFiles({ ...right, sizes: right.sizes.with(70, 1), hashes }), {
    is: 'unlike',
    n: 70,
    found: { hash: undefined, bytes: 71 },
  });
  const missing = paths.with(3, join(folder, 'absent'));
  t.deepEqual(await readFiles({ ...right, paths: missing, hashes }), { is: 'unlike', n: 3, found: undefined });
});

test('nothing is read through a symlink, nor of what is no plain file', async t => {
  const { folder, write } = aFolder(t);
  const file = write('file', Buffer.from('content'));
  symlinkSync(file, join(folder, 'link'));
  mkdirSync(join(folder, 'folder'));
  for (const name of ['link', 'folder'])
    await t.throwsAsync(readFiles(whole([file, join(folder, name)])), { code: 'STORE_TAMPERED', message: /"/ });
});

test('a large file holds up no small one that is asked for behind it', async t => {
  const { write } = aFolder(t);
  const [large, small] = [write('large', Buffer.alloc(256 * MIB)), write('small', Buffer.from('small'))];
  const order: string[] = [];
  await Promise.all([hashFile(large).then(() => order.push('large')), hashFile(small).then(() => order.push('small'))]);
  t.deepEqual(order, ['small', 'large']);
});

test('a reading that is given up ends, and leaves no file open', async t => {
  if (process.platform !== 'linux') return skip(t, 'there is no proc file system');
  const { folder, write } = aFolder(t);
  const path = write('large', Buffer.alloc(64 * MIB));
  const disk = setApart(folder);
  t.teardown(() => putBack(disk));
  const gaveUp = new AbortController();
  const reading = readFiles({ ...whole([path]), possession: { nonce: NONCE, holders: [HOST] } }, gaveUp.signal);
  await until('it is read', () => isOpenHere(path));
  gaveUp.abort(new Error('enough'));
  await t.throwsAsync(reading, { message: 'enough' });
  await disk.settled();
  t.false(isOpenHere(path));
  disk.giveUp();
  await t.throwsAsync(hashFile(path), { code: 'DISK_HANGS' });
  await disk.settled();
  disk.takeUp();
  t.is((await hashFile(path))?.bytes, 64 * MIB);
});

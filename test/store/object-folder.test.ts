import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { pino } from 'pino';
import { hashHex } from '../../src/core/hash.js';
import { type ObjectId, parseObjectId } from '../../src/core/ids.js';
import { readSmallFiles } from '../../src/platform/small-files.js';
import type { DiskSync } from '../../src/store/disk-sync.js';
import { OBJECT_BYTES_MAX, ObjectFolder } from '../../src/store/object-folder.js';
import { SharedObjects, type SharingFolder } from '../../src/store/shared-objects.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';

const SILENT = pino({ level: 'silent' });
const LINK_MS_MAX = 30_000;
const newPath = (t: ExecutionContext): string => join(temporaryFolder(t), 'objects');
const open = async (t: ExecutionContext, path = newPath(t)): Promise<ObjectFolder> => {
  const folder = await ObjectFolder.open(path, { log: SILENT });
  // A second open of the same path stands for a restart; what the first had waiting is gone then, and it cannot close well.
  t.teardown(() => Promise.allSettled([folder.close()]));
  return folder;
};
const fileOf = (path: string, id: ObjectId) => join(path, id.slice(0, 2), id);

test('every object is read back as it was put, before and after the flush and a restart', async t => {
  const path = newPath(t);
  const folder = await open(t, path);
  const sizes = fc.uint8Array({ maxLength: 3_000 });
  const ids: [ObjectId, Uint8Array][] = [];
  await fc.assert(
    fc.asyncProperty(sizes, async bytes => {
      const id = await folder.put(bytes);
      ids.push([id, bytes]);
      return (
        id === hashHex(bytes) &&
        (await folder.has(id)) &&
        Buffer.from(bytes).equals((await folder.get(id)) ?? Buffer.of(1))
      );
    }),
    { numRuns: 50 },
  );
  await folder.flush();
  const again = await open(t, path);
  for (const [id, bytes] of ids) t.deepEqual(Buffer.from((await again.get(id)) ?? []), Buffer.from(bytes));
  const there: string[] = [];
  for await (const id of again.ids()) there.push(id);
  t.deepEqual(there, [...new Set(ids.map(([id]) => id))].sort());
});

for (const fails of ['the place of another', 'the flush of its folder'] as const)
  test(`the name of an object that was placed when ${fails} failed is durable after the next flush`, async t => {
    const path = newPath(t);
    const contents = ['placed', 'other'].map(text => Buffer.from(text));
    const folders = contents.map(content => join(path, hashHex(content).slice(0, 2))) as [string, string];
    const flushed = new Set<string>();
    let isRefused = false;
    const sync = {
      flush: async (paths: Iterable<string>) => {
        const list = [...paths];
        // As where no more files can be opened, after which more is taken, unlike after a flush that the disk refused.
        if (isRefused && list.some(one => folders.includes(one))) throw Object.assign(new Error(), { code: 'EMFILE' });
        for (const one of list) flushed.add(one);
      },
    } as DiskSync;
    const folder = await ObjectFolder.open(path, { log: SILENT, sync });
    flushed.clear();
    for (const content of contents) await folder.put(content);
    if (fails === 'the place of another') await rm(folders[1], { recursive: true });
    else isRefused = true;
    await t.throwsAsync(folder.flush());
    t.is((await readdir(folders[0])).length, 1);
    isRefused = false;
    await mkdir(folders[1], { recursive: true });
    for (const content of contents) await folder.put(content);
    await folder.flush();
    t.deepEqual(
      folders.filter(one => !flushed.has(one)),
      [],
    );
  });

test('an object is read before thousands of small files that wait to be read', async t => {
  const path = newPath(t);
  const folder = await open(t, path);
  const id = await folder.put(Buffer.from('asked for'));
  await folder.flush();
  const others = Array.from({ length: 4_000 }, () => ({ path: fileOf(path, id), bytesMax: 100 }));
  let isOver = false;
  const reading = readSmallFiles(others).then(() => {
    isOver = true;
  });
  t.deepEqual(Buffer.from((await folder.get(id)) ?? []), Buffer.from('asked for'));
  t.false(isOver);
  await reading;
});

test('an object that was never flushed is not there after a restart, and leaves nothing', async t => {
  const path = newPath(t);
  const id = await (await open(t, path)).put(Buffer.from('waiting'));
  const again = await open(t, path);
  t.false(await again.has(id));
  t.is(await again.get(id), undefined);
  t.deepEqual(await readdir(join(path, 'new')), []);
});

test('text is kept smaller than it is, and what does not compress costs one byte more', async t => {
  const path = newPath(t);
  const folder = await open(t, path);
  const [text, noise] = [Buffer.from('pictures/2024/'.repeat(500)), randomBytes(5_000)];
  const ids = [await folder.put(text), await folder.put(noise)] as const;
  await folder.flush();
  t.true((await stat(fileOf(path, ids[0]))).size < text.length / 2);
  t.is((await stat(fileOf(path, ids[1]))).size, noise.length + 1);
  t.is(folder.usedBytes, (await stat(fileOf(path, ids[0]))).size + noise.length + 1);
});

for (const [what, spoil] of [
  ['another hash', (bytes: Buffer) => bytes.fill(0x41, 1, 2)],
  ['an unknown codec', (bytes: Buffer) => bytes.fill(9, 0, 1)],
  ['a compressed stream that is none', (bytes: Buffer) => bytes.fill(1, 0, 1)],
  ['no bytes at all', (bytes: Buffer) => bytes.subarray(0, 0)],
] as const) {
  test(`a file with ${what} counts as absent, and the next put mends it`, async t => {
    const path = newPath(t);
    const folder = await open(t, path);
    const bytes = Buffer.from('a record, short enough to be kept plain');
    const id = await folder.put(bytes);
    await folder.flush();
    await writeFile(fileOf(path, id), spoil(await readFile(fileOf(path, id))));
    t.is(await folder.get(id), undefined);
    t.false(await folder.has(id));
    await folder.put(bytes);
    await folder.flush();
    t.true(await folder.has(id));
    t.deepEqual(Buffer.from((await folder.get(id)) ?? []), bytes);
  });
}

test('a few bytes that unpack to more than an object may have are refused', async t => {
  const path = newPath(t);
  const folder = await open(t, path);
  const { brotliCompressSync } = await import('node:zlib');
  const bomb = Buffer.concat([Buffer.of(1), brotliCompressSync(Buffer.alloc(OBJECT_BYTES_MAX + 1))]);
  const id = parseObjectId(hashHex(Buffer.alloc(OBJECT_BYTES_MAX + 1)));
  await writeFile(fileOf(path, id), bomb);
  t.is(await folder.get(id), undefined);
});

test('an object of exactly the limit is kept, one byte more is refused', async t => {
  const folder = await open(t);
  await t.notThrowsAsync(folder.put(randomBytes(OBJECT_BYTES_MAX)));
  t.like(await t.throwsAsync(folder.put(randomBytes(OBJECT_BYTES_MAX + 1))), { code: 'OBJECT_TOO_LARGE' });
});

test('a symlink in the place of an object is not followed', async t => {
  const path = newPath(t);
  const folder = await open(t, path);
  const bytes = Buffer.from('elsewhere');
  const id = parseObjectId(hashHex(bytes));
  await writeFile(join(path, 'plain'), Buffer.concat([Buffer.of(0), bytes]));
  await symlink(join(path, 'plain'), fileOf(path, id));
  t.is(await folder.get(id), undefined);
  t.false(await folder.has(id));
});

test('a folder that is a symlink is refused', async t => {
  const path = newPath(t);
  await symlink(tmpdir(), path);
  t.like(await t.throwsAsync(open(t, path)), { code: 'STORE_TAMPERED' });
});

test('the same object put many times at once is kept once', async t => {
  const folder = await open(t);
  const bytes = Buffer.from('the same');
  await Promise.all(Array.from({ length: 20 }, () => folder.put(bytes)));
  await folder.flush();
  t.is(folder.usedBytes, bytes.length + 1);
});

test('more objects than may wait are flushed on the way', async t => {
  const path = newPath(t);
  const folder = await open(t, path);
  const ids: ObjectId[] = [];
  for (let n = 0; n < 1_100; n++) ids.push(await folder.put(Buffer.from(`object ${n}`)));
  t.true((await readdir(join(path, 'new'))).length < 1_024);
  for (const id of ids) t.true(await folder.has(id));
});

/** They wait for each other's links for as long as it takes: a busy machine makes one too late otherwise. */
const openBoth = async (t: ExecutionContext) => {
  const shared = new SharedObjects({ linkMsMax: LINK_MS_MAX });
  const openOne = async (path: string) => {
    const folder = await ObjectFolder.open(path, { log: SILENT, shared });
    t.teardown(() => Promise.allSettled([folder.close()]));
    return folder;
  };
  const paths = { first: newPath(t), second: newPath(t) };
  return { paths, first: await openOne(paths.first), second: await openOne(paths.second) };
};

test('what two folders of one host have on one disk lies there once', async t => {
  const { paths, first, second } = await openBoth(t);
  const bytes = randomBytes(5_000);
  const id = await first.put(bytes);
  await first.flush();
  t.is(await second.put(bytes), id);
  await second.flush();
  const [one, other] = await Promise.all([stat(fileOf(paths.first, id)), stat(fileOf(paths.second, id))]);
  t.is(one.ino, other.ino);
  t.is(second.usedBytes, first.usedBytes);
  await unlink(fileOf(paths.first, id));
  t.deepEqual(Buffer.from((await second.get(id)) ?? []), bytes);
});

test('a damaged object is not shared, and one that is damaged in both is mended in each', async t => {
  const { paths, first, second } = await openBoth(t);
  const [bytes, more] = [randomBytes(5_000), randomBytes(5_000)];
  const id = await first.put(bytes);
  const both = await first.put(more);
  await first.flush();
  await second.put(more);
  await second.flush();
  await writeFile(fileOf(paths.first, id), 'damaged');
  await writeFile(fileOf(paths.first, both), 'damaged, and under its other name too');
  for (const folder of [first, second]) {
    t.is(await folder.get(both), undefined);
    t.is(await folder.put(more), both);
  }
  await second.put(bytes);
  await second.flush();
  t.deepEqual(Buffer.from((await second.get(id)) ?? []), bytes);
  await first.flush();
  for (const path of [paths.first, paths.second]) {
    const folder = await open(t, path);
    t.deepEqual(Buffer.from((await folder.get(both)) ?? []), more);
    t.deepEqual(await readdir(join(path, 'new')), []);
  }
});

test('an object that waits for its flush is not shared', async t => {
  const { paths, first, second } = await openBoth(t);
  const bytes = randomBytes(5_000);
  const id = await first.put(bytes);
  await second.put(bytes);
  await Promise.all([first.flush(), second.flush()]);
  const [one, other] = await Promise.all([stat(fileOf(paths.first, id)), stat(fileOf(paths.second, id))]);
  t.not(one.ino, other.ino);
});

/** A folder whose host has another one on the same disk, with an object that is put into it. */
async function putBeside(t: ExecutionContext, linkTo: SharingFolder['linkTo']) {
  const shared = new SharedObjects();
  shared.join({ device: (await stat(tmpdir())).dev, linkTo });
  const path = newPath(t);
  const folder = await ObjectFolder.open(path, { log: SILENT, shared });
  t.teardown(() => folder.close());
  const bytes = randomBytes(5_000);
  const id = await folder.put(bytes);
  await folder.flush();
  return { path, isThere: async () => t.deepEqual(Buffer.from((await folder.get(id)) ?? []), bytes) };
}

test('nobody waits for a folder that does not answer, and a link that it makes late is removed', async t => {
  let isMade = false;
  let answer = (): void => undefined;
  const hangs = new Promise<void>(resolve => {
    answer = resolve;
  });
  const { path, isThere } = await putBeside(t, async (id, to) => {
    await hangs;
    await writeFile(to, `late ${id}`);
    isMade = true;
    return 1;
  });
  await isThere();
  answer();
  await until('the late link to be made, and removed', () => isMade && readdirSync(join(path, 'new')).length === 0);
  await isThere();
});

test('an object is written where the disk makes no link', async t => {
  const { isThere } = await putBeside(t, async () => undefined);
  await isThere();
});

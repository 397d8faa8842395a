/** Small files: what node:fs would have said, for many at once, and in order. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import threads from 'node:worker_threads';
import test from 'ava';
import { setApart } from '../../src/platform/disk.js';
import {
  readSmallFile,
  readSmallFiles,
  renameFiles,
  writeSmallFile,
  writeSmallFiles,
} from '../../src/platform/small-files.js';
import type { Urgency } from '../../src/platform/urgent-first.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

test('files are written, moved and read as they are, many at once and in their order', async t => {
  const path = temporaryFolder(t);
  const files = Array.from({ length: 1_500 }, (_, n) => ({
    path: join(path, String(n)),
    content: Buffer.alloc(n % 700, n),
    mode: 0o600,
  }));
  t.true((await writeSmallFiles(files)).every(failure => failure === undefined));
  t.is(statSync(join(path, '7')).mode & 0o777, 0o600);
  const moved = files.map(file => ({ path: file.path, to: `${file.path}.moved` }));
  t.true((await renameFiles(moved)).every(failure => failure === undefined));
  const reads = await readSmallFiles(moved.map(({ to }) => ({ path: to, bytesMax: 700 })));
  for (const [n, read] of reads.entries()) {
    if (read instanceof Error) throw read;
    t.deepEqual(Buffer.from(read.content), files[n]?.content);
  }
});

test.serial('when a thread cannot be started, its callers hear of it, and the next ones have another', async t => {
  const folder = temporaryFolder(t);
  setApart(folder);
  const path = join(folder, 'file');
  writeFileSync(path, 'content');
  const { Worker } = threads;
  threads.Worker = function none() {
    throw new Error('no thread can be started');
  } as never;
  syncBuiltinESMExports();
  try {
    const message = 'no thread can be started';
    await Promise.all([1, 2].map(() => t.throwsAsync(readSmallFile(path, 100), { message })));
  } finally {
    threads.Worker = Worker;
    syncBuiltinESMExports();
  }
  t.is(Buffer.from((await readSmallFile(path, 100)).content).toString(), 'content');
});

test('a thread gives a sign of life with each file, for many on a slow disk may take as long as one on a disk that hangs', async t => {
  const path = temporaryFolder(t);
  const disk = setApart(path);
  const { watch } = disk;
  let signs = (): number => 0;
  disk.watch = (call, given) => {
    signs = given;
    return watch.call(disk, call, given) as never;
  };
  const files = ['a', 'b', 'c'].map(name => ({ path: join(path, name), content: Buffer.from(name), mode: 0o600 }));
  await writeSmallFiles(files);
  t.is(signs(), 1 + files.length);
});

test('what a person waits for is read before thousands of others that wait, and none is lost', async t => {
  const path = temporaryFolder(t);
  const files = Array.from({ length: 600 }, (_, n) => ({
    path: join(path, String(n)),
    content: Buffer.from(String(n)),
    mode: 0o600,
  }));
  await writeSmallFiles(files);
  const order: string[] = [];
  const read = async (name: string, urgency: Urgency, many = files): Promise<void> => {
    const reads = await readSmallFiles(
      many.map(file => ({ path: file.path, bytesMax: 10 })),
      urgency,
    );
    for (const [n, one] of reads.entries())
      t.deepEqual(one instanceof Error ? one : Buffer.from(one.content), many[n]?.content);
    order.push(name);
  };
  const others = Array.from({ length: 8 }, (_, n) => read(`other ${n}`, {}));
  await Promise.all([...others, read('urgent', { isUrgent: true }, files.slice(0, 3))]);
  t.deepEqual(order, ['urgent', ...others.map((_, n) => `other ${n}`)]);
});

test('when a thread fails nothing more is written for those whom it fails, and others go on', async t => {
  const path = temporaryFolder(t);
  const file = (name: string) => ({ path: join(path, name), content: Buffer.from(name), mode: 0o600 });
  // Of this disk only, for other tests run beside.
  const disk = setApart(path);
  const { watch } = disk;
  disk.watch = async () => {
    disk.watch = watch;
    throw new Error('the thread ended');
  };
  const failing = writeSmallFiles(Array.from({ length: 300 }, (_, n) => file(`failing ${n}`)));
  const other = writeSmallFiles([file('other')]);
  await t.throwsAsync(failing, { message: 'the thread ended' });
  t.deepEqual(await other, [undefined]);
  t.deepEqual(readdirSync(path), ['other']);
});

test('a name need not be text', async t => {
  const path = Buffer.concat([Buffer.from(`${temporaryFolder(t)}/`), Buffer.from([0x66, 0xff, 0xfe])]);
  writeFileSync(path, 'bytes');
  const { content, stat, isSteady } = await readSmallFile(path, 100);
  t.is(Buffer.from(content).toString(), 'bytes');
  t.is(stat.size, 5n);
  t.is(stat.mtimeNs, statSync(path, { bigint: true }).mtimeNs);
  t.is(stat.ino, statSync(path, { bigint: true }).ino);
  t.true(isSteady);
});

test('each that cannot be read says why, and the others are read', async t => {
  const path = temporaryFolder(t);
  writeFileSync(join(path, 'file'), 'content');
  writeFileSync(join(path, 'large'), 'x'.repeat(101));
  symlinkSync('file', join(path, 'link'));
  mkdirSync(join(path, 'folder'));
  execFileSync('mkfifo', [join(path, 'fifo')]);
  const reads = await readSmallFiles(
    ['absent', 'file', 'large', 'link', 'folder', 'fifo'].map(name => ({ path: join(path, name), bytesMax: 100 })),
  );
  const said = reads.map(read => (read instanceof Error ? read.code : Buffer.from(read.content).toString()));
  t.deepEqual(said, ['ENOENT', 'content', 'TOO_LARGE', 'ELOOP', 'NOT_A_FILE', 'NOT_A_FILE']);
  await t.throwsAsync(readSmallFile(join(path, 'absent'), 100), { code: 'ENOENT' });
});

test('nothing is written over, and what cannot be written says why', async t => {
  const path = temporaryFolder(t);
  writeFileSync(join(path, 'there'), 'before');
  symlinkSync(join(path, 'elsewhere'), join(path, 'link'));
  const failures = await writeSmallFiles(
    ['there', 'link', 'no/where', 'new'].map(name => ({
      path: join(path, name),
      content: Buffer.from('after'),
      mode: 0o600,
    })),
  );
  t.deepEqual(
    failures.map(failure => failure?.code),
    ['EEXIST', 'EEXIST', 'ENOENT', undefined],
  );
  t.is(readFileSync(join(path, 'there'), 'utf8'), 'before');
  t.deepEqual(readdirSync(path), ['link', 'new', 'there']);
  await t.throwsAsync(writeSmallFile(join(path, 'there'), Buffer.from('after'), 0o600), {
    code: 'EEXIST',
    message: /there/,
  });
  const [, missing] = await renameFiles([
    { path: join(path, 'new'), to: join(path, 'newer') },
    { path: join(path, 'absent'), to: join(path, 'x') },
  ]);
  t.is(missing?.code, 'ENOENT');
  chmodSync(join(path, 'newer'), 0o600);
});

test('of a file that cannot be written whole nothing is left', t => {
  const path = temporaryFolder(t);
  const module = new URL('../../src/platform/small-files.js', import.meta.url).href;
  const script = `
    const { writeSmallFiles } = await import(${JSON.stringify(module)});
    const file = (name, bytes) => ({ path: ${JSON.stringify(path)} + '/' + name, content: Buffer.alloc(bytes), mode: 0o600 });
    const failures = await writeSmallFiles([file('small', 100), file('large', 1_000_000)]);
    console.log(JSON.stringify(failures.map(failure => failure?.code ?? 'written')));`;
  // No file of more than 64 KiB: the one way to make a write stop in the middle on every system.
  const out = execFileSync(
    'sh',
    ['-c', 'ulimit -f 128 && exec "$0" --input-type=module -e "$1"', process.execPath, script],
    {
      timeout: 20_000,
      encoding: 'utf8',
    },
  );
  t.deepEqual(JSON.parse(out), ['written', 'EFBIG']);
  t.deepEqual(readdirSync(path), ['small']);
});

test('the threads keep no process alive', t => {
  const module = new URL('../../src/platform/small-files.js', import.meta.url).href;
  const out = execFileSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `const { readSmallFile } = await import(${JSON.stringify(module)}); console.log((await readSmallFile('/proc/self/cmdline', 0).catch(e => e.code)) !== undefined);`,
    ],
    { timeout: 20_000, encoding: 'utf8' },
  );
  t.is(out.trim(), 'true');
});

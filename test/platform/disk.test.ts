import { execFileSync, spawnSync } from 'node:child_process';
import { constants, openSync, readdirSync, writeFileSync } from 'node:fs';
import { open as openDirectly } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { type Disk, diskOf, isAnyDiskBusy, setApart } from '../../src/platform/disk.js';
import { lstat, open, readdir } from '../../src/platform/disk-calls.js';
import { readSmallFile, writeSmallFile } from '../../src/platform/small-files.js';
import { isOpenHere } from '../helpers/is-open-here.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';

const HANGS = { code: 'DISK_HANGS' };

/** A call that hangs until it is answered. */
function held(): { readonly call: () => Promise<string>; readonly answer: () => void; isBegun: boolean } {
  let answer = (): void => {};
  const answered = new Promise<string>(resolve => {
    answer = () => resolve('answered');
  });
  const one = {
    isBegun: false,
    answer,
    call: () => {
      one.isBegun = true;
      return answered;
    },
  };
  return one;
}

function aDisk(t: ExecutionContext): { readonly folder: string; readonly disk: Disk } {
  const folder = temporaryFolder(t);
  return { folder, disk: setApart(folder) };
}

function makeFifo(folder: string): string {
  const fifo = join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  return fifo;
}

test('a path belongs to the disk that it lies on, by whatever name', t => {
  const { folder, disk } = aDisk(t);
  disk.alsoAt('/by/another/name');
  t.is(setApart(folder), disk);
  for (const path of [
    folder,
    `${folder}/`,
    join(folder, 'a', 'b'),
    Buffer.from(join(folder, 'a')),
    '/by/another/name/a',
  ])
    t.is(diskOf(path), disk, String(path));
  const inner = setApart(join(folder, 'a', 'mounted'));
  t.is(diskOf(join(folder, 'a', 'mounted', 'b')), inner);
  t.is(diskOf(join(folder, 'a', 'b')), disk);
  // A byte that is no UTF-8.
  t.is(diskOf(Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xff)])), disk);
  for (const path of [`${folder}-2`, `${folder}-2/a`, '/by/another', join(folder, '..')])
    t.is(diskOf(path), undefined, path);
});

test('of one disk four calls are under way at once, and those of another do not wait for them', async t => {
  const [{ disk }, { folder: other }] = [aDisk(t), aDisk(t)];
  const calls = Array.from({ length: 6 }, held);
  const ends = calls.map(({ call }) => disk.run(call));
  t.deepEqual(
    calls.map(({ isBegun }) => isBegun),
    [true, true, true, true, false, false],
  );
  t.deepEqual(await readdir(other), []);
  for (const { answer } of calls) answer();
  t.deepEqual(
    await Promise.all(ends),
    calls.map(() => 'answered'),
  );
});

test('a call that a person waits for begins while four others are under way, and is not kept waiting behind all that wait', async t => {
  const { disk } = aDisk(t);
  const [others, urgent] = [Array.from({ length: 8 }, held), Array.from({ length: 4 }, held)];
  const begun = (calls: typeof others): number => calls.filter(({ isBegun }) => isBegun).length;
  const ends = others.map(({ call }) => disk.run(call));
  ends.push(...urgent.map(({ call }) => disk.run(call, { isUrgent: true })));
  t.deepEqual([begun(others), begun(urgent)], [4, 1]);
  for (const [n, { answer }] of others.slice(0, 3).entries()) {
    answer();
    await ends[n];
    await new Promise(setImmediate);
  }
  t.deepEqual([begun(others), begun(urgent)], [5, 3], 'they take turns');
  urgent[0]?.answer();
  await until('the place that is kept is taken again', () => begun(urgent) === 4);
  t.is(begun(others), 5);
  for (const { answer } of [...others, ...urgent]) answer();
  await Promise.all(ends);
});

test('small files are read and written while another disk hangs, and where it hangs nobody waits once it is given up', async t => {
  const [{ folder: one, disk }, { folder: other }] = [aDisk(t), aDisk(t)];
  const hanging = held();
  const hangs = disk.run(hanging.call);
  await writeSmallFile(join(other, 'file'), Buffer.from('content'), 0o600);
  t.is(Buffer.from((await readSmallFile(join(other, 'file'), 100)).content).toString(), 'content');
  disk.giveUp();
  await t.throwsAsync(hangs, HANGS);
  await t.throwsAsync(writeSmallFile(join(one, 'file'), Buffer.from('content'), 0o600), HANGS);
  hanging.answer();
  await disk.settled();
  disk.takeUp();
  t.deepEqual(readdirSync(one), []);
});

test('who waits for a disk that is given up is told at once, and nothing more is begun there until it is taken up', async t => {
  const { folder, disk } = aDisk(t);
  const calls = Array.from({ length: 5 }, held);
  const ends = calls.map(({ call }) => disk.run(call));
  disk.giveUp();
  for (const end of ends) await t.throwsAsync(end, { ...HANGS, message: `the disk of ${folder} does not answer` });
  await t.throwsAsync(lstat(folder), HANGS);
  const [first, ...more] = calls;
  for (const { answer } of more) answer();
  t.throws(() => disk.takeUp(), { message: /while a call of its last user goes on/ });
  let isSettled = false;
  const settled = disk.settled().then(() => {
    isSettled = true;
  });
  t.true(isAnyDiskBusy());
  t.false(isSettled);
  first?.answer();
  await settled;
  await t.throwsAsync(lstat(folder), HANGS);
  t.false(calls[4]?.isBegun);
  disk.takeUp();
  t.true((await lstat(folder)).isDirectory());
});

test('what was opened before a disk was given up stays shut, and its descriptor goes', async t => {
  if (process.platform !== 'linux') return skip(t, 'there is no proc file system');
  const { folder, disk } = aDisk(t);
  const path = join(folder, 'file');
  writeFileSync(path, 'content');
  const file = await open(path, 'r+');
  t.true(isOpenHere(path));
  disk.giveUp();
  await disk.settled();
  disk.takeUp();
  await t.throwsAsync(file.write(Buffer.from('late'), 0, 4, 0), HANGS);
  await t.throwsAsync(file.sync(), HANGS);
  await file.close();
  await disk.settled();
  t.false(isOpenHere(path));
  const again = await open(path, 'r');
  t.is((await again.stat()).size, 7);
  await again.close();
});

test('a file that is to be closed when its disk is given up before its turn is closed all the same', async t => {
  if (process.platform !== 'linux') return skip(t, 'there is no proc file system');
  const { folder, disk } = aDisk(t);
  const path = join(folder, 'file');
  writeFileSync(path, 'content');
  const file = await open(path, 'r+');
  const calls = Array.from({ length: 4 }, held);
  const ends = calls.map(({ call }) => t.throwsAsync(disk.run(call), HANGS));
  const closing = t.throwsAsync(file.close(), HANGS);
  disk.giveUp();
  await Promise.all([closing, ...ends]);
  for (const { answer } of calls) answer();
  await disk.settled();
  t.false(isOpenHere(path));
});

test('a file whose opening comes too late is closed', async t => {
  if (process.platform !== 'linux') return skip(t, 'there is no proc file system');
  const { folder, disk } = aDisk(t);
  const fifo = makeFifo(folder);
  const opening = open(fifo, 'r');
  disk.giveUp();
  await t.throwsAsync(opening, HANGS);
  const other = await openDirectly(fifo, 'w');
  await disk.settled();
  await other.close();
  t.false(isOpenHere(fifo));
});

test('a call hangs when it takes longer than its kind may', async t => {
  const { disk } = aDisk(t);
  const [call, flush] = [held(), held()];
  const ends = [disk.run(flush.call, { kind: 'flush' })];
  await until('a while has passed', () => disk.hangs({ callMs: 1e9, flushMs: 20 }));
  t.false(disk.hangs({ callMs: 0, flushMs: 1e9 }));
  ends.push(disk.run(call.call));
  await until('a while has passed', () => disk.hangs({ callMs: 20, flushMs: 1e9 }));
  for (const { answer } of [call, flush]) answer();
  await Promise.all(ends);
  t.false(disk.hangs({ callMs: -1, flushMs: -1 }));
});

test('what a thread is asked for does not hang while the thread gives signs of life, however much it has to do', async t => {
  const { disk } = aDisk(t);
  const patience = { callMs: 20, flushMs: 1e9 };
  let signs = 7;
  const calls = [held(), held()];
  const ends = calls.map(({ call }) => disk.watch(call, () => signs));
  await until('it gave none for a while', () => disk.hangs(patience));
  signs += 1;
  t.false(disk.hangs(patience));
  await until('… and none again', () => disk.hangs(patience));
  for (const { answer } of calls) answer();
  await Promise.all(ends);
});

test('a process ends with its exit code while a call hangs', t => {
  const fifo = makeFifo(temporaryFolder(t));
  const program = fileURLToPath(new URL('./end-process-run.js', import.meta.url));
  const { status, signal } = spawnSync(process.execPath, [program, fifo], { timeout: 20_000, killSignal: 'SIGKILL' });
  t.deepEqual({ status, signal }, { status: 7, signal: null });
  t.throws(() => openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK), { code: 'ENXIO' }, 'it reads still');
});

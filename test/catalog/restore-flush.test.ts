import { statSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { FLUSH_BYTES, FLUSH_FILES, OTHER_FILE_SYSTEMS_MAX, RestoreFlush } from '../../src/catalog/restore-flush.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

/** Flushes that end when the test says so. */
function flushed(t: ExecutionContext) {
  const ends: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  const sync = (): Promise<void> => new Promise((resolve, reject) => ends.push({ resolve, reject }));
  const flush = new RestoreFlush(temporaryFolder(t), sync);
  const said: string[] = [];
  const wait = (file: string): void =>
    flush.nameOnDisk({ name: () => said.push(`named ${file}`), discard: () => said.push(`discarded ${file}`) });
  return { ends, flush, said, wait };
}
const aTurn = (): Promise<void> => new Promise(setImmediate);

test('it is begun while the writing goes on, one at a time', async t => {
  const { ends, flush } = flushed(t);
  flush.wrote(FLUSH_BYTES - 1);
  t.is(ends.length, 0);
  flush.wrote(1);
  t.is(ends.length, 1);
  flush.wrote(2 * FLUSH_BYTES);
  t.is(ends.length, 1);
  ends[0]?.resolve();
  await aTurn();
  flush.wrote(1);
  t.is(ends.length, 2);
  ends[1]?.resolve();
  await flush.close();
});

test('at the end another one begins when the last has ended, for what was written meanwhile', async t => {
  const { ends, flush } = flushed(t);
  flush.wrote(FLUSH_BYTES);
  let isAll = false;
  const all = flush.all().then(() => {
    isAll = true;
  });
  await aTurn();
  t.is(ends.length, 1);
  ends[0]?.resolve();
  await aTurn();
  t.is(ends.length, 2);
  t.false(isAll);
  ends[1]?.resolve();
  await all;
  await flush.close();
});

test('a file is named when a flush that began after it was finished has ended', async t => {
  const { ends, flush, said, wait } = flushed(t);
  wait('a');
  flush.wrote(FLUSH_BYTES);
  wait('b');
  t.deepEqual(said, []);
  ends[0]?.resolve();
  await aTurn();
  t.deepEqual(said, ['named a']);
  const all = flush.all();
  await aTurn();
  t.deepEqual(said, ['named a']);
  ends[1]?.resolve();
  await all;
  t.deepEqual(said, ['named a', 'named b']);
  await flush.close();
});

test('at the end each other file system that was met is flushed too, once, and none of them before', async t => {
  const { ends, flush } = flushed(t);
  const folder = temporaryFolder(t);
  for (const device of [-1, -2, -1, statSync(folder).dev]) flush.meets(folder, device);
  flush.wrote(FLUSH_BYTES);
  ends[0]?.resolve();
  await aTurn();
  t.is(ends.length, 1);
  let isAll = false;
  const all = flush.all().then(() => {
    isAll = true;
  });
  for (const flushes of [2, 3, 4]) {
    await aTurn();
    t.is(ends.length, flushes);
    t.false(isAll);
    ends.at(-1)?.resolve();
  }
  await all;
  await flush.close();
});

test('another file system that did not take it counts as a failure', async t => {
  const { ends, flush } = flushed(t);
  const failure = Object.assign(new Error('EIO: input/output error'), { code: 'EIO' });
  flush.meets(temporaryFolder(t), -1);
  const all = t.throwsAsync(flush.all(), { is: failure });
  await aTurn();
  ends[0]?.resolve();
  await aTurn();
  ends[1]?.reject(failure);
  await all;
  await flush.close();
});

test('more other file systems than can be kept open are refused', async t => {
  const { flush } = flushed(t);
  const folder = temporaryFolder(t);
  for (let device = 1; device <= OTHER_FILE_SYSTEMS_MAX; device += 1) flush.meets(folder, -device);
  t.notThrows(() => flush.meets(folder, -1));
  t.throws(() => flush.meets(folder, -OTHER_FILE_SYSTEMS_MAX - 1), { message: /256 file systems .* by itself/ });
  await flush.close();
});

test('no more files wait than may: the next ones are let in when the flush has ended', async t => {
  const { ends, flush } = flushed(t);
  let named = 0;
  const wait = (files: number): void => {
    for (let n = 0; n < files; n += 1) flush.nameOnDisk({ name: () => (named += 1), discard: () => {} });
  };
  wait(FLUSH_FILES - 1);
  t.is(ends.length, 0);
  wait(1);
  t.is(ends.length, 1);
  wait(FLUSH_FILES - 1);
  await flush.room();
  wait(1);
  let hasRoom = false;
  const room = flush.room().then(() => {
    hasRoom = true;
  });
  await aTurn();
  t.false(hasRoom);
  ends[0]?.resolve();
  await room;
  t.is(named, FLUSH_FILES);
  await flush.close();
});

test('after a failure nothing is named any more, and it is told again at the end', async t => {
  const { ends, flush, said, wait } = flushed(t);
  const failure = Object.assign(new Error('EIO: input/output error'), { code: 'EIO' });
  wait('a');
  flush.wrote(FLUSH_BYTES);
  wait('b');
  ends[0]?.reject(failure);
  await aTurn();
  t.deepEqual(said, ['discarded a']);
  await t.throwsAsync(flush.room(), { is: failure });
  await t.throwsAsync(flush.all(), { is: failure });
  t.deepEqual(said, ['discarded a', 'discarded b']);
  t.is(ends.length, 1, 'a later flush could only say that it is good');
  await flush.close();
});

test('what a name throws is told, and the files behind it are discarded', async t => {
  const { ends, flush, said, wait } = flushed(t);
  const failure = new Error('no room');
  flush.nameOnDisk({
    name: () => {
      throw failure;
    },
    discard: () => said.push('discarded a'),
  });
  wait('b');
  const all = t.throwsAsync(flush.all(), { is: failure });
  await aTurn();
  ends[0]?.resolve();
  await all;
  t.deepEqual(said, ['discarded b']);
  await flush.close();
});

test('a target that cannot even discard hides neither the first failure nor the other files', async t => {
  const { ends, flush, said, wait } = flushed(t);
  const failure = Object.assign(new Error('EIO: input/output error'), { code: 'EIO' });
  flush.nameOnDisk({
    name: () => said.push('named a'),
    discard: () => {
      throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
    },
  });
  wait('b');
  // Beside the writing, so that nobody waits for it when it fails.
  flush.wrote(FLUSH_BYTES);
  ends[0]?.reject(failure);
  await aTurn();
  t.deepEqual(said, ['discarded b']);
  await t.throwsAsync(flush.all(), { is: failure });
  await t.notThrowsAsync(flush.close());
});

test('the folder stays open until the one under way has ended', async t => {
  const { ends, flush } = flushed(t);
  flush.wrote(FLUSH_BYTES);
  let isClosed = false;
  const closed = flush.close().then(() => {
    isClosed = true;
  });
  await aTurn();
  t.false(isClosed);
  ends[0]?.reject(new Error('too late'));
  await closed;
});

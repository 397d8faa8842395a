import test, { type ExecutionContext } from 'ava';
import { FLUSH_BYTES, RestoreFlush } from '../../src/catalog/restore-flush.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

/** Flushes that end when the test says so. */
function flushed(t: ExecutionContext) {
  const ends: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  const sync = (): Promise<void> => new Promise((resolve, reject) => ends.push({ resolve, reject }));
  return { ends, flush: new RestoreFlush(temporaryFolder(t), sync) };
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

test('a failure in the midst is told at the end, though the last one succeeds', async t => {
  const { ends, flush } = flushed(t);
  const failure = Object.assign(new Error('EIO: input/output error'), { code: 'EIO' });
  flush.wrote(FLUSH_BYTES);
  ends[0]?.reject(failure);
  await aTurn();
  const all = t.throwsAsync(flush.all(), { is: failure });
  await aTurn();
  ends[1]?.resolve();
  await all;
  await flush.close();
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

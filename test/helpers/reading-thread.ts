/** Reading thread: stands in for the thread that reads and hashes the files of a store, in the whole process. */
import type { ExecutionContext } from 'ava';
import { WorkerThread } from '../../src/platform/worker-thread.js';
import type { FilesToRead, HashFileAsk, HashFileReply } from '../../src/store/hash-file.js';

/** Answers what the thread is asked to read; it may ask the thread itself, for all of the files or some. */
export type ReadingAnswer = (
  files: FilesToRead,
  read: (files: FilesToRead) => Promise<HashFileReply>,
) => Promise<HashFileReply>;

/** @returns the function that ends it; the end of the test does so too */
export function answerReads(t: ExecutionContext, answer: ReadingAnswer): () => void {
  const threads = WorkerThread.prototype as WorkerThread<HashFileAsk, HashFileReply>;
  const { open } = threads;
  threads.open = function (this: typeof threads) {
    const session = open.call(this);
    return {
      ...session,
      ask: (ask, transfer) =>
        isReading(ask)
          ? answer(ask.files, files => session.ask({ ...ask, files }, transfer))
          : session.ask(ask, transfer),
    };
  };
  const end = (): void => {
    threads.open = open;
  };
  t.teardown(end);
  return end;
}

/** Other threads are asked for other things. */
const isReading = (ask: Partial<HashFileAsk>): ask is Extract<HashFileAsk, { readonly is: 'begin' }> =>
  ask.is === 'begin' && 'files' in ask;

/** What the thread says of a sector that the disk does not give. */
export const unreadableAt = (n: number): HashFileReply => ({
  is: 'failed',
  n,
  code: 'EIO',
  message: 'EIO: i/o error, read',
  syscall: 'read',
});

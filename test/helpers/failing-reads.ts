/** Failing reads: a disk of which no open file can be read. */
import { open } from 'node:fs/promises';
import type { ExecutionContext } from 'ava';

/** As node:fs reports a system call that failed. */
export const failingCall = (code: string): Error =>
  Object.assign(new Error(`${code}: as the test has it, read`), { code, syscall: 'read' });

/**
 * Until the test is over, or it is called again, every read of a file that this process opens with node:fs/promises
 * fails. For serial tests only.
 */
export async function failReads(t: ExecutionContext, error: Error): Promise<void> {
  const file = await open(process.execPath);
  const handles = Object.getPrototypeOf(file) as { read: unknown };
  await file.close();
  const { read } = handles;
  handles.read = async () => {
    throw error;
  };
  t.teardown(() => {
    handles.read = read;
  });
}

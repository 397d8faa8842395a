/** Failing flush: a disk on which every flush fails. */
import { open } from 'node:fs/promises';

/** Runs `work` while no file of this process can be flushed. For serial tests only. */
export async function withFailingFlush(work: () => Promise<unknown>): Promise<void> {
  const file = await open(process.execPath);
  const handles = Object.getPrototypeOf(file) as { sync: unknown };
  await file.close();
  const { sync } = handles;
  handles.sync = async () => {
    throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  };
  try {
    await work();
  } finally {
    handles.sync = sync;
  }
}

/**
 * End process: ends this process, even while calls to a disk hang (disk.ts).
 *
 * Before Node ends the process it waits for its threads, and a thread waits for its disk. So in that case the operating
 * system is told directly. It too waits for uninterruptible calls, and ends the process when they are over.
 */
import { isAnyDiskBusy } from './disk.js';
import { posix } from './posix.js';

export function endProcess(exitCode: number): void {
  if (isAnyDiskBusy()) {
    posix()?.exitAtOnce(exitCode);
    // Without koffi a signal must do: the exit code then differs.
    process.kill(process.pid, 'SIGKILL');
  }
  process.exit(exitCode);
}

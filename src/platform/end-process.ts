/**
 * End process: the end of this process, also while calls to a disk hang (disk.ts).
 *
 * Before it lets the process end Node waits for its threads, and a thread waits for its disk. So then the system is told itself. It
 * too waits for calls of the kind that nothing interrupts, and ends the process when they are over.
 */
import { isAnyDiskBusy } from './disk.js';
import { posix } from './posix.js';

export function endProcess(exitCode: number): void {
  if (isAnyDiskBusy()) {
    posix()?.exitAtOnce(exitCode);
    // Without koffi, by a signal: then the exit code is another one.
    process.kill(process.pid, 'SIGKILL');
  }
  process.exit(exitCode);
}

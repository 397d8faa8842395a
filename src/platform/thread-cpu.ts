/**
 * Thread CPU: how long this thread has had a processor; undefined where the system does not tell. Linux does, and Node
 * from 23.9 on.
 */
import { readFileSync } from 'node:fs';

/** Clock ticks of /proc, 100 a second on every Linux. */
const TICK_MS = 10;
/** The places of `utime` and `stime`, counted after the name, which may contain spaces (proc_pid_stat(5)). */
const [USER_AT, SYSTEM_AT] = [11, 12];

type CpuTimes = { readonly user: number; readonly system: number };
const ofNode = (process as { readonly threadCpuUsage?: () => CpuTimes }).threadCpuUsage?.bind(process);

/** In ms; on Linux accurate to 20 ms. */
export function threadCpuMs(): number | undefined {
  if (ofNode !== undefined) {
    const { user, system } = ofNode();
    return (user + system) / 1000;
  }
  if (process.platform !== 'linux') return undefined;
  try {
    const text = readFileSync('/proc/thread-self/stat', 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[USER_AT]) + Number(fields[SYSTEM_AT]);
    return Number.isNaN(ticks) ? undefined : ticks * TICK_MS;
  } catch {
    // No /proc.
    return undefined;
  }
}

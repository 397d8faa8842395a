/**
 * Processes: what this process and everything that it has started have used, from Linux's /proc. Each tool's processes are
 * all ours here, services and sshd's children too, so nothing is left out and nothing of anybody else is counted.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Of /proc's clock, on every Linux that Node runs on (USER_HZ). */
const TICKS_PER_S = 100;
/** In /proc/PID/stat, counted from the state, which is the first word after the name. */
const UTIME = 11;
const CSTIME = 14;
const CUTIME = 13;

/** CPU seconds in a line of /proc/PID/stat: of the process itself, and of its children that have ended. */
export function parseCpu(stat: string): { readonly ownS: number; readonly endedS: number } {
  // The name stands in brackets and may hold both blanks and brackets.
  const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const sumOf = (from: number, to: number): number =>
    words.slice(from, to + 1).reduce((sum, word) => sum + Number(word), 0) / TICKS_PER_S;
  return { ownS: sumOf(UTIME, CUTIME - 1), endedS: sumOf(CUTIME, CSTIME) };
}

/** Bytes of a line such as `VmHWM:  123 kB` of /proc/PID/status; 0 where there is none, as of one that has just ended. */
export function parseMemory(status: string, name: 'VmHWM' | 'VmRSS' | 'RssAnon'): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024;
}

/** CPU seconds so far of all that was ever started from here, ended or not; this process itself is left out. */
export function usedCpuS(): number {
  let seconds = parseCpu(read('self/stat')).endedS;
  for (const pid of descendants()) {
    const stat = read(`${pid}/stat`);
    if (stat === '') continue;
    const { ownS, endedS } = parseCpu(stat);
    seconds += ownS + endedS;
  }
  return seconds;
}

/** Of each process below this one: the most memory that it had in RAM since `forgetPeaks`, shared pages included. */
export function peaks(): Map<number, number> {
  return new Map([...descendants()].map(pid => [pid, parseMemory(read(`${pid}/status`), 'VmHWM')]));
}

/** CPU seconds so far of one process, without its children. */
export const ownCpuS = (pid: number): number => parseCpu(read(`${pid}/stat`)).ownS;

/** What a process has in RAM that is no file's: its own memory, without mapped databases. */
export const anonymousBytes = (pid: number): number => parseMemory(read(`${pid}/status`), 'RssAnon');

export function residentBytes(pid: number): number {
  return parseMemory(read(`${pid}/status`), 'VmRSS');
}

/** From here on peaks are those of the work that comes. */
export function forgetPeaks(): void {
  for (const pid of descendants()) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    } catch {
      // It has ended meanwhile, or belongs to another user now: its peak is then one of its whole life.
    }
  }
}

function* descendants(of: number | 'self' = 'self'): Generator<number> {
  for (const child of childrenOf(of)) {
    yield child;
    yield* descendants(child);
  }
}

function childrenOf(pid: number | 'self'): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap(task =>
      read(`${pid}/task/${task}/children`)
        .split(' ')
        .filter(word => word !== '')
        .map(Number),
    );
  } catch {
    return []; // it has ended
  }
}

/** Empty when the process has ended meanwhile. */
function read(file: string): string {
  try {
    return readFileSync(`/proc/${file}`, 'utf8');
  } catch {
    return '';
  }
}

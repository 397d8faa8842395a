/**
 * Lock: one process at a time for a state folder.
 *
 * The file names its holder by process id, that process's start time and the machine's boot: a process id alone is reused,
 * and after a power cut the file is still there. Such a stale lock is taken over; a live one is refused.
 *
 * Taking over first moves the stale file away under a name of this process's own and looks at what was really moved, so
 * of two processes that both found it stale only one goes on. Meant for local disks and processes that see each other's
 * ids.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { namePath } from './name-path.js';

/** In a state folder. Its holder may write there. */
export const LOCK_NAME = 'lock';

/** As far as can be told, another process is running on this state folder. */
export class StateLocked extends Error {
  readonly code = 'STATE_LOCKED';
  readonly blame = 'operator';
  readonly pid: number;

  constructor(path: string, pid: number) {
    super(`${path} is held by the running process ${pid}: stop it, or use another state folder; nothing was changed`);
    this.name = 'StateLocked';
    this.pid = pid;
  }
}

/** A file of that name is there that this program has not written: it may be anything of the user's. */
class ForeignLock extends Error {
  readonly code = 'LOCK_FOREIGN';
  readonly blame = 'operator';

  constructor(path: string) {
    super(`${path} is no lock of this program: use another folder, or move that file away; nothing was changed`);
    this.name = 'ForeignLock';
  }
}

export interface Lock {
  /** Releases the lock. Doing it twice is harmless. */
  release(): void;
}

interface Holder {
  readonly pid: number;
  /** When that process started, in the system's own words: compared, never parsed. */
  readonly started: string;
  /** The boot of the machine at that time; empty where the system does not say. */
  readonly boot: string;
}

/** How often it tries while others take and release the lock at the same moment. */
const TRIES_MAX = 10;

/** @throws StateLocked when a live process holds it; ForeignLock */
export function takeLock(path: string): Lock {
  const text = `${JSON.stringify(thisProcess())}\n`;
  const mark = randomBytes(6).toString('hex');
  const mine = `${path}.${mark}`;
  try {
    write(mine, text);
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (put(mine, path, text)) return { release: () => release(path, text) };
      const found = readText(path);
      if (found === undefined) continue;
      const holder = parseHolder(found);
      if (holder !== undefined && isAlive(holder)) throw new StateLocked(path, holder.pid);
      if (!isOurs(found)) throw new ForeignLock(path);
      setAside(path, found, `${mine}.stale`);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  throw new Error(`could not take ${path}: other processes took and released it ${TRIES_MAX} times meanwhile`);
}

/** Errors of a file system without hard links: FAT, some network shares. */
const NO_LINKS: ReadonlySet<unknown> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** The live process that holds it; undefined when none does, or when this user cannot tell. */
export function lockHolder(path: string): number | undefined {
  let text: string | undefined;
  try {
    text = readText(path);
  } catch {
    // It belongs to another user, or its disk fails: whoever takes the lock will be told.
    return undefined;
  }
  const holder = parseHolder(text ?? '');
  return holder !== undefined && isAlive(holder) ? holder.pid : undefined;
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw namePath(error, path);
  }
}

/** A hard link appears with its whole content at once, so nobody reads half a lock. False: a lock exists already. */
function put(mine: string, path: string, text: string): boolean {
  try {
    linkSync(mine, path);
    return true;
  } catch (error) {
    if (NO_LINKS.has(codeOf(error))) return written(path, text);
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/**
 * A reader that sees it half written takes it for stale and moves it away: then this process does not have the lock.
 */
function written(path: string, text: string): boolean {
  try {
    write(path, text);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
  return readText(path) === text;
}

/**
 * Moves the stale lock away. If another file was moved than was judged stale, another process was faster: its lock is
 * put back.
 */
function setAside(path: string, judged: string, aside: string): void {
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  const moved = readText(aside);
  if (moved !== undefined && moved !== judged) put(aside, path, moved);
  rmSync(aside, { force: true });
}

function release(path: string, text: string): void {
  if (readText(path) === text) rmSync(path, { force: true });
}

const FIRST_WORDS = '{"pid":';

/** Also one of which a power cut has left a part, or zeros. */
function isOurs(text: string): boolean {
  const left = text.replace(/[\0\s]+/g, '');
  return left.startsWith(FIRST_WORDS) || FIRST_WORDS.startsWith(left);
}

function thisProcess(): Holder {
  return { pid: process.pid, started: startOf(process.pid) ?? '', boot: bootId() };
}

function isAlive(holder: Holder): boolean {
  if (holder.boot !== bootId()) return false;
  const started = startOf(holder.pid);
  return started !== undefined && started === holder.started;
}

/** `undefined` when there is no such process, or when it is dead and its parent has not waited for it yet. */
function startOf(pid: number): string | undefined {
  if (process.platform !== 'linux') return run('ps', ['-o', 'lstart=', '-p', String(pid)]);
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The fields from the third on: the second, the name, may hold spaces and brackets, so start after its last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/**
 * The present boot of the machine. Empty where the system does not say: then process id and start time decide, and a
 * start time includes the date.
 */
export function bootId(): string {
  if (process.platform === 'linux') return readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
  // Not kern.boottime: it changes whenever the clock is set, and a live lock would look stale.
  return run('sysctl', ['-n', process.platform === 'darwin' ? 'kern.bootsessionuuid' : 'kern.boot_id']) ?? '';
}

function run(program: string, words: readonly string[]): string | undefined {
  try {
    const env = { PATH: '/bin:/usr/bin:/sbin:/usr/sbin', LC_ALL: 'C' };
    return (
      execFileSync(program, words, { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'ignore'] }).trim() || undefined
    );
  } catch {
    // ps exits 1 when there is no such process, sysctl when it does not know the name.
    return undefined;
  }
}

function parseHolder(text: string): Holder | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not written by this program, whose locks appear whole, or no longer whole: no live process holds it.
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, started, boot } = value as Partial<Holder>;
  if (!Number.isSafeInteger(pid) || typeof started !== 'string' || typeof boot !== 'string') return undefined;
  return { pid: pid as number, started, boot };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // ESRCH: a process that ended while its /proc file was read.
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

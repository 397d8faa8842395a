/**
 * System calls that Node lacks, by koffi.
 *
 * `posix()` is `undefined` where koffi or the C library cannot be loaded: callers then do without (microsecond times,
 * one fsync a file) and say so, with the reason that `posixFault()` keeps. Each call here says why it exists; it may go
 * once Node has it.
 *
 * Loaded at the first call, not at import: the command line starts without it.
 */
import { createRequire } from 'node:module';
import type koffiModule from 'koffi';
import type { LibraryHandle } from 'koffi';
import { bindStatAt, type StatAt } from './stat-calls.js';
import { bindXattrs, type XattrCalls } from './xattr-calls.js';

export interface Posix {
  /**
   * Sets a modification time to the nanosecond, and leaves the access time as it is.
   * Why: `fs.utimes` takes seconds as a double and misses nearly every nanosecond time; paths here are bytes.
   */
  utimensat(path: Buffer, mtimeNs: bigint, options: { readonly followSymlink: boolean }): void;
  /**
   * Returns when all that was written to the file system of `fd` is on disk. Only on Linux.
   * Why: one call makes hundreds of small files and their names durable; fsync each costs one disk flush a file.
   * Since Linux 5.8 it reports write errors that happened since `fd` was opened; so keep one open. sync-file-system.ts
   * says for which file systems it can be relied on.
   */
  readonly syncfs?: (fd: number) => Promise<void>;
  /**
   * Lets go of what the kernel has cached of a file, but for what is not written yet. Only on Linux and FreeBSD, and a
   * wish: where the file system has its own cache (ZFS), or another process has the file mapped, some of it stays.
   * Why: a file that was read or written lately is not read from the disk again, and then nobody sees that it is lost.
   */
  readonly dropCached?: (fd: number) => void;
  /**
   * Ends the process at once: nothing more is done, and nothing is waited for.
   * Why: `process.exit` waits for every thread, and a thread in a call to a disk that hangs does not end.
   */
  exitAtOnce(exitCode: number): void;
  /**
   * Only on Linux, with a C library that has it.
   * Why: Node can reach an entry of an open folder only by a path through /proc, which costs twice as much.
   */
  readonly statAt?: StatAt;
  /** Why: Node has no calls for extended attributes; on Linux, ACLs and capabilities are stored in them. */
  readonly xattrs: XattrCalls;
}

/** A failed system call, in the shape of Node's own. */
class SystemCallError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path?: string;

  constructor(syscall: string, code: string, errno: number, path?: Buffer) {
    super(`${code}: ${syscall} failed${path === undefined ? '' : ` on ${JSON.stringify(path.toString())}`}`);
    this.name = 'SystemCallError';
    this.syscall = syscall;
    this.code = code;
    this.errno = errno;
    if (path !== undefined) this.path = path.toString();
  }
}

interface Constants {
  /** `null` stands for the libraries of this process, by which glibc and musl alike are found. */
  readonly libraries: readonly (string | null)[];
  readonly atFdcwd: number;
  readonly atSymlinkNofollow: number;
  readonly utimeOmit: number;
}

const CONSTANTS: Readonly<Partial<Record<NodeJS.Platform, Constants>>> = {
  linux: { libraries: [null, 'libc.so.6'], atFdcwd: -100, atSymlinkNofollow: 0x100, utimeOmit: (1 << 30) - 2 },
  darwin: { libraries: ['libSystem.B.dylib'], atFdcwd: -2, atSymlinkNofollow: 0x20, utimeOmit: -2 },
  freebsd: { libraries: [null, 'libc.so.7'], atFdcwd: -100, atSymlinkNofollow: 0x200, utimeOmit: -2 },
};

/** The same on Linux and FreeBSD, but for Linux on s390. */
const FADV_DONTNEED = 4;

const SECOND_NS = 1_000_000_000n;

/** The result of the only attempt to load: the calls, or why there are none. */
type Loaded = { readonly posix: Posix; readonly fault?: never } | { readonly posix?: never; readonly fault: string };

let loaded: Loaded | undefined;

/** The calls; `undefined` where they cannot be had. */
export function posix(): Posix | undefined {
  loaded ??= load();
  return loaded.posix;
}

/** Why `posix()` is `undefined`, in one line; `undefined` when it is not. */
export function posixFault(): string | undefined {
  loaded ??= load();
  return loaded.fault;
}

function load(): Loaded {
  const constants = CONSTANTS[process.platform];
  if (constants === undefined) return { fault: `no system calls are known for ${process.platform}` };
  let koffi: typeof koffiModule;
  try {
    koffi = createRequire(import.meta.url)('koffi');
  } catch (error) {
    // No binary for this processor, or a folder that this user may not read.
    return { fault: `koffi did not load: ${firstLineOf(error)}` };
  }
  const faults: string[] = [];
  for (const library of constants.libraries) {
    try {
      return { posix: bind(koffi, library, constants) };
    } catch (error) {
      // Not found under this name, or without this symbol: try the next name, or the fallback.
      faults.push(`${library ?? 'this process'}: ${firstLineOf(error)}`);
    }
  }
  return { fault: `the C library did not load: ${faults.join('; ')}` };
}

const firstLineOf = (error: unknown): string =>
  String(error instanceof Error ? error.message : error).split('\n', 1)[0] ?? '';

function bind(koffi: typeof koffiModule, library: string | null, constants: Constants): Posix {
  const libc = koffi.load(library);
  const names = new Map(Object.entries(koffi.os.errno).map(([name, number]) => [number, name]));
  const fail = (syscall: string, path?: Buffer, errno = koffi.errno()): SystemCallError =>
    new SystemCallError(syscall, names.get(errno) ?? `E${errno}`, errno, path);

  // On every 64-bit system that Node 20 runs on, struct timespec is two `long`s.
  const timespec = koffi.struct({ sec: 'long', nsec: 'long' });
  const utimensat = libc.func('utimensat', 'int', ['int', 'const uint8_t *', koffi.pointer(timespec), 'int']);
  const setTimes: Posix['utimensat'] = (path, mtimeNs, { followSymlink }) => {
    if (path.length === 0 || path.includes(0)) throw new TypeError('a path is not empty and has no NUL');
    // Before 1970 the seconds are negative and the nanoseconds still count upwards.
    const nsec = ((mtimeNs % SECOND_NS) + SECOND_NS) % SECOND_NS;
    const sec = (mtimeNs - nsec) / SECOND_NS;
    const times = [
      { sec: 0, nsec: constants.utimeOmit },
      { sec, nsec },
    ];
    const flags = followSymlink ? 0 : constants.atSymlinkNofollow;
    if (utimensat(constants.atFdcwd, Buffer.concat([path, Buffer.of(0)]), times, flags) !== 0) {
      throw fail('utimensat', path);
    }
  };
  const exitAtOnce: Posix['exitAtOnce'] = libc.func('_exit', 'void', ['int']);
  const xattrs = bindXattrs({ libc, fail, errno: () => koffi.errno(), errnos: koffi.os.errno });
  const shared = { utimensat: setTimes, exitAtOnce, xattrs, ...dropCachedOf(libc) };
  if (process.platform !== 'linux') return shared;

  const syncfs = libc.func('syncfs', 'int', ['int']);
  return {
    ...shared,
    ...statAtOf(libc),
    syncfs: fd =>
      new Promise((resolve, reject) => {
        syncfs.async(fd, (error: unknown, result: number) => {
          if (error !== null && error !== undefined) reject(error);
          else if (result !== 0) reject(fail('syncfs'));
          else resolve();
        });
      }),
  };
}

/** Its result says nothing of whether anything was let go. */
function dropCachedOf(libc: LibraryHandle): Pick<Posix, 'dropCached'> {
  try {
    // The length 0 stands for the whole file.
    const fadvise = libc.func('posix_fadvise', 'int', ['int', 'long', 'long', 'int']);
    return { dropCached: fd => void fadvise(fd, 0, 0, FADV_DONTNEED) };
  } catch {
    // macOS has none: what is cached there is believed.
    return {};
  }
}

function statAtOf(libc: LibraryHandle): Pick<Posix, 'statAt'> {
  try {
    return { statAt: bindStatAt(libc) };
  } catch {
    // Node's own call does the same, more slowly.
    return {};
  }
}

/** Sets the modification time of the path itself, even if it is a symlink; `false` where nanoseconds cannot be set. */
export function lutimes(path: Buffer, mtimeNs: bigint): boolean {
  const calls = posix();
  calls?.utimensat(path, mtimeNs, { followSymlink: false });
  return calls !== undefined;
}

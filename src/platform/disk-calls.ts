/**
 * Disk calls: the calls of node:fs/promises that a store or the reading of a source makes; each waits only for its own
 * disk (disk.ts).
 *
 * Names, arguments and errors are Node's; besides, there is DiskHangs. Where no disk was set apart they are Node's own
 * calls.
 */
import { type BigIntStats, constants, type Stats } from 'node:fs';
import * as calls from 'node:fs/promises';
import { descriptorPath, foldersOnTheWay, hasDescriptorPaths, pathOfOpen } from './descriptor-path.js';
import { type CallOptions, type Disk, DiskHangs, diskOf } from './disk.js';
import { SLASH } from './slash.js';
import type { Urgency } from './urgent-first.js';

/** The part of Node's FileHandle that is needed. */
export interface OpenFile {
  readonly fd: number;
  read(buffer: Uint8Array, offset: number, bytes: number, at: number | null): Promise<{ readonly bytesRead: number }>;
  /** Without `at`: after the last write. */
  write(buffer: Uint8Array, offset: number, bytes: number, at?: number): Promise<{ readonly bytesWritten: number }>;
  writeFile(content: Uint8Array | string): Promise<void>;
  appendFile(text: string): Promise<void>;
  truncate(bytes: number): Promise<void>;
  stat(): Promise<Stats>;
  stat(options: BigStats): Promise<BigIntStats>;
  sync(): Promise<void>;
  datasync(): Promise<void>;
  close(): Promise<void>;
}

interface BigStats {
  readonly bigint: true;
}

/** A file on a disk that was set apart. Once the disk has been given up, the file stays unusable. */
class FileApart implements OpenFile {
  readonly #disk: Disk;
  readonly #file: calls.FileHandle;
  readonly #life: number;
  readonly #urgency: Urgency;

  constructor(disk: Disk, file: calls.FileHandle, urgency: Urgency) {
    this.#disk = disk;
    this.#file = file;
    this.#life = disk.life;
    this.#urgency = urgency;
  }

  get fd(): number {
    return this.#file.fd;
  }

  read(buffer: Uint8Array, offset: number, bytes: number, at: number | null) {
    return this.#run(() => this.#file.read(buffer, offset, bytes, at));
  }

  write(buffer: Uint8Array, offset: number, bytes: number, at?: number) {
    return this.#run(() => this.#file.write(buffer, offset, bytes, at));
  }

  writeFile(content: Uint8Array | string): Promise<void> {
    return this.#run(() => this.#file.writeFile(content));
  }

  appendFile(text: string): Promise<void> {
    return this.#run(() => this.#file.appendFile(text));
  }

  truncate(bytes: number): Promise<void> {
    return this.#run(() => this.#file.truncate(bytes));
  }

  stat(): Promise<Stats>;
  stat(options: BigStats): Promise<BigIntStats>;
  stat(options?: BigStats): Promise<Stats | BigIntStats> {
    return this.#run<Stats | BigIntStats>(() => (options === undefined ? this.#file.stat() : this.#file.stat(options)));
  }

  sync(): Promise<void> {
    return this.#run(() => this.#file.sync(), { kind: 'flush' });
  }

  datasync(): Promise<void> {
    return this.#run(() => this.#file.datasync(), { kind: 'flush' });
  }

  async close(): Promise<void> {
    if (this.#isShut) return this.#disk.letGo(() => this.#file.close());
    let isBegun = false;
    const begin = (): Promise<void> => {
      isBegun = true;
      return this.#file.close();
    };
    try {
      // Closing a file on a network file system flushes it.
      await this.#disk.run(begin, { ...this.#urgency, kind: 'flush' });
    } catch (error) {
      // The disk was given up while the close waited for its turn. A file that nobody closes, Node closes in the main
      // thread.
      if (!isBegun) this.#disk.letGo(begin);
      throw error;
    }
  }

  get #isShut(): boolean {
    return this.#disk.life !== this.#life;
  }

  #run<T>(call: () => Promise<T>, options: CallOptions = this.#urgency): Promise<T> {
    if (this.#isShut) return Promise.reject(new DiskHangs(this.#disk.folder));
    return this.#disk.run(call, options);
  }
}

export function open(path: string | Buffer, flags: number | string, mode?: number): Promise<OpenFile> {
  return opened(path, () => calls.open(path, flags, mode));
}

/** As `open` for reading; the urgency is that of all calls to the file. */
export function openToRead(path: string | Buffer, flags: number, urgency: Urgency): Promise<OpenFile> {
  return opened(path, () => calls.open(path, flags), urgency);
}

async function opened(
  path: string | Buffer,
  openFile: () => Promise<calls.FileHandle>,
  urgency: Urgency = {},
): Promise<OpenFile> {
  const disk = diskOf(path);
  if (disk === undefined) return openFile();
  const openApart = async (): Promise<OpenFile> => {
    const file = await openFile();
    // The caller has already been told that the disk was given up.
    if (disk.isGivenUp) await file.close();
    return new FileApart(disk, file, urgency);
  };
  return disk.run(openApart, urgency);
}

const { O_DIRECTORY, O_NOFOLLOW } = constants;
/** Linux's O_PATH, which Node does not define: opens a place without any right to its content. */
const O_PATH = 0o10000000;

/**
 * As `openToRead`, for a file below a folder: `path` is relative to the folder, and no symlink below the folder is
 * followed.
 */
export function openBelow(folder: string, path: Buffer, flags: number, urgency: Urgency): Promise<OpenFile> {
  const full = Buffer.concat([Buffer.from(`${folder}/`), path]);
  const openFile = async (): Promise<calls.FileHandle> => {
    const file = await calls.open(full, flags | O_NOFOLLOW).catch((error: NodeJS.ErrnoException) => {
      // A path has at most 4 KiB, and a tree may be deeper.
      if (error.code === 'ENAMETOOLONG' && hasDescriptorPaths()) return undefined;
      throw error;
    });
    if (file !== undefined && (await isStraight(file, full, full.length - path.length))) return file;
    await file?.close();
    if (!hasDescriptorPaths())
      throw Object.assign(new Error(`ELOOP: a symlink above '${full}'`), { code: 'ELOOP', syscall: 'open' });
    // Either a symlink, or a name that the file system spells differently (`A.jpg` where `a.jpg` is the same). Opening
    // name by name settles it.
    return openByNames(folder, path, flags | O_NOFOLLOW);
  };
  return opened(full, openFile, urgency);
}

/**
 * Where there is no /proc, this leaves a gap in which somebody may put a symlink there: but nothing is sent without the
 * right hash.
 */
async function isStraight(file: calls.FileHandle, full: Buffer, from: number): Promise<boolean> {
  if (pathOfOpen(file.fd)?.equals(full)) return true;
  if (hasDescriptorPaths()) return false;
  const folders = await Promise.all(
    foldersOnTheWay(full, from).map(folder => calls.lstat(folder).catch(() => undefined)),
  );
  return folders.every(folder => folder?.isDirectory());
}

async function openByNames(folder: string, path: Buffer, flags: number): Promise<calls.FileHandle> {
  let above = await calls.open(folder, O_PATH | O_DIRECTORY);
  for (let from = 0; ; ) {
    const slash = path.indexOf(SLASH, from);
    const end = slash < 0 ? path.length : slash;
    const there = Buffer.concat([Buffer.from(`${descriptorPath(above.fd)}/`), path.subarray(from, end)]);
    const next = calls.open(there, slash < 0 ? flags : O_PATH | O_DIRECTORY | O_NOFOLLOW);
    await next.catch(() => undefined);
    await above.close();
    above = await next;
    if (slash < 0) return above;
    from = end + 1;
  }
}

type PathCall = (path: never, ...more: never[]) => Promise<unknown>;

/** Makes a call wait for the disk of its first path. */
function apart<Call extends PathCall>(call: Call): Call {
  const waiting = (path: string | Buffer, ...more: unknown[]): Promise<unknown> => {
    // The same arguments in the same places; their types are Node's, with all overloads of the call.
    const begin = (): Promise<unknown> => call(path as never, ...(more as never[]));
    const disk = diskOf(path);
    return disk === undefined ? begin() : disk.run(begin);
  };
  return waiting as unknown as Call;
}

/** The name of something in a folder; `undefined` when it is empty. */
export const nameIn = apart(async (folder: string): Promise<string | undefined> => {
  const opened = await calls.opendir(folder);
  try {
    return (await opened.read())?.name;
  } finally {
    await opened.close();
  }
});

export const access = apart(calls.access);
export const link = apart(calls.link);
export const lstat = apart(calls.lstat);
export const lutimes = apart(calls.lutimes);
export const mkdir = apart(calls.mkdir);
export const readdir = apart(calls.readdir);
export const realpath = apart(calls.realpath);
export const rename = apart(calls.rename);
export const rm = apart(calls.rm);
export const rmdir = apart(calls.rmdir);
export const stat = apart(calls.stat);
export const statfs = apart(calls.statfs);
export const unlink = apart(calls.unlink);

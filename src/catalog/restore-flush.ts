/**
 * Restore flush: when does the disk have what a restore has written, so that files may get their names?
 *
 * If a name comes before its bytes, a power cut or a pulled disk leaves an empty file with the right size and time
 * under that name, and nobody can tell by looking. So a finished file waits without its name until one call (Linux's
 * syncfs) has put all waiting files on disk. Such a call is begun now and then, beside the writing: an fsync for each
 * file would cost a disk flush each, and a single call at the end would find all of the restore still to be written.
 * Where the call promises less than an fsync (platform/sync-file-system.ts) it is used all the same: an fsync of each
 * file would take hours on a stick.
 *
 * The folder is opened before the first write and stays open, because the call reports failures since then, including
 * those that the kernel met when it wrote on its own. After a failure no waiting file gets its name.
 *
 * Names, modes and times need a flush too, before the restore's mark is gone: on each file system below the target, for a
 * call reaches only one. restore-folders.ts and restore-parts.ts tell of the others as they come to them.
 *
 * Driven by restore-files.ts; begun and ended by restore-tree.ts.
 */
import { closeSync, constants, fstatSync, fsyncSync, openSync } from 'node:fs';
import { posix } from '../platform/posix.js';
import type { SyncFileSystem } from '../platform/sync-file-system.js';

/**
 * Bytes written since the last call began: a tenth of a second for a quick disk, some seconds for a slow one; only one
 * call runs at a time.
 */
export const FLUSH_BYTES = 64 * 1024 * 1024;
/**
 * Files that one call releases; as many may wait behind it. A quarter of a second of renaming, and 4 MiB of entries.
 */
export const FLUSH_FILES = 4096;
/**
 * File systems below the target's own, each with a descriptor that stays open. A person mounts a few; the 1024 that a
 * process may usually open are for four parcels and a flush too.
 */
export const OTHER_FILE_SYSTEMS_MAX = 256;

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

/** A finished file that has no name yet. */
export interface Unnamed {
  /** Called once, when the file is on disk. An error that it throws ends the restore. */
  name(): void;
  /** Called once instead, when the disk did not take the file. The first failure stays the one that is reported. */
  discard(): void;
}

export class RestoreFlush {
  readonly #fd: number;
  readonly #device: number;
  readonly #sync: SyncFileSystem | undefined;
  /** A folder of each other file system that was met, by its device. */
  readonly #others = new Map<number, number>();
  #bytes = 0;
  #waiting: Unnamed[] = [];
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** @param sync default: the system's call; where there is none, each file is flushed by itself */
  constructor(folder: Buffer | string, sync: SyncFileSystem | undefined = posix()?.syncfs) {
    this.#fd = openSync(folder, O_RDONLY | O_DIRECTORY);
    this.#device = fstatSync(this.#fd).dev;
    this.#sync = sync;
  }

  /**
   * Whether the one call makes files of this device durable. Others must be flushed before they are handed to
   * `nameOnDisk`.
   */
  reaches(device: number): boolean {
    return this.#sync !== undefined && device === this.#device;
  }

  /** Whether `all` makes names, modes and times durable. Where not, whoever changes a folder must flush it. */
  get reachesNames(): boolean {
    return this.#sync !== undefined;
  }

  /** To be called before anything is written into a folder that was there: something may be mounted on it. */
  meets(folder: Buffer | string, device: number): void {
    if (!this.reachesNames || device === this.#device || this.#others.has(device)) return;
    if (this.#others.size >= OTHER_FILE_SYSTEMS_MAX) throw new Error(TOO_MANY_FILE_SYSTEMS);
    this.#others.set(device, openSync(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }

  wrote(bytes: number): void {
    this.#bytes += bytes;
    this.#beginIfDue();
  }

  /** Names the file, in its turn, when all that has been written so far is on disk. */
  nameOnDisk(file: Unnamed): void {
    this.#waiting.push(file);
    this.#beginIfDue();
  }

  /** Returns when more files may wait. @throws as `all` */
  async room(): Promise<void> {
    while (this.#waiting.length >= FLUSH_FILES && this.#running !== undefined) await this.#running;
    this.#throwIfFailed();
  }

  /**
   * Returns when all that has been written so far is on disk and named. The names themselves are on disk when it was
   * called once more. @throws what any of the calls or of the names threw
   */
  async all(): Promise<void> {
    await this.#running;
    this.#begin({ everywhere: true });
    await this.#running;
    this.#throwIfFailed();
  }

  async close(): Promise<void> {
    // The call uses these descriptors' numbers, which could otherwise become another file's.
    await this.#running;
    for (const fd of [this.#fd, ...this.#others.values()]) closeSync(fd);
  }

  #beginIfDue(): void {
    const isDue = this.#bytes >= FLUSH_BYTES || this.#waiting.length >= FLUSH_FILES;
    if (isDue && this.#running === undefined) this.#begin({ everywhere: false });
  }

  /** @param options.everywhere on the other file systems too, where each file is flushed before it waits */
  #begin({ everywhere }: { readonly everywhere: boolean }): void {
    const files = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    this.#running = this.#carryOut(files, everywhere).finally(() => {
      this.#running = undefined;
    });
  }

  /** Never throws: nobody awaits a call that runs beside the writing. */
  async #carryOut(files: readonly Unnamed[], everywhere: boolean): Promise<void> {
    const left = files.values();
    try {
      // The kernel reports a failure only once: the success of a later call says nothing about these files.
      this.#throwIfFailed();
      await this.#sync?.(this.#fd);
      if (everywhere) await this.#flushNames();
      for (const file of left) file.name();
    } catch (error) {
      this.#failure ??= { error };
    }
    for (const file of left) {
      try {
        file.discard();
      } catch (error) {
        this.#failure ??= { error };
      }
    }
  }

  async #flushNames(): Promise<void> {
    if (this.#sync === undefined) fsyncSync(this.#fd);
    else for (const fd of this.#others.values()) await this.#sync(fd);
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

const TOO_MANY_FILE_SYSTEMS = `more than ${OTHER_FILE_SYSTEMS_MAX} file systems are mounted below the target: restore what belongs there by itself`;

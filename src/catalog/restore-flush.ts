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
 * Driven by restore-files.ts; begun and ended by restore-tree.ts.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
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
  #bytes = 0;
  #waiting: Unnamed[] = [];
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** @param sync default: the system's call; where there is none, each file is flushed by itself */
  constructor(folder: Buffer | string, sync: SyncFileSystem | undefined = posix()?.syncfs) {
    this.#fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
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
   * Returns when all that has been written so far is on disk and named. @throws what any of the calls or of the names
   * threw
   */
  async all(): Promise<void> {
    await this.#running;
    this.#begin();
    await this.#running;
    this.#throwIfFailed();
  }

  async close(): Promise<void> {
    // The call uses this descriptor's number, which could otherwise become another file's.
    await this.#running;
    closeSync(this.#fd);
  }

  #beginIfDue(): void {
    const isDue = this.#bytes >= FLUSH_BYTES || this.#waiting.length >= FLUSH_FILES;
    if (isDue && this.#running === undefined) this.#begin();
  }

  #begin(): void {
    const files = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    this.#running = this.#carryOut(files).finally(() => {
      this.#running = undefined;
    });
  }

  /** Never throws: nobody awaits a call that runs beside the writing. */
  async #carryOut(files: readonly Unnamed[]): Promise<void> {
    const left = files.values();
    try {
      // The kernel reports a failure only once: the success of a later call says nothing about these files.
      this.#throwIfFailed();
      await this.#sync?.(this.#fd);
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

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

/**
 * Restore flush: when is what a restore has written on disk, so that it may get its names?
 *
 * A name that comes before its bytes is, after a power cut or a disk pulled out, the name of an empty file with the right
 * size and time; nobody who looks at it can tell. So a finished file waits without its name until one call (Linux's syncfs)
 * has put all that waits on disk. The call is begun now and then as the writing goes on, beside it: one file each would cost a
 * disk flush a file, and one call at the end would find all of the restore still to be written. Where the call promises less than
 * an fsync (platform/sync-file-system.ts) it is made all the same: an fsync of each file would take hours on a stick.
 *
 * The folder is opened before the first write and stays open, for the call tells of the failures since then: also of those
 * that the kernel met when it wrote by itself. After a failure nothing that waits gets its name.
 *
 * Driven by restore-files.ts, begun and ended by restore-tree.ts.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { posix } from '../platform/posix.js';
import type { SyncFileSystem } from '../platform/sync-file-system.js';

/** Written since the last one began: a tenth of a second of a quick disk, some seconds of a slow one, which has no more than one at a time. */
export const FLUSH_BYTES = 64 * 1024 * 1024;
/** Files that one call lets go, and as many may wait behind it: a quarter of a second of renaming, and 4 MiB of entries. */
export const FLUSH_FILES = 4096;

/** A finished file that has no name yet. */
export interface Unnamed {
  /** Called once, when it is on disk. What it throws ends the restore. */
  name(): void;
  /** Called once instead, when the disk did not take it. The first failure stays the one that is told. */
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

  /** @param sync default: the system's call, and where there is none, each file is flushed by itself */
  constructor(folder: Buffer | string, sync: SyncFileSystem | undefined = posix()?.syncfs) {
    this.#fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    this.#device = fstatSync(this.#fd).dev;
    this.#sync = sync;
  }

  /** The one call makes files of this device durable. Others must be flushed before they are handed to `nameOnDisk`. */
  reaches(device: number): boolean {
    return this.#sync !== undefined && device === this.#device;
  }

  wrote(bytes: number): void {
    this.#bytes += bytes;
    this.#beginIfDue();
  }

  /** Names the file, in its turn, when all that was written until now is on disk. */
  nameOnDisk(file: Unnamed): void {
    this.#waiting.push(file);
    this.#beginIfDue();
  }

  /** Returns when more files may wait. @throws as `all` */
  async room(): Promise<void> {
    while (this.#waiting.length >= FLUSH_FILES && this.#running !== undefined) await this.#running;
    this.#throwIfFailed();
  }

  /** All that was written until now is on disk, and named. @throws what any of the calls or of the names threw */
  async all(): Promise<void> {
    await this.#running;
    this.#begin();
    await this.#running;
    this.#throwIfFailed();
  }

  async close(): Promise<void> {
    // The call has the number of the file, which would be another's.
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

  /** Never throws: one that runs beside the writing has nobody who waits for it. */
  async #carryOut(files: readonly Unnamed[]): Promise<void> {
    const left = files.values();
    try {
      // The kernel tells of a failure once: a later call that succeeds says nothing of these files.
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

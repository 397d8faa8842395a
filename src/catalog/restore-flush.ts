/**
 * Restore flush: when is what a restore has written on disk?
 *
 * What is reported as restored shall survive a power cut, where one call can promise it (platform/sync-file-system.ts says
 * where). Elsewhere the call is made for what it does write out, and promises nothing: an fsync of each file would take hours on
 * a stick. One call at the end would find all of the restore still to be written, while the disk has had nothing to do: so it is
 * begun now and then as the writing goes on, beside it, and the last one has little left.
 *
 * The folder is opened before the first write and stays open, for the call tells of the failures since then: also of those
 * that the kernel met when it wrote by itself.
 *
 * Driven by restore-tree.ts.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { posix } from '../platform/posix.js';
import type { SyncFileSystem } from '../platform/sync-file-system.js';

/** Written since the last one began: a tenth of a second of a quick disk, some seconds of a slow one, which has no more than one at a time. */
export const FLUSH_BYTES = 64 * 1024 * 1024;

export class RestoreFlush {
  readonly #fd: number;
  readonly #sync: SyncFileSystem | undefined;
  #bytes = 0;
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** @param sync default: the system's call, and where there is none, nothing is promised */
  constructor(folder: Buffer | string, sync: SyncFileSystem | undefined = posix()?.syncfs) {
    this.#fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    this.#sync = sync;
  }

  wrote(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes >= FLUSH_BYTES && this.#running === undefined) this.#begin();
  }

  /** All that was written until now is on disk. @throws what any of the calls threw */
  async all(): Promise<void> {
    await this.#running;
    this.#begin();
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async close(): Promise<void> {
    // The call has the number of the file, which would be another's.
    await this.#running;
    closeSync(this.#fd);
  }

  #begin(): void {
    if (this.#sync === undefined) return;
    this.#bytes = 0;
    this.#running = this.#sync(this.#fd).then(
      () => {
        this.#running = undefined;
      },
      // The kernel tells of a failure once.
      error => {
        this.#failure ??= { error };
        this.#running = undefined;
      },
    );
  }
}

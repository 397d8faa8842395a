/**
 * Index refusals: what LMDB could not write (a full disk, a failing one) ends no more than the write that was refused.
 *
 * Of each transaction that fails LMDB rejects, besides the promises of those who wrote, two that nobody was given: one
 * of its own for the event turn's writes, and `commitError` with the cause. Unheld, they would end the process, however
 * well all callers catch, and a host would go offline with all its copies because its root disk is full. They are held
 * here, and nowhere else: any other rejection that nobody holds goes on ending the process.
 *
 * What was refused has not happened; whoever wrote is told, in words that name the disk, which LMDB's do not. The next
 * write is tried anew, so the index works again once there is room.
 */
import type { RootDatabase } from 'lmdb';
import { ClusterError } from '../core/fault.js';

export class IndexRefusals {
  readonly #root: RootDatabase<Buffer, Uint8Array>;
  readonly #path: string;
  /** Those that wait for a flush. */
  readonly #flushing = new Set<(error: unknown) => void>();
  #count = 0;

  /** From now on the transactions of `root` are refused with ClusterError INDEX_REFUSED. `path`: where it lies. */
  constructor(root: RootDatabase<Buffer, Uint8Array>, path: string) {
    this.#root = root;
    this.#path = path;
    const transaction = root.transaction.bind(root);
    root.transaction = async work => {
      try {
        return await transaction(work);
      } catch (error) {
        // All else was thrown by the work itself.
        throw isRefusal(error) ? this.#refused(error) : error;
      }
    };
    // Called at the end of each turn of the event loop that wrote. LMDB makes its own promise right after it, before
    // any microtask, and from then on `committed` is that promise.
    root.on('beforecommit', () => queueMicrotask(() => this.#hold()));
  }

  /** How many transactions the disk has refused since the index was opened. */
  get count(): number {
    return this.#count;
  }

  /**
   * Runs a transaction that writes something. Durable when this returns, as is everything that was taken before it.
   * LMDB's own word for that, `flushed`, is silent for ever about what was refused.
   */
  async flush(work: () => void): Promise<void> {
    let refuse: (error: unknown) => void = () => {};
    const refused = new Promise<never>((_, reject) => {
      refuse = reject;
    });
    refused.catch(() => {
      // Told below, unless the transaction itself was refused.
    });
    this.#flushing.add(refuse);
    try {
      await this.#root.transaction(work);
      await Promise.race([this.#root.flushed, refused]);
    } finally {
      this.#flushing.delete(refuse);
    }
  }

  /** Closes the database, when writes under way have ended. */
  async close(): Promise<void> {
    // LMDB would wait for the flush of what was refused last, which never comes. A transaction that writes nothing needs
    // no room, and LMDB then waits for its flush instead.
    try {
      await this.#root.transaction(() => {});
      await this.#root.close();
    } catch {
      // The file stays open until the process ends. Whatever was written to it lies there.
    }
  }

  #hold(): void {
    this.#root.committed.then(undefined, (error: unknown) => {
      this.#count += 1;
      for (const refuse of this.#flushing) refuse(this.#refused(error));
      if (isRefusal(error))
        Promise.resolve(error.commitError).catch(() => {
          // LMDB has printed it.
        });
    });
  }

  #refused(error: unknown): ClusterError {
    return new ClusterError(
      'INDEX_REFUSED',
      `the disk of the state folder refused a write of the index, ${this.#path}: nothing of it was written. Make room on that disk, or look at why it fails`,
      { blame: 'operator', cause: error },
    );
  }
}

const isRefusal = (error: unknown): error is Error & { readonly commitError: unknown } =>
  error instanceof Error && 'commitError' in error;

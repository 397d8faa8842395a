/**
 * Disk sync: makes files and names durable, for many callers at once.
 *
 * Many small files at once cost one syncfs; a few cost one fsync each, since syncfs also waits for whatever else is
 * being written to that disk. Where syncfs cannot be believed (platform/sync-file-system.ts): always one fsync each.
 *
 * There is no journal in which small blobs would count as durable before each is a plain file: the files themselves are
 * flushed. With one syncfs for 512 files of 4 KiB that is 16 µs a file (`SYNCFS_FROM`), where everything else that a
 * service does for one takes 0.38 ms of a processor (net/libp2p-node.ts); and a journal would be a second place in which
 * copies can be lost.
 *
 * After a failed flush the kernel marks the pages as written: reads and hashes see them, and the next flush succeeds,
 * but the disk never got them (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So
 * one failure is final here. The store must be opened again; uncommitted content that is found then is written again
 * before it counts (incoming.ts, log-file.ts). A flush abandoned because its disk hangs (platform/disk.ts) also counts
 * as failed: its outcome never becomes known.
 */
import { constants } from 'node:fs';
import { ClusterError } from '../core/fault.js';
import { diskOf } from '../platform/disk.js';
import { type OpenFile, open, statfs } from '../platform/disk-calls.js';
import { Group } from '../platform/group.js';
import { type SyncFileSystem, syncFileSystemFor } from '../platform/sync-file-system.js';
import { systemCode } from './own-folder.js';

/**
 * From this many paths on, one syncfs is cheaper than an fsync each: on ext4 0.5 ms against 1.3 at 8 files of 4 KiB, 8
 * against 90 at 512.
 */
const SYNCFS_FROM = 8;
/** How many fsync calls run at once: libuv has 4 threads, and the kernel joins concurrent flushes. */
const FSYNC_AT_ONCE = 4;

export class DiskSync {
  readonly #root: OpenFile;
  readonly #syncFileSystem: SyncFileSystem | undefined;
  readonly #onFailure: () => Promise<void>;
  readonly #group = new Group<string>(paths => this.#flush(new Set(paths)));
  #failure: ClusterError | undefined;

  private constructor(
    root: OpenFile,
    {
      syncFileSystem,
      onFailure,
    }: { readonly syncFileSystem: SyncFileSystem | undefined; readonly onFailure: () => Promise<void> },
  ) {
    this.#root = root;
    this.#syncFileSystem = syncFileSystem;
    this.#onFailure = onFailure;
  }

  /**
   * `folder` names the file system. It stays open, since syncfs reports the errors since the folder was opened.
   *
   * @param onFailure called once, before the first failure is reported; it never rejects
   */
  static async open(folder: string, onFailure: () => Promise<void> = async () => {}): Promise<DiskSync> {
    const call = syncFileSystemFor((await statfs(folder)).type);
    const disk = diskOf(folder);
    const syncFileSystem = call && disk ? (fd: number) => disk.run(() => call(fd), { kind: 'flush' }) : call;
    const root = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    return new DiskSync(root, { syncFileSystem, onFailure });
  }

  /** Why nothing is flushed any longer; `undefined` while all is well. */
  get failure(): ClusterError | undefined {
    return this.#failure;
  }

  /** Flushes files (their bytes) and folders (the names in them), as they are at the time of the call. */
  async flush(paths: Iterable<string>): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const list = [...paths];
    if (list.length > 0) await this.#group.join(list);
  }

  async #flush(paths: ReadonlySet<string>): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const syncFileSystem = this.#syncFileSystem;
    if (syncFileSystem !== undefined && paths.size >= SYNCFS_FROM) await this.#finally(syncFileSystem(this.#root.fd));
    else await this.#fsyncEach(paths);
  }

  async #fsyncEach(paths: ReadonlySet<string>): Promise<void> {
    const left = paths.values();
    const worker = async () => {
      for (const path of left) {
        const file = await openIfThere(path);
        // Another commit that shares the file has flushed it and moved it on.
        if (file === undefined) continue;
        try {
          await this.#finally(file.sync());
        } finally {
          await file.close();
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(FSYNC_AT_ONCE, paths.size) }, worker));
  }

  async #finally(flush: Promise<void>): Promise<void> {
    try {
      await flush;
    } catch (cause) {
      // Of several failures at once only the first is reported.
      if (this.#failure !== undefined) throw this.#failure;
      const failure = new ClusterError(
        'STORE_FAILED',
        'the disk did not accept what was written: this store accepts nothing more until it is opened again; what it holds is untouched',
        { blame: 'operator', cause },
      );
      this.#failure = failure;
      await this.#onFailure();
      throw failure;
    }
  }

  async close(): Promise<void> {
    await this.#root.close();
  }
}

async function openIfThere(path: string): Promise<OpenFile | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

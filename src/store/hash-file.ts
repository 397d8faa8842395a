/**
 * Hash file: reads files of the store from their beginning to their end, and says what they hash to.
 *
 * A thread reads and hashes them (hash-file-worker.ts), one for each disk that was set apart. Measured: a parcel of 256
 * files of 4 KiB takes 7 ms of CPU, 0.4 of them on the event loop; with Node's own calls and the hash on the loop it was
 * 50, and 40 of them there. A file of 256 MiB takes 140 ms, 4 on the loop, instead of 150, nearly all there.
 */
import { assert } from '../core/fault.js';
import type { HostId, Nonce, Possession } from '../core/ids.js';
import { type Disk, diskOf, watchedBy } from '../platform/disk.js';
import { PerDisk } from '../platform/per-disk.js';
import { WorkerThread } from '../platform/worker-thread.js';
import { tamperedBy } from './own-folder.js';

export interface FileRead {
  /** `undefined`: the file has another size than it must have, and was not read. */
  readonly hash: string | undefined;
  readonly bytes: number;
}

/** For each file, in order. */
export interface FilesToRead {
  readonly paths: readonly string[];
  /** The sizes that they must have; none: any. */
  readonly sizes: readonly number[];
  /** What they must hash to; none: anything. */
  readonly hashes: readonly string[];
  /** Computed of all that is read, for each holder. */
  readonly possession: { readonly nonce: Nonce; readonly holders: readonly HostId[] };
  /** What the kernel has cached is let go first, where that can be done (platform/posix.ts). */
  readonly isFromDisk: boolean;
}

export type FilesRead =
  /** All are as they must be. */
  | { readonly is: 'read'; readonly last: FileRead | undefined; readonly possessions: readonly Possession[] }
  /** The first that is not; `found` is undefined when there is no such file. */
  | { readonly is: 'unlike'; readonly n: number; readonly found: FileRead | undefined }
  /** The disk does not give one of them. */
  | { readonly is: 'failed'; readonly n: number; readonly error: Error };

export type HashFileAsk = { readonly session: number } & (
  | { readonly is: 'begin'; readonly files: FilesToRead }
  | { readonly is: 'go on' | 'leave' }
);

export type HashFileReply =
  | { readonly is: 'more' }
  | { readonly is: 'left' }
  | Exclude<FilesRead, { readonly is: 'failed' }>
  | {
      readonly is: 'failed';
      readonly n: number;
      readonly code: string | undefined;
      readonly message: string;
      readonly syscall: string | undefined;
    };

type Thread = WorkerThread<HashFileAsk, HashFileReply>;

const threads = new PerDisk<Thread>(
  () => new WorkerThread(new URL('./hash-file-worker.js', import.meta.url), 'hashing files'),
);

/** @throws ClusterError STORE_TAMPERED, DiskHangs, the signal's reason: then nothing is known of the bytes */
export async function readFiles(files: FilesToRead, signal?: AbortSignal): Promise<FilesRead> {
  signal?.throwIfAborted();
  const [first] = files.paths;
  const disk = first === undefined ? undefined : diskOf(first);
  const session = threads.of(disk).open();
  const { number } = session;
  let isOver = false;
  try {
    let reply = await watchedBy(disk, session, { session: number, is: 'begin', files });
    while (reply.is === 'more') {
      signal?.throwIfAborted();
      reply = await watchedBy(disk, session, { session: number, is: 'go on' });
    }
    isOver = true;
    assert(reply.is !== 'left', 'it was not left');
    return reply.is === 'failed' ? failureOf(reply, files) : reply;
  } finally {
    if (!isOver) letGo(disk, () => session.ask({ session: number, is: 'leave' }));
    session.close();
  }
}

/** What is open in the thread is closed, whatever has become of the disk. */
function letGo(disk: Disk | undefined, leave: () => Promise<unknown>): void {
  if (disk !== undefined) disk.letGo(leave);
  else leave().catch(() => {}); // the thread has ended
}

function failureOf(
  { n, code, message, syscall }: Extract<HashFileReply, { readonly is: 'failed' }>,
  { paths }: FilesToRead,
): FilesRead {
  if (code === 'ENOENT') return { is: 'unlike', n, found: undefined };
  const tampered = tamperedBy(code, paths[n] as string);
  if (tampered !== undefined) throw tampered;
  return { is: 'failed', n, error: Object.assign(new Error(message), { code, syscall }) };
}

/**
 * `undefined` when there is no such file.
 *
 * @param options.bytes the size that it must have
 * @throws ClusterError STORE_TAMPERED, and whatever the disk says: then nothing is known of the bytes
 */
export async function hashFile(
  path: string,
  { bytes, signal }: { readonly bytes?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<FileRead | undefined> {
  const sizes = bytes === undefined ? [] : [bytes];
  const read = await readFiles({ paths: [path], sizes, hashes: [], possession: NOBODYS, isFromDisk: false }, signal);
  if (read.is === 'failed') throw read.error;
  return read.is === 'read' ? read.last : read.found;
}

const NOBODYS = { nonce: '' as Nonce, holders: [] };

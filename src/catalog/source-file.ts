/**
 * Source file: serves a blob from the live file at the origin, which keeps no second copy.
 *
 * Bytes of other content are never vouched for. A file whose size, times and inode are the same as when it was hashed
 * (the scan cache) is taken for unchanged; any other file is hashed first. These are compared again when reading begins
 * and when it ends. A reader that ends without an error has given the blob's bytes. One that throws `SourceGone` may
 * have given others, which the receiver throws away by their hash anyway.
 *
 * A **doubted** file is hashed whatever the cache says, and the cache is then updated. That is done before anything is
 * given up because the file is gone.
 *
 * No symlink below the source's folder is followed: otherwise somebody who may write there could have other users'
 * files read, hashed and noted in the cache.
 *
 * `gone` is final for these bytes at this path: the daemon re-cuts (recut.ts), if no holder has the blob. A
 * `SourceGone` while reading is not final: ask again first, since the file may have been touched and be the same.
 */
import { constants } from 'node:fs';
import { type ByteRange, inPieces, sumOf } from '../core/byte-range.js';
import { ClusterError } from '../core/fault.js';
import { createHasher, EMPTY_BLOB, hashHex } from '../core/hash.js';
import { type BlobId, hexOf, type SourceId } from '../core/ids.js';
import { nameIn, type OpenFile, openBelow } from '../platform/disk-calls.js';
import { type ReadFile, readSmallFile, readSmallFiles } from '../platform/small-files.js';
import type { Urgency } from '../platform/urgent-first.js';
import type { Entry } from './entry.js';
import { errorCode, isSystemError } from './error-code.js';
import { escapePath } from './path-text.js';
import type { RecipeFile } from './recipe-maker.js';
import type { CachedFile, ScanCache } from './scan-cache.js';
import type { ContentStat } from './scan-cache-format.js';

export interface SourceFile {
  readonly bytes: number;
  /** The file that a recipe is made from (recipe-maker.ts); undefined for a small file, which has none. */
  readonly file?: RecipeFile;
  /** Chunks of at most 256 KiB. @param ranges default: all of it. @throws SourceGone */
  read(signal?: AbortSignal, ranges?: readonly ByteRange[]): AsyncGenerator<Uint8Array>;
}

/** The file changed or went while it was read. */
export class SourceGone extends ClusterError {
  constructor(path: Uint8Array) {
    super('SOURCE_GONE', `${escapePath(path)} changed while it was read; what was sent of it does not count`, {
      blame: 'passing',
    });
  }
}

const CHUNK_BYTES = 256 * 1024;
const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * System errors that say nothing about the file: this process or its machine is short of something, or the call was
 * broken off. Any other is the file's own, though no list can have them all: a damaged file system, a key that is not
 * loaded, a server that does not answer. Such a file cannot be given, and must not hold up the others of its parcel.
 */
const PASSING_CODES = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'EAGAIN', 'EINTR', 'ECANCELED', 'EBADF']);

/** What a small file's reader says of what is no file, or has another size. */
const OTHER_THING_CODES = new Set(['NOT_A_FILE', 'TOO_LARGE']);

/** Errors for a path that may have led elsewhere, or is too long for one call. */
const BY_NAMES_CODES = new Set(['NOT_STRAIGHT', 'ENAMETOOLONG']);

/**
 * @throws ClusterError SOURCE_MISSING when the whole folder is absent or empty: then no single file is gone; a system
 * error that says nothing about the file; DiskHangs; the signal's reason
 */
export async function readSourceFile({
  root,
  source,
  entry,
  cache,
  doubted = false,
  isUrgent = false,
  signal,
}: {
  /** The source's folder. */
  readonly root: string;
  readonly source: SourceId;
  /** The entry, as in the snapshot. */
  readonly entry: Entry;
  /** Undefined: the file is hashed each time. */
  readonly cache: ScanCache | undefined;
  /** Default: false. */
  readonly doubted?: boolean;
  readonly signal?: AbortSignal;
} & Urgency): Promise<SourceFile | 'gone'> {
  const { blob, size, path, link } = entry;
  if (blob === undefined) return 'gone';
  if (blob === EMPTY_BLOB) return { bytes: 0, read: async function* nothing() {} };
  const full = fullPath(root, path);
  const file: CachedFile = { source, path, link };
  let checked: ContentStat;
  try {
    const expected = { root, blob, size, file, cache, doubted };
    const small = size <= CHUNK_BYTES ? await readSmall(full, expected, { isUrgent }) : undefined;
    if (small !== undefined) return small;
    const handle = await openBelow(root, path, READ_FLAGS, { isUrgent });
    try {
      const before = await handle.stat({ bigint: true });
      if (!before.isFile() || before.size !== BigInt(size)) return 'gone';
      const known = doubted ? undefined : cache?.lastRead(file, before);
      if (known !== blob) {
        if (known !== undefined) return 'gone';
        const readFromNs = nowNs();
        const found = await hashOf(handle, { size, signal });
        const after = await handle.stat({ bigint: true });
        if (found === undefined || !isSame(before, after)) return 'gone';
        cache?.correct(file, before, { blob: found, readFromNs });
        if (found !== blob) return 'gone';
      }
      checked = before;
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!signal?.aborted && isOfTheFile(error)) return goneUnlessMissing(root);
    throw error;
  }
  return {
    bytes: size,
    ...(size > CHUNK_BYTES && { file: { path: full, bytes: size, stat: checked } }),
    read: (readSignal, ranges = [{ offset: 0, bytes: size }]) =>
      readChecked({ root, entry, checked, ranges, signal: readSignal, isUrgent }),
  };
}

/**
 * Small files, all read at once: most of their cost is system calls. Undefined for each that cannot be read unchanged,
 * or not in one go: `readSourceFile` finds out why.
 */
export async function readSmallSourceFiles({
  root,
  source,
  entries,
  cache,
  isUrgent = false,
}: {
  readonly root: string;
  readonly source: SourceId;
  readonly entries: readonly Entry[];
  readonly cache: ScanCache | undefined;
} & Urgency): Promise<readonly (Uint8Array | undefined)[]> {
  const readFromNs = nowNs();
  const straightFrom = Buffer.byteLength(root);
  const files = entries.map(({ path, size }) => ({ path: fullPath(root, path), bytesMax: size, straightFrom }));
  const reads = await readSmallFiles(files, { isUrgent });
  return entries.map(({ blob, size, path, link }, n) => {
    const read = reads[n];
    if (blob === undefined || read === undefined || read instanceof Error) return undefined;
    const expected = { blob, size, file: { source, path, link }, cache, doubted: false, readFromNs };
    return isAsItWas(read, expected) ? read.content : undefined;
  });
}

/** Undefined: it has to be opened name by name. */
async function readSmall(
  full: Buffer,
  { root, ...expected }: Omit<Parameters<typeof isAsItWas>[1], 'readFromNs'> & { readonly root: string },
  urgency: Urgency,
): Promise<SourceFile | 'gone' | undefined> {
  const readFromNs = nowNs();
  const straightFrom = Buffer.byteLength(root);
  const read = await readSmallFile(full, expected.size, { straightFrom, ...urgency }).catch((error: unknown) => {
    if (BY_NAMES_CODES.has(errorCode(error))) return undefined;
    throw error;
  });
  if (read === undefined) return undefined;
  if (!isAsItWas(read, { ...expected, readFromNs })) return 'gone';
  return {
    bytes: expected.size,
    read: async function* pieces(_signal, ranges = [{ offset: 0, bytes: expected.size }]) {
      for (const { offset, bytes } of ranges) yield read.content.subarray(offset, offset + bytes);
    },
  };
}

/** Whether the bytes read are the blob: by the scan cache, or else by their hash, which is then noted in the cache. */
function isAsItWas(
  { content, stat, isSteady }: ReadFile,
  {
    blob,
    size,
    file,
    cache,
    doubted,
    readFromNs,
  }: {
    readonly blob: BlobId;
    readonly size: number;
    readonly file: CachedFile;
    readonly cache: ScanCache | undefined;
    readonly doubted: boolean;
    /** The wall clock when reading began. */
    readonly readFromNs: bigint;
  },
): boolean {
  if (!isSteady || content.length !== size) return false;
  const known = doubted ? undefined : cache?.lastRead(file, stat);
  if (known !== undefined) return known === blob;
  const found = hashHex(content) as BlobId;
  cache?.correct(file, stat, { blob: found, readFromNs });
  return found === blob;
}

const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;

const fullPath = (root: string, path: Uint8Array): Buffer => Buffer.concat([Buffer.from(root), Buffer.from('/'), path]);

async function* readChecked({
  root,
  entry,
  checked,
  ranges,
  signal,
  isUrgent = false,
}: {
  readonly root: string;
  readonly entry: Entry;
  readonly checked: ContentStat;
  readonly ranges: readonly ByteRange[];
  readonly signal: AbortSignal | undefined;
} & Urgency): AsyncGenerator<Uint8Array> {
  let handle: OpenFile | undefined;
  try {
    handle = await openBelow(root, entry.path, READ_FLAGS, { isUrgent });
    if (!isSame(checked, await handle.stat({ bigint: true }))) throw new SourceGone(entry.path);
    let left = sumOf(ranges);
    for (const { offset, bytes } of inPieces(ranges, CHUNK_BYTES)) {
      for (let at = 0; at < bytes; ) {
        signal?.throwIfAborted();
        // A new buffer for each chunk: the consumer may still be sending the last one.
        const chunk = Buffer.allocUnsafe(bytes - at);
        const { bytesRead } = await handle.read(chunk, 0, chunk.length, offset + at);
        if (bytesRead === 0) throw new SourceGone(entry.path);
        at += bytesRead;
        left -= bytesRead;
        // The last chunk is given only when nothing has changed by then.
        if (left === 0 && !isSame(checked, await handle.stat({ bigint: true }))) throw new SourceGone(entry.path);
        yield chunk.subarray(0, bytesRead);
      }
    }
  } catch (error) {
    if (!signal?.aborted && isOfTheFile(error)) throw new SourceGone(entry.path);
    throw error;
  } finally {
    await handle?.close();
  }
}

async function hashOf(
  handle: OpenFile,
  { size, signal }: { readonly size: number; readonly signal: AbortSignal | undefined },
): Promise<BlobId | undefined> {
  const hasher = createHasher();
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let total = 0;
  let whole = false;
  try {
    while (total <= size) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, null);
      if (bytesRead === 0) break;
      hasher.update(chunk.subarray(0, bytesRead));
      total += bytesRead;
    }
    whole = total === size;
    return whole ? (hexOf(hasher.digest()) as BlobId) : undefined;
  } finally {
    if (!whole) hasher.dispose();
  }
}

function isSame(a: ContentStat, b: ContentStat): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.ino === b.ino;
}

function isOfTheFile(error: unknown): boolean {
  const code = errorCode(error);
  return OTHER_THING_CODES.has(code) || (isSystemError(error) && !PASSING_CODES.has(code));
}

/** An unmounted disk takes all files with it: the source is missing then, and there is no reason to re-cut anything. */
async function goneUnlessMissing(root: string): Promise<'gone'> {
  let name: string | undefined;
  try {
    name = await nameIn(root);
  } catch (cause) {
    throw sourceMissing(root, cause);
  }
  if (name === undefined) throw sourceMissing(root, new Error('it is empty'));
  return 'gone';
}

function sourceMissing(root: string, cause: unknown): ClusterError {
  return new ClusterError(
    'SOURCE_MISSING',
    `the source folder ${root} is absent, unreadable or empty; its snapshots are unchanged`,
    {
      blame: 'operator',
      cause,
    },
  );
}

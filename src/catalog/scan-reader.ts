/**
 * Scan reader: a file's blob, with the metadata that it had while it was read.
 *
 * Content and metadata belong to one moment: size, times and inode are compared before and after. A file that changed
 * is read once more; if it changed again, it is unread, `UNSTABLE`. The attributes are read in between, from the open
 * file: by then its path may lead to another file, or to nothing.
 *
 * A small file takes five calls: the walk's stat serves as the one from before, and a single read shows where it ends.
 *
 * Driven by scan-worker.ts.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { createHasher, hashHex } from '../core/hash.js';
import { type BlobId, hexOf } from '../core/ids.js';
import type { NameStat } from '../platform/stat-calls.js';
import { errorCode, isSystemError } from './error-code.js';
import { type ReadXattrs, readXattrs } from './read-xattrs.js';

export type Content =
  | { readonly blob: BlobId; readonly stat: NameStat; readonly attributes: ReadXattrs }
  /** `vanished`: its folder may no longer have it. */
  | { readonly unread: string; readonly vanished?: boolean };

const READ_BYTES = 1024 * 1024;
/** A file up to this size is read in one call, which asks for one byte more to notice a file longer than its size. */
const SMALL_BYTES = READ_BYTES - 1;
/** 256 TiB, which no disk reads in a year: a sparse file of any length takes no room. A store's index takes sizes below it. */
const FILE_BYTES_MAX = 2n ** 48n - 1n;
const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** Error codes of reading when a folder or a pipe has replaced the file. */
const REPLACED_CODES: ReadonlySet<string> = new Set(['EISDIR', 'EAGAIN']);

export class ScanReader {
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  readonly #onRead: (bytes: number) => void;

  /** `onRead`: called after each read; what it throws ends the reading. */
  constructor(onRead: (bytes: number) => void) {
    this.#onRead = onRead;
  }

  /** `met`: the result of an lstat of this path. @throws what `onRead` does */
  read(full: Buffer, met: NameStat): Content {
    for (let attempt = 0; attempt < 2; attempt += 1) {
      let descriptor: number;
      try {
        descriptor = openSync(full, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      } catch (error) {
        const code = errorCode(error);
        // A symlink has replaced the file: that is a change, not a failure to read.
        return { unread: code === 'ELOOP' ? 'UNSTABLE' : code, vanished: code === 'ENOENT' || code === 'ENOTDIR' };
      }
      try {
        // A large file is looked at again: one that has changed since it was met should not be read for nothing.
        const isAsMet = attempt === 0 && met.size <= SMALL_BYTES;
        const before = isAsMet ? met : fstatSync(descriptor, { bigint: true });
        if (!before.isFile()) return { unread: 'UNSTABLE' };
        if (before.size > FILE_BYTES_MAX) return { unread: 'TOO_LARGE' };
        const size = Number(before.size);
        const blob = size <= SMALL_BYTES ? this.#hashSmall(descriptor, size) : this.#hashLarge(descriptor, size);
        const attributes = readXattrs(descriptor);
        const after = fstatSync(descriptor, { bigint: true });
        if (blob !== undefined && isSameContent(before, after)) return { blob, stat: before, attributes };
      } catch (error) {
        if (!isSystemError(error)) throw error;
        const code = errorCode(error);
        return { unread: REPLACED_CODES.has(code) ? 'UNSTABLE' : code };
      } finally {
        closeSync(descriptor);
      }
    }
    return { unread: 'UNSTABLE' };
  }

  /** Undefined when the file does not end at `size`. */
  #hashSmall(descriptor: number, size: number): BlobId | undefined {
    const buffer = this.#buffer;
    let total = 0;
    while (total < size) {
      const got = readSync(descriptor, buffer, total, size + 1 - total, null);
      if (got === 0) return undefined;
      total += got;
      this.#onRead(got);
    }
    return total === size ? (hashHex(buffer.subarray(0, size)) as BlobId) : undefined;
  }

  /** As `#hashSmall`. */
  #hashLarge(descriptor: number, size: number): BlobId | undefined {
    const hasher = createHasher();
    let total = 0;
    let isWhole = false;
    try {
      for (;;) {
        const got = readSync(descriptor, this.#buffer, 0, READ_BYTES, null);
        if (got === 0) break;
        total += got;
        if (total > size) break;
        hasher.update(this.#buffer.subarray(0, got));
        this.#onRead(got);
      }
      isWhole = total === size;
      return isWhole ? (hexOf(hasher.digest()) as BlobId) : undefined;
    } finally {
      if (!isWhole) hasher.dispose();
    }
  }
}

/** Compares the inode, too, so a true also means that it is the same file. */
const isSameContent = (a: NameStat, b: NameStat): boolean =>
  a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.ino === b.ino && a.dev === b.dev;

/**
 * Scan cache: what a file's content was when it was last read, so that an unchanged file is not read again.
 *
 * Unchanged means: size, mtime (ns), ctime (ns) and inode are as they were. The device number is not compared: many file
 * systems get another one at each boot. Losing the cache costs re-reading and nothing else; what it says is never sent or
 * restored, only believed about which blob a file has.
 *
 * **Racily clean** files, as git calls them, are not kept: one that was changed so shortly before it was read that a later
 * change could leave the same ctime. They are read again next time.
 *
 * **Moved** files, those in a folder that was renamed, are found by their inode under the path that they had, and keep its cut
 * mark (cut.ts). Only where ctime is finer than FAT stamps it: there, inodes are made up anew at each mount, and photos of one
 * burst have equal sizes and times, so that the path alone tells them apart.
 *
 * An LMDB file of its own; the scan worker and the service have it open at once. Keys are hashes (paths may be longer than
 * LMDB's keys): 8 bytes for the source, 24 for the path or, when the inode has several names, for its link. A value is 32 bytes of
 * stat, the blob, the day it was met, and the cut mark if the scan gave one. A second key, made of the inode, has the 24 bytes
 * of the path's.
 */
import { open, type RootDatabase } from 'lmdb';
import { hash } from '../core/hash.js';
import { type BlobId, bytesOf, hexOf, type SourceId } from '../core/ids.js';

/** What of a `BigIntStats` tells two contents apart. */
export interface ContentStat {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
}

export interface CachedFile {
  readonly source: SourceId;
  /** Relative to the source's folder. */
  readonly path: Uint8Array;
  /** The entry's link: names of one inode share what is known. */
  readonly link: string | undefined;
  /** What tells its inode from all others of the source, where it has one name: by that it is found when it was moved. */
  readonly inode?: (() => string) | undefined;
}

export interface KnownFile {
  /** Undefined: read it. */
  readonly blob: BlobId | undefined;
  /** The cut mark that it was given last, at whichever path; undefined: none is known. */
  readonly mark: number | undefined;
}

const UNKNOWN: KnownFile = { blob: undefined, mark: undefined };

/** Puts in one transaction, which costs one sync: two for each file that a scan reads. Some 2 MB wait; a crash loses that much reading. */
const BATCH_PUTS = 8192;
/** Kernels stamp ctime from a clock that ticks every 1 to 10 ms. */
const RACY_NS = 50_000_000n;
/** FAT stamps in steps of 2 s, some network file systems of 1 s: their times have no fraction. */
const RACY_COARSE_NS = 2_100_000_000n;
const SECOND_NS = 1_000_000_000n;
/** An entry's day is renewed when it is older than this, and the entry goes when it is twice as old. */
const RENEW_DAYS = 30;
const DAY_MS = 86_400_000;

const KEY_BYTES = 32;
const SOURCE_BYTES = 8;
const NAME_BYTES = KEY_BYTES - SOURCE_BYTES;
const DAY_AT = 64;
const MARK_AT = 68;
const VALUE_BYTES = 68;
const MARKED_VALUE_BYTES = 72;
/** FAT and exFAT stamp in steps of this. */
const FAT_STEP_NS = 10_000_000n;

export class ScanCache {
  readonly path: string;
  readonly #database: RootDatabase<Buffer, Buffer>;
  readonly #today: number;
  readonly #prefixes = new Map<SourceId, Buffer>();
  /** Not written yet, by the key's bytes as text. */
  #waiting = new Map<string, Buffer>();

  /** `path`: a file that may not exist yet; `nowMs`: the wall clock, for the age of entries. */
  constructor(path: string, { nowMs }: { readonly nowMs: number }) {
    this.path = path;
    this.#database = open<Buffer, Buffer>({ path, noSubdir: true, keyEncoding: 'binary', encoding: 'binary' });
    this.#today = Math.floor(nowMs / DAY_MS);
  }

  /** The blob that the file had when it was last read, if it is unchanged since. Notes where a moved one is now. */
  lookup(file: CachedFile, stat: ContentStat): KnownFile {
    const key = this.#keyOf(file);
    const value = this.#value(key);
    const blob = value === undefined ? undefined : blobOf(value, stat);
    if (value === undefined || blob === undefined) {
      const moved = this.#moved(file, stat);
      if (moved === undefined) return value === undefined ? UNKNOWN : { blob: undefined, mark: markOf(value) };
      this.#write(file, valueFrom(stat, { blob: moved.blob, day: this.#today, mark: moved.mark }));
      return moved;
    }
    const mark = markOf(value);
    if (this.#today - value.readUInt32LE(DAY_AT) >= RENEW_DAYS)
      this.#add(key, valueFrom(stat, { blob, day: this.#today, mark }));
    return { blob, mark };
  }

  /** By its inode, under the path that it had when it was last met. */
  #moved(file: CachedFile, stat: ContentStat): (KnownFile & { readonly blob: BlobId }) | undefined {
    if (file.inode === undefined || stat.ctimeNs % FAT_STEP_NS === 0n) return undefined;
    const name = this.#get(this.#inodeKeyOf(file.source, file.inode()));
    if (name?.length !== NAME_BYTES) return undefined;
    const value = this.#value(Buffer.concat([this.#prefixOf(file.source), name]));
    const blob = value === undefined ? undefined : blobOf(value, stat);
    return value === undefined || blob === undefined ? undefined : { blob, mark: markOf(value) };
  }

  /** `readFromNs`: the wall clock when reading began; `mark`: default the one that is known. Durable after `flush`. */
  put(
    file: CachedFile,
    stat: ContentStat,
    { blob, readFromNs, mark }: { readonly blob: BlobId; readonly readFromNs: bigint; readonly mark?: number },
  ): void {
    if (isRacy(stat.ctimeNs, readFromNs)) return;
    const known = mark === undefined ? this.#value(this.#keyOf(file)) : undefined;
    const kept = mark ?? (known && markOf(known));
    this.#write(file, valueFrom(stat, { blob, day: this.#today, mark: kept }));
  }

  #write(file: CachedFile, value: Buffer): void {
    const key = this.#keyOf(file);
    this.#add(key, value);
    if (file.inode !== undefined) this.#add(this.#inodeKeyOf(file.source, file.inode()), key.subarray(SOURCE_BYTES));
    if (this.#waiting.size >= BATCH_PUTS) this.flush();
  }

  /** Writes what waits. Blocks for one sync. */
  flush(): void {
    const waiting = this.#waiting;
    if (waiting.size === 0) return;
    this.#waiting = new Map();
    this.#database.transactionSync(() => {
      for (const [key, value] of waiting) this.#database.putSync(Buffer.from(key, 'latin1'), value);
    });
    // A worker's loop never turns, so LMDB's own timer would keep one old view of the file open for the whole scan.
    this.#database.resetReadTxn();
  }

  /** After a whole scan of a source: forgets files that no scan has met for two months. At most once in 30 days. */
  sweep(source: SourceId): void {
    this.flush();
    const marker = this.#prefixOf(source);
    const swept = this.#database.getBinary(marker);
    const today = Buffer.alloc(4);
    today.writeUInt32LE(this.#today);
    if (swept !== undefined && swept.length === 4 && this.#today - swept.readUInt32LE(0) < RENEW_DAYS) return;
    this.#database.transactionSync(() => {
      this.#database.putSync(marker, today);
      if (swept === undefined) return; // the first scan: everything in it is new
      const range = { start: marker, end: Buffer.concat([marker, Buffer.alloc(NAME_BYTES + 1, 0xff)]) };
      for (const { key, value } of this.#database.getRange(range)) {
        const isOld = isValue(value) && this.#today - value.readUInt32LE(DAY_AT) > 2 * RENEW_DAYS;
        if (isOld) this.#database.removeSync(key);
      }
      for (const { key, value } of this.#database.getRange(range)) {
        if (value.length !== NAME_BYTES) continue;
        if (this.#database.getBinary(Buffer.concat([marker, value])) === undefined) this.#database.removeSync(key);
      }
    });
  }

  async close(): Promise<void> {
    this.flush();
    await this.#database.close();
  }

  #value(key: Buffer): Buffer | undefined {
    const value = this.#get(key);
    return value !== undefined && isValue(value) ? value : undefined;
  }

  #get(key: Buffer): Buffer | undefined {
    return this.#waiting.get(key.toString('latin1')) ?? this.#database.getBinary(key);
  }

  #add(key: Buffer, value: Buffer): void {
    this.#waiting.set(key.toString('latin1'), value);
  }

  #prefixOf(source: SourceId): Buffer {
    const known = this.#prefixes.get(source);
    if (known !== undefined) return known;
    const prefix = Buffer.from(hash(Buffer.from(source))).subarray(0, SOURCE_BYTES);
    this.#prefixes.set(source, prefix);
    return prefix;
  }

  #keyOf({ source, path, link }: CachedFile): Buffer {
    // A path has no NUL, so no link, and no inode, is ever taken for a path.
    return this.#key(source, link === undefined ? path : Buffer.from(`\0${link}`));
  }

  #inodeKeyOf(source: SourceId, inode: string): Buffer {
    return this.#key(source, Buffer.from(`\0\0${inode}`));
  }

  #key(source: SourceId, name: Uint8Array): Buffer {
    return Buffer.concat([this.#prefixOf(source), hash(name).subarray(0, NAME_BYTES)]);
  }
}

const isValue = ({ length }: Buffer): boolean => length === VALUE_BYTES || length === MARKED_VALUE_BYTES;

const markOf = (value: Buffer): number | undefined =>
  value.length === MARKED_VALUE_BYTES ? value.readUInt32LE(MARK_AT) : undefined;

/** Undefined when the file is not as it was. */
function blobOf(value: Buffer, stat: ContentStat): BlobId | undefined {
  const isSame =
    value.readBigUInt64LE(0) === stat.size &&
    value.readBigInt64LE(8) === stat.mtimeNs &&
    value.readBigInt64LE(16) === stat.ctimeNs &&
    value.readBigUInt64LE(24) === BigInt.asUintN(64, stat.ino);
  return isSame ? (hexOf(value.subarray(32, 64)) as BlobId) : undefined;
}

function isRacy(ctimeNs: bigint, readFromNs: bigint): boolean {
  const isCoarse = ctimeNs % SECOND_NS === 0n;
  return ctimeNs > readFromNs - (isCoarse ? RACY_COARSE_NS : RACY_NS);
}

function valueFrom(
  stat: ContentStat,
  { blob, day, mark }: { readonly blob: BlobId; readonly day: number; readonly mark: number | undefined },
): Buffer {
  const value = Buffer.alloc(mark === undefined ? VALUE_BYTES : MARKED_VALUE_BYTES);
  value.writeBigUInt64LE(stat.size, 0);
  value.writeBigInt64LE(stat.mtimeNs, 8);
  value.writeBigInt64LE(stat.ctimeNs, 16);
  value.writeBigUInt64LE(BigInt.asUintN(64, stat.ino), 24);
  value.set(bytesOf(blob), 32);
  value.writeUInt32LE(day, DAY_AT);
  if (mark !== undefined) value.writeUInt32LE(mark, MARK_AT);
  return value;
}

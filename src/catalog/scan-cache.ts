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
 * An LMDB file of its own; the scan worker and the service have it open at once. Keys are hashes (paths may be longer than
 * LMDB's keys): 8 bytes for the source, 24 for the path or, when the inode has several names, for its link.
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
}

/** Puts in one transaction, so that a scan syncs once per this many files that it read. */
const BATCH_PUTS = 1000;
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
const VALUE_BYTES = 68;
const DAY_AT = 64;

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

  /** The blob that the file had when it was last read, if it is unchanged since; undefined: read it. */
  lookup(file: CachedFile, stat: ContentStat): BlobId | undefined {
    const key = this.#keyOf(file);
    const value = this.#waiting.get(key.toString('latin1')) ?? this.#database.getBinary(key);
    if (value === undefined || value.length !== VALUE_BYTES) return undefined;
    if (
      value.readBigUInt64LE(0) !== stat.size ||
      value.readBigInt64LE(8) !== stat.mtimeNs ||
      value.readBigInt64LE(16) !== stat.ctimeNs ||
      value.readBigUInt64LE(24) !== BigInt.asUintN(64, stat.ino)
    ) {
      return undefined;
    }
    const blob = hexOf(value.subarray(32, 64)) as BlobId;
    if (this.#today - value.readUInt32LE(DAY_AT) >= RENEW_DAYS) this.#add(key, valueFrom(stat, blob, this.#today));
    return blob;
  }

  /** `readFromNs`: the wall clock when reading began. Durable after `flush`. */
  put(
    file: CachedFile,
    stat: ContentStat,
    { blob, readFromNs }: { readonly blob: BlobId; readonly readFromNs: bigint },
  ): void {
    if (isRacy(stat.ctimeNs, readFromNs)) return;
    this.#add(this.#keyOf(file), valueFrom(stat, blob, this.#today));
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
      const end = Buffer.concat([marker, Buffer.alloc(KEY_BYTES - SOURCE_BYTES + 1, 0xff)]);
      for (const { key, value } of this.#database.getRange({ start: marker, end })) {
        const old = value.length === VALUE_BYTES && this.#today - value.readUInt32LE(DAY_AT) > 2 * RENEW_DAYS;
        if (old) this.#database.removeSync(key);
      }
    });
  }

  async close(): Promise<void> {
    this.flush();
    await this.#database.close();
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
    // A path has no NUL, so no link is ever taken for a path.
    const name = hash(link === undefined ? path : Buffer.from(`\0${link}`)).subarray(0, KEY_BYTES - SOURCE_BYTES);
    return Buffer.concat([this.#prefixOf(source), name]);
  }
}

function isRacy(ctimeNs: bigint, readFromNs: bigint): boolean {
  const isCoarse = ctimeNs % SECOND_NS === 0n;
  return ctimeNs > readFromNs - (isCoarse ? RACY_COARSE_NS : RACY_NS);
}

function valueFrom(stat: ContentStat, blob: BlobId, day: number): Buffer {
  const value = Buffer.alloc(VALUE_BYTES);
  value.writeBigUInt64LE(stat.size, 0);
  value.writeBigInt64LE(stat.mtimeNs, 8);
  value.writeBigInt64LE(stat.ctimeNs, 16);
  value.writeBigUInt64LE(BigInt.asUintN(64, stat.ino), 24);
  value.set(bytesOf(blob), 32);
  value.writeUInt32LE(day, DAY_AT);
  return value;
}

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
 * **Moved** files, those in a folder that was renamed, are found at the path that they had, and keep its cut mark (cut.ts). For
 * that the cache has where each folder was, by its inode and its time of birth, which a rename changes as little as anything of
 * the files in it. A file has to have the same name, and the same inode, in the same folder: an inode alone proves nothing where
 * inodes are made up at each mount (FAT, much of FUSE), for files that were unpacked together can have equal sizes and times. Such file
 * systems have no time of birth, or a coarse one: what is in their folders is read again after a rename.
 *
 * An LMDB file of its own; the scan worker and the service have it open at once. Keys are hashes (paths may be longer than
 * LMDB's keys): 8 bytes for the source, then 24 for the path or, when the inode has several names, for its link, or 16 for a folder.
 * A file's value is 32 bytes of stat, the blob, the day it was met, and the cut mark if the scan gave one; a folder's is the
 * day and its path. The day's highest bit says of a file that it had no extended attributes: to set one changes the ctime, so
 * those of an unchanged file, which seldom has any, need not be asked for. The sections of a source's last snapshot (section.ts)
 * are one value beside them; what they spare a look-up is looked up every 30 days for its day to be renewed.
 */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { ClusterError } from '../core/fault.js';
import { hash } from '../core/hash.js';
import { type BlobId, bytesOf, hexOf, type ObjectId, type SourceId } from '../core/ids.js';

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
  /** Where it was when it was last met, if its folder was moved since. */
  readonly formerPath?: Uint8Array | undefined;
}

/** Tells a folder from all others of a source, wherever it is, and its inode's next use from this one. */
export interface FolderIdentity {
  /** Of its device and inode. */
  readonly inode: string;
  readonly birthtimeNs: bigint;
}

export interface KnownFile {
  /** Undefined: read it. */
  readonly blob: BlobId | undefined;
  /** The cut mark that it was given last, at whichever path; undefined: none is known. */
  readonly mark: number | undefined;
  /** It is known to have no extended attributes. */
  readonly isBare: boolean;
}

/**
 * Puts in one transaction, which costs one sync, and leaves a free page in the file for each that it rewrites: 70,000 files take
 * 280 bytes each with this many, 450 with eight times as many, which made their first scan a tenth faster.
 */
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
const NAME_BYTES = KEY_BYTES - SOURCE_BYTES;
const DAY_AT = 64;
const BARE_BIT = 2 ** 31;
const MARK_AT = 68;
const VALUE_BYTES = 68;
const MARKED_VALUE_BYTES = 72;
const FOLDER_NAME_BYTES = 16;
/** Of a folder's value. */
const FOLDER_PATH_AT = 4;
/**
 * Of the sections' value: the day, the snapshot, a BLAKE3 of the sections, and these themselves. LMDB checks nothing that it reads:
 * a bit that an SD card lost would put other parcels into a snapshot, and nobody would see.
 */
const DAY_BYTES = 4;
const SECTIONS_HASH_AT = DAY_BYTES + 32;
const SECTIONS_AT = SECTIONS_HASH_AT + 32;
const SECTIONS_NAME = Buffer.from('sections');

/** FAT stamps births in steps of this, HFS+ of 1 s; all others in steps of 100 ns or less. 0 stands for none. */
const COARSE_BIRTH_NS = 10_000_000n;

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
    this.#today = dayAt(nowMs);
  }

  /** The blob that the file had when it was last read, if it is unchanged since. Notes where a moved one is now. */
  lookup(file: CachedFile, stat: ContentStat): KnownFile {
    const key = this.#keyOf(file);
    const here = this.#value(key);
    const blob = here && blobOf(here, stat);
    if (here !== undefined && blob !== undefined) {
      const known = { blob, mark: markOf(here), isBare: isBareValue(here) };
      if (this.#today - dayOf(here) >= RENEW_DAYS) this.#add(key, valueFrom(stat, { ...known, day: this.#today }));
      return known;
    }
    const { formerPath } = file;
    const former = formerPath && this.#value(this.#keyOf({ ...file, path: formerPath }));
    const last = former ?? here;
    const mark = last && markOf(last);
    const formerBlob = former && blobOf(former, stat);
    if (former === undefined || formerBlob === undefined) return { blob: undefined, mark, isBare: false };
    const known = { blob: formerBlob, mark, isBare: isBareValue(former) };
    this.#add(key, valueFrom(stat, { ...known, day: this.#today }));
    return known;
  }

  /** Where a folder was when its scan last came to its end; undefined when that is not known. */
  folderPath(source: SourceId, folder: FolderIdentity): Buffer | undefined {
    return isBornPrecisely(folder) ? this.#get(this.#folderKeyOf(source, folder))?.subarray(FOLDER_PATH_AT) : undefined;
  }

  /** When all that is in it has been looked up. */
  noteFolder(source: SourceId, folder: FolderIdentity, path: Uint8Array): void {
    if (!isBornPrecisely(folder)) return;
    const key = this.#folderKeyOf(source, folder);
    const known = this.#get(key);
    const isNew = known === undefined || this.#today - known.readUInt32LE(0) >= RENEW_DAYS;
    if (!isNew && known.subarray(FOLDER_PATH_AT).equals(path)) return;
    const value = Buffer.alloc(FOLDER_PATH_AT + path.length);
    value.writeUInt32LE(this.#today, 0);
    value.set(path, FOLDER_PATH_AT);
    this.#add(key, value);
  }

  /**
   * `readFromNs`: the wall clock when reading began; `mark`: default the one that is known; `isBare`: default false, nobody
   * has looked. Durable after `flush`.
   */
  put(
    file: CachedFile,
    stat: ContentStat,
    {
      blob,
      readFromNs,
      mark,
      isBare = false,
    }: { readonly blob: BlobId; readonly readFromNs: bigint; readonly mark?: number; readonly isBare?: boolean },
  ): void {
    if (isRacy(stat.ctimeNs, readFromNs)) return;
    const key = this.#keyOf(file);
    const known = mark === undefined ? this.#value(key) : undefined;
    const kept = mark ?? (known && markOf(known));
    this.#add(key, valueFrom(stat, { blob, day: this.#today, mark: kept, isBare }));
  }

  /** The sections (section.ts) of this source that were put with this snapshot; undefined also when they are damaged. */
  sections(source: SourceId, snapshot: ObjectId): Buffer | undefined {
    const value = this.#database.getBinary(this.#sectionsKeyOf(source));
    if (value === undefined || hexOf(value.subarray(DAY_BYTES, SECTIONS_HASH_AT)) !== snapshot) return undefined;
    const sections = value.subarray(SECTIONS_AT);
    return hash(sections).every((byte, at) => value[SECTIONS_HASH_AT + at] === byte) ? sections : undefined;
  }

  /** In place of those of an earlier snapshot. Blocks for one sync. @throws ClusterError STATE_UNWRITABLE */
  putSections(source: SourceId, snapshot: ObjectId, sections: Uint8Array): void {
    const day = Buffer.alloc(DAY_BYTES);
    day.writeUInt32LE(this.#today);
    try {
      this.#database.putSync(
        this.#sectionsKeyOf(source),
        Buffer.concat([day, bytesOf(snapshot), hash(sections), sections]),
      );
    } catch (error) {
      throw this.#unwritable(error);
    }
  }

  /** True when what a scan of that day looked up need not be looked up to be renewed. */
  isFresh({ day }: { readonly day: number }): boolean {
    return this.#today - day < RENEW_DAYS;
  }

  /** Writes what waits. Blocks for one sync. @throws ClusterError STATE_UNWRITABLE */
  flush(): void {
    const waiting = this.#waiting;
    if (waiting.size === 0) return;
    this.#waiting = new Map();
    try {
      this.#database.transactionSync(() => {
        for (const [key, value] of waiting) this.#database.putSync(Buffer.from(key, 'latin1'), value);
      });
    } catch (error) {
      throw this.#unwritable(error);
    }
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
        const day = key.length === KEY_BYTES ? dayOf(value) : value.readUInt32LE(0);
        const isOld = key.length > SOURCE_BYTES && this.#today - day > 2 * RENEW_DAYS;
        if (isOld) this.#database.removeSync(key);
      }
    });
  }

  async close(): Promise<void> {
    this.flush();
    await this.#database.close();
  }

  /** LMDB calls a full disk an input/output error. */
  #unwritable(cause: unknown): ClusterError {
    const { bavail, bsize } = statfsSync(dirname(this.path));
    return new ClusterError(
      'STATE_UNWRITABLE',
      `what was read could not be noted in ${this.path} (${cause instanceof Error ? cause.message : String(cause)}): its disk has ${bavail * bsize} bytes left`,
      { blame: 'passing', cause },
    );
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
    if (this.#waiting.size >= BATCH_PUTS) this.flush();
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
    return this.#key(source, link === undefined ? path : Buffer.from(`\0${link}`), NAME_BYTES);
  }

  #sectionsKeyOf(source: SourceId): Buffer {
    return Buffer.concat([this.#prefixOf(source), SECTIONS_NAME]);
  }

  #folderKeyOf(source: SourceId, { inode, birthtimeNs }: FolderIdentity): Buffer {
    return this.#key(source, Buffer.from(`${inode} ${birthtimeNs}`), FOLDER_NAME_BYTES);
  }

  #key(source: SourceId, name: Uint8Array, bytes: number): Buffer {
    return Buffer.concat([this.#prefixOf(source), hash(name).subarray(0, bytes)]);
  }
}

/** As entries are dated. `nowMs`: the wall clock. */
export const dayAt = (nowMs: number): number => Math.floor(nowMs / DAY_MS);

const isBornPrecisely = ({ birthtimeNs }: FolderIdentity): boolean => birthtimeNs % COARSE_BIRTH_NS !== 0n;

const isValue = ({ length }: Buffer): boolean => length === VALUE_BYTES || length === MARKED_VALUE_BYTES;

const markOf = (value: Buffer): number | undefined =>
  value.length === MARKED_VALUE_BYTES ? value.readUInt32LE(MARK_AT) : undefined;

const dayOf = (value: Buffer): number => value.readUInt32LE(DAY_AT) % BARE_BIT;

const isBareValue = (value: Buffer): boolean => value.readUInt32LE(DAY_AT) >= BARE_BIT;

/** Undefined when the file is not as it was. */
function blobOf(value: Buffer, stat: ContentStat): BlobId | undefined {
  const isSame =
    value.readBigUInt64LE(0) === stat.size &&
    value.readBigInt64LE(8) === stat.mtimeNs &&
    value.readBigInt64LE(16) === stat.ctimeNs &&
    value.readBigUInt64LE(24) === BigInt.asUintN(64, stat.ino);
  return isSame ? (hexOf(value.subarray(32, 64)) as BlobId) : undefined;
}

export function isRacy(ctimeNs: bigint, readFromNs: bigint): boolean {
  const isCoarse = ctimeNs % SECOND_NS === 0n;
  return ctimeNs > readFromNs - (isCoarse ? RACY_COARSE_NS : RACY_NS);
}

function valueFrom(
  stat: ContentStat,
  {
    blob,
    day,
    mark,
    isBare,
  }: { readonly blob: BlobId; readonly day: number; readonly mark: number | undefined; readonly isBare: boolean },
): Buffer {
  const value = Buffer.alloc(mark === undefined ? VALUE_BYTES : MARKED_VALUE_BYTES);
  value.writeBigUInt64LE(stat.size, 0);
  value.writeBigInt64LE(stat.mtimeNs, 8);
  value.writeBigInt64LE(stat.ctimeNs, 16);
  value.writeBigUInt64LE(BigInt.asUintN(64, stat.ino), 24);
  value.set(bytesOf(blob), 32);
  value.writeUInt32LE(isBare ? day + BARE_BIT : day, DAY_AT);
  if (mark !== undefined) value.writeUInt32LE(mark, MARK_AT);
  return value;
}

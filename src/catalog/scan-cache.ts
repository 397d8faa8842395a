/**
 * Scan cache: what a file's content was when it was last read, so that an unchanged file is not read again.
 *
 * Unchanged means: size, mtime (ns), ctime (ns) and inode are as they were. The device number is not compared: many
 * file systems get another one at each boot. Losing the cache costs re-reading and nothing else. Nothing in it is ever
 * sent or restored: it is only believed about which blob a file has.
 *
 * **Racily clean** files, as git calls them, are not kept: such a file was changed so shortly before it was read that a
 * later change could leave the same ctime. It is read again next time. So is a file that was not **settled**, because
 * writing through a mapping (mmap) may leave the file's stat unchanged for a while. An unsettled file is kept for
 * serving the file to others, because whoever receives the bytes checks them.
 *
 * **Moved** files, those in a folder that was renamed, are found at the path that they had, and keep its cut mark
 * (cut.ts). For that the cache has where each folder was, by the folder's inode and time of birth: a rename changes
 * neither, nor anything of the files in it. A file must have the same name and the same inode in the same folder. An
 * inode alone proves nothing on file systems that make up inodes at each mount (FAT, much of FUSE), because files that
 * were unpacked together can have equal sizes and times. Such file systems have no time of birth, or a coarse one: what
 * is in their folders is read again after a rename.
 *
 * The cache is an LMDB file of its own, which the scan worker and the service have open at once. For each source it has
 * the files (scan-cache-format.ts), by path or, when the inode has several names, by link; the folders; and the
 * sections of the last snapshot (section.ts). Entries that a section spares a look-up are still looked up every 30
 * days, to renew their day. The cache also says that a file had no extended attributes: setting one changes the ctime,
 * so an unchanged file, which seldom has any, need not be asked for them.
 *
 * A value in which the disk lost a bit counts as absent. A cache of another format is emptied when it is opened.
 */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { DAY_MS } from '../core/day.js';
import { assert, ClusterError, messageOf } from '../core/fault.js';
import { hash } from '../core/hash.js';
import { type BlobId, bytesOf, hexOf, type ObjectId, type SourceId } from '../core/ids.js';
import {
  blobOf,
  type ContentStat,
  dayOf,
  FOLDER,
  type FolderIdentity,
  fileValue,
  folderDayOf,
  folderKey,
  folderPathOf,
  folderValue,
  HEAD_KEY,
  headValue,
  isBareValue,
  isSettledValue,
  isSound,
  kindKey,
  LINK,
  linkKey,
  markOf,
  numberOf,
  numberValue,
  PATH,
  pathKey,
  SECTIONS,
  SWEPT,
  sourceKey,
  sourcesOf,
} from './scan-cache-format.js';

export interface CachedFile {
  readonly source: SourceId;
  /** Relative to the source's folder. */
  readonly path: Uint8Array;
  /** The entry's link: all names of one inode share what is known. */
  readonly link: string | undefined;
  /** Where the file was when it was last met, if its folder was moved since. */
  readonly formerPath?: Uint8Array | undefined;
}

export interface KnownFile {
  /** Undefined: read it. */
  readonly blob: BlobId | undefined;
  /** The cut mark that the file was last given, at whichever path; undefined: none is known. */
  readonly mark: number | undefined;
  /** The file is known to have no extended attributes. */
  readonly isBare: boolean;
}

/** Puts in one transaction, which costs one sync … */
const BATCH_PUTS = 4000;
/** … or fewer, once their files hold this much content: after a crash, only some seconds of reading are repeated. */
const BATCH_BYTES = 1024 * 1024 * 1024;
/** Kernels stamp ctime from a clock that ticks every 1 to 10 ms. */
export const RACY_NS = 50_000_000n;
/**
 * How old a ctime has to be for a file to be settled, in ms. Linux stamps the first write to a page of a mapped file,
 * and no later write until it has written the page to the disk. That is due after 30 s (vm.dirty_expire_centisecs),
 * Linux checks every 5 s, and a busy disk may take most of a minute. tmpfs never writes pages back, so there such
 * writes may be missed.
 */
export const SETTLE_MS = 90_000;
/** FAT stamps times in steps of 2 s, some network file systems in steps of 1 s: their times have no fraction. */
const RACY_COARSE_NS = 2_100_000_000n;
const SECOND_NS = 1_000_000_000n;
/** An entry's day is renewed when it is older than this, and the entry goes when it is twice as old. */
const RENEW_DAYS = 30;

/**
 * The layout of the sections' value: the day, the snapshot, a BLAKE3 of the sections, and the sections. LMDB does not
 * check what it reads: one bit lost by an SD card would put other parcels into a snapshot, unnoticed.
 */
const DAY_BYTES = 4;
const SECTIONS_HASH_AT = DAY_BYTES + 32;
const SECTIONS_AT = SECTIONS_HASH_AT + 32;

/**
 * FAT stamps births in steps of this, HFS+ in steps of 1 s, all others in steps of 100 ns or less. 0 means no birth
 * time.
 */
const COARSE_BIRTH_NS = 10_000_000n;

export class ScanCache {
  readonly path: string;
  readonly settleMs: number;
  readonly #database: RootDatabase<Buffer, Buffer>;
  readonly #today: number;
  readonly #places = new Map<SourceId, number>();
  /** Values that are not written yet, by the key's bytes as text. */
  #waiting = new Map<string, Buffer>();
  /** Content of the files among the waiting values, in bytes. */
  #waitingBytes = 0;

  /**
   * `path`: a file that may not exist yet; `nowMs`: the wall clock, for the age of entries; `settleMs`: default
   * `SETTLE_MS`.
   */
  constructor(
    path: string,
    { nowMs, settleMs = SETTLE_MS }: { readonly nowMs: number; readonly settleMs?: number | undefined },
  ) {
    this.path = path;
    this.settleMs = settleMs;
    this.#database = open<Buffer, Buffer>({ path, noSubdir: true, keyEncoding: 'binary', encoding: 'binary' });
    this.#today = dayAt(nowMs);
    if (this.#sources === undefined) this.#empty();
  }

  /** The blob that the file had when it was last read, if it is unchanged since. Notes where a moved file is now. */
  lookup(file: CachedFile, stat: ContentStat): KnownFile {
    const key = this.#keyOf(file);
    const here = this.#get(key);
    const blob = here && settledBlobOf(here, stat);
    if (here !== undefined && blob !== undefined) {
      const known = { blob, mark: markOf(here), isBare: isBareValue(here) };
      if (this.#today - dayOf(here) >= RENEW_DAYS) this.#add(key, this.#settledValue(key, stat, known));
      return known;
    }
    const { formerPath } = file;
    const former = formerPath && this.#get(this.#keyOf({ ...file, path: formerPath }));
    const last = former ?? here;
    const mark = last && markOf(last);
    const formerBlob = former && settledBlobOf(former, stat);
    if (former === undefined || formerBlob === undefined) return { blob: undefined, mark, isBare: false };
    const known = { blob: formerBlob, mark, isBare: isBareValue(former) };
    this.#add(key, this.#settledValue(key, stat, known));
    return known;
  }

  /**
   * The blob that the file had when it was last read, settled or not: for serving its bytes to a host that hashes them.
   */
  lastRead(file: CachedFile, stat: ContentStat): BlobId | undefined {
    const value = this.#get(this.#keyOf(file));
    return value && blobOf(value, stat);
  }

  /** Where a folder was when it was last scanned to its end; undefined when that is not known. */
  folderPath(source: SourceId, folder: FolderIdentity): Buffer | undefined {
    const known = isBornPrecisely(folder) ? this.#get(folderKey(this.#placeOf(source), folder)) : undefined;
    return known && folderPathOf(known);
  }

  /** To be called when everything in the folder has been looked up. */
  noteFolder(source: SourceId, folder: FolderIdentity, path: Uint8Array): void {
    if (!isBornPrecisely(folder)) return;
    const key = folderKey(this.#placeOf(source), folder);
    const known = this.#get(key);
    const isNew = known === undefined || this.#today - folderDayOf(known) >= RENEW_DAYS;
    if (isNew || !folderPathOf(known).equals(path)) this.#add(key, folderValue(key, { path, day: this.#today }));
  }

  /**
   * `readFromNs`: the wall clock when reading began; `mark`: default the one that is known; `isBare`: default false,
   * not looked at. Durable after `flush`.
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
    const known = mark === undefined ? this.#get(key) : undefined;
    const kept = mark ?? (known && markOf(known));
    const isSettled = !isRacy(stat.ctimeNs, readFromNs, this.settleMs);
    this.#waitingBytes += Number(stat.size);
    this.#add(key, fileValue(key, stat, { blob, day: this.#today, mark: kept, isBare, isSettled }));
  }

  /**
   * As `put`, but removes what was known of the unchanged file and proved wrong, even when the new value is not kept.
   */
  correct(file: CachedFile, stat: ContentStat, found: { readonly blob: BlobId; readonly readFromNs: bigint }): void {
    const blob = this.lastRead(file, stat);
    if (blob !== undefined && blob !== found.blob) this.#forget(this.#keyOf(file));
    this.put(file, stat, found);
  }

  #forget(key: Buffer): void {
    this.#waiting.delete(key.toString('latin1'));
    this.#write(() => this.#database.removeSync(key));
  }

  /**
   * The sections (section.ts) of this source that were put with this snapshot; undefined also when they are damaged.
   */
  sections(source: SourceId, snapshot: ObjectId): Buffer | undefined {
    const value = this.#database.getBinary(kindKey(SECTIONS, this.#placeOf(source)));
    if (value === undefined || hexOf(value.subarray(DAY_BYTES, SECTIONS_HASH_AT)) !== snapshot) return undefined;
    const sections = value.subarray(SECTIONS_AT);
    return hash(sections).every((byte, at) => value[SECTIONS_HASH_AT + at] === byte) ? sections : undefined;
  }

  /** Replaces those of an earlier snapshot. Blocks for one sync. @throws ClusterError STATE_UNWRITABLE */
  putSections(source: SourceId, snapshot: ObjectId, sections: Uint8Array): void {
    const day = Buffer.alloc(DAY_BYTES);
    day.writeUInt32LE(this.#today);
    const key = kindKey(SECTIONS, this.#placeOf(source));
    const value = Buffer.concat([day, bytesOf(snapshot), hash(sections), sections]);
    this.#write(() => this.#database.putSync(key, value));
  }

  /** True when what a scan looked up on that day need not be looked up again just to renew it. */
  isFresh({ day }: { readonly day: number }): boolean {
    return this.#today - day < RENEW_DAYS;
  }

  /** Writes what waits. Blocks for one sync. @throws ClusterError STATE_UNWRITABLE */
  flush(): void {
    const waiting = this.#waiting;
    if (waiting.size === 0) return;
    this.#waiting = new Map();
    this.#waitingBytes = 0;
    this.#write(() => {
      for (const [key, value] of waiting) this.#database.putSync(Buffer.from(key, 'latin1'), value);
    });
  }

  /**
   * After a whole scan of a source: forgets files that no scan has met for two months. Works at most once in 30 days.
   */
  sweep(source: SourceId): void {
    this.flush();
    const place = this.#placeOf(source);
    const marker = kindKey(SWEPT, place);
    const swept = this.#read(marker);
    if (swept !== undefined && this.#today - numberOf(swept) < RENEW_DAYS) return;
    this.#write(() => {
      this.#database.putSync(marker, numberValue(marker, this.#today));
      if (swept === undefined) return; // the first scan: everything in it is new
      for (const kind of [FOLDER, LINK, PATH] as const) {
        const range = { start: kindKey(kind, place), end: kindKey(kind, place + 1) };
        for (const { key, value } of this.#database.getRange(range)) {
          if (isSound(key, value)) {
            const day = kind === FOLDER ? folderDayOf(value) : dayOf(value);
            if (this.#today - day <= 2 * RENEW_DAYS) continue;
          }
          this.#database.removeSync(key);
        }
      }
    });
  }

  async close(): Promise<void> {
    this.flush();
    await this.#database.close();
  }

  /** How many sources have a place; undefined: the database is new or has another format. */
  get #sources(): number | undefined {
    return sourcesOf(this.#read(HEAD_KEY));
  }

  #empty(): void {
    this.#write(() => {
      if (this.#sources !== undefined) return; // another thread was first
      this.#database.clearSync();
      this.#database.putSync(HEAD_KEY, headValue({ sources: 0 }));
    });
  }

  /** @throws ClusterError STATE_UNWRITABLE */
  #write(work: () => void): void {
    try {
      this.#database.transactionSync(work);
    } catch (error) {
      throw this.#unwritable(error);
    }
    // A worker's loop never turns, so LMDB's own timer would keep one old view of the file open for the whole scan.
    this.#database.resetReadTxn();
  }

  /** LMDB calls a full disk an input/output error. */
  #unwritable(cause: unknown): ClusterError {
    const { bavail, bsize } = statfsSync(dirname(this.path));
    return new ClusterError(
      'STATE_UNWRITABLE',
      `the results of reading could not be saved in ${this.path} (${messageOf(cause)}): its disk has ${bavail * bsize} bytes left. Make room there if that is too little, then try again`,
      { blame: 'passing', cause },
    );
  }

  #get(key: Buffer): Buffer | undefined {
    return this.#waiting.get(key.toString('latin1')) ?? this.#read(key);
  }

  #read(key: Buffer): Buffer | undefined {
    const value = this.#database.getBinary(key);
    return value !== undefined && isSound(key, value) ? value : undefined;
  }

  #add(key: Buffer, value: Buffer): void {
    this.#waiting.set(key.toString('latin1'), value);
    if (this.#waiting.size >= BATCH_PUTS || this.#waitingBytes >= BATCH_BYTES) this.flush();
  }

  #settledValue(
    key: Buffer,
    stat: ContentStat,
    known: { readonly blob: BlobId; readonly mark: number | undefined; readonly isBare: boolean },
  ): Buffer {
    return fileValue(key, stat, { ...known, day: this.#today, isSettled: true });
  }

  #keyOf({ source, path, link }: CachedFile): Buffer {
    const place = this.#placeOf(source);
    return link === undefined ? pathKey(place, path) : linkKey(place, link);
  }

  /** The source's place. A new source gets one behind all others. */
  #placeOf(source: SourceId): number {
    const known = this.#places.get(source);
    if (known !== undefined) return known;
    const key = sourceKey(source);
    if (this.#read(key) === undefined) this.#write(() => this.#givePlace(key));
    const value = this.#read(key);
    assert(value !== undefined, 'a source without a place');
    const place = numberOf(value);
    this.#places.set(source, place);
    return place;
  }

  #givePlace(key: Buffer): void {
    if (this.#read(key) !== undefined) return; // another thread was first
    const place = this.#sources ?? 0;
    this.#database.putSync(key, numberValue(key, place));
    this.#database.putSync(HEAD_KEY, headValue({ sources: place + 1 }));
  }
}

/** The day that entries are dated with. `nowMs`: the wall clock. */
export const dayAt = (nowMs: number): number => Math.floor(nowMs / DAY_MS);

const isBornPrecisely = ({ birthtimeNs }: FolderIdentity): boolean => birthtimeNs % COARSE_BIRTH_NS !== 0n;

const settledBlobOf = (value: Buffer, stat: ContentStat): BlobId | undefined =>
  isSettledValue(value) ? blobOf(value, stat) : undefined;

/**
 * Whether a change after `readFromNs` could leave this ctime. `settleMs`: how long content takes to settle; default 0,
 * for what cannot be mapped into memory.
 */
export function isRacy(ctimeNs: bigint, readFromNs: bigint, settleMs = 0): boolean {
  const tickNs = ctimeNs % SECOND_NS === 0n ? RACY_COARSE_NS : RACY_NS;
  const settleNs = BigInt(settleMs) * 1_000_000n;
  return ctimeNs > readFromNs - (settleNs > tickNs ? settleNs : tickNs);
}

/**
 * Scan cache format: the keys and values of the scan cache (scan-cache.ts).
 *
 * A key is its kind, the source's place (4 bytes, in the order in which sources came) and what the value is about: a
 * path, a link, or a folder's time of birth and inode. Path keys are the last kind, and hold short paths as they are:
 * so files met one after the other are written one after the other, behind everything else when the source is new, and
 * the database fills page after page. Hashes as keys rewrote a fifth of the database for every thousand files: a first
 * scan wrote fifty times what it left behind, and left twice as much.
 *
 * A file's value is 32 bytes of stat, the blob, the day it was met, and the cut mark if the scan gave one; a folder's
 * value is the day and its path. In a file's value the day's highest bit says that the file had no extended attributes,
 * the next bit that it was not settled.
 *
 * LMDB does not check what it reads: one bit lost by an SD card would give a file another blob, which no host has, and
 * the file would never be read again. So each value ends with a CRC-32 of its key and itself, and a value whose CRC is
 * wrong counts as absent. The CRC finds every burst of up to 32 bits, and all but one in 2^32 of other errors; no
 * attacker can write here. Sections are whole parcels, and have a hash (scan-cache.ts).
 */
import { crc32 } from 'node:zlib';
import { hash } from '../core/hash.js';
import { type BlobId, bytesOf, hexOf, type SourceId } from '../core/ids.js';

/** The fields of a `BigIntStats` that tell two contents apart. */
export interface ContentStat {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
}

/** Tells a folder from all others of a source, wherever it is moved, and from a later folder with the same inode. */
export interface FolderIdentity {
  /** A hash of its device and inode: 16 hex digits. */
  readonly inode: string;
  readonly birthtimeNs: bigint;
}

/** The key for the whole database: its format, and how many sources have a place. */
export const HEAD_KEY = Buffer.of(0);
const SOURCE = 1;
/** The day the source was last swept. */
export const SWEPT = 2;
/** The sections of the source's last snapshot. */
export const SECTIONS = 3;
export const FOLDER = 4;
export const LINK = 5;
export const PATH = 6;
type Kind = typeof SWEPT | typeof SECTIONS | typeof FOLDER | typeof LINK | typeof PATH;

/** Format 1 had hashes for keys, and no format number; format 2 had no checks. */
const FORMAT = 3;

const SOURCE_HASH_BYTES = 16;
const HEAD_BYTES = 5;
/** LMDB allows 1978. Paths of this length take 165 bytes a file in full pages, 250 in pages split again and again. */
const PATH_BYTES_MAX = 72;
/** A longer path is cut: its first `PATH_START_BYTES`, then a hash of all of it. */
const PATH_HASH_BYTES = 16;
const PATH_START_BYTES = PATH_BYTES_MAX - PATH_HASH_BYTES;

const STAT_BYTES = 32;
const DAY_AT = 64;
const BARE_BIT = 2 ** 31;
const UNSETTLED_BIT = 2 ** 30;
const MARK_AT = 68;
/** The CRC-32 at the end of each value. */
const CHECK_BYTES = 4;
const VALUE_BYTES = MARK_AT + CHECK_BYTES;
const MARKED_VALUE_BYTES = VALUE_BYTES + 4;
const HEAD_VALUE_BYTES = 8 + CHECK_BYTES;
/** Where the path starts in a folder's value. */
const FOLDER_PATH_AT = 4;
/** The CRC-32 of any bytes followed by their own CRC-32, little-endian. */
const CHECKED = 0x2144df1c;

/** What is known of a file's content. */
export interface FileValue {
  readonly blob: BlobId;
  readonly day: number;
  readonly mark: number | undefined;
  readonly isBare: boolean;
  /** A later change of the content would have changed the file's stat. */
  readonly isSettled: boolean;
}

/** Writes the check into the value's last bytes, which must have been left free for it. */
function checked(key: Uint8Array, value: Buffer): Buffer {
  const end = value.length - CHECK_BYTES;
  value.writeUInt32LE(crc32(value.subarray(0, end), crc32(key)), end);
  return value;
}

/** Whether the value is as it was written, and was written under this key. */
export const isSound = (key: Uint8Array, value: Uint8Array): boolean => crc32(value, crc32(key)) === CHECKED;

export function headValue({ sources }: { readonly sources: number }): Buffer {
  const value = Buffer.alloc(HEAD_VALUE_BYTES);
  value.writeUInt32LE(FORMAT, 0);
  value.writeUInt32LE(sources, 4);
  return checked(HEAD_KEY, value);
}

/** How many sources have a place; undefined: the database is new or has another format. */
export const sourcesOf = (head: Buffer | undefined): number | undefined =>
  head?.length === HEAD_VALUE_BYTES && head.readUInt32LE(0) === FORMAT ? head.readUInt32LE(4) : undefined;

/** The value for a source's place, or for a day. */
export function numberValue(key: Uint8Array, number: number): Buffer {
  const value = Buffer.alloc(4 + CHECK_BYTES);
  value.writeUInt32LE(number);
  return checked(key, value);
}

export const numberOf = (value: Buffer): number => value.readUInt32LE(0);

/** The key of a source's place. */
export const sourceKey = (source: SourceId): Buffer =>
  Buffer.concat([Buffer.of(SOURCE), hash(Buffer.from(source)).subarray(0, SOURCE_HASH_BYTES)]);

/** The first of a source's keys of the kind. */
export function kindKey(kind: Kind, place: number): Buffer {
  const key = Buffer.alloc(HEAD_BYTES);
  key[0] = kind;
  key.writeUInt32BE(place, 1);
  return key;
}

export function pathKey(place: number, path: Uint8Array): Buffer {
  // A whole path is always shorter than a cut one, so the two cannot be mistaken for each other.
  const isWhole = path.length < PATH_BYTES_MAX;
  const key = Buffer.allocUnsafe(HEAD_BYTES + (isWhole ? path.length : PATH_BYTES_MAX));
  key[0] = PATH;
  key.writeUInt32BE(place, 1);
  key.set(isWhole ? path : path.subarray(0, PATH_START_BYTES), HEAD_BYTES);
  if (!isWhole) key.set(hash(path).subarray(0, PATH_HASH_BYTES), HEAD_BYTES + PATH_START_BYTES);
  return key;
}

export const linkKey = (place: number, link: string): Buffer =>
  Buffer.concat([kindKey(LINK, place), Buffer.from(link, 'latin1')]);

/** Begins with the time of birth, so that folders made one after the other have neighbouring keys. */
export function folderKey(place: number, { inode, birthtimeNs }: FolderIdentity): Buffer {
  const birth = Buffer.alloc(8);
  // A damaged file system may give any number.
  birth.writeBigInt64BE(BigInt.asIntN(64, birthtimeNs));
  return Buffer.concat([kindKey(FOLDER, place), birth, Buffer.from(inode, 'latin1')]);
}

const stats = new BigInt64Array(STAT_BYTES / 8);
const statBytes = Buffer.from(stats.buffer);

/** The next call overwrites the returned bytes. */
function bytesOfStat({ size, mtimeNs, ctimeNs, ino }: ContentStat): Buffer {
  stats[0] = size;
  stats[1] = mtimeNs;
  stats[2] = ctimeNs;
  stats[3] = ino;
  return statBytes;
}

export function fileValue(
  key: Uint8Array,
  stat: ContentStat,
  { blob, day, mark, isBare, isSettled }: FileValue,
): Buffer {
  const value = Buffer.allocUnsafe(mark === undefined ? VALUE_BYTES : MARKED_VALUE_BYTES);
  value.set(bytesOfStat(stat));
  value.set(bytesOf(blob), STAT_BYTES);
  value.writeUInt32LE(day + (isBare ? BARE_BIT : 0) + (isSettled ? 0 : UNSETTLED_BIT), DAY_AT);
  if (mark !== undefined) value.writeUInt32LE(mark, MARK_AT);
  return checked(key, value);
}

/** Undefined when the file's stat has changed. */
export const blobOf = (value: Buffer, stat: ContentStat): BlobId | undefined =>
  value.compare(bytesOfStat(stat), 0, STAT_BYTES, 0, STAT_BYTES) === 0
    ? (hexOf(value.subarray(STAT_BYTES, DAY_AT)) as BlobId)
    : undefined;

export const markOf = (value: Buffer): number | undefined =>
  value.length === MARKED_VALUE_BYTES ? value.readUInt32LE(MARK_AT) : undefined;

export const dayOf = (value: Buffer): number => value.readUInt32LE(DAY_AT) % UNSETTLED_BIT;

export const isBareValue = (value: Buffer): boolean => value.readUInt32LE(DAY_AT) >= BARE_BIT;

export const isSettledValue = (value: Buffer): boolean => value.readUInt32LE(DAY_AT) % BARE_BIT < UNSETTLED_BIT;

export function folderValue(
  key: Uint8Array,
  { path, day }: { readonly path: Uint8Array; readonly day: number },
): Buffer {
  const value = Buffer.alloc(FOLDER_PATH_AT + path.length + CHECK_BYTES);
  value.writeUInt32LE(day, 0);
  value.set(path, FOLDER_PATH_AT);
  return checked(key, value);
}

export const folderDayOf = (value: Buffer): number => value.readUInt32LE(0);

export const folderPathOf = (value: Buffer): Buffer => value.subarray(FOLDER_PATH_AT, -CHECK_BYTES);

/**
 * Scan cache format: the keys and values of the scan cache (scan-cache.ts).
 *
 * A key is its kind, the source's place (4 bytes, in the order in which sources came) and what it is of: a path, a link, or a
 * folder's time of birth and inode. Paths are the last kind, and stand in them as they are as long as they are short: so what is met
 * in a row is written in a row, behind all that is there when the source is new, and the database fills page after page. Keys
 * that are hashes rewrote a fifth of it for every thousand files: a first scan wrote fifty times what it left behind, and
 * that was twice as much.
 *
 * A file's value is 32 bytes of stat, the blob, the day it was met, and the cut mark if the scan gave one; a folder's is the
 * day and its path. The day's highest bit says of a file that it had no extended attributes, the next that it was not settled.
 *
 * LMDB checks nothing that it reads: a bit that an SD card lost would give a file another blob, which nobody has, and nothing would
 * ever read the file again. So each value ends with a CRC-32 of its key and itself, and one of which that is wrong is none. It finds
 * every burst of up to 32 bits, and all but one in 2^32 of what else there is; nobody who means harm writes here. Sections are whole
 * parcels, and have a hash (scan-cache.ts).
 */
import { crc32 } from 'node:zlib';
import { hash } from '../core/hash.js';
import { type BlobId, bytesOf, hexOf, type SourceId } from '../core/ids.js';

/** What of a `BigIntStats` tells two contents apart. */
export interface ContentStat {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
}

/** Tells a folder from all others of a source, wherever it is, and its inode's next use from this one. */
export interface FolderIdentity {
  /** Of its device and inode: 16 hex digits. */
  readonly inode: string;
  readonly birthtimeNs: bigint;
}

/** Of the database as a whole: its format, and how many sources have a place. */
export const HEAD_KEY = Buffer.of(0);
const SOURCE = 1;
/** When the source was swept last. */
export const SWEPT = 2;
/** The sections of its last snapshot. */
export const SECTIONS = 3;
export const FOLDER = 4;
export const LINK = 5;
export const PATH = 6;
type Kind = typeof SWEPT | typeof SECTIONS | typeof FOLDER | typeof LINK | typeof PATH;

/** 1 had hashes for keys, and no such number; 2 no checks. */
const FORMAT = 3;

const SOURCE_HASH_BYTES = 16;
const HEAD_BYTES = 5;
/** LMDB takes 1978. A path of this many makes 165 bytes a file in full pages, 250 in pages that are split again and again. */
const PATH_BYTES_MAX = 72;
/** Of a longer path: so much of it as it is, and a hash of all. */
const PATH_HASH_BYTES = 16;
const PATH_START_BYTES = PATH_BYTES_MAX - PATH_HASH_BYTES;

const STAT_BYTES = 32;
const DAY_AT = 64;
const BARE_BIT = 2 ** 31;
const UNSETTLED_BIT = 2 ** 30;
const MARK_AT = 68;
/** Of each value, at its end. */
const CHECK_BYTES = 4;
const VALUE_BYTES = MARK_AT + CHECK_BYTES;
const MARKED_VALUE_BYTES = VALUE_BYTES + 4;
const HEAD_VALUE_BYTES = 8 + CHECK_BYTES;
/** Of a folder's value. */
const FOLDER_PATH_AT = 4;
/** What CRC-32 gives of any bytes that have their own CRC-32 behind them, little-endian. */
const CHECKED = 0x2144df1c;

/** What is known of a file's content. */
export interface FileValue {
  readonly blob: BlobId;
  readonly day: number;
  readonly mark: number | undefined;
  readonly isBare: boolean;
  /** A later change would have changed its stat. */
  readonly isSettled: boolean;
}

/** Its last bytes, left free for that, become its check. */
function checked(key: Uint8Array, value: Buffer): Buffer {
  const end = value.length - CHECK_BYTES;
  value.writeUInt32LE(crc32(value.subarray(0, end), crc32(key)), end);
  return value;
}

/** Whether it is as it was written, and under this key. */
export const isSound = (key: Uint8Array, value: Uint8Array): boolean => crc32(value, crc32(key)) === CHECKED;

export function headValue({ sources }: { readonly sources: number }): Buffer {
  const value = Buffer.alloc(HEAD_VALUE_BYTES);
  value.writeUInt32LE(FORMAT, 0);
  value.writeUInt32LE(sources, 4);
  return checked(HEAD_KEY, value);
}

/** How many sources have a place; undefined: all of it is of another format. */
export const sourcesOf = (head: Buffer | undefined): number | undefined =>
  head?.length === HEAD_VALUE_BYTES && head.readUInt32LE(0) === FORMAT ? head.readUInt32LE(4) : undefined;

/** Of a source's place, or a day. */
export function numberValue(key: Uint8Array, number: number): Buffer {
  const value = Buffer.alloc(4 + CHECK_BYTES);
  value.writeUInt32LE(number);
  return checked(key, value);
}

export const numberOf = (value: Buffer): number => value.readUInt32LE(0);

/** Of a source's place. */
export const sourceKey = (source: SourceId): Buffer =>
  Buffer.concat([Buffer.of(SOURCE), hash(Buffer.from(source)).subarray(0, SOURCE_HASH_BYTES)]);

/** The first of all keys of the kind that a source has. */
export function kindKey(kind: Kind, place: number): Buffer {
  const key = Buffer.alloc(HEAD_BYTES);
  key[0] = kind;
  key.writeUInt32BE(place, 1);
  return key;
}

export function pathKey(place: number, path: Uint8Array): Buffer {
  // Of whole ones none is as long as those with a hash.
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

/** Folders that were made one after the other stand side by side. */
export function folderKey(place: number, { inode, birthtimeNs }: FolderIdentity): Buffer {
  const birth = Buffer.alloc(8);
  // A damaged file system may give any.
  birth.writeBigInt64BE(BigInt.asIntN(64, birthtimeNs));
  return Buffer.concat([kindKey(FOLDER, place), birth, Buffer.from(inode, 'latin1')]);
}

const stats = new BigInt64Array(STAT_BYTES / 8);
const statBytes = Buffer.from(stats.buffer);

/** The bytes are written over by the next call. */
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

/** Undefined when the file is not as it was. */
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

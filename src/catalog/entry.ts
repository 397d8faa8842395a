/**
 * Entry: one path of a source, with what a restore needs to bring it back.
 *
 * In bytes it is an array: path, kind, mode, uid, gid, user, group, mtime, size, blob, target, link, device, xattrs,
 * flags. Names, targets and values are bytes, never normalised. Fields that a kind does not have are null or 0, so that
 * equal entries have equal bytes: a record's id, and so a parcel's, depends on that.
 */
import { encode } from 'cborg';
import { EMPTY_BLOB } from '../core/hash.js';
import { type BlobId, bytesOf } from '../core/ids.js';
import { ACCOUNT_NAME_MAX } from './account-names.js';
import {
  MalformedObject,
  readArray,
  readBack,
  readBigCount,
  readBytes,
  readCount,
  readHex,
  readText,
} from './malformed-object.js';
import { isEntryPath } from './path-order.js';
import { escapePath } from './path-text.js';

/**
 * An entry's code on disk is its kind's place in this list. `socket` is reserved: the scan leaves sockets out, as
 * restic does.
 */
export const ENTRY_KINDS = ['file', 'directory', 'symlink', 'fifo', 'socket', 'block-device', 'char-device'] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

export interface Xattr {
  readonly name: Buffer;
  readonly value: Buffer;
}

export interface Entry {
  /** Relative to the source's folder, `/` between components. Empty for that folder itself, always the first entry. */
  readonly path: Buffer;
  readonly kind: EntryKind;
  /** The lower 12 bits: permissions, setuid, setgid, sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Names on the origin at the time of the scan; empty where it had none for the number. */
  readonly user: string;
  readonly group: string;
  /** Nanoseconds since 1970, 64 bits with sign (`storableMtime`). */
  readonly mtimeNs: bigint;
  /** Bytes of content; 0 unless a file. */
  readonly size: number;
  /** A file's content (`EMPTY_BLOB` exactly when size is 0); undefined for other kinds. */
  readonly blob: BlobId | undefined;
  /** A symlink's target, which may point anywhere or nowhere; undefined for other kinds. */
  readonly target: Buffer | undefined;
  /**
   * Entries of one snapshot with equal links were names of one inode: 16 hex digits. Undefined when the inode had one name.
   * A restore makes a hard link only where the blobs are equal too: a file may change between two of its names.
   */
  readonly link: string | undefined;
  /** The device number of a block or character device; 0 for other kinds. */
  readonly device: bigint;
  /**
   * The attributes that the rule keeps (xattr-rule.ts), POSIX ACLs among them. Names strictly ascending in byte order.
   */
  readonly xattrs: readonly Xattr[];
  /**
   * Carried over from an earlier snapshot, whole or in some attributes, because these could not be read for this one.
   */
  readonly stale: boolean;
  /** This directory was the root of another file system than its parent's. */
  readonly mount: boolean;
}

/** Linux's PATH_MAX (macOS has 1024): nothing longer can be opened by name. */
export const PATH_BYTES_MAX = 4096;
/** A symlink's target has the limit of a path. */
export const TARGET_BYTES_MAX = 4096;
/** All attributes of one inode on Linux's common file systems fit in 64 KiB, names and values. */
export const XATTR_BYTES_MAX = 64 * 1024;
export const XATTR_COUNT_MAX = 256;
/** Linux's XATTR_NAME_MAX; the others' are shorter. */
export const XATTR_NAME_BYTES_MAX = 255;
/** Two mtimes closer than this count as equal: file systems, archives and Node's own `utimes` round below it. */
export const MTIME_SAME_NS = 1_000n;

const STALE = 1;
const MOUNT = 2;
const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;
const UINT32_MAX = 2 ** 32 - 1;

/**
 * The nearest time that an entry can have: from 1677-09-21 to 2262-04-11. Some file systems take others (ext4 up to the year
 * 2446, XFS 2486, tmpfs and Btrfs any), which anybody who owns a file may give it.
 */
export function storableMtime(mtimeNs: bigint): bigint {
  if (mtimeNs > INT64_MAX) return INT64_MAX;
  return mtimeNs < -INT64_MAX - 1n ? -INT64_MAX - 1n : mtimeNs;
}

/** The entry's place in a record's array. */
export function entryFields(entry: Entry): readonly unknown[] {
  return [
    entry.path,
    ENTRY_KINDS.indexOf(entry.kind),
    entry.mode,
    entry.uid,
    entry.gid,
    entry.user,
    entry.group,
    entry.mtimeNs,
    entry.size,
    entry.blob === undefined ? null : bytesOf(entry.blob),
    entry.target ?? null,
    entry.link === undefined ? null : bytesOf(entry.link),
    entry.device,
    entry.xattrs.map(({ name, value }) => [name, value]),
    (entry.stale ? STALE : 0) | (entry.mount ? MOUNT : 0),
  ];
}

/**
 * @throws Error that is a bug, when no host could read it: a record with such an entry would keep all that is in its parcel
 * from being copied
 */
export function encodeEntry(entry: Entry): Uint8Array {
  const fields = entryFields(entry);
  readBack(
    () => `entry of ${escapePath(entry.path)}`,
    () => entryFrom(fields),
  );
  return encode(fields);
}

/**
 * No encoded entry is longer than this. Cutting counts with this bound instead of the exact size, so that it need not
 * encode the entries of unchanged runs. 128: the fields of fixed size and all heads take at most 104 bytes.
 */
export function entryBytesBound(entry: Entry): number {
  let bytes = 128 + entry.path.length + (entry.target?.length ?? 0) + 3 * (entry.user.length + entry.group.length);
  for (const { name, value } of entry.xattrs) bytes += 12 + name.length + value.length;
  return bytes;
}

/** @throws MalformedObject on anything that `entryFields` cannot have made from an honest entry. */
export function entryFrom(value: unknown): Entry {
  const fields = readArray(value, 'entry', { min: 15, max: 15 });
  const path = readBytes(fields[0], 'path', { min: 0, max: PATH_BYTES_MAX });
  if (!isEntryPath(path))
    throw new MalformedObject('path: absolute, or with an empty, "." or ".." component, or a NUL');
  const kind = ENTRY_KINDS[readCount(fields[1], 'kind', { max: ENTRY_KINDS.length - 1 })];
  if (kind === undefined) throw new MalformedObject('kind: unknown');
  if (path.length === 0 && kind !== 'directory') throw new MalformedObject('path: empty, but not a directory');
  const size = readCount(fields[8], 'size');
  const isFile = kind === 'file';
  if (!isFile && size !== 0) throw new MalformedObject('size: not 0, but not a file');
  const blob = orNull(fields[9], isFile, 'blob', field => readHex(field, 'blob', 32)) as BlobId | undefined;
  if (isFile && (size === 0) !== (blob === EMPTY_BLOB)) throw new MalformedObject('blob: does not fit the size');
  const target = orNull(fields[10], kind === 'symlink', 'target', field =>
    readBytes(field, 'target', { min: 1, max: TARGET_BYTES_MAX }),
  );
  if (target?.includes(0)) throw new MalformedObject('target: a NUL');
  const isDevice = kind === 'block-device' || kind === 'char-device';
  const flags = readCount(fields[14], 'flags', { max: STALE | MOUNT });
  const mount = (flags & MOUNT) !== 0;
  if (mount && kind !== 'directory') throw new MalformedObject('flags: a mount point, but not a directory');
  return {
    path,
    kind,
    mode: readCount(fields[2], 'mode', { max: 0o7777 }),
    uid: readCount(fields[3], 'uid', { max: UINT32_MAX }),
    gid: readCount(fields[4], 'gid', { max: UINT32_MAX }),
    user: readText(fields[5], 'user', { max: ACCOUNT_NAME_MAX }),
    group: readText(fields[6], 'group', { max: ACCOUNT_NAME_MAX }),
    mtimeNs: readBigCount(fields[7], 'mtime', { min: -INT64_MAX - 1n, max: INT64_MAX }),
    size,
    blob,
    target,
    link: fields[11] === null ? undefined : readHex(fields[11], 'link', 8),
    device: readBigCount(fields[12], 'device', { min: 0n, max: isDevice ? UINT64_MAX : 0n }),
    xattrs: xattrsFrom(fields[13]),
    stale: (flags & STALE) !== 0,
    mount,
  };
}

function orNull<T>(value: unknown, wanted: boolean, what: string, read: (value: unknown) => T): T | undefined {
  if (wanted) return read(value);
  if (value !== null) throw new MalformedObject(`${what}: this kind of entry has none`);
  return undefined;
}

function xattrsFrom(value: unknown): readonly Xattr[] {
  let bytes = 0;
  let last: Buffer | undefined;
  return readArray(value, 'xattrs', { max: XATTR_COUNT_MAX }).map(pair => {
    const [nameField, valueField] = readArray(pair, 'xattr', { min: 2, max: 2 });
    const name = readBytes(nameField, 'xattr name', { min: 1, max: XATTR_NAME_BYTES_MAX });
    const content = readBytes(valueField, 'xattr value', { min: 0, max: XATTR_BYTES_MAX });
    bytes += name.length + content.length;
    if (bytes > XATTR_BYTES_MAX) throw new MalformedObject(`xattrs: more than ${XATTR_BYTES_MAX} bytes`);
    if (last !== undefined && Buffer.compare(last, name) >= 0)
      throw new MalformedObject('xattrs: not in ascending order');
    last = name;
    return { name, value: content };
  });
}

/** True when the two entries say the same: all fields equal, mtimes less than 1 µs apart. */
export function sameEntry(a: Entry, b: Entry): boolean {
  const apart = a.mtimeNs - b.mtimeNs;
  return (
    apart < MTIME_SAME_NS &&
    apart > -MTIME_SAME_NS &&
    a.kind === b.kind &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.user === b.user &&
    a.group === b.group &&
    a.size === b.size &&
    a.blob === b.blob &&
    a.link === b.link &&
    a.device === b.device &&
    a.stale === b.stale &&
    a.mount === b.mount &&
    a.path.equals(b.path) &&
    (a.target === undefined ? b.target === undefined : b.target !== undefined && a.target.equals(b.target)) &&
    sameXattrs(a.xattrs, b.xattrs)
  );
}

export const sameXattrs = (a: readonly Xattr[], b: readonly Xattr[]): boolean =>
  a.length === b.length &&
  a.every((xattr, index) => {
    const other = b[index];
    return other !== undefined && xattr.name.equals(other.name) && xattr.value.equals(other.value);
  });

/**
 * Stat calls: the stat of a name in an open folder, whatever has become of the names that led to the folder.
 *
 * By statx(2), whose answer has the same form on every processor; the offsets are below. It costs half of Node's
 * `lstatSync` of a whole path, and a scan makes one call for each file.
 *
 * Bound by posix.ts.
 */
import { type BigIntStats, constants } from 'node:fs';
import type { LibraryHandle } from 'koffi';

/** The fields of Node's stats that a scan uses. */
export type NameStat = Pick<
  BigIntStats,
  | 'dev'
  | 'ino'
  | 'mode'
  | 'nlink'
  | 'uid'
  | 'gid'
  | 'rdev'
  | 'size'
  | 'mtimeNs'
  | 'ctimeNs'
  | 'birthtimeNs'
  | 'isFile'
  | 'isDirectory'
  | 'isSymbolicLink'
  | 'isSocket'
  | 'isFIFO'
  | 'isBlockDevice'
  | 'isCharacterDevice'
>;

/**
 * As Node's stats: `folder` is a descriptor, `name` Latin-1, a symlink is not followed. Undefined: it failed; Node's
 * own call says why.
 */
export type StatAt = (folder: number, name: string) => NameStat | undefined;

const { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } = constants;
const AT_SYMLINK_NOFOLLOW = 0x100;
/** Everything that every file system has, and the time of birth: what Node asks for. */
const STATX_BASIC_AND_BTIME = 0xfff;
const STATX_BYTES = 256;
/** Linux's. */
const NAME_BYTES_MAX = 255;
const SECOND_NS = 1_000_000_000n;

/** Offsets in bytes of the answer's fields. */
const NLINK = 16;
const UID = 20;
const GID = 24;
const MODE = 28;
const INO = 32;
const SIZE = 40;
const BTIME = 80;
const CTIME = 96;
const MTIME = 112;
const RDEV = 128;
const DEV = 136;
/** Offset of a time's nanoseconds from its seconds, and of a device number's minor part from its major part. */
const NANOSECONDS = 8;
const MINOR = 4;

class StatxStat implements NameStat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly rdev: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly birthtimeNs: bigint;
  readonly #format: number;

  constructor({ halves, words, longs, signedLongs }: Answer) {
    const word = (at: number): number => words[at / 4] ?? 0;
    const time = (at: number): bigint => (signedLongs[at / 8] ?? 0n) * SECOND_NS + BigInt(word(at + NANOSECONDS));
    const mode = halves[MODE / 2] ?? 0;
    this.dev = deviceOf(word(DEV), word(DEV + MINOR));
    this.ino = longs[INO / 8] ?? 0n;
    this.mode = BigInt(mode);
    this.nlink = BigInt(word(NLINK));
    this.uid = BigInt(word(UID));
    this.gid = BigInt(word(GID));
    this.rdev = deviceOf(word(RDEV), word(RDEV + MINOR));
    this.size = longs[SIZE / 8] ?? 0n;
    this.mtimeNs = time(MTIME);
    this.ctimeNs = time(CTIME);
    this.birthtimeNs = time(BTIME);
    this.#format = mode & S_IFMT;
  }

  isFile(): boolean {
    return this.#format === S_IFREG;
  }

  isDirectory(): boolean {
    return this.#format === S_IFDIR;
  }

  isSymbolicLink(): boolean {
    return this.#format === S_IFLNK;
  }

  isSocket(): boolean {
    return this.#format === S_IFSOCK;
  }

  isFIFO(): boolean {
    return this.#format === S_IFIFO;
  }

  isBlockDevice(): boolean {
    return this.#format === S_IFBLK;
  }

  isCharacterDevice(): boolean {
    return this.#format === S_IFCHR;
  }
}

/** The same bytes, seen as numbers of each size. */
interface Answer {
  readonly halves: Uint16Array;
  readonly words: Uint32Array;
  readonly longs: BigUint64Array;
  readonly signedLongs: BigInt64Array;
}

/** @throws when the C library has no statx (musl before 1.2.3) */
export function bindStatAt(libc: LibraryHandle): StatAt {
  const statx = libc.func('statx', 'int', ['int', 'const uint8_t *', 'int', 'uint', 'uint8_t *']);
  // Each thread has its own, and they are used only until the next call.
  const nameBytes = Buffer.alloc(NAME_BYTES_MAX + 1);
  const bytes = new Uint8Array(STATX_BYTES);
  const answer: Answer = {
    halves: new Uint16Array(bytes.buffer),
    words: new Uint32Array(bytes.buffer),
    longs: new BigUint64Array(bytes.buffer),
    signedLongs: new BigInt64Array(bytes.buffer),
  };
  return (folder, name) => {
    if (name.length > NAME_BYTES_MAX) return undefined;
    nameBytes[nameBytes.write(name, 'latin1')] = 0;
    const isHad = statx(folder, nameBytes, AT_SYMLINK_NOFOLLOW, STATX_BASIC_AND_BTIME, bytes) === 0;
    return isHad ? new StatxStat(answer) : undefined;
  };
}

/** As C's `makedev`. */
function deviceOf(major: number, minor: number): bigint {
  // Nearly all device numbers.
  if (major < 0x1000 && minor < 0x100) return BigInt(major * 0x100 + minor);
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}

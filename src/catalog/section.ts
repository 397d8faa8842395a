/**
 * Section: consecutive entries that were cut into whole parcels, and are cut into the same ones again while all are
 * unchanged.
 *
 * A section reaches from one place where the cutter held nothing to the next, so its parcels depend on its own entries
 * alone. A scan that meets the same paths with the same stats names the section instead of giving the entries: they are
 * not looked up, sent, decoded or cut, and its parcels are used again (parcel-builder.ts). The rule is that of the scan
 * cache: size, mtime, ctime and inode are unchanged, and here owner and mode too.
 *
 * A run of entries is no section, and is given one by one, if any of them is carried over, racily clean or not settled,
 * has extended attributes, is on another file system than the source's folder or in a bind mount, or has another cut
 * mark than that of its path.
 *
 * The sections of a snapshot are kept with the scan cache, in 150 bytes for some 64 files, and lost with it.
 */
import { createHasher, type Hasher } from '../core/hash.js';
import type { NameStat } from '../platform/stat-calls.js';

export interface Section {
  readonly opening: Buffer;
  /** `SectionPrint` of its entries. */
  readonly print: Buffer;
  /** The day on which its entries were last looked up in the scan cache. */
  readonly day: number;
  /** The place of its first parcel in the snapshot, and how many there are. */
  readonly ordinal: number;
  readonly parcels: number;
  readonly entries: number;
  readonly files: number;
  readonly bytes: number;
  /** How many entries are right below the source's folder. */
  readonly top: number;
}

/**
 * Entries of a section, and so the number of stats that the scan holds back. One run and the large files inside it are
 * at most half of this.
 */
export const SECTION_ENTRIES_MAX = 1024;

const PRINT_BYTES = 32;
/** What precedes the path: print, bytes, and seven 32-bit numbers, the last of which is the path's length. */
const HEAD_BYTES = PRINT_BYTES + 8 + 7 * 4;

export function encodeSection(section: Section): Buffer {
  const { opening, print, day, ordinal, parcels, entries, files, bytes, top } = section;
  const frame = Buffer.alloc(HEAD_BYTES + opening.length);
  frame.set(print);
  let at = frame.writeDoubleLE(bytes, PRINT_BYTES);
  for (const number of [day, ordinal, parcels, entries, files, top, opening.length])
    at = frame.writeUInt32LE(number, at);
  frame.set(opening, at);
  return frame;
}

export function* decodeSections(frames: Buffer): Generator<Section> {
  for (let start = 0; start < frames.length; ) {
    const number = (index: number): number => frames.readUInt32LE(start + PRINT_BYTES + 8 + index * 4);
    const end = start + HEAD_BYTES + number(6);
    yield {
      opening: frames.subarray(start + HEAD_BYTES, end),
      print: frames.subarray(start, start + PRINT_BYTES),
      day: number(0),
      ordinal: number(1),
      parcels: number(2),
      entries: number(3),
      files: number(4),
      bytes: frames.readDoubleLE(start + PRINT_BYTES),
      top: number(5),
    };
    start = end;
  }
}

export const STAT_BYTES = 72;
const stats = new BigInt64Array(STAT_BYTES / 8);
const statBytes = Buffer.from(stats.buffer);

/** Everything of a stat that an entry depends on. The next call overwrites the returned bytes. */
export function statPrint(stat: NameStat): Buffer {
  stats[0] = stat.size;
  stats[1] = stat.mtimeNs;
  stats[2] = stat.ctimeNs;
  stats[3] = stat.ino;
  stats[4] = stat.rdev;
  stats[5] = stat.mode;
  stats[6] = stat.uid;
  stats[7] = stat.gid;
  stats[8] = stat.nlink;
  return statBytes;
}

export const ownerText = (user: string, group: string): string => `${user}\0${group}`;

/** Bytes hashed at once: a call for each part would cost more than the hashing. */
const GATHERED_BYTES = 64 * 1024;
/** A path, a stat, two account names of 256 characters and their lengths. */
const ENTRY_BYTES_MAX = 8 * 1024;

/** BLAKE3 over the paths, stats and owners' names of one section's entries at a time. */
export class SectionPrint {
  #hasher: Hasher | undefined;
  readonly #gathered = Buffer.allocUnsafe(GATHERED_BYTES);
  #length = 0;
  /** The last owner, which most often is also that of the next entry. */
  #owner = '';
  #ownerBytes = Buffer.alloc(0);

  /** `stat`: from `statPrint`; `owner`: the names of the user and the group. */
  add({ path, stat, owner }: { readonly path: Buffer; readonly stat: Uint8Array; readonly owner: string }): void {
    if (this.#length + ENTRY_BYTES_MAX > GATHERED_BYTES) this.#feed();
    const gathered = this.#gathered;
    let at = gathered.writeUInt16LE(path.length, this.#length);
    gathered.set(path, at);
    at += path.length;
    gathered.set(stat, at);
    at += stat.length;
    if (owner !== this.#owner) {
      this.#owner = owner;
      this.#ownerBytes = Buffer.from(owner);
    }
    at = gathered.writeUInt16LE(this.#ownerBytes.length, at);
    gathered.set(this.#ownerBytes, at);
    this.#length = at + this.#ownerBytes.length;
  }

  /** The print of everything added since the last digest. */
  digest(): Buffer {
    const hasher = this.#feed();
    this.#hasher = undefined;
    return Buffer.from(hasher.digest());
  }

  /** Forgets what was added. */
  clear(): void {
    this.#hasher?.dispose();
    this.#hasher = undefined;
    this.#length = 0;
  }

  #feed(): Hasher {
    this.#hasher ??= createHasher();
    this.#hasher.update(this.#gathered.subarray(0, this.#length));
    this.#length = 0;
    return this.#hasher;
  }
}

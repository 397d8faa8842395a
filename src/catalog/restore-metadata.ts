/**
 * Restore metadata: owner, attributes, mode and time of what a restore has made.
 *
 * Owner (by number) only as root; otherwise everything belongs to the caller, which is no fault. What was the caller's own has its
 * group again, if it is one of the caller's; else that is told. Setuid and setgid bits stay only where the owner they speak for is
 * the real one. What cannot be set is told and does not stop anything.
 */
import { type BigIntStats, fchmodSync, fchownSync, fstatSync, lchownSync, lstatSync, lutimesSync } from 'node:fs';
import { lutimes, posixFault } from '../platform/posix.js';
import { type Entry, MTIME_SAME_NS } from './entry.js';
import { messageOf } from './restore-failure.js';
import { hasXattrsOf, setXattrs } from './restore-xattrs.js';

/** Something about a restored entry that is not as it was: which part, and why. */
export interface NotSet {
  readonly what: 'owner' | 'mode' | 'time' | 'hard link' | 'attributes' | 'mode and time';
  readonly because: string;
}

const SETUID = 0o4000;
const SETGID = 0o2000;

/** Asked once: it does not change, and asking costs 40 µs. */
const IS_ROOT = process.getuid?.() === 0;

export const isRoot = (): boolean => IS_ROOT;

/**
 * Owner, attributes and mode of an open file or folder at `path`. Opened, because a name could have become a symlink; attributes
 * are set by the name, and never through a symlink.
 */
export const setAllButTime = (fd: number, path: Buffer, entry: Entry): NotSet[] => [
  ...setOwnerAndAttributes(fd, path, entry),
  ...setMode(fd, entry),
];

export function setOwnerAndAttributes(fd: number, path: Buffer, entry: Entry): NotSet[] {
  const faults: NotSet[] = [];
  const { uid, gid } = fstatSync(fd);
  // First the owner: the kernel takes setuid and setgid bits and capabilities away when it changes. Setting what is so
  // already costs as much.
  const owner = ownerToSet({ uid, gid }, entry);
  if (owner !== undefined) attempt(faults, 'owner', () => fchownSync(fd, owner.uid, owner.gid));
  // Before the mode, which may not let the owner write them; and setting an ACL changes the mode.
  return [...faults, ...attributeFaults(path, entry)];
}

/** Behind the owner. */
export function setMode(fd: number, entry: Entry): NotSet[] {
  const faults: NotSet[] = [];
  const { uid, gid } = fstatSync(fd);
  let mode = entry.mode;
  if (uid !== entry.uid) mode &= ~SETUID;
  if (gid !== entry.gid) mode &= ~SETGID;
  attempt(faults, 'mode', () => fchmodSync(fd, mode));
  if (mode !== entry.mode) {
    faults.push({
      what: 'mode',
      because: 'setuid or setgid is left out, for it would speak for another owner than before',
    });
  }
  return faults;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** As chown leaves it as it is. */
const UNCHANGED = -1;

function ownerToSet(there: Owner, { uid, gid }: Entry): Owner | undefined {
  if (there.uid === uid && there.gid === gid) return undefined;
  if (isRoot()) return { uid, gid };
  return there.uid === uid ? { uid: UNCHANGED, gid } : undefined;
}

/** Owner and attributes of a symlink; it has no mode of its own. */
export function setAllButTimeOfSymlink(path: Buffer, entry: Entry): NotSet[] {
  const faults: NotSet[] = [];
  const owner = ownerToSet(lstatSync(path), entry);
  if (owner !== undefined) attempt(faults, 'owner', () => lchownSync(path, owner.uid, owner.gid));
  return [...faults, ...attributeFaults(path, entry)];
}

export const sameTime = (a: bigint, b: bigint): boolean => a - b < MTIME_SAME_NS && b - a < MTIME_SAME_NS;

/** Mode, and owner and group where they could be set, as the snapshot says. */
export function hasMetadataOf(there: BigIntStats, entry: Entry): boolean {
  const [isUser, isGroup] = [there.uid === BigInt(entry.uid), there.gid === BigInt(entry.gid)];
  const isOwnerRight = isRoot() ? isUser && isGroup : isGroup || !isUser || !isOwnGroup(entry.gid);
  return Number(there.mode & 0o7777n) === entry.mode && isOwnerRight;
}

/** The caller may give it to files of its own. */
const isOwnGroup = (gid: number): boolean =>
  process.getegid?.() === gid || process.getgroups?.().includes(gid) === true;

/** The attributes of the path are the entry's, as far as they can be set here. */
export const hasAttributesOf = (path: Buffer, entry: Entry): boolean => hasXattrsOf(path, entry, { isRoot: isRoot() });

const attributeFaults = (path: Buffer, entry: Entry): NotSet[] =>
  setXattrs(path, entry, { isRoot: isRoot() }).map(because => ({ what: 'attributes', because }));

/** The modification time of the path itself, never of what a symlink points to. */
export function setTime(path: Buffer, entry: Entry): NotSet[] {
  const faults: NotSet[] = [];
  attempt(faults, 'time', () => {
    if (lutimes(path, entry.mtimeNs)) return;
    const seconds = Number(entry.mtimeNs / 1000n) / 1e6;
    lutimesSync(path, seconds, seconds);
    faults.push({
      what: 'time',
      because: `only to the microsecond: the system call for nanoseconds could not be loaded (${posixFault()})`,
    });
  });
  return faults;
}

function attempt(faults: NotSet[], what: NotSet['what'], set: () => void): void {
  try {
    set();
  } catch (error) {
    faults.push({ what, because: messageOf(error) });
  }
}

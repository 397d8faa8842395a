/**
 * Restore metadata: owner, attributes, mode and time of what a restore has made.
 *
 * Owner (by number) only as root; otherwise everything belongs to the caller. A file that was the caller's own gets its
 * group again, if it is one of the caller's. Setuid and setgid bits stay only where the file has the owner or group that
 * they act for. Whatever cannot be set is reported and stops nothing.
 */
import { type BigIntStats, fchmodSync, fchownSync, fstatSync, lchownSync, lstatSync, lutimesSync } from 'node:fs';
import { lutimes, posixFault } from '../platform/posix.js';
import { type Entry, MTIME_SAME_NS, storableMtime } from './entry.js';
import { pathlessMessageOf } from './restore-failure.js';
import { hasXattrsOf, setXattrs } from './restore-xattrs.js';

/** Something about a restored entry that differs from the snapshot: which part, and why. */
export interface NotSet {
  readonly what: 'owner' | 'mode' | 'time' | 'hard link' | 'attributes' | 'mode and time';
  readonly because: string;
}

const SETUID = 0o4000;
const SETGID = 0o2000;

/** Looked up once: it does not change, and the call costs 40 µs. */
const IS_ROOT = process.getuid?.() === 0;

export const isRoot = (): boolean => IS_ROOT;

/**
 * Sets owner, attributes and mode of an open file or folder at `path`. It must be open, because a name could have
 * become a symlink; attributes are set by the name, and never through a symlink.
 */
export const setAllButTime = (fd: number, path: Buffer, entry: Entry): NotSet[] => [
  ...setOwnerAndAttributes(fd, path, entry),
  ...setMode(fd, entry),
];

export function setOwnerAndAttributes(fd: number, path: Buffer, entry: Entry): NotSet[] {
  // First the owner: the kernel removes setuid and setgid bits and capabilities when it changes.
  const faults = ownerFaults(fstatSync(fd), entry, ({ uid, gid }) => fchownSync(fd, uid, gid));
  // Before the mode, which may not let the owner write them; and setting an ACL changes the mode.
  return [...faults, ...attributeFaults(path, entry)];
}

/** To be called after the owner is set. */
export function setMode(fd: number, entry: Entry): NotSet[] {
  const faults: NotSet[] = [];
  const { uid, gid } = fstatSync(fd);
  const mode = modeToSet({ uid, gid }, entry);
  attempt(faults, 'mode', () => fchmodSync(fd, mode));
  if (mode !== entry.mode) faults.push(BITS_LEFT_OUT);
  return faults;
}

const BITS_LEFT_OUT: NotSet = {
  what: 'mode',
  because: 'setuid or setgid is left out, because it would act for another owner or group than before',
};

const OF_ANOTHER_USER: NotSet = {
  what: 'owner',
  because: 'it was not yours, and only root can give it back to whom it belonged',
};

/** What of a new entry of the caller's could not be set, as far as that is known before it is made. */
export function unsettable(entry: Entry): NotSet[] {
  const [uid, gid] = [process.geteuid?.(), process.getegid?.()];
  if (isRoot() || uid === undefined || gid === undefined) return [];
  const isCallers = entry.uid === uid;
  if (isCallers && isOwnGroup(entry.gid)) return [];
  const owner: NotSet = isCallers ? { what: 'owner', because: 'its group is none of yours' } : OF_ANOTHER_USER;
  return modeToSet({ uid, gid }, entry) === entry.mode ? [owner] : [owner, BITS_LEFT_OUT];
}

/** As `unsettable`, for a folder or symlink that is there already and gets the entry's metadata. */
export function unsettableOf(there: BigIntStats, entry: Entry): NotSet[] {
  const { uid, gid } = ownerOf(there);
  if (isRoot() || uid === process.geteuid?.()) return unsettable(entry);
  return isOwnedAs({ uid, gid }, entry) ? [] : [OF_ANOTHER_USER];
}

/** Without the bits that are left out on purpose, for this owner. */
export function modeToSet(owner: Owner, { uid, gid, mode }: Entry): number {
  const withUid = owner.uid === uid ? mode : mode & ~SETUID;
  return owner.gid === gid ? withUid : withUid & ~SETGID;
}

/**
 * What an earlier run could not set of a file that it has restored. The time is set again, because nobody can tell where
 * times are kept coarsely.
 */
export function leftUnset(there: BigIntStats, place: Buffer, entry: Entry): NotSet[] {
  const faults = unlike(there, place, entry);
  if (!sameTime(there.mtimeNs, entry.mtimeNs)) faults.push(...setTime(place, entry));
  return faults;
}

/** As `leftUnset`, but for the time; sets nothing. */
export function unlike(there: BigIntStats, place: Buffer, entry: Entry): NotSet[] {
  const faults: NotSet[] = [];
  const because = 'it could not be set when the file was restored';
  if (!isOwnedAs(ownerOf(there), entry))
    faults.push(mayOwnAs(ownerOf(there), entry) ? { what: 'owner', because } : OF_ANOTHER_USER);
  if (!hasAttributesOf(place, entry)) faults.push({ what: 'attributes', because });
  if (modeOf(there) !== modeToSet(ownerOf(there), entry)) faults.push({ what: 'mode', because });
  else if (modeOf(there) !== entry.mode) faults.push(BITS_LEFT_OUT);
  return faults;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** chown leaves this owner or group as it is. */
const UNCHANGED = -1;

/** Setting an owner that is right already would cost as much as another. */
function ownerFaults(there: Owner, entry: Entry, set: (owner: Owner) => void): NotSet[] {
  if (isOwnedAs(there, entry)) return [];
  if (!mayOwnAs(there, entry)) return [OF_ANOTHER_USER];
  const { uid, gid } = entry;
  const faults: NotSet[] = [];
  attempt(faults, 'owner', () => set(isRoot() ? { uid, gid } : { uid: UNCHANGED, gid }));
  return faults;
}

const isOwnedAs = (there: Owner, { uid, gid }: Entry): boolean => there.uid === uid && there.gid === gid;

/** Whether it is worth trying: the group may still be none of the caller's. */
const mayOwnAs = (there: Owner, { uid }: Entry): boolean => isRoot() || there.uid === uid;

/** Sets owner and attributes of a symlink; it has no mode of its own. */
export function setAllButTimeOfSymlink(path: Buffer, entry: Entry): NotSet[] {
  const faults = ownerFaults(lstatSync(path), entry, ({ uid, gid }) => lchownSync(path, uid, gid));
  return [...faults, ...attributeFaults(path, entry)];
}

export function sameTime(a: bigint, b: bigint): boolean {
  const apart = storableMtime(a) - storableMtime(b);
  return apart < MTIME_SAME_NS && apart > -MTIME_SAME_NS;
}

/** Whether the mode is as in the snapshot, and also owner and group where they could be set. */
export const hasMetadataOf = (there: BigIntStats, entry: Entry): boolean =>
  modeOf(there) === entry.mode && hasOwnerOf(there, entry);

/** Whether owner and group are as in the snapshot, where they could be set. */
export function hasOwnerOf(there: BigIntStats, entry: Entry): boolean {
  const [isUser, isGroup] = [there.uid === BigInt(entry.uid), there.gid === BigInt(entry.gid)];
  return isRoot() ? isUser && isGroup : isGroup || !isUser || !isOwnGroup(entry.gid);
}

export const modeOf = ({ mode }: BigIntStats): number => Number(mode & 0o7777n);

export const ownerOf = ({ uid, gid }: BigIntStats): Owner => ({ uid: Number(uid), gid: Number(gid) });

/** Whether the caller may give this group to files of its own. */
const isOwnGroup = (gid: number): boolean =>
  process.getegid?.() === gid || process.getgroups?.().includes(gid) === true;

/** Whether the path has the entry's attributes, as far as they can be set here. */
export const hasAttributesOf = (path: Buffer, entry: Entry): boolean => hasXattrsOf(path, entry, { isRoot: isRoot() });

const attributeFaults = (path: Buffer, entry: Entry): NotSet[] =>
  setXattrs(path, entry, { isRoot: isRoot() }).map(because => ({ what: 'attributes', because }));

/** Sets the modification time of the path itself, never of what a symlink points to. */
export function setTime(path: Buffer, { mtimeNs }: Pick<Entry, 'mtimeNs'>): NotSet[] {
  const faults: NotSet[] = [];
  attempt(faults, 'time', () => {
    if (lutimes(path, mtimeNs)) return;
    const seconds = Number(mtimeNs / 1000n) / 1e6;
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
    faults.push({ what, because: pathlessMessageOf(error) });
  }
}

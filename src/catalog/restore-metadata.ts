/**
 * Restore metadata: owner, mode and time of what a restore has made.
 *
 * Owner (by number) only as root; otherwise everything belongs to the caller, which is no fault. Setuid and setgid bits
 * stay only where the owner they speak for is the real one. What cannot be set is told and does not stop anything.
 */
import { fchmodSync, fchownSync, fstatSync, lchownSync, lutimesSync } from 'node:fs';
import { lutimes, posixFault } from '../platform/posix.js';
import type { Entry } from './entry.js';

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

/** Owner and mode of an open file or folder. Opened, because a name could have become a symlink. */
export function setOwnerAndMode(fd: number, entry: Entry): NotSet[] {
  const faults: NotSet[] = [];
  let { uid, gid } = fstatSync(fd);
  // First the owner: the kernel takes setuid and setgid bits away when it changes. Setting what is so already costs as much.
  if (isRoot() && (uid !== entry.uid || gid !== entry.gid)) {
    attempt(faults, 'owner', () => fchownSync(fd, entry.uid, entry.gid));
    ({ uid, gid } = fstatSync(fd));
  }
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
  if (entry.xattrs.length > 0)
    faults.push({ what: 'attributes', because: 'extended attributes cannot be set by this version' });
  return faults;
}

/** Owner of a symlink; it has no mode of its own. */
export function setSymlinkOwner(path: Buffer, entry: Entry): NotSet[] {
  const faults: NotSet[] = [];
  if (isRoot()) attempt(faults, 'owner', () => lchownSync(path, entry.uid, entry.gid));
  return faults;
}

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
    faults.push({ what, because: error instanceof Error ? error.message : String(error) });
  }
}

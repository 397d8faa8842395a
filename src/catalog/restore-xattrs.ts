/**
 * Restore xattrs: sets the extended attributes of restored entries, POSIX ACLs and file capabilities among them.
 *
 * Only attributes that the rule keeps are ever set or removed (xattr-rule.ts): a snapshot comes from another host, and
 * must not label files for this one's kernel or overlays. Of these the path has exactly the entry's in the end: those
 * inherited from a folder's default ACL, or left from an earlier file, are removed.
 *
 * Driven by restore-metadata.ts, and by the checks whether a file is as it should be.
 */
import { posix, posixFault } from '../platform/posix.js';
import { type Entry, sameXattrs, type Xattr } from './entry.js';
import { errorCode } from './error-code.js';
import { escapePath } from './path-text.js';
import { NO_CALLS, readXattrs } from './read-xattrs.js';
import { isKeptXattr, needsRoot } from './xattr-rule.js';

interface Setter {
  /** Without root, attributes that only root may set are left out. */
  readonly isRoot: boolean;
}

/** Why attributes differ from the entry's, one sentence each; none: all were set. */
export function setXattrs(path: Buffer, { xattrs }: Entry, setter: Setter): string[] {
  const calls = posix()?.xattrs;
  if (calls === undefined)
    return xattrs.length === 0 ? [] : [`the system calls for them could not be loaded (${posixFault()})`];
  const faults: string[] = [];
  const attempt = (name: Buffer | undefined, change: () => void): void => {
    try {
      change();
    } catch (error) {
      faults.push(`${name === undefined ? '' : `${escapePath(name)}: `}${errorCode(error)}`);
    }
  };
  const wanted = xattrs.filter(({ name }) => {
    if (maySet(name, setter)) return true;
    faults.push(
      `${escapePath(name)}: ${isKeptXattr(name) ? 'only root may set it' : 'a restore does not set this attribute on this system'}`,
    );
    return false;
  });
  attempt(undefined, () => {
    for (const name of calls.list(path))
      if (maySet(name, setter) && !wanted.some(one => one.name.equals(name)))
        attempt(name, () => calls.remove(path, name));
  });
  for (const { name, value } of wanted) attempt(name, () => calls.set(path, name, value));
  return faults;
}

/**
 * Whether the path has exactly the entry's attributes, as far as this restore could set them. Where that cannot be
 * read: whether the entry has none.
 */
export function hasXattrsOf(path: Buffer, entry: Entry, setter: Setter): boolean {
  const { xattrs, unread } = readXattrs(path);
  const own = (some: readonly Xattr[]): Xattr[] => some.filter(({ name }) => maySet(name, setter));
  if (unread?.because === NO_CALLS) return entry.xattrs.length === 0;
  return unread === undefined && sameXattrs(own(xattrs), own(entry.xattrs));
}

const maySet = (name: Buffer, { isRoot }: Setter): boolean => isKeptXattr(name) && (isRoot || !needsRoot(name));

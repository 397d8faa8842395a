/**
 * Read xattrs: the extended attributes of one path or open file, as an entry has them: those that the rule keeps, in
 * the order of their names, within an entry's limits.
 *
 * An unreadable attribute does not make a file unreadable: what could not be read, or is too large for an entry, is
 * left out and reported with its name. The same is done when nothing is at the path any longer: a folder above it may
 * have been renamed, and taking that for a file without attributes would lose them. Driven by the scan, and by the
 * restore when it checks whether a file is as it should be.
 */
import { posix } from '../platform/posix.js';
import type { Descriptor } from '../platform/xattr-calls.js';
import { XATTR_BYTES_MAX, XATTR_COUNT_MAX, XATTR_NAME_BYTES_MAX, type Xattr } from './entry.js';
import { errorCode } from './error-code.js';
import { isKeptXattr } from './xattr-rule.js';

export interface UnreadXattrs {
  /** An errno code, XATTRS_TOO_LARGE or NO_XATTR_CALLS. */
  readonly because: string;
  /**
   * Those that exist and could not be read; `all` when not even their names are known. Too large ones are not among
   * them.
   */
  readonly names: 'all' | readonly Buffer[];
}

export interface ReadXattrs {
  readonly xattrs: readonly Xattr[];
  readonly unread: UnreadXattrs | undefined;
}

const TOO_LARGE = 'XATTRS_TOO_LARGE';
/** Applies to every path: this process could not load the system calls. */
export const NO_CALLS = 'NO_XATTR_CALLS';

/** Shared by most paths, which have none. */
export const NO_XATTRS: readonly Xattr[] = [];
export const BARE: ReadXattrs = { xattrs: NO_XATTRS, unread: undefined };
const UNKNOWN: ReadXattrs = { xattrs: NO_XATTRS, unread: { because: NO_CALLS, names: 'all' } };

export function readXattrs(of: Buffer | Descriptor): ReadXattrs {
  const calls = posix()?.xattrs;
  if (calls === undefined) return UNKNOWN;
  let names: Buffer[];
  try {
    names = calls.list(of).filter(name => isKeptXattr(name));
  } catch (error) {
    return { xattrs: NO_XATTRS, unread: { because: errorCode(error), names: 'all' } };
  }
  if (names.length === 0) return BARE;
  const read: Xattr[] = [];
  const failed: Buffer[] = [];
  let because: string | undefined;
  let isOver = false;
  for (const name of names) {
    try {
      const value = calls.get(of, name);
      if (value !== undefined) read.push({ name, value });
    } catch (error) {
      const code = errorCode(error);
      if (code === 'ERANGE') isOver = true;
      else {
        because ??= code;
        failed.push(name);
      }
    }
  }
  const xattrs = withinLimits(read);
  if (isOver || xattrs.length < read.length) because ??= TOO_LARGE;
  return { xattrs, unread: because === undefined ? undefined : { because, names: failed } };
}

/**
 * In the order of their names, without those that an entry has no room for: permissions come before what users have
 * written.
 */
export function withinLimits(xattrs: readonly Xattr[]): readonly Xattr[] {
  let bytes = 0;
  const kept: Xattr[] = [];
  for (const xattr of [...xattrs].sort((a, b) => Buffer.compare(a.name, b.name))) {
    const { name, value } = xattr;
    const after = bytes + name.length + value.length;
    if (after > XATTR_BYTES_MAX || name.length > XATTR_NAME_BYTES_MAX || kept.length >= XATTR_COUNT_MAX) continue;
    bytes = after;
    kept.push(xattr);
  }
  return kept;
}

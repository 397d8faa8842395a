/**
 * Path order: the one order of paths in records, snapshots and scans.
 *
 * Byte order, with `/` below every other byte, so that a folder stands right before its content and its content before
 * the folder's next neighbour (`a`, `a/x`, `a.b`). A walk that sorts each folder's names by bytes meets paths in this order.
 */
import { SLASH } from '../platform/slash.js';

/** Negative, zero or positive, as Array.prototype.sort wants it. */
export function comparePaths(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at += 1) {
    const left = a[at];
    const right = b[at];
    if (left === right) continue;
    if (left === SLASH) return -1;
    if (right === SLASH) return 1;
    return (left ?? 0) - (right ?? 0);
  }
  return a.length - b.length;
}

/** True when `path` is `folder` or lies below it. Everything lies below the empty path, the source's own folder. */
export function isAtOrUnder(path: Uint8Array, folder: Uint8Array): boolean {
  if (folder.length === 0) return true;
  if (path.length < folder.length) return false;
  if (path.length > folder.length && path[folder.length] !== SLASH) return false;
  for (let at = 0; at < folder.length; at += 1) if (path[at] !== folder[at]) return false;
  return true;
}

/** True when `path` lies below `folder`, not at it. */
export function isUnder(path: Uint8Array, folder: Uint8Array): boolean {
  return path.length > folder.length && isAtOrUnder(path, folder);
}

/**
 * True for a path that an entry may have: relative, no empty, `.` or `..` component, no NUL, or empty for the source's
 * own folder. Restores write below a target on the strength of this check.
 */
export function isEntryPath(path: Uint8Array): boolean {
  if (path.length === 0) return true;
  let start = 0;
  for (let at = 0; at <= path.length; at += 1) {
    if (path[at] === 0) return false;
    if (at < path.length && path[at] !== SLASH) continue;
    const length = at - start;
    if (length === 0) return false;
    if (length === 1 && path[start] === DOT) return false;
    if (length === 2 && path[start] === DOT && path[start + 1] === DOT) return false;
    start = at + 1;
  }
  return true;
}

const DOT = 0x2e;

/** The bytes of a path as a map key: names need not be UTF-8. */
export const pathKey = (path: Buffer): string => path.toString('latin1');

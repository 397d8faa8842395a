/**
 * Compare trees: is a restored folder the same as its source? It walks both itself (lstat, read, readlink), over bytes,
 * with no code of the program: so the answer is evidence.
 *
 * Same: every path, kind, content, mode (12 bits), owner, mtime in nanoseconds, symlink target, which names are one
 * file (hard links), and on Linux, where both have them, the extended attributes that are kept. Not looked at: ctime,
 * atime, inode numbers, holes.
 */
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { rawXattrs } from './raw-xattrs.js';

/** Differences beyond this number are not listed one by one. */
const TOLD_MAX = 50;
const READ_BYTES = 1024 * 1024;
const SLASH = Buffer.from('/');

export interface Comparing {
  /** Paths below the folders, as latin1, that are left out on both sides. */
  readonly except?: readonly string[];
}

/** Every difference as a sentence; none: the trees are the same. */
export function compareTrees(source: string, restored: string, { except = [] }: Comparing = {}): string[] {
  const left = walk(source, except);
  const right = walk(restored, except);
  const differences: string[] = [];
  for (const [path, was] of left) {
    const is = right.get(path);
    if (is === undefined) differences.push(`${shown(path)} is missing`);
    else for (const what of compareEntries(was, is)) differences.push(`${shown(path)}: ${what}`);
  }
  for (const path of right.keys()) if (!left.has(path)) differences.push(`${shown(path)} should not be there`);
  differences.push(...compareLinks(left, right));
  const more = differences.length - TOLD_MAX;
  return more > 0 ? [...differences.slice(0, TOLD_MAX), `… and ${more} more`] : differences;
}

/** Every path below the folder, as latin1. */
export const pathsBelow = (root: string): Set<string> => new Set(walk(root, []).keys());

interface Found {
  readonly path: Buffer;
  readonly kind: string;
  readonly mode: bigint;
  readonly owner: string;
  readonly mtimeNs: bigint;
  readonly size: bigint;
  /** Identifies the file, whatever its name. */
  readonly file: string;
  readonly links: bigint;
}

/** By path in latin1, which keeps every byte. */
function walk(root: string, except: readonly string[]): Map<string, Found> {
  const found = new Map<string, Found>();
  const visit = (path: Buffer, relative: string): void => {
    if (except.includes(relative)) return;
    const stat = lstatSync(path, { bigint: true });
    found.set(relative, {
      path,
      kind: kindOf(stat.mode),
      mode: stat.mode & 0o7777n,
      owner: `${stat.uid}:${stat.gid}`,
      mtimeNs: stat.mtimeNs,
      size: stat.size,
      file: `${stat.dev}:${stat.ino}`,
      links: stat.nlink,
    });
    if (!stat.isDirectory()) return;
    for (const name of readdirSync(path, 'buffer')) {
      const below = name.toString('latin1');
      visit(Buffer.concat([path, SLASH, name]), relative === '' ? below : `${relative}/${below}`);
    }
  };
  visit(Buffer.from(root), '');
  return found;
}

/** The file type bits, as `find -type` calls them. */
function kindOf(mode: bigint): string {
  const kinds = new Map([
    [0o100000n, 'file'],
    [0o040000n, 'folder'],
    [0o120000n, 'symlink'],
    [0o010000n, 'pipe'],
    [0o140000n, 'socket'],
  ]);
  return kinds.get(mode & 0o170000n) ?? 'other';
}

function* compareEntries(was: Found, is: Found): Generator<string> {
  if (was.kind !== is.kind) {
    yield `is a ${is.kind}, was a ${was.kind}`;
    return;
  }
  if (was.owner !== is.owner) yield `belongs to ${is.owner}, belonged to ${was.owner}`;
  if (was.mtimeNs !== is.mtimeNs) yield `mtime ${is.mtimeNs} ns, was ${was.mtimeNs}`;
  if (was.kind === 'symlink') {
    // A symlink's own mode means nothing, and cannot be set on Linux.
    const [before, now] = [was, is].map(({ path }) => readlinkSync(path, 'buffer'));
    if (before === undefined || now === undefined || !before.equals(now)) {
      yield `points to ${shown(now?.toString('latin1') ?? '')}, pointed to ${shown(before?.toString('latin1') ?? '')}`;
    }
    return;
  }
  yield* compareXattrs(xattrsOf(was.path), xattrsOf(is.path));
  if (was.mode !== is.mode) yield `mode ${is.mode.toString(8)}, was ${was.mode.toString(8)}`;
  if (was.kind !== 'file') return;
  if (was.size !== is.size) yield `${is.size} bytes, was ${was.size}`;
  else if (!sameContent(was.path, is.path)) yield `the same ${is.size} bytes in number, but not in content`;
}

function* compareXattrs(was: Xattrs | undefined, is: Xattrs | undefined): Generator<string> {
  if (was === undefined || is === undefined) return;
  for (const name of new Set([...Object.keys(was), ...Object.keys(is)]))
    if (was[name] !== is[name])
      yield `attribute ${shown(name)} is ${is[name] ?? 'not there'}, was ${was[name] ?? 'not there'}`;
}

type Xattrs = Readonly<Record<string, string>>;

/**
 * The `user.*` attributes, ACLs and, for root alone, since only root can set them, capabilities; undefined: cannot
 * tell.
 */
function xattrsOf(path: Buffer): Xattrs | undefined {
  let all: Xattrs;
  try {
    all = rawXattrs(path);
  } catch {
    // No koffi, or a file system without attributes: whatever makes trees with attributes reports that.
    return undefined;
  }
  const isKept = (name: string): boolean =>
    name.startsWith('user.') ||
    name.startsWith('system.posix_acl_') ||
    (name === 'security.capability' && process.getuid?.() === 0);
  return Object.fromEntries(Object.entries(all).filter(([name]) => isKept(name)));
}

function sameContent(one: Buffer, other: Buffer): boolean {
  const files = [one, other].map(path => openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW));
  const [first = -1, second = -1] = files;
  const [left, right] = [Buffer.allocUnsafe(READ_BYTES), Buffer.allocUnsafe(READ_BYTES)];
  try {
    for (;;) {
      const count = readSync(first, left);
      if (readSync(second, right) !== count) return false;
      if (count === 0) return true;
      if (!left.subarray(0, count).equals(right.subarray(0, count))) return false;
    }
  } finally {
    for (const file of files) closeSync(file);
  }
}

/** Names that were one file must be one file, and no others. */
function* compareLinks(left: ReadonlyMap<string, Found>, right: ReadonlyMap<string, Found>): Generator<string> {
  const before = linkGroups(left);
  const now = linkGroups(right);
  for (const group of before) if (!now.has(group)) yield `were names of one file: ${group}`;
  for (const group of now) if (!before.has(group)) yield `are names of one file, and were not: ${group}`;
}

function linkGroups(found: ReadonlyMap<string, Found>): Set<string> {
  const names = new Map<string, string[]>();
  for (const [path, { file, kind, links }] of found) {
    if (kind === 'folder' || links < 2n) continue;
    names.set(file, [...(names.get(file) ?? []), shown(path)]);
  }
  return new Set([...names.values()].filter(({ length }) => length > 1).map(group => group.sort().join(' = ')));
}

/** Long names are shortened to their ends: people read the differences. */
function shown(path: string): string {
  const text = JSON.stringify(path);
  return text.length <= 200 ? text : `${text.slice(0, 90)}…${text.slice(-90)}`;
}

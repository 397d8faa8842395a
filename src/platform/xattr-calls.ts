/**
 * Xattr calls: the extended attributes of a path itself, never of what a symlink points to, or of an open file or
 * folder, wherever its name leads by now.
 *
 * Names and values are bytes, and names are Linux's on every system: FreeBSD's user namespace has no prefix of its own,
 * so it gets `user.` here (as in rsync), and its system namespace is not accessed. A file system without attributes has
 * none, and setting one fails.
 *
 * Bound by posix.ts. The manual pages: listxattr(2) of Linux and of macOS, extattr_get_link(2) of FreeBSD.
 */
import type { LibraryHandle } from 'koffi';

/** The descriptor of an open file or folder. */
export type Descriptor = number;

export interface XattrCalls {
  /** In no order. @throws SystemCallError `ERANGE` for more than 64 KiB of names */
  list(of: Buffer | Descriptor): Buffer[];
  /**
   * `undefined`: there is no attribute of this name, or no longer. @throws SystemCallError `ERANGE` for a value above
   * 64 KiB
   */
  get(of: Buffer | Descriptor, name: Buffer): Buffer | undefined;
  /** Makes it or replaces its value. */
  set(path: Buffer, name: Buffer, value: Buffer): void;
  /** Does nothing when there is no attribute of this name. */
  remove(path: Buffer, name: Buffer): void;
}

/** What binding takes from posix.ts. */
interface Library {
  readonly libc: LibraryHandle;
  readonly errno: () => number;
  readonly fail: (syscall: string, path: Buffer | undefined, errno: number) => Error;
  readonly errnos: Readonly<Record<string, number>>;
}

/** One system's calls. Sizes and counts are in bytes; a negative result is a failure; `null` asks only for the size. */
interface SystemCalls {
  readonly list: (path: Buffer, names: Buffer | null, bytes: number) => number;
  readonly get: (path: Buffer, name: Buffer, value: Buffer | null, bytes: number) => number;
  readonly listOpen: (of: Descriptor, names: Buffer | null, bytes: number) => number;
  readonly getOpen: (of: Descriptor, name: Buffer, value: Buffer | null, bytes: number) => number;
  readonly set: (path: Buffer, name: Buffer, value: Buffer, bytes: number) => number;
  readonly remove: (path: Buffer, name: Buffer) => number;
  readonly namesIn: (list: Buffer) => Buffer[];
  /** There is no attribute of that name: `ENODATA` on Linux, `ENOATTR` elsewhere, for which koffi has no number. */
  readonly noneErrno: number;
  /** The file or its file system can have no attributes. */
  readonly lackingCodes: readonly string[];
}

type ForeignCall = ReturnType<LibraryHandle['func']>;

/** Linux's XATTR_LIST_MAX and XATTR_SIZE_MAX. Other systems allow more, but their file systems seldom hold it. */
const LIST_BYTES_MAX = 64 * 1024;
const VALUE_BYTES_MAX = 64 * 1024;

/** macOS: acts on the symlink itself. */
const XATTR_NOFOLLOW = 1;
/** FreeBSD: the namespace that a file's owner may write. */
const EXTATTR_NAMESPACE_USER = 1;
const USER_PREFIX = Buffer.from('user.');
const NUL = Buffer.of(0);

const BYTES = 'uint8_t *';
const PATH = `const ${BYTES}`;
const DESCRIPTOR = 'int';

export function bindXattrs({ libc, errno, fail, errnos }: Library): XattrCalls {
  const calls = callsOf(libc);
  const lacking = new Set(calls.lackingCodes.map(code => errnos[code]));
  // Each is used only until the next call, and each thread has its own.
  const names = Buffer.allocUnsafe(LIST_BYTES_MAX);
  const content = Buffer.allocUnsafe(VALUE_BYTES_MAX);
  const failed = (syscall: string, of: Buffer | Descriptor, number = errnos.ERANGE ?? 0): Error =>
    fail(syscall, typeof of === 'number' ? undefined : of, number);
  return {
    list(of) {
      const bytes =
        typeof of === 'number'
          ? calls.listOpen(of, names, LIST_BYTES_MAX)
          : calls.list(terminated(of), names, LIST_BYTES_MAX);
      if (bytes < 0) {
        const found = errno();
        if (lacking.has(found)) return [];
        throw failed('listxattr', of, found);
      }
      // FreeBSD fills the buffer and does not report that there is more.
      if (bytes === LIST_BYTES_MAX) throw failed('listxattr', of);
      return bytes === 0 ? [] : calls.namesIn(names.subarray(0, bytes));
    },
    get(of, name) {
      const what = terminated(name);
      const where = typeof of === 'number' ? of : terminated(of);
      const take = (into: Buffer | null, bytesMax: number): number =>
        typeof where === 'number' ? calls.getOpen(where, what, into, bytesMax) : calls.get(where, what, into, bytesMax);
      // The size first: when the buffer is too small, macOS returns part of a resource fork, and FreeBSD part of any
      // value.
      let bytes = take(null, 0);
      if (bytes > VALUE_BYTES_MAX) throw failed('getxattr', of);
      if (bytes >= 0) bytes = take(content, VALUE_BYTES_MAX);
      if (bytes >= 0) return Buffer.from(content.subarray(0, bytes));
      const found = errno();
      if (found === calls.noneErrno) return undefined;
      throw failed('getxattr', of, found);
    },
    set(path, name, value) {
      if (calls.set(terminated(path), terminated(name), value, value.length) < 0) throw fail('setxattr', path, errno());
    },
    remove(path, name) {
      if (calls.remove(terminated(path), terminated(name)) >= 0) return;
      const found = errno();
      if (found !== calls.noneErrno) throw fail('removexattr', path, found);
    },
  };
}

function callsOf(libc: LibraryHandle): SystemCalls {
  const bind = (name: string, result: string, ...takes: readonly string[]): ForeignCall =>
    libc.func(name, result, [PATH, ...takes]);
  const bindOpen = (name: string, ...takes: readonly string[]): ForeignCall =>
    libc.func(name, 'intptr_t', [DESCRIPTOR, ...takes]);
  switch (process.platform) {
    case 'linux':
      return {
        list: bind('llistxattr', 'intptr_t', BYTES, 'size_t'),
        get: bind('lgetxattr', 'intptr_t', PATH, BYTES, 'size_t'),
        listOpen: bindOpen('flistxattr', BYTES, 'size_t'),
        getOpen: bindOpen('fgetxattr', PATH, BYTES, 'size_t'),
        set: withLast(bind('lsetxattr', 'int', PATH, PATH, 'size_t', 'int'), 0),
        remove: bind('lremovexattr', 'int', PATH),
        namesIn: namesBetweenNuls,
        noneErrno: 61,
        lackingCodes: ['ENOTSUP'],
      };
    case 'darwin':
      return {
        list: withLast(bind('listxattr', 'intptr_t', BYTES, 'size_t', 'int'), XATTR_NOFOLLOW),
        get: withLast(bind('getxattr', 'intptr_t', PATH, BYTES, 'size_t', 'uint32_t', 'int'), 0, XATTR_NOFOLLOW),
        listOpen: withLast(bindOpen('flistxattr', BYTES, 'size_t', 'int'), 0),
        getOpen: withLast(bindOpen('fgetxattr', PATH, BYTES, 'size_t', 'uint32_t', 'int'), 0, 0),
        set: withLast(bind('setxattr', 'int', PATH, PATH, 'size_t', 'uint32_t', 'int'), 0, XATTR_NOFOLLOW),
        remove: withLast(bind('removexattr', 'int', PATH, 'int'), XATTR_NOFOLLOW),
        namesIn: namesBetweenNuls,
        noneErrno: 93,
        // EPERM: for pipes and sockets.
        lackingCodes: ['ENOTSUP', 'EPERM'],
      };
    case 'freebsd': {
      const list = bind('extattr_list_link', 'intptr_t', 'int', BYTES, 'size_t');
      const get = bind('extattr_get_link', 'intptr_t', 'int', PATH, BYTES, 'size_t');
      const listOpen = bindOpen('extattr_list_fd', 'int', BYTES, 'size_t');
      const getOpen = bindOpen('extattr_get_fd', 'int', PATH, BYTES, 'size_t');
      const set = bind('extattr_set_link', 'intptr_t', 'int', PATH, PATH, 'size_t');
      const remove = bind('extattr_delete_link', 'int', 'int', PATH);
      const bare = (name: Buffer): Buffer => name.subarray(USER_PREFIX.length);
      return {
        list: (path, names, bytes) => list(path, EXTATTR_NAMESPACE_USER, names, bytes),
        get: (path, name, value, bytes) => get(path, EXTATTR_NAMESPACE_USER, bare(name), value, bytes),
        listOpen: (of, names, bytes) => listOpen(of, EXTATTR_NAMESPACE_USER, names, bytes),
        getOpen: (of, name, value, bytes) => getOpen(of, EXTATTR_NAMESPACE_USER, bare(name), value, bytes),
        set: (path, name, value, bytes) => set(path, EXTATTR_NAMESPACE_USER, bare(name), value, bytes),
        remove: (path, name) => remove(path, EXTATTR_NAMESPACE_USER, bare(name)),
        namesIn: namesBehindLengths,
        noneErrno: 87,
        lackingCodes: ['EOPNOTSUPP'],
      };
    }
    default:
      throw new Error(`no attributes are known for ${process.platform}`);
  }
}

/** Appends the arguments that are the same in every call. */
const withLast =
  (call: ForeignCall, ...last: readonly number[]) =>
  (...args: readonly (Buffer | number | null)[]): number =>
    call(...args, ...last);

function terminated(bytes: Buffer): Buffer {
  if (bytes.length === 0 || bytes.includes(0)) throw new TypeError('a path or a name is not empty and has no NUL');
  return Buffer.concat([bytes, NUL]);
}

/** Linux and macOS: each name ends with a NUL. */
function namesBetweenNuls(list: Buffer): Buffer[] {
  const names: Buffer[] = [];
  for (let from = 0; from < list.length; ) {
    const end = list.indexOf(0, from);
    const to = end < 0 ? list.length : end;
    names.push(Buffer.from(list.subarray(from, to)));
    from = to + 1;
  }
  return names;
}

/** FreeBSD: a byte that says how long the name is, and the name. */
function namesBehindLengths(list: Buffer): Buffer[] {
  const names: Buffer[] = [];
  for (let at = 0; at < list.length; ) {
    const to = at + 1 + (list[at] ?? 0);
    names.push(Buffer.concat([USER_PREFIX, list.subarray(at + 1, to)]));
    at = to;
  }
  return names;
}

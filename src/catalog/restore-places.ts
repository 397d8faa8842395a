/**
 * Restore places: by which path is an entry of the target reached, so that nobody can redirect it?
 *
 * Somebody who may write into a folder can replace a folder in it by a symlink between a check and the next call; and
 * root, which restores into other users' folders, may write wherever that leads. So the target is held open, and each
 * folder below it is opened from the one above, as a folder and never through a symlink. Paths begin at that descriptor
 * (`/proc/self/fd/7/./name`), so they name what was checked, whatever has become of the names that led there (I12).
 *
 * Where there is no /proc (macOS, FreeBSD), every folder above an entry is checked before each call. That leaves a gap
 * for users who may write there. So on these systems root writes only below folders that are closed to others; the
 * restore's own folders stay closed until its end.
 *
 * Driven by restore-tree.ts and its passes.
 */
import { chmodSync, closeSync, constants, lchownSync, lstatSync, openSync, statSync } from 'node:fs';
import { descriptorPath, hasDescriptorPaths } from '../platform/descriptor-path.js';
import { SLASH } from '../platform/slash.js';
import { errorCode } from './error-code.js';
import { isRoot } from './restore-metadata.js';

const { O_DIRECTORY, O_NOFOLLOW } = constants;
/** Linux's O_PATH, which Node does not define: opens a place without any right to its content. */
const O_PATH = 0o10000000;

export const NO_FOLDER_ABOVE = 'a path above it should be a folder and is something else';
const NOT_MADE = 'the folder it lies in could not be made';
const OPEN_TO_OTHERS =
  'other users may write into a folder above it, and on this system could redirect root: restore it by itself, into a folder that only root may write';

/** The entry has no place: a folder above it, or the requested one, is missing or is not a folder. */
export class NoFolder extends Error {}

/** A folder that stays the same, whatever its name leads to later. */
export interface HeldFolder {
  /**
   * The prefix for paths of its content. It ends with a dot, so that by itself it is the folder, for calls that follow
   * no symlink.
   */
  readonly path: Buffer;
  /** The folder, for calls that follow symlinks and need no right to its content. */
  readonly self: Buffer;
  release(): void;
}

/** @throws as open does; without `follow`, also for a symlink */
export function holdFolder(path: Buffer | string, { follow }: { readonly follow: boolean }): HeldFolder {
  const fd = openSync(path, O_PATH | O_DIRECTORY | (follow ? 0 : O_NOFOLLOW));
  const self = Buffer.from(descriptorPath(fd));
  return { path: below(self, '.'), self, release: () => closeSync(fd) };
}

/** Stands in for a held folder where none can be held: only its path. */
export const namedFolder = (path: Buffer): HeldFolder => ({ path, self: path, release: () => {} });

export class RestorePlaces {
  readonly #target: HeldFolder;
  readonly #isHeld: boolean;
  /** The last folder that was asked for: nearly always the next one too. */
  #last: { readonly path: Buffer; readonly folder: HeldFolder } | undefined;

  constructor(target: HeldFolder, isHeld = hasDescriptorPaths()) {
    this.#target = target;
    this.#isHeld = isHeld;
  }

  /**
   * The path of the entry at `path`, relative to the target. It is valid until the next call to this object: use it at
   * once.
   * @throws NoFolder when nothing can be there
   */
  of(path: Buffer): Buffer {
    if (path.length === 0) return this.#target.path;
    return below(this.folder(parentOf(path)), path.subarray(path.lastIndexOf(SLASH) + 1));
  }

  /** The path of the folder at `path` itself, for its content. It is valid as long as that of `of`. @throws NoFolder */
  folder(path: Buffer): Buffer {
    return this.#folder(path).path;
  }

  /**
   * Lets the caller into a folder that is there. `isOurs`: locks out everybody else, where that is what prevents a
   * redirection.
   */
  enter(path: Buffer, { isOurs }: { readonly isOurs: boolean }): void {
    const isTaken = isOurs && isRoot() && !this.#isHeld;
    if (isTaken) lchownSync(this.of(path), 0, 0);
    const { self } = this.#folder(path);
    const mode = statSync(self).mode & 0o7777;
    const wanted = isTaken ? 0o700 : mode | 0o700;
    if (mode !== wanted) chmodSync(self, wanted);
  }

  /** Releases the last folder; the target itself stays held. */
  release(): void {
    this.#last?.folder.release();
    this.#last = undefined;
  }

  #folder(path: Buffer): HeldFolder {
    if (path.length === 0) return this.#target;
    if (this.#last?.path.equals(path)) return this.#last.folder;
    this.release();
    const folder = this.#isHeld ? this.#hold(path) : this.#lookAt(path);
    this.#last = this.#isHeld ? { path, folder } : undefined;
    return folder;
  }

  #hold(path: Buffer): HeldFolder {
    let folder = this.#target;
    for (let from = 0; from <= path.length; ) {
      const slash = path.indexOf(SLASH, from);
      const end = slash < 0 ? path.length : slash;
      const above = folder;
      try {
        folder = holdFolder(below(above.path, path.subarray(from, end)), { follow: false });
      } catch (error) {
        throw noFolder(errorCode(error)) ?? error;
      } finally {
        if (above !== this.#target) above.release();
      }
      from = end + 1;
    }
    return folder;
  }

  #lookAt(path: Buffer): HeldFolder {
    for (let end = path.indexOf(SLASH); ; end = path.indexOf(SLASH, end + 1)) {
      const above = below(this.#target.path, end < 0 ? path : path.subarray(0, end));
      const there = lstatSync(above, { throwIfNoEntry: false });
      if (there === undefined) throw new NoFolder(NOT_MADE);
      if (!there.isDirectory()) throw new NoFolder(NO_FOLDER_ABOVE);
      if (isRoot() && isOpenToOthers(there)) throw new Error(OPEN_TO_OTHERS);
      if (end < 0) return namedFolder(above);
    }
  }
}

/** `path` (bytes or ASCII) below `folder`; the folder itself for an empty path. */
export function below(folder: Buffer, path: Buffer | string): Buffer {
  return path.length === 0
    ? folder
    : Buffer.concat([folder, SEPARATOR, typeof path === 'string' ? Buffer.from(path) : path]);
}

const SEPARATOR = Buffer.from('/');

export const parentOf = (path: Buffer): Buffer => path.subarray(0, Math.max(path.lastIndexOf(SLASH), 0));

function noFolder(code: string): NoFolder | undefined {
  if (code === 'ENOENT') return new NoFolder(NOT_MADE);
  return code === 'ENOTDIR' || code === 'ELOOP' ? new NoFolder(NO_FOLDER_ABOVE) : undefined;
}

/** The first folder on the way to `folder`, or `folder` itself, in which others may replace the next one. */
export function openOnTheWay(folder: Buffer): Buffer | undefined {
  for (let slash = 0; slash >= 0; slash = folder.indexOf(SLASH, slash + 1)) {
    const above = slash === 0 ? Buffer.from('/') : folder.subarray(0, slash);
    if (isOpenToOthers(statSync(above))) return above;
  }
  return isOpenToOthers(statSync(folder)) ? folder : undefined;
}

const STICKY = 0o1000;
const WRITABLE_BY_OTHERS = 0o022;

/** Whether others than root and the caller (also the one who typed `sudo`) may rename root's files in it. */
function isOpenToOthers({ uid, mode }: { readonly uid: number; readonly mode: number }): boolean {
  const isTrusted = uid === 0 || uid === process.geteuid?.() || uid === Number(process.env.SUDO_UID ?? Number.NaN);
  return !isTrusted || ((mode & WRITABLE_BY_OTHERS) !== 0 && (mode & STICKY) === 0);
}

/**
 * Restore folding: which names of one folder does the target's file system take for the same name?
 *
 * A source may hold `A.txt` beside `a.txt`. On APFS, exFAT or NTFS the second would replace the first, and a folder
 * would be merged into another one. So the first in the snapshot's order gets the name, and the others are refused with
 * all that is below them.
 *
 * Each file system has its own rules and tables for folding, so it is asked: names that might be the same are tried, by
 * making one and looking up the other. Where the file system folds nothing, nothing is remembered. Otherwise the names
 * in the open folders are, so that memory holds the widest of them, never the snapshot. Below a target that has other
 * files in it another file system may be mounted, and on ext4 a folder may fold names by itself: there each folder is
 * asked, once two names in it might be one.
 *
 * Driven by restore-tree.ts, in each pass.
 */
import { closeSync, constants, lstatSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { SLASH } from '../platform/slash.js';
import { isAtOrUnder } from './path-order.js';
import { NAME_TAKEN } from './restore-existing.js';
import { throwIfStopping } from './restore-failure.js';
import { MARK_FOLDER } from './restore-names.js';
import type { RestoreParts } from './restore-parts.js';
import { below, NoFolder } from './restore-places.js';
import { namesFolder, type RestoreTarget } from './restore-target.js';

const { O_WRONLY, O_CREAT, O_NOFOLLOW } = constants;

/**
 * Pairs of names, each the same under one of the rules by which file systems fold: case, unicode form, dots at the end.
 */
const FOLDED_SOMEWHERE: readonly (readonly [string, string])[] = [
  ['a', 'A'],
  ['\u00e9', 'e\u0301'],
  ['a', 'a.'],
];

export interface FoldingLook {
  /**
   * Whether two names are one in the folder at `path`, relative to the target. @throws ClusterError RESTORE_STOPPED
   */
  isOne(path: Buffer, one: Buffer, other: Buffer): boolean;
}

/** @returns `undefined`: the target folds no names. @throws ClusterError RESTORE_STOPPED */
export function lookAtFolding(
  { markFolder, ownsFolder }: Pick<RestoreTarget, 'markFolder' | 'ownsFolder'>,
  parts: Pick<RestoreParts, 'namesPlaceFor'>,
): FoldingLook | undefined {
  if (!ownsFolder) return new FoldingFolders(parts);
  const place = namesFolder(markFolder);
  return foldsNames(place) ? { isOne: (_path, one, other) => isOneName(place, one, other) } : undefined;
}

/** Asks each folder in itself, and only once: the next passes must change no time that has been set. */
class FoldingFolders implements FoldingLook {
  readonly #parts: Pick<RestoreParts, 'namesPlaceFor'>;
  /** By path, as latin1: whether the folder folds any names. */
  readonly #folds = new Map<string, boolean>();
  /** In folders that do, by path and both names. */
  readonly #pairs = new Map<string, boolean>();

  constructor(parts: Pick<RestoreParts, 'namesPlaceFor'>) {
    this.#parts = parts;
  }

  isOne(path: Buffer, one: Buffer, other: Buffer): boolean {
    const key = path.toString('latin1');
    const pair = [path, one, other].map(name => name.toString('latin1')).join('\0');
    try {
      const folds = this.#folds.get(key) ?? foldsNames(this.#parts.namesPlaceFor(path));
      this.#folds.set(key, folds);
      const isOne = folds && (this.#pairs.get(pair) ?? isOneName(this.#parts.namesPlaceFor(path), one, other));
      if (folds) this.#pairs.set(pair, isOne);
      return isOne;
    } catch (error) {
      // The folder could not be made, so nothing in it can be either.
      if (error instanceof NoFolder) return false;
      throw error;
    }
  }
}

const foldsNames = (place: Buffer): boolean =>
  FOLDED_SOMEWHERE.some(([one, other]) => isOneName(place, Buffer.from(one), Buffer.from(other)));

interface OpenNames {
  /** The path of the folder. */
  readonly path: Buffer;
  /**
   * Its names, as latin1, by what all of them might fold to. Nearly always one; several are joined by slashes, which no
   * name has.
   */
  readonly names: Map<string, string>;
}

/** Follows one pass over the entries. */
export class FoldedNames {
  readonly #look: FoldingLook;
  readonly #open: OpenNames[] = [];
  /** The last path whose name was taken. */
  #refused: Buffer | undefined;

  constructor(look: FoldingLook) {
    this.#look = look;
  }

  /**
   * Why the entry at `path`, relative to the target, has no name of its own there. @throws ClusterError RESTORE_STOPPED
   */
  next(path: Buffer): string | undefined {
    if (path.length === 0) return undefined;
    if (this.#refused !== undefined && isAtOrUnder(path, this.#refused))
      return 'the folder it lies in could not be made';
    const slash = path.lastIndexOf(SLASH);
    const name = path.subarray(slash + 1);
    const folder = path.subarray(0, Math.max(slash, 0));
    const { names } = this.#openNames(folder);
    const key = foldedFurthest(name);
    const text = name.toString('latin1');
    const known = names.get(key);
    const isTaken = known?.split('/').some(one => this.#look.isOne(folder, Buffer.from(one, 'latin1'), name));
    if (!isTaken) names.set(key, known === undefined ? text : `${known}/${text}`);
    this.#refused = isTaken ? path : undefined;
    return isTaken ? NAME_TAKEN : undefined;
  }

  #openNames(path: Buffer): OpenNames {
    let top = this.#open.at(-1);
    while (top !== undefined && !isAtOrUnder(path, top.path)) {
      this.#open.pop();
      top = this.#open.at(-1);
    }
    if (top?.path.equals(path)) return top;
    const opened = { path, names: new Map<string, string>() };
    // In the target itself, the restore's own folder has its name before any entry.
    if (path.length === 0) opened.names.set(foldedFurthest(Buffer.from(MARK_FOLDER)), MARK_FOLDER);
    this.#open.push(opened);
    return opened;
  }
}

/**
 * Names that any file system takes for the same are equal here; most names that are equal here are the same nowhere.
 */
function foldedFurthest(name: Buffer): string {
  // Down and then up: some letters have several lower-case or upper-case forms.
  const cased = name.toString().normalize('NFKD').toLowerCase().toUpperCase();
  return cased
    .normalize('NFKD')
    .replace(/\p{Default_Ignorable_Code_Point}/gu, '')
    .replace(/[. ]+$/, '');
}

/** @param place of a folder that is made for it */
function isOneName(place: Buffer, one: Buffer, other: Buffer): boolean {
  try {
    mkdirSync(place, { mode: 0o700 });
    closeSync(openSync(below(place, one), O_WRONLY | O_CREAT | O_NOFOLLOW, 0o600));
    return lstatSync(below(place, other), { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throwIfStopping(error);
    // A name that the file system refuses altogether is reported as refused when it is made.
    return false;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

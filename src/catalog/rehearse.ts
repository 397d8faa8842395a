/**
 * Rehearse: what would a restore make of each entry, in the target as it is? It looks, and writes nothing.
 *
 * It goes by what a look tells: no content is read, so a file of the right size and time counts as right. Names that the
 * target takes for one are found out by the restore alone.
 *
 * Driven by restore-tree.ts, for `--dry-run`.
 */
import { type BigIntStats, lstatSync } from 'node:fs';
import type { Entry } from './entry.js';
import { errorCode } from './error-code.js';
import { NO_FOLDER_IN_PLACE } from './restore-folders.js';
import { sameTime } from './restore-metadata.js';
import { NO_FOLDER_ABOVE } from './restore-places.js';
import { FOLDER_IN_PLACE, isSymlinkTo } from './restore-symlink.js';
import { UNMAKEABLE } from './restore-tally.js';
import type { ExistingFiles } from './restore-target.js';

const SLASH = Buffer.from('/');

/** Hard-linked files that are remembered, some 10 MiB. Of those beyond it each name counts as a file of its own. */
export const LINKS_KEPT_MAX = 65_536;

export type Rehearsed =
  /** `bytes` of content; none for another name of a file. */
  | { readonly act: 'write'; readonly bytes: number }
  /** It is there and right, or is to be kept. */
  | { readonly act: 'keep' }
  /** A folder that is there. */
  | { readonly act: 'enter' }
  | { readonly act: 'fail'; readonly because: string };

export class Rehearsal {
  readonly #existing: ExistingFiles;
  readonly #links = new Set<string>();
  /** Where there should be a folder and something else stays: with a slash behind it. */
  #noFolder: Buffer | undefined;

  constructor(existing: ExistingFiles) {
    this.#existing = existing;
  }

  /** Entries come in the order in which they would be written: what is in a folder right behind it. */
  next(entry: Entry, place: Buffer): Rehearsed {
    if (this.#isBelow(place)) return { act: 'fail', because: NO_FOLDER_ABOVE };
    const there = found(place);
    switch (entry.kind) {
      case 'directory':
        if (there?.isDirectory()) return { act: 'enter' };
        if (there === undefined || this.#existing === 'overwrite') return { act: 'write', bytes: 0 };
        this.#noFolder = Buffer.concat([place, SLASH]);
        return { act: 'fail', because: NO_FOLDER_IN_PLACE };
      case 'file':
      case 'symlink':
        if (there !== undefined && this.#existing === 'keep') return { act: 'keep' };
        if (there?.isDirectory()) return { act: 'fail', because: FOLDER_IN_PLACE };
        return this.#writeUnlessRight(entry, { there, place });
      default:
        return { act: 'fail', because: UNMAKEABLE };
    }
  }

  #isBelow(place: Buffer): boolean {
    return this.#noFolder?.equals(place.subarray(0, this.#noFolder.length)) === true;
  }

  #writeUnlessRight(
    entry: Entry,
    { there, place }: { readonly there: BigIntStats | undefined; readonly place: Buffer },
  ): Rehearsed {
    const isLinked = this.#isLinked(entry);
    if (there !== undefined && looksRight(entry, { there, place })) return { act: 'keep' };
    return { act: 'write', bytes: isLinked ? 0 : entry.size };
  }

  /** Another name of a file that has come before. */
  #isLinked({ link, blob }: Entry): boolean {
    if (link === undefined) return false;
    const file = `${link} ${blob}`;
    if (this.#links.has(file)) return true;
    if (this.#links.size < LINKS_KEPT_MAX) this.#links.add(file);
    return false;
  }
}

function looksRight(
  { kind, size, mtimeNs, target }: Entry,
  { there, place }: { readonly there: BigIntStats; readonly place: Buffer },
): boolean {
  if (kind === 'symlink') return isSymlinkTo(target, { there, place });
  return there.isFile() && there.size === BigInt(size) && sameTime(there.mtimeNs, mtimeNs);
}

/** Below what is no folder yet, nothing is. */
function found(place: Buffer): BigIntStats | undefined {
  try {
    return lstatSync(place, { throwIfNoEntry: false, bigint: true });
  } catch (error) {
    if (errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

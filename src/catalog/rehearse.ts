/**
 * Rehearse: what would a restore do with each entry in the present target? It only looks, and writes nothing.
 *
 * It goes by stats: no content is read, so a file of the right size and time counts as right. Only a real restore finds
 * out which names the target takes for one.
 *
 * Driven by restore-tree.ts, for `--dry-run`.
 */
import { type BigIntStats, lstatSync } from 'node:fs';
import type { Entry } from './entry.js';
import { isUnder } from './path-order.js';
import { NAME_TAKEN } from './restore-existing.js';
import { pathlessMessageOf } from './restore-failure.js';
import { NO_FOLDER_IN_PLACE } from './restore-folders.js';
import { sameTime } from './restore-metadata.js';
import { NO_FOLDER_ABOVE, NoFolder, type RestorePlaces } from './restore-places.js';
import { FOLDER_IN_PLACE, isSymlinkTo, SOMETHING_IN_PLACE } from './restore-symlink.js';
import { UNMAKEABLE } from './restore-tally.js';
import type { ExistingFiles, TargetLook } from './restore-target.js';

/** Hard-linked files that are remembered, in some 10 MiB. Beyond this, each name counts as a file of its own. */
export const LINKS_KEPT_MAX = 65_536;

export type Rehearsed =
  /** `bytes` of content; 0 for another name of a file. */
  | { readonly act: 'write'; readonly bytes: number }
  /** It is there and right, or is to be left as it is. */
  | { readonly act: 'keep' }
  /** A folder that is there. */
  | { readonly act: 'enter' }
  | { readonly act: 'fail'; readonly because: string };

export interface RehearsalContext {
  readonly existing: ExistingFiles;
  readonly state: TargetLook['state'];
  /** `undefined`: there is no target yet. */
  readonly places: RestorePlaces | undefined;
}

export class Rehearsal {
  readonly #of: RehearsalContext;
  readonly #links = new Set<string>();
  /** The folder below which nothing would be made, and why. */
  #closed: { readonly path: Buffer; readonly because: string } | undefined;

  constructor(context: RehearsalContext) {
    this.#of = context;
  }

  /**
   * Entries come in the order in which they would be written, a folder's content right after it. `path`: relative to
   * the target.
   */
  next(entry: Entry, path: Buffer): Rehearsed {
    if (this.#closed !== undefined && isUnder(path, this.#closed.path)) {
      return { act: 'fail', because: this.#closed.because };
    }
    try {
      return this.#next(entry, path);
    } catch (error) {
      if (entry.kind === 'directory') this.#closed = { path, because: 'the folder it lies in could not be made' };
      return { act: 'fail', because: pathlessMessageOf(error) };
    }
  }

  #next(entry: Entry, path: Buffer): Rehearsed {
    const { existing, state } = this.#of;
    const found = this.#found(path);
    switch (entry.kind) {
      case 'directory':
        if (found?.there.isDirectory()) return { act: 'enter' };
        if (found === undefined || existing === 'overwrite') return { act: 'write', bytes: 0 };
        this.#closed = { path, because: NO_FOLDER_ABOVE };
        return { act: 'fail', because: NO_FOLDER_IN_PLACE };
      case 'file':
      case 'symlink': {
        if (found !== undefined && existing === 'keep') return { act: 'keep' };
        if (found?.there.isDirectory()) return { act: 'fail', because: FOLDER_IN_PLACE };
        const isRight = found !== undefined && state !== 'fresh' && looksRight(entry, found);
        // Times may be coarser than the snapshot's. A resumed restore then compares the bytes, which are not read here.
        const mayBeRight = isRight || (found !== undefined && state === 'resume' && hasSizeOf(entry, found.there));
        if (found !== undefined && existing === 'refuse' && !mayBeRight)
          return { act: 'fail', because: entry.kind === 'file' ? NAME_TAKEN : SOMETHING_IN_PLACE };
        const isLinked = this.#isLinked(entry);
        const isKept = existing === 'refuse' ? mayBeRight : isRight;
        return isKept ? { act: 'keep' } : { act: 'write', bytes: isLinked ? 0 : entry.size };
      }
      default:
        return { act: 'fail', because: UNMAKEABLE };
    }
  }

  #found(path: Buffer): Found | undefined {
    try {
      const place = this.#of.places?.of(path);
      const there = place && lstatSync(place, { throwIfNoEntry: false, bigint: true });
      return place && there && { place, there };
    } catch (error) {
      // Nothing exists below a folder that does not exist yet.
      if (error instanceof NoFolder) return undefined;
      throw error;
    }
  }

  /** Whether it is another name of a file that came before. */
  #isLinked({ link, blob }: Entry): boolean {
    if (link === undefined) return false;
    const file = `${link} ${blob}`;
    if (this.#links.has(file)) return true;
    if (this.#links.size < LINKS_KEPT_MAX) this.#links.add(file);
    return false;
  }
}

interface Found {
  readonly place: Buffer;
  readonly there: BigIntStats;
}

const hasSizeOf = ({ kind, size }: Entry, there: BigIntStats): boolean =>
  kind === 'file' && there.isFile() && there.size === BigInt(size);

function looksRight(entry: Entry, { there, place }: Found): boolean {
  if (entry.kind === 'symlink') return isSymlinkTo(entry.target, { there, place });
  return hasSizeOf(entry, there) && sameTime(there.mtimeNs, entry.mtimeNs);
}

/**
 * Rehearse: what would a restore do with each entry in the present target? It only looks, and writes nothing.
 *
 * It goes by stats and attributes: no content is read, so a file of the right size and time counts as right. Only a real
 * restore finds out which names the target takes for one.
 *
 * Driven by restore-tree.ts, for `--dry-run`.
 */
import { type BigIntStats, lstatSync } from 'node:fs';
import type { Entry } from './entry.js';
import { isUnder } from './path-order.js';
import type { PlacedBelow } from './placed-entries.js';
import { KEEPS_ITS_OWN, NAME_TAKEN } from './restore-existing.js';
import { pathlessMessageOf } from './restore-failure.js';
import { NO_FOLDER_IN_PLACE } from './restore-folders.js';
import {
  hasAttributesOf,
  hasMetadataOf,
  type NotSet,
  sameTime,
  unlike,
  unsettable,
  unsettableOf,
} from './restore-metadata.js';
import { NO_FOLDER_ABOVE, NoFolder, type RestorePlaces } from './restore-places.js';
import { FOLDER_IN_PLACE, isSymlinkTo, SOMETHING_IN_PLACE } from './restore-symlink.js';
import { UNMAKEABLE } from './restore-tally.js';
import type { ExistingFiles, TargetLook } from './restore-target.js';

/** Hard-linked files that are remembered, in some 10 MiB. Beyond this, each name counts as a file of its own. */
export const LINKS_KEPT_MAX = 65_536;

export type Rehearsed =
  /** `bytes` of content; 0 for another name of a file. */
  | ({ readonly act: 'write'; readonly bytes: number } & Unset)
  /** It is there and right, or is to be left as it is. */
  | ({ readonly act: 'keep' } & Unset)
  /** A folder that is there. */
  | ({ readonly act: 'enter' } & Unset)
  | { readonly act: 'fail'; readonly because: string };

/** What would not be as in the snapshot, as far as that is known before. */
interface Unset {
  readonly unset: readonly NotSet[];
}

export interface RehearsalContext {
  readonly existing: ExistingFiles;
  readonly state: TargetLook['state'];
  readonly ownsFolder: boolean;
  /** `undefined`: there is no target yet. */
  readonly places: RestorePlaces | undefined;
}

export class Rehearsal {
  readonly #of: RehearsalContext;
  /** Each hard-linked file that came, and its inode if its first name would be kept. */
  readonly #links = new Map<string, bigint | undefined>();
  /** The folder below which nothing would be made, and why. */
  #closed: { readonly path: Buffer; readonly because: string } | undefined;

  constructor(context: RehearsalContext) {
    this.#of = context;
  }

  /**
   * Entries come in the order in which they would be written, a folder's content right after it. `path`: relative to
   * the target.
   */
  next({ entry, path, isStandIn = false }: PlacedBelow): Rehearsed {
    if (this.#closed !== undefined && isUnder(path, this.#closed.path)) {
      return { act: 'fail', because: this.#closed.because };
    }
    try {
      return this.#next(entry, { path, isStandIn });
    } catch (error) {
      if (entry.kind === 'directory') this.#closed = { path, because: 'the folder it lies in could not be made' };
      return { act: 'fail', because: pathlessMessageOf(error) };
    }
  }

  #next(entry: Entry, { path, isStandIn }: Required<Pick<PlacedBelow, 'path' | 'isStandIn'>>): Rehearsed {
    const { existing, state, ownsFolder } = this.#of;
    const found = this.#found(path);
    switch (entry.kind) {
      case 'directory':
        // What only stands in for a folder's entry says nothing about a folder that is there, and somebody else's keeps
        // its own.
        if (found?.there.isDirectory()) {
          const isSet = !isStandIn && (ownsFolder || existing === 'overwrite');
          return { act: 'enter', unset: isSet ? unsettableOf(found.there, entry) : [] };
        }
        if (found === undefined || existing === 'overwrite')
          return { act: 'write', bytes: 0, unset: unsettable(entry) };
        this.#closed = { path, because: NO_FOLDER_ABOVE };
        return { act: 'fail', because: NO_FOLDER_IN_PLACE };
      case 'file':
      case 'symlink': {
        if (found !== undefined && existing === 'keep') return { act: 'keep', unset: [] };
        if (found?.there.isDirectory()) return { act: 'fail', because: FOLDER_IN_PLACE };
        const isRight = found !== undefined && state !== 'fresh' && looksRight(entry, found);
        // Times may be coarser than the snapshot's. A resumed restore then compares the bytes, which are not read here.
        const mayBeRight = isRight || (found !== undefined && state === 'resume' && hasSizeOf(entry, found.there));
        if (found !== undefined && existing === 'refuse' && !mayBeRight)
          return { act: 'fail', because: entry.kind === 'file' ? NAME_TAKEN : SOMETHING_IN_PLACE };
        const isRightByItself = existing === 'refuse' ? mayBeRight : isRight && hasMetadata(entry, found);
        const { isLinked, isKept } = this.#linked(entry, isRightByItself ? found?.there.ino : undefined);
        if (found !== undefined && isRightByItself && (existing === 'refuse' || isKept))
          return { act: 'keep', unset: this.#leftUnset(entry, found) };
        // Another name of a file has that file's owner and mode.
        return isLinked
          ? { act: 'write', bytes: 0, unset: [] }
          : { act: 'write', bytes: entry.size, unset: unsettable(entry) };
      }
      default:
        return { act: 'fail', because: UNMAKEABLE };
    }
  }

  #leftUnset(entry: Entry, { there, place }: Found): readonly NotSet[] {
    const { existing, ownsFolder } = this.#of;
    if (entry.kind === 'symlink') return unsettableOf(there, entry);
    if (existing === 'overwrite' || ownsFolder) return unlike(there, place, entry);
    const isLike = sameTime(there.mtimeNs, entry.mtimeNs) && hasMetadata(entry, { there, place });
    return isLike ? [] : [KEEPS_ITS_OWN];
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

  /**
   * `isLinked`: it is another name of a file that came before. `isKept`: it would be kept, as the first name or as a name
   * of the same inode. @param inode of what is there, if that would be right by itself
   */
  #linked({ link, blob }: Entry, inode: bigint | undefined): { readonly isLinked: boolean; readonly isKept: boolean } {
    const file = `${link} ${blob}`;
    if (link === undefined || !this.#links.has(file)) {
      if (link !== undefined && this.#links.size < LINKS_KEPT_MAX) this.#links.set(file, inode);
      return { isLinked: false, isKept: inode !== undefined };
    }
    return { isLinked: true, isKept: inode !== undefined && this.#links.get(file) === inode };
  }
}

interface Found {
  readonly place: Buffer;
  readonly there: BigIntStats;
}

/** Only a file with other metadata is written again: all else is set without that. */
const hasMetadata = (entry: Entry, { there, place }: Found): boolean =>
  entry.kind !== 'file' || (hasMetadataOf(there, entry) && hasAttributesOf(place, entry));

const hasSizeOf = ({ kind, size }: Entry, there: BigIntStats): boolean =>
  kind === 'file' && there.isFile() && there.size === BigInt(size);

function looksRight(entry: Entry, { there, place }: Found): boolean {
  if (entry.kind === 'symlink') return isSymlinkTo(entry.target, { there, place });
  return hasSizeOf(entry, there) && sameTime(there.mtimeNs, entry.mtimeNs);
}

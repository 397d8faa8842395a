/**
 * Restore existing: a file is already at the place. Is it right, so that it may stay, or must it be written?
 *
 * Driven by restore-files.ts.
 */
import { type BigIntStats, lstatSync } from 'node:fs';
import { hashFile, Unreadable } from './restore-hash.js';
import type { HardLinks } from './restore-links.js';
import { hasAttributesOf, hasMetadataOf, leftUnset, type NotSet, sameTime } from './restore-metadata.js';
import type { Outcome, WantedFile } from './restore-outcome.js';
import type { RestorePlaces } from './restore-places.js';
import type { ExistingFiles } from './restore-target.js';

export interface ExistingContext {
  readonly places: RestorePlaces;
  readonly existing: ExistingFiles;
  /** The target carried this restore's mark: what is there may come from an earlier run. */
  readonly isResume: boolean;
  /** The folder was absent or empty when this restore began: anybody else's files there were written after that. */
  readonly ownsFolder: boolean;
  readonly signal: AbortSignal;
  readonly onNotSet: (file: WantedFile, fault: NotSet) => void;
}

export const NAME_TAKEN =
  'something else already has its name in the target (this file system may take two names for one)';

/** Of a file that has the right bytes and is not the restore's. */
export const KEEPS_ITS_OWN: NotSet = {
  what: 'mode and time',
  because: 'a file with these bytes was there already, and keeps its own',
};

export const alreadyThere: Outcome = { kind: 'failed', because: NAME_TAKEN, retry: false };

export class ExistingLook {
  readonly #of: ExistingContext;
  readonly #links: HardLinks;

  constructor(context: ExistingContext, links: HardLinks) {
    this.#of = context;
    this.#links = links;
  }

  async next(file: WantedFile): Promise<'write' | Outcome> {
    const { places, existing, isResume } = this.#of;
    const { entry, path } = file;
    const place = places.of(path);
    const there = lstatSync(place, { throwIfNoEntry: false, bigint: true });
    if (there === undefined) return 'write';
    if (existing === 'keep') return { kind: 'kept' };
    if (there.isDirectory()) return { kind: 'failed', because: 'a folder is in its place', retry: false };
    const hasSize = there.isFile() && there.size === BigInt(entry.size);
    const looksRight = hasSize && sameTime(there.mtimeNs, entry.mtimeNs);
    if (existing === 'refuse')
      return isResume && hasSize ? this.#fromLastRun(file, { there, looksRight }) : alreadyThere;
    const isRight =
      looksRight &&
      hasMetadataOf(there, entry) &&
      hasAttributesOf(place, entry) &&
      (await hashIfReadable(place, this.#of.signal)) === entry.blob &&
      // The first of its names stays by itself: its others may be excluded, or not asked for.
      this.#links.anchor(places.of(path), entry) === undefined;
    if (!isRight) return 'write';
    // It is as right as this caller could make it.
    this.#tellUnset(file, there);
    return { kind: 'kept' };
  }

  /**
   * In a folder that was this restore's alone, an earlier run gave the file its name, and only when its bytes were
   * right and on disk: it is right by its size and time. Where a look cannot tell (times are coarser than the
   * snapshot's, or there are no hard links), its bytes decide. In a folder with other files it may be one of those,
   * whatever its size and time. Then its bytes decide too, and other differences are reported, since its metadata is
   * not the restore's to set. What that earlier run could not set is reported again, because people believe the last of
   * several runs.
   */
  async #fromLastRun(
    file: WantedFile,
    { there, looksRight }: { readonly there: BigIntStats; readonly looksRight: boolean },
  ): Promise<Outcome> {
    const { places, ownsFolder, signal, onNotSet } = this.#of;
    const { entry, path } = file;
    if (ownsFolder && looksRight && this.#links.anchor(places.of(path), entry) === undefined) {
      this.#tellUnset(file, there);
      return { kind: 'kept' };
    }
    if ((await hashFile(places.of(path), signal)) !== entry.blob) return alreadyThere;
    const place = places.of(path);
    const unlinked = this.#links.anchor(place, entry);
    if (unlinked !== undefined) onNotSet(file, unlinked);
    if (ownsFolder) this.#tellUnset(file, there);
    else if (!(looksRight && hasMetadataOf(there, entry) && hasAttributesOf(place, entry)))
      onNotSet(file, KEEPS_ITS_OWN);
    return { kind: 'kept' };
  }

  #tellUnset(file: WantedFile, there: BigIntStats): void {
    const { places, onNotSet } = this.#of;
    for (const fault of leftUnset(there, places.of(file.path), file.entry)) onNotSet(file, fault);
  }
}

/** A file that cannot be read counts as wrong, and is replaced. */
async function hashIfReadable(place: Buffer, signal: AbortSignal): Promise<string | undefined> {
  try {
    return await hashFile(place, signal);
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

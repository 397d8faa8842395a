/**
 * Scan folder: one folder that the scan is in: its names, how far the walk has come in them, and whether a name is
 * gone.
 *
 * A name is gone only when this very folder, listed again, no longer has it.
 *
 * Driven by scan-worker.ts.
 */

import type { NameStat } from '../platform/stat-calls.js';
import type { FolderIdentity } from './scan-cache-format.js';
import type { EnteredPlace, ScanPlace, ScanPlaces } from './scan-places.js';

/**
 * How often one folder is listed again to see whether names are gone; after that its missing names count as unstable.
 */
const RELISTINGS_MAX = 64;

export class ScanFolder {
  /** Relative to the source's folder. */
  readonly path: Buffer;
  readonly place: ScanPlace;
  /** Taken before the folder was listed. */
  readonly stat: NameStat;
  /** A rename does not change it. */
  readonly lastingIdentity: FolderIdentity;
  /** Where the folder was at an earlier scan, if elsewhere. */
  readonly formerPath: Buffer | undefined;
  /** In the order of `ScanPlaces.list`. */
  readonly names: readonly string[];
  /** It is, or lies in, what is mounted below the source's folder. */
  readonly isMounted: boolean;
  /** This thread's part of the folder begins in the middle of it. */
  readonly isShared: boolean;
  next: number;
  readonly #places: ScanPlaces;
  #relistings = 0;
  /** The names that the last relisting found. */
  #relisted: ReadonlySet<string> | undefined;

  /** `next`: where among the names the walk begins. */
  constructor(
    places: ScanPlaces,
    { place, stat }: EnteredPlace,
    {
      path,
      lastingIdentity,
      formerPath,
      names,
      isMounted,
      isShared,
      next,
    }: Pick<ScanFolder, 'path' | 'lastingIdentity' | 'formerPath' | 'names' | 'isMounted' | 'isShared' | 'next'>,
  ) {
    this.#places = places;
    this.path = path;
    this.place = place;
    this.stat = stat;
    this.lastingIdentity = lastingIdentity;
    this.formerPath = formerPath;
    this.names = names;
    this.isMounted = isMounted;
    this.isShared = isShared;
    this.next = next;
  }

  get device(): bigint {
    return this.stat.dev;
  }

  /** True when the folder, listed again, no longer has the name. */
  isGone(name: string): boolean {
    if (this.#relisted !== undefined && !this.#relisted.has(name)) return true;
    if (this.#relistings >= RELISTINGS_MAX) return false;
    this.#relistings += 1;
    try {
      this.#relisted = new Set(this.#places.list(this.place));
    } catch {
      // The folder can no longer be listed: nothing is known to be gone, and the caller reports the name as unread.
      return false;
    }
    return !this.#relisted.has(name);
  }
}

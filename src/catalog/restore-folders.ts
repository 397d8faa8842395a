/**
 * Restore folders: made before anything is written into them, open to the caller only. After its last entry, each gets
 * its final owner, attributes, mode and time; but a folder that was there before keeps its own, unless files that are
 * there are to be overwritten.
 *
 * Driven by restore-tree.ts.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  unlinkSync,
} from 'node:fs';
import type { Entry } from './entry.js';
import type { PlacedBelow } from './placed-entries.js';
import type { PlacedEntry } from './restore-content.js';
import type { RestoreFlush } from './restore-flush.js';
import { type NotSet, setMode, setOwnerAndAttributes, setTime } from './restore-metadata.js';
import type { OpenFolder } from './restore-names.js';
import { OwnFolders } from './restore-own-folders.js';
import type { RestoreParts } from './restore-parts.js';
import { NoFolder, type RestorePlaces } from './restore-places.js';
import type { RestoreTally } from './restore-tally.js';
import type { ExistingFiles, RestoreTarget } from './restore-target.js';

/** The target itself, as a path relative to the target. */
const ITSELF = Buffer.alloc(0);
const OWNER_ALL = 0o700;
const isOpenToOwner = ({ mode }: Entry): boolean => (mode & OWNER_ALL) === OWNER_ALL;
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

export const NO_FOLDER_IN_PLACE = 'something that is not a folder is in its place';

/** Changes an open folder. @returns what could not be set */
type Change = (fd: number, place: Buffer) => readonly NotSet[];

export interface RestoreFoldersContext {
  readonly target: RestoreTarget;
  readonly places: RestorePlaces;
  readonly existing: ExistingFiles;
  readonly parts: RestoreParts;
  readonly flush: RestoreFlush;
  readonly tally: RestoreTally;
}

/** Whether the target itself gets this entry's metadata. */
export const setsTarget = (
  { isNew, ownsFolder }: Pick<RestoreTarget, 'isNew' | 'ownsFolder'>,
  { isStandIn }: PlacedEntry,
): boolean =>
  // A stand-in says nothing about the folder; an earlier run may have known better.
  isStandIn === true ? isNew : ownsFolder;

export class RestoreFolders {
  readonly #of: RestoreFoldersContext;
  readonly #own: OwnFolders;

  constructor(context: RestoreFoldersContext) {
    this.#of = context;
    this.#own = new OwnFolders(context.target, context.places);
  }

  /** Whether the folder gets the metadata of the snapshot's. */
  sets(path: Buffer): boolean {
    return this.#of.existing === 'overwrite' || this.#own.has(path);
  }

  make({ entry, path, isStandIn }: PlacedBelow): void {
    const { places, target, existing, flush, tally } = this.#of;
    tally.guarded(entry, () => {
      const place = places.of(path);
      const there = lstatSync(place, { throwIfNoEntry: false, bigint: true });
      if (there?.isDirectory()) {
        this.#own.opens(path, there);
        // An earlier run, or the owner, may have closed it; pass 2 sets its final mode.
        places.enter(path, { isOurs: target.ownsFolder && isStandIn !== true });
        flush.meets(places.folder(path), Number(there.dev));
        return;
      }
      if (there !== undefined && existing !== 'overwrite') throw new Error(NO_FOLDER_IN_PLACE);
      this.#own.makes(path);
      if (there === undefined) mkdirSync(place, { mode: 0o700 });
      else this.#replace(path);
      if (isStandIn) this.#set(path, entry);
      tally.count('folders');
    });
  }

  /** What is there is removed only once the folder is in its place. */
  #replace(path: Buffer): void {
    const aside = this.#of.parts.pathFor(path);
    const place = this.#of.places.of(path);
    renameSync(place, aside);
    try {
      mkdirSync(place, { mode: 0o700 });
    } catch (error) {
      renameSync(aside, place);
      throw error;
    }
    unlinkSync(aside);
  }

  close({ entry, path }: OpenFolder): void {
    if (path.length === 0) return;
    this.#of.tally.guarded(entry, () => {
      try {
        this.#flushed(path, () => {
          if (!this.sets(path)) this.#own.giveBack(path);
          else {
            this.#set(path, entry);
            this.#own.isSet(path);
          }
        });
      } catch (error) {
        // Reported in pass 1.
        if (!(error instanceof NoFolder)) throw error;
      }
    });
  }

  /** Flushes the folder behind `work`, where the flush at the end does not reach it. */
  #flushed(path: Buffer, work: () => void): void {
    if (this.#of.flush.reachesNames) {
      work();
      return;
    }
    // Opened before the mode may forbid it.
    const fd = openSync(this.#of.places.folder(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      work();
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Only a folder that is the restore's own gets the metadata of the source's folder; a shared one belongs to somebody
   * else. It stays open to its owner, who may be the one to remove the mark.
   */
  closeTarget(root: PlacedEntry | undefined): void {
    const { target } = this.#of;
    this.giveAllBack();
    if (root !== undefined && setsTarget(target, root))
      this.#changeTarget(root.entry, (fd, place) => {
        const { entry } = root;
        const faults = setOwnerAndAttributes(fd, place, entry);
        const ofMode = setMode(fd, { ...entry, mode: entry.mode | OWNER_ALL });
        return isOpenToOwner(entry) ? [...faults, ...ofMode] : faults;
      });
    // The folder was made for a single file, so it gets the mode that mkdir would give it.
    else if (root === undefined && target.isNew) chmodSync(target.folder.self, OWNER_ALL | (0o777 & ~process.umask()));
    else target.giveBack();
  }

  /** What the removal of the mark would change or needs: the target's time, and a mode that locks out its owner. */
  leaveTarget(root: PlacedEntry | undefined): void {
    if (root === undefined || !setsTarget(this.#of.target, root)) return;
    const { entry } = root;
    this.#changeTarget(entry, (fd, place) => [
      ...setTime(place, entry),
      ...(isOpenToOwner(entry) ? [] : setMode(fd, entry)),
    ]);
  }

  /** To be called when the restore fails: folders of others that it has opened get what they had. */
  giveAllBack(): void {
    this.#own.giveAllBack();
  }

  /** Sets the mode last: it may lock out even the owner. */
  #set(path: Buffer, entry: Entry): void {
    this.#change(path, entry, (fd, place) => [
      ...setOwnerAndAttributes(fd, place, entry),
      ...setTime(place, entry),
      ...setMode(fd, entry),
    ]);
  }

  #changeTarget(entry: Entry, change: Change): void {
    this.#of.tally.guarded(entry, () => this.#change(ITSELF, entry, change));
  }

  #change(path: Buffer, entry: Entry, change: Change): void {
    const place = this.#of.places.folder(path);
    const fd = openSync(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      this.#of.tally.faults(entry, change(fd, place));
    } finally {
      closeSync(fd);
    }
  }
}

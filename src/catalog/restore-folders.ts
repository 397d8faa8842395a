/**
 * Restore folders: made before anything is written into them, open to the caller only, and closed behind their last entry
 * with the owner, attributes, mode and time that they are to have.
 *
 * Driven by restore-tree.ts.
 */
import { chmodSync, closeSync, constants, lstatSync, mkdirSync, openSync, renameSync, unlinkSync } from 'node:fs';
import type { Entry } from './entry.js';
import type { PlacedBelow } from './placed-entries.js';
import type { PlacedEntry } from './restore-content.js';
import { type NotSet, setMode, setOwnerAndAttributes, setTime } from './restore-metadata.js';
import type { OpenFolder } from './restore-names.js';
import type { RestoreParts } from './restore-parts.js';
import { NoFolder, type RestorePlaces } from './restore-places.js';
import type { RestoreTally } from './restore-tally.js';
import type { ExistingFiles, RestoreTarget } from './restore-target.js';

/** The path of the target, relative to it. */
const ITSELF = Buffer.alloc(0);
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

export const NO_FOLDER_IN_PLACE = 'something that is no folder is there in its place';

export interface RestoreFoldersContext {
  readonly target: RestoreTarget;
  readonly places: RestorePlaces;
  readonly existing: ExistingFiles;
  readonly parts: RestoreParts;
  readonly tally: RestoreTally;
}

export class RestoreFolders {
  readonly #of: RestoreFoldersContext;

  constructor(context: RestoreFoldersContext) {
    this.#of = context;
  }

  make({ entry, path, isStandIn }: PlacedBelow): void {
    const { places, target, existing, tally } = this.#of;
    tally.guarded(entry, () => {
      const place = places.of(path);
      const there = lstatSync(place, { throwIfNoEntry: false });
      if (there?.isDirectory()) {
        // An earlier run, or the owner, may have closed it; pass 2 sets the mode that it is to have.
        places.enter(path, { isOurs: target.ownsFolder && isStandIn !== true });
        return;
      }
      if (there === undefined) mkdirSync(place, { mode: 0o700 });
      else if (existing === 'overwrite') this.#replace(path);
      else throw new Error(NO_FOLDER_IN_PLACE);
      if (isStandIn) this.#set(path, entry);
      tally.count('folders');
    });
  }

  /** What is there goes when the folder is there, and not before. */
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
        this.#set(path, entry);
      } catch (error) {
        // Told in pass 1.
        if (!(error instanceof NoFolder)) throw error;
      }
    });
  }

  /** Only a folder that is the restore's own gets the metadata of the source's folder; a shared one belongs to somebody. */
  closeTarget(root: PlacedEntry | undefined): void {
    const { target } = this.#of;
    // What stands in says nothing about a folder that an earlier run may have known better.
    const isSet = root?.isStandIn ? target.isNew : target.ownsFolder;
    if (root !== undefined && isSet) this.#of.tally.guarded(root.entry, () => this.#set(ITSELF, root.entry));
    // A single file came into a folder that was made for it, as mkdir would make it.
    else if (root === undefined && target.isNew) chmodSync(target.folder.self, 0o777 & ~process.umask());
    else target.giveBack();
  }

  /** The mode last: it may keep even its owner out. */
  #set(path: Buffer, entry: Entry): void {
    const place = this.#of.places.folder(path);
    const fd = openSync(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const faults: NotSet[] = [];
    try {
      faults.push(...setOwnerAndAttributes(fd, place, entry), ...setTime(place, entry), ...setMode(fd, entry));
    } finally {
      closeSync(fd);
    }
    this.#of.tally.faults(entry, faults);
  }
}

/**
 * Restore folders: made before anything is written into them, open to the caller only, and closed behind their last entry
 * with the owner, attributes, mode and time that they are to have.
 *
 * Driven by restore-tree.ts.
 */
import { chmodSync, closeSync, constants, lstatSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import type { Entry } from './entry.js';
import type { PlacedBelow } from './placed-entries.js';
import type { PlacedEntry } from './restore-content.js';
import { type NotSet, setAllButTime, setTime } from './restore-metadata.js';
import type { OpenFolder } from './restore-names.js';
import type { RestoreParts } from './restore-parts.js';
import { checkParents, faultAbove } from './restore-places.js';
import type { RestoreTally } from './restore-tally.js';
import { below, type ExistingFiles, type RestoreTarget } from './restore-target.js';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

export const NO_FOLDER_IN_PLACE = 'something that is no folder is there in its place';

export interface RestoreFoldersContext {
  readonly target: RestoreTarget;
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
    const place = below(this.#of.target.folder, path);
    this.#of.tally.guarded(entry, () => {
      checkParents(this.#of.target.folder, path);
      const there = lstatSync(place, { throwIfNoEntry: false });
      if (there?.isDirectory()) {
        // An earlier run, or the owner, may have closed it; pass 2 sets the mode that it is to have.
        if ((there.mode & 0o700) !== 0o700) chmodSync(place, (there.mode & 0o7777) | 0o700);
        return;
      }
      if (there === undefined) mkdirSync(place, { mode: 0o700 });
      else if (this.#of.existing === 'overwrite') this.#replace(path);
      else throw new Error(NO_FOLDER_IN_PLACE);
      if (isStandIn) this.#set(place, entry);
      this.#of.tally.count('folders');
    });
  }

  /** What is there goes when the folder is there, and not before. */
  #replace(path: Buffer): void {
    const place = below(this.#of.target.folder, path);
    const aside = this.#of.parts.pathFor(path);
    renameSync(place, aside);
    try {
      mkdirSync(place, { mode: 0o700 });
    } catch (error) {
      renameSync(aside, place);
      throw error;
    }
    rmSync(aside);
  }

  close({ entry, path }: OpenFolder): void {
    if (path.length === 0) return;
    this.#of.tally.guarded(entry, () => {
      // Told in pass 1, both.
      if (faultAbove(this.#of.target.folder, path) !== undefined) return;
      const place = below(this.#of.target.folder, path);
      if (lstatSync(place, { throwIfNoEntry: false })?.isDirectory() !== true) return;
      this.#set(place, entry);
    });
  }

  /** Only a folder that is the restore's own gets the metadata of the source's folder; a shared one belongs to somebody. */
  closeTarget(root: PlacedEntry | undefined): void {
    const { isNew, ownsFolder } = this.#of.target;
    // What stands in says nothing about a folder that an earlier run may have known better.
    const isSet = root?.isStandIn ? isNew : ownsFolder;
    if (root !== undefined && isSet)
      this.#of.tally.guarded(root.entry, () => this.#set(this.#of.target.folder, root.entry));
    // A single file came into a folder that was made for it, as mkdir would make it.
    else if (root === undefined && isNew) chmodSync(this.#of.target.folder, 0o777 & ~process.umask());
  }

  #set(place: Buffer, entry: Entry): void {
    const fd = openSync(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    let faults: NotSet[];
    try {
      faults = setAllButTime(fd, place, entry);
    } finally {
      closeSync(fd);
    }
    this.#of.tally.faults(entry, [...faults, ...setTime(place, entry)]);
  }
}

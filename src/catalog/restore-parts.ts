/**
 * Restore parts: where does what is unfinished lie until it gets its name?
 *
 * In the mark's folder, whose leftovers the next run removes or goes on with; beside the name where that lies on another file
 * system, for a rename cannot cross. A rename puts it into its place in one step, so what was there before is there until then.
 * No run gives a path that another one has given.
 *
 * Driven by restore-files.ts, restore-folders.ts and restore-symlink.ts.
 */
import { randomBytes } from 'node:crypto';
import { lstatSync } from 'node:fs';
import type { BlobId } from '../core/ids.js';
import { isRoot } from './restore-metadata.js';
import { below, openOnTheWay, parentOf, type RestorePlaces } from './restore-places.js';
import { begunPath, partPath, type RestoreTarget } from './restore-target.js';

export class RestoreParts {
  readonly #target: Pick<RestoreTarget, 'markFolder' | 'named'>;
  readonly #places: RestorePlaces;
  readonly #run = randomBytes(6).toString('hex');
  /** The mark's file system. */
  #device: number | undefined;
  #parts = 0;

  constructor(target: Pick<RestoreTarget, 'markFolder' | 'named'>, places: RestorePlaces) {
    this.#target = target;
    this.#places = places;
  }

  /** A path that nothing has yet, for what is to have the name `path`, relative to the target. */
  pathFor(path: Buffer): Buffer {
    this.#parts += 1;
    const name = `${this.#run}-${this.#parts}`;
    if (this.#canRenameTo(path)) return partPath(this.#target.markFolder, name);
    // It is reached by names alone, for longer than a folder is held.
    const beside = below(this.#target.named, parentOf(path));
    if (isRoot() && openOnTheWay(beside) !== undefined) throw new Error(OTHER_FILE_SYSTEM);
    return below(beside, `.scatterhoard-part-${name}`);
  }

  /** The same path in each run; `undefined` where the mark's folder lies on another file system than the name. */
  begunPathFor(path: Buffer, blob: BlobId): Buffer | undefined {
    return this.#canRenameTo(path) ? begunPath(this.#target.markFolder, blob) : undefined;
  }

  #canRenameTo(path: Buffer): boolean {
    this.#device ??= lstatSync(this.#target.markFolder).dev;
    return lstatSync(this.#places.folder(parentOf(path))).dev === this.#device;
  }
}

const OTHER_FILE_SYSTEM =
  'its folder lies on another file system than the target, and others may write there: restore it by itself, with --target there';

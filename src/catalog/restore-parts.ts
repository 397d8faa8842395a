/**
 * Restore parts: where does an unfinished file, folder or symlink lie until it gets its name?
 *
 * It lies in the mark's folder, whose leftovers the next run removes or continues; or beside its final name where that
 * is on another file system, since a rename cannot cross file systems. Such a folder is noted in the mark's folder first,
 * so that the next run finds there what this one leaves. A rename puts the file into its place in one step, so what was
 * there before stays until then. No run gives out a path that another run has given out.
 *
 * Driven by restore-files.ts, restore-folders.ts and restore-symlink.ts.
 */
import { randomBytes } from 'node:crypto';
import { appendFileSync, lstatSync } from 'node:fs';
import type { BlobId } from '../core/ids.js';
import type { RestoreFlush } from './restore-flush.js';
import { isRoot } from './restore-metadata.js';
import { BESIDE_PART } from './restore-names.js';
import { below, openOnTheWay, parentOf, type RestorePlaces } from './restore-places.js';
import { begunPath, besideNote, namesFolder, partPath, type RestoreTarget } from './restore-target.js';

export interface RestorePartsContext {
  readonly target: Pick<RestoreTarget, 'markFolder' | 'named'>;
  readonly places: RestorePlaces;
  readonly flush: Pick<RestoreFlush, 'meets'>;
}

export class RestoreParts {
  readonly #target: RestorePartsContext['target'];
  readonly #places: RestorePlaces;
  readonly #flush: Pick<RestoreFlush, 'meets'>;
  readonly #run = randomBytes(6).toString('hex');
  /** The mark's file system. */
  #device: number | undefined;
  #parts = 0;
  /** The last folder that was noted, relative to the target: entries come folder by folder. */
  #beside: Buffer | undefined;

  constructor({ target, places, flush }: RestorePartsContext) {
    this.#target = target;
    this.#places = places;
    this.#flush = flush;
  }

  /** A path that does not exist yet, for something that is to get the name `path`, relative to the target. */
  pathFor(path: Buffer): Buffer {
    this.#parts += 1;
    const name = `${this.#run}-${this.#parts}`;
    if (this.#canRenameTo(path)) return partPath(this.#target.markFolder, name);
    // By name and not by descriptor: the path is used for longer than a folder is held.
    const beside = below(this.#target.named, parentOf(path));
    if (isRoot() && openOnTheWay(beside) !== undefined) throw new Error(OTHER_FILE_SYSTEM);
    this.#noteBeside(parentOf(path));
    return below(beside, `${BESIDE_PART}${name}`);
  }

  /**
   * A path for a folder in which names are tried that the folder at `path` is to have; it is valid as long as that of a
   * place is.
   */
  namesPlaceFor(path: Buffer): Buffer {
    if (path.length === 0) return namesFolder(this.#target.markFolder);
    const folder = this.#places.folder(path);
    this.#noteBeside(path);
    return below(folder, `${BESIDE_PART}${this.#run}-names`);
  }

  #noteBeside(folder: Buffer): void {
    if (this.#beside?.equals(folder) !== true)
      appendFileSync(besideNote(this.#target.markFolder, this.#run), `${folder.toString('hex')}\n`);
    this.#beside = folder;
  }

  /** The same path in each run; `undefined` where the mark's folder is on another file system than the name. */
  begunPathFor(path: Buffer, blob: BlobId): Buffer | undefined {
    return this.#canRenameTo(path) ? begunPath(this.#target.markFolder, blob) : undefined;
  }

  #canRenameTo(path: Buffer): boolean {
    this.#device ??= lstatSync(this.#target.markFolder).dev;
    const folder = this.#places.folder(parentOf(path));
    const { dev } = lstatSync(folder);
    // Nothing is written where no flush would reach it.
    this.#flush.meets(folder, dev);
    return dev === this.#device;
  }
}

const OTHER_FILE_SYSTEM =
  'its folder is on another file system than the target, and other users may write there: restore it by itself, with a --target on that file system';

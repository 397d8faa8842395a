/**
 * Restore parts: where does what is unfinished lie until it gets its name?
 *
 * In the mark's folder, whose leftovers the next run removes or goes on with; beside the name where that lies on another file
 * system, for a rename cannot cross. A rename puts it into its place in one step, so what was there before is there until then.
 *
 * Driven by restore-files.ts, restore-folders.ts and restore-symlink.ts.
 */
import { lstatSync } from 'node:fs';
import type { BlobId } from '../core/ids.js';
import { begunPath, below, partPath } from './restore-target.js';

export class RestoreParts {
  readonly #folder: Buffer;
  /** The target's file system; it need not be there before the first part is. */
  #device: number | undefined;
  #parts = 0;

  constructor(folder: Buffer) {
    this.#folder = folder;
  }

  /** A path that nothing has yet, for what is to have the name `path`, relative to the target. */
  pathFor(path: Buffer): Buffer {
    this.#parts += 1;
    if (this.#canRenameTo(path)) return partPath(this.#folder, this.#parts);
    return below(this.#parentOf(path), `.scatterhoard-part-${process.pid}-${this.#parts}`);
  }

  /** The same path in each run; `undefined` where the mark's folder lies on another file system than the name. */
  begunPathFor(path: Buffer, blob: BlobId): Buffer | undefined {
    return this.#canRenameTo(path) ? begunPath(this.#folder, blob) : undefined;
  }

  #canRenameTo(path: Buffer): boolean {
    this.#device ??= lstatSync(this.#folder).dev;
    // A folder that is gone is told when something is to be made in it.
    return lstatSync(this.#parentOf(path), { throwIfNoEntry: false })?.dev === this.#device;
  }

  #parentOf(path: Buffer): Buffer {
    return below(this.#folder, path.subarray(0, Math.max(path.lastIndexOf(SLASH), 0)));
  }
}

const SLASH = 0x2f;

/**
 * Restore parts: where does what is unfinished lie until it gets its name?
 *
 * In the mark's folder, whose leftovers the next run removes; beside the name where that lies on another file system, for a
 * rename cannot cross. A rename puts it into its place in one step, so what was there before is there until then.
 *
 * Driven by restore-files.ts and restore-tree.ts.
 */
import { lstatSync } from 'node:fs';
import { below, partPath } from './restore-target.js';

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
    this.#device ??= lstatSync(this.#folder).dev;
    const parent = below(this.#folder, path.subarray(0, Math.max(path.lastIndexOf(SLASH), 0)));
    if (lstatSync(parent).dev === this.#device) return partPath(this.#folder, this.#parts);
    return below(parent, `.scatterhoard-part-${process.pid}-${this.#parts}`);
  }
}

const SLASH = 0x2f;

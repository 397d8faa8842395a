/**
 * Restore links: the names of one inode, which may come in several parcels and in several runs.
 *
 * One name of each inode, its anchor, stays in the mark's folder until the restore ends; while the first name waits for
 * the disk, its unfinished file serves instead. Where no link can be made, each name gets a file of its own.
 *
 * Driven by restore-files.ts.
 */
import { linkSync, lstatSync } from 'node:fs';
import type { Entry } from './entry.js';
import { pathKey } from './path-order.js';
import { pathlessMessageOf } from './restore-failure.js';
import { type NotSet, sameTime } from './restore-metadata.js';
import type { WantedFile } from './restore-outcome.js';
import type { RestoreParts } from './restore-parts.js';
import { linkAnchor } from './restore-target.js';

export class HardLinks {
  readonly #markFolder: Buffer;
  readonly #parts: RestoreParts;
  /** For each file whose first name waits for the disk: its anchor's path → its unfinished file. */
  readonly #unnamed = new Map<string, Buffer>();

  constructor(markFolder: Buffer, parts: RestoreParts) {
    this.#markFolder = markFolder;
    this.#parts = parts;
  }

  /**
   * Notes that the unfinished file waits for its name; others may be linked to it. @returns to be called when it no
   * longer waits
   */
  waits(part: Buffer, entry: Entry): () => void {
    const anchor = this.#anchorOf(entry);
    if (anchor === undefined) return () => {};
    const key = pathKey(anchor);
    if (!this.#unnamed.has(key)) this.#unnamed.set(key, part);
    return () => {
      if (this.#unnamed.get(key) === part) this.#unnamed.delete(key);
    };
  }

  /**
   * A new link to a file that is restored or about to be, as an unfinished file. `undefined`: there is no such file, or
   * no link can be made.
   */
  linkTo({ entry, path }: WantedFile): Buffer | undefined {
    const anchor = this.#anchorOf(entry);
    if (anchor === undefined) return undefined;
    const first = this.#unnamed.get(pathKey(anchor)) ?? anchor;
    const found = lstatSync(first, { throwIfNoEntry: false, bigint: true });
    // An earlier run's file may have been written to since, and the anchor is the same inode.
    if (found === undefined || found.size !== BigInt(entry.size) || !sameTime(found.mtimeNs, entry.mtimeNs))
      return undefined;
    const part = this.#parts.pathFor(path);
    try {
      linkSync(first, part);
      return part;
    } catch {
      // The inode may have no more links, for example: the file gets its own content, and `anchor` reports that where
      // it matters.
      return undefined;
    }
  }

  /**
   * Keeps one name of this inode on disk for the names that come later. If the anchor is another inode, returns the
   * reason.
   */
  anchor(place: Buffer, entry: Entry): NotSet | undefined {
    const anchor = this.#anchorOf(entry);
    if (anchor === undefined) return undefined;
    try {
      linkSync(place, anchor);
      return undefined;
    } catch (error) {
      const [here, first] = [lstatSync(place), lstatSync(anchor, { throwIfNoEntry: false })];
      if (here.ino === first?.ino && here.dev === first.dev) return undefined;
      return { what: 'hard link', because: `it is a separate file instead: ${pathlessMessageOf(error)}` };
    }
  }

  #anchorOf({ link, blob }: Entry): Buffer | undefined {
    return link === undefined || blob === undefined ? undefined : linkAnchor(this.#markFolder, link, blob);
  }
}

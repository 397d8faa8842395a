/**
 * Restore links: the names of one inode, which come in several parcels and maybe in several runs.
 *
 * One name of each stays in the mark's folder, its anchor, until the restore ends; and while the first waits for the disk, its
 * unfinished file stands for it. Where no link can be made, each name gets a file of its own.
 *
 * Driven by restore-files.ts.
 */
import { linkSync, lstatSync } from 'node:fs';
import type { Entry } from './entry.js';
import { pathKey } from './path-order.js';
import { messageOf } from './restore-failure.js';
import { type NotSet, sameTime } from './restore-metadata.js';
import type { WantedFile } from './restore-outcome.js';
import type { RestoreParts } from './restore-parts.js';
import { linkAnchor } from './restore-target.js';

export class HardLinks {
  readonly #markFolder: Buffer;
  readonly #parts: RestoreParts;
  /** Of each file whose first name waits for the disk, its anchor's path and its unfinished file. */
  readonly #unnamed = new Map<string, Buffer>();

  constructor(markFolder: Buffer, parts: RestoreParts) {
    this.#markFolder = markFolder;
    this.#parts = parts;
  }

  /** The unfinished file waits for its name, and others may be linked to it. @returns to be called when it waits no more */
  waits(part: Buffer, entry: Entry): () => void {
    const anchor = this.#anchorOf(entry);
    if (anchor === undefined) return () => {};
    const key = pathKey(anchor);
    if (!this.#unnamed.has(key)) this.#unnamed.set(key, part);
    return () => {
      if (this.#unnamed.get(key) === part) this.#unnamed.delete(key);
    };
  }

  /** An unfinished file that is another name of one that is restored, or about to be. `undefined`: there is none, or no link can be made. */
  linkTo({ entry, path }: WantedFile): Buffer | undefined {
    const anchor = this.#anchorOf(entry);
    if (anchor === undefined) return undefined;
    const first = this.#unnamed.get(pathKey(anchor)) ?? anchor;
    const found = lstatSync(first, { throwIfNoEntry: false, bigint: true });
    // A name restored by an earlier run may have been written to since; the anchor is the same inode.
    if (found === undefined || found.size !== BigInt(entry.size) || !sameTime(found.mtimeNs, entry.mtimeNs))
      return undefined;
    const part = this.#parts.pathFor(path);
    try {
      linkSync(first, part);
      return part;
    } catch {
      // No more links to it, say: it gets content of its own, and `anchor` reports that where it matters.
      return undefined;
    }
  }

  /** Remembers, on disk, one name of this inode for the names that come later; of another inode, tells why it is that. */
  anchor(place: Buffer, entry: Entry): NotSet | undefined {
    const anchor = this.#anchorOf(entry);
    if (anchor === undefined) return undefined;
    try {
      linkSync(place, anchor);
      return undefined;
    } catch (error) {
      const [here, first] = [lstatSync(place), lstatSync(anchor, { throwIfNoEntry: false })];
      if (here.ino === first?.ino && here.dev === first.dev) return undefined;
      return { what: 'hard link', because: `a file of its own instead: ${messageOf(error)}` };
    }
  }

  #anchorOf({ link, blob }: Entry): Buffer | undefined {
    return link === undefined || blob === undefined ? undefined : linkAnchor(this.#markFolder, link, blob);
  }
}

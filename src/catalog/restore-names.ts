/**
 * Restore names: may this entry be written below the target, and where?
 *
 * Names are bytes and come from other hosts, so they count as hostile until checked. Two rules keep everything inside
 * the target: each path is checked by itself (`nameFault`), and entries must come in strict path order with every
 * folder before its content (`RestoreOrder`). With memory bounded by the depth of the tree, the order ensures that no
 * path comes twice and that everything above an entry is a folder of this same restore and never one of its symlinks.
 */

import { SLASH } from '../platform/slash.js';
import { type Entry, PATH_BYTES_MAX } from './entry.js';
import { comparePaths, isAtOrUnder, isUnder } from './path-order.js';

/** The folder in the target that holds the restore's mark and its unfinished files. No entry may bear its name. */
export const MARK_FOLDER = '.scatterhoard-restore';
/** What an unfinished file's name begins with where it lies beside its final one, on another file system. */
export const BESIDE_PART = '.scatterhoard-part-';
/** … with the restore and the number of the file behind (restore-parts.ts). */
const BESIDE_NAME = /^\.scatterhoard-part-[0-9a-f]{12}-[0-9]+$/;
const WORK_BEGINS = Buffer.from('.scatterhoard-');

/**
 * Whether the path is, or lies in, what a restore makes only for as long as it runs. Any folder of a source can be the
 * target of one.
 */
export function isRestoreWork(path: Buffer): boolean {
  if (!path.includes(WORK_BEGINS)) return false;
  const names = path.toString('latin1').split('/');
  return names.some(name => name === MARK_FOLDER || BESIDE_NAME.test(name));
}

/** NAME_MAX of every common file system; it also keeps the reason readable where the file system's own limit is lower. */
export const COMPONENT_BYTES_MAX = 255;

/** Why `path` must not be written below a target, as a phrase; `undefined` when it may be. */
export function nameFault(path: Buffer): string | undefined {
  if (path.length > PATH_BYTES_MAX) return `its path has more than ${PATH_BYTES_MAX} bytes`;
  if (path.includes(0)) return 'its path has a NUL byte';
  if (path[0] === SLASH) return 'its path is absolute';
  let start = 0;
  for (let at = 0; at <= path.length; at += 1) {
    if (at < path.length && path[at] !== SLASH) continue;
    const component = path.subarray(start, at);
    if (component.length === 0) return 'its path has an empty component';
    if (component.length > COMPONENT_BYTES_MAX)
      return `its path has a component of more than ${COMPONENT_BYTES_MAX} bytes`;
    const text = component.toString('latin1');
    if (text === '.' || text === '..') return `its path has the component "${text}"`;
    if (start === 0 && text === MARK_FOLDER)
      return `it has the name of the restore's own mark: restore it by itself, to another --target`;
    start = at + 1;
  }
  return undefined;
}

/**
 * `write`: below the target at `path` (empty: the target itself). `refuse`: nothing may be written for this entry.
 * `closed`: the folders whose content is complete before this entry, deepest first.
 */
export type OrderVerdict = { readonly closed: readonly OpenFolder[] } & (
  | { readonly act: 'write'; readonly path: Buffer }
  | { readonly act: 'refuse'; readonly because: string }
);

/** A folder whose content is still coming. */
export interface OpenFolder {
  readonly entry: Entry;
  /** Relative to the target. */
  readonly path: Buffer;
}

/**
 * Follows one pass over the entries. `under` is the path that was asked for: a folder's content goes into the target.
 */
export class RestoreOrder {
  readonly #under: Buffer;
  /** How many bytes at the front of each path stand for the target: `under/`, or the folder of a single file. */
  #cut: number | undefined;
  #last: Buffer | undefined;
  readonly #open: OpenFolder[] = [];

  constructor(under: Buffer) {
    this.#under = under;
  }

  next(entry: Entry): OrderVerdict {
    const refuse = (because: string, closed: readonly OpenFolder[] = []) =>
      ({ act: 'refuse', because, closed }) as const;
    if (!isAtOrUnder(entry.path, this.#under)) return refuse('it lies outside what was asked for');
    if (this.#last !== undefined && comparePaths(this.#last, entry.path) >= 0) {
      return refuse('its path comes twice or out of order');
    }
    this.#cut ??= this.#cutFor(entry);
    const isTarget = this.#last === undefined && entry.path.equals(this.#under) && entry.kind === 'directory';
    this.#last = entry.path;
    const path = isTarget ? Buffer.alloc(0) : entry.path.subarray(this.#cut);
    const fault = isTarget ? undefined : nameFault(path);
    if (fault !== undefined) return refuse(fault);

    const closed: OpenFolder[] = [];
    for (let top = this.#open.at(-1); top !== undefined && !isUnder(path, top.path); top = this.#open.at(-1)) {
      closed.push(top);
      this.#open.pop();
    }
    const parent = path.subarray(0, Math.max(path.lastIndexOf(SLASH), 0));
    // The target itself counts as listed even when it is not, as for a single file.
    if (parent.length > 0 && this.#open.at(-1)?.path.equals(parent) !== true) {
      return refuse('the snapshot does not list the folder it lies in', closed);
    }
    if (entry.kind === 'directory') this.#open.push({ entry, path });
    return { act: 'write', path, closed };
  }

  /** To be called after the last entry. Returns the folders that are still open, deepest first. */
  end(): readonly OpenFolder[] {
    return this.#open.splice(0).reverse();
  }

  #cutFor(first: Entry): number {
    const isSingle = first.path.equals(this.#under) && first.kind !== 'directory';
    if (isSingle) return first.path.lastIndexOf(SLASH) + 1;
    return this.#under.length === 0 ? 0 : this.#under.length + 1;
  }
}

/**
 * Store root: whether the folder of a mounted store still lies at its path.
 *
 * A mounted store can become hidden: its disk is unmounted while files are open, another disk is mounted over it, or
 * its folder is renamed. Its log still takes operations, but every path leads elsewhere. Then a missing file proves
 * nothing about the disk, and placed files do not reach it. So this is checked before every entry into the log, and before
 * a checkpoint, a marker or a tree is written by its path.
 */
import { ClusterError, messageOf } from '../core/fault.js';
import { lstat } from '../platform/disk-calls.js';

export class StoreRoot {
  readonly #path: string;
  readonly #dev: number;
  readonly #ino: number;

  private constructor(path: string, { dev, ino }: { readonly dev: number; readonly ino: number }) {
    this.#path = path;
    this.#dev = dev;
    this.#ino = ino;
  }

  /**
   * Somebody must keep the folder open (disk-sync.ts): otherwise another one could get its inode number once it is
   * gone.
   */
  static async open(path: string): Promise<StoreRoot> {
    return new StoreRoot(path, await lstat(path));
  }

  /** Why the folder is no longer there, in words for people; `undefined` while it is. One system call; never throws. */
  async whyHidden(): Promise<string | undefined> {
    try {
      const { dev, ino } = await lstat(this.#path);
      return dev === this.#dev && ino === this.#ino
        ? undefined
        : `the folder at ${this.#path} is not the one that was opened`;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** @throws ClusterError STORE_MISSING */
  async mustBeThere(): Promise<void> {
    throwIfGone(await this.whyHidden());
  }
}

/** @throws ClusterError STORE_MISSING */
export function throwIfGone(why: string | undefined): void {
  if (why === undefined) return;
  throw new ClusterError('STORE_MISSING', `${why}; nothing was changed`, { blame: 'operator' });
}

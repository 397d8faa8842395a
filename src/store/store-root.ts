/**
 * Store root: whether the folder of a mounted store still lies at its path.
 *
 * A disk that was unmounted while files of it are open, that another one was mounted over, or whose folder was renamed is hidden:
 * its log still takes operations, while every path leads elsewhere. Then a file that is not there says nothing of the disk, and
 * what is placed does not come to it. So nothing is entered into the log before this was asked.
 */
import { ClusterError } from '../core/fault.js';
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

  /** Somebody must keep the folder open (disk-sync.ts): another one could get its number once it is gone. */
  static async open(path: string): Promise<StoreRoot> {
    return new StoreRoot(path, await lstat(path));
  }

  /** Why it is not there, for people; `undefined` while it is. One system call; never throws. */
  async whyHidden(): Promise<string | undefined> {
    try {
      const { dev, ino } = await lstat(this.#path);
      return dev === this.#dev && ino === this.#ino
        ? undefined
        : `another folder lies at ${this.#path} than was opened`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
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

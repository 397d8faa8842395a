/**
 * Exclude: which paths of a source its policy leaves out, and what a restore into it makes only for as long as it runs.
 * Patterns are those of .gitignore, from the source's folder on.
 *
 * Paths are bytes and the matcher works on text, so both sides become text byte by byte (Latin-1): `ü*.tmp` in the policy is
 * its UTF-8 bytes, and matches the same bytes on disk. A `?` or `[…]` therefore stands for one *byte*. Case counts.
 * Nothing below an excluded folder is looked at, so a `!` pattern cannot bring it back, as in git.
 */
import ignore, { type Ignore } from 'ignore';
import { isRestoreWork } from './restore-names.js';

/**
 * The matcher remembers every path that it is asked about; it is replaced after this many, so that it does not grow.
 */
const MATCHER_PATHS_MAX = 10_000;

export class Exclusion {
  readonly #patterns: readonly string[];
  #matcher: Ignore;
  #asked = 0;

  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map(pattern => Buffer.from(pattern, 'utf8').toString('latin1'));
    this.#matcher = this.#make();
  }

  /**
   * `path` is relative to the source's folder and not empty. Ask about parents first, and not about anything below an
   * excluded folder.
   */
  excludes(path: Buffer, { isDirectory }: { readonly isDirectory: boolean }): boolean {
    if (isRestoreWork(path)) return true;
    if (this.#patterns.length === 0) return false;
    this.#asked += 1;
    if (this.#asked > MATCHER_PATHS_MAX) {
      this.#asked = 1;
      this.#matcher = this.#make();
    }
    const text = path.toString('latin1');
    return this.#matcher.ignores(isDirectory ? `${text}/` : text);
  }

  /**
   * For a name of which it is not known whether it is a folder's. One that is excluded as a file alone, as where the
   * patterns name what is wanted, may be a folder full of files that are wanted.
   */
  excludesUnknown(path: Buffer): boolean {
    return this.excludes(path, { isDirectory: false }) && this.excludes(path, { isDirectory: true });
  }

  #make(): Ignore {
    return ignore({ ignoreCase: false, allowRelativePaths: true }).add([...this.#patterns]);
  }
}

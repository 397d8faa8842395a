/**
 * Loss bound: how many files of the snapshot a day ago may be lost by now, at most, as far as that is known without
 * comparing. It grows with what the runs lose, so that on average only as much is read as changes.
 *
 * A comparison finds so many files lost, and others whose content is still there under another name. From then on each
 * file that leaves or changes loses itself, and, if it was the last with its content, all that had got another name.
 * When the snapshot a day ago becomes a later one, all that is new in that one may be lost too.
 *
 * In memory alone: it begins with a comparison. Driven by mass-changes.ts.
 */
import type { ContentLost, FilesLost } from '../catalog/files-lost.js';

export class LossBound {
  #lost: number;
  /** How many contents have so many files that got another name; most files first. */
  readonly #moved: readonly (readonly [files: number, contents: number])[];
  /** Files that left or changed in the runs since the comparison. */
  #left = 0;

  /** What a comparison of the snapshot a day ago with the newest one has found. */
  constructor({ filesGone, filesChanged, moved }: FilesLost & Partial<ContentLost>) {
    this.#lost = filesGone + filesChanged;
    this.#moved = [...(moved ?? [])].sort(([a], [b]) => b - a);
  }

  get atMost(): number {
    return this.#lost + this.#left + this.#lastNames();
  }

  /** So many files left or changed in a run. */
  left(files: number): void {
    this.#left += files;
  }

  /** The snapshot a day ago is another one now, with so many files that the one before has not, or not so. */
  dayMoved(filesNew: number): void {
    this.#lost += filesNew;
  }

  /** Files that are lost if each file that left was the last with its content: those with the most names first. */
  #lastNames(): number {
    let [left, files] = [this.#left, 0];
    for (const [each, contents] of this.#moved) {
      if (left <= 0) break;
      files += each * Math.min(contents, left);
      left -= contents;
    }
    return files;
  }
}

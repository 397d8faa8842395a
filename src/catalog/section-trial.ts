/**
 * Section trial: holds back what may be a section (section.ts) of the last snapshot that is as it was, until that is known.
 *
 * All that a walk meets goes through it, in path order: what is no section is given one by one, in the same order. Held are at
 * most the entries of one section.
 *
 * Driven by scan-worker.ts.
 */
import type { NameStat } from '../platform/stat-calls.js';
import { comparePaths } from './path-order.js';
import { type Section, SectionPrint, statPrint } from './section.js';

/** An entry's stat, and what looks the rest up and gives it. */
export interface Met {
  readonly path: Buffer;
  readonly stat: NameStat;
  readonly give: () => void;
}

export class SectionTrial {
  readonly #sections: Iterator<Section>;
  readonly #ownerOf: (stat: NameStat) => string;
  readonly #onSame: (section: Section) => void;
  readonly #print = new SectionPrint();
  /** The next one that may be met. */
  #next: Section | undefined;
  /** Entries that are those of a section so far. */
  #trial: { readonly section: Section; readonly held: Met[] } | undefined;

  /** `sections`: in path order; `ownerOf`: as `SectionPrint` wants it; `onSame`: one was met, and is as it was. */
  constructor(
    sections: Iterator<Section>,
    { ownerOf, onSame }: { readonly ownerOf: (stat: NameStat) => string; readonly onSame: (section: Section) => void },
  ) {
    this.#sections = sections;
    this.#ownerOf = ownerOf;
    this.#onSame = onSame;
    this.#goOn();
  }

  /** `device`: that of the source's folder. */
  meet(met: Met, device: bigint): void {
    const { path, stat } = met;
    if (this.#trial !== undefined && this.#next !== undefined && comparePaths(path, this.#next.opening) >= 0)
      this.end(); // it had more entries
    if (this.#trial === undefined) {
      while (this.#next !== undefined && comparePaths(this.#next.opening, path) < 0) this.#goOn();
      const section = this.#next;
      if (section === undefined || !section.opening.equals(path)) {
        met.give();
        return;
      }
      this.#goOn();
      this.#trial = { section, held: [] };
    }
    const { section, held } = this.#trial;
    held.push(met);
    // Else its link would be that of its device's present number.
    if (stat.dev !== device) {
      this.end();
      return;
    }
    this.#print.add({ path, stat: statPrint(stat), owner: this.#ownerOf(stat) });
    if (held.length < section.entries) return;
    if (this.#print.digest().equals(section.print)) {
      this.#trial = undefined;
      this.#onSame(section);
    } else this.end();
  }

  /** What is held back is not as it was: gives it one by one. */
  end(): void {
    const trial = this.#trial;
    if (trial === undefined) return;
    this.#trial = undefined;
    this.#print.clear();
    for (const { give } of trial.held) give();
  }

  #goOn(): void {
    const next = this.#sections.next();
    this.#next = next.done === true ? undefined : next.value;
  }
}

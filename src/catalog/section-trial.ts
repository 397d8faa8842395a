/**
 * Section trial: holds entries back that may be an unchanged section (section.ts) of the last snapshot, until that is
 * known.
 *
 * Everything that a walk meets passes through it, in path order; what is in no section is given one by one, in the same
 * order. It holds at most the entries of one section.
 *
 * Driven by scan-worker.ts.
 */
import type { NameStat } from '../platform/stat-calls.js';
import { comparePaths } from './path-order.js';
import { type Section, SectionPrint, statPrint } from './section.js';

/** An entry's stat, where it lies, and a function that looks up the rest and gives the entry. */
export interface Met {
  readonly path: Buffer;
  readonly stat: NameStat;
  /** It lies in another mount than the source's folder, or begins one. */
  readonly isMounted: boolean;
  readonly give: () => void;
}

export class SectionTrial {
  readonly #sections: Iterator<Section>;
  readonly #ownerOf: (stat: NameStat) => string;
  readonly #onSame: (section: Section) => void;
  readonly #print = new SectionPrint();
  /** The next section that may be met. */
  #next: Section | undefined;
  /** The section that the last entries may be, with these entries. */
  #trial: { readonly section: Section; readonly held: Met[] } | undefined;

  /**
   * `sections`: in path order; `ownerOf`: the owner's text for `SectionPrint`; `onSame`: called when a section was met
   * and is unchanged.
   */
  constructor(
    sections: Iterator<Section>,
    { ownerOf, onSame }: { readonly ownerOf: (stat: NameStat) => string; readonly onSame: (section: Section) => void },
  ) {
    this.#sections = sections;
    this.#ownerOf = ownerOf;
    this.#onSame = onSame;
    this.#goOn();
  }

  meet(met: Met): void {
    const { path, stat, isMounted } = met;
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
    // Its link group may depend on the present number of its device, and each entry must be there when it is away.
    if (isMounted) {
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

  /** The entries held back are not an unchanged section: gives them one by one. */
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

/**
 * Placed entries: gives a restore a snapshot's entries, pass by pass, each with the path that it may be written to.
 *
 * Names that may not be written, and names that the target takes for one that it already has, are refused: the same
 * ones in every pass, reported in pass 1. A folder is closed after its last entry.
 *
 * Driven by restore-tree.ts.
 */
import type { Entry } from './entry.js';
import type { LackingEntries, PlacedEntry } from './restore-content.js';
import { FoldedNames, type FoldingLook } from './restore-folding.js';
import type { NotSet } from './restore-metadata.js';
import { type OpenFolder, RestoreOrder } from './restore-names.js';
import type { RestoreTally } from './restore-tally.js';
import type { RestoreMark } from './restore-target.js';

export interface PlacedBelow extends PlacedEntry {
  /** Relative to the target. */
  readonly path: Buffer;
}

const STANDS_IN: NotSet = {
  what: 'mode and time',
  because: 'the entry of this folder cannot be read; if the folder is new, only the owner of its content can open it',
};

export interface PlacedEntriesContext {
  /** Gives the same entries at each call, in path order. */
  readonly entries: (signal: AbortSignal) => AsyncIterable<PlacedEntry | LackingEntries>;
  readonly under: RestoreMark['under'];
  /** Given if the target may take two names of a folder for one. */
  readonly folding: FoldingLook | undefined;
  readonly tally: RestoreTally;
  readonly signal: AbortSignal;
}

export class PlacedEntries {
  readonly #of: PlacedEntriesContext;

  constructor(context: PlacedEntriesContext) {
    this.#of = context;
  }

  /** The entries that may be written. Refused ones are reported once, in the pass with `report`. */
  async *each({
    report,
    signal = this.#of.signal,
    onClosed = () => {},
  }: {
    readonly report: boolean;
    readonly signal?: AbortSignal;
    readonly onClosed?: (folder: OpenFolder) => void;
  }): AsyncIterable<PlacedBelow> {
    const order = new RestoreOrder(this.#of.under);
    const names = this.#of.folding && new FoldedNames(this.#of.folding);
    /** Open folders whose metadata is not known, or that have no place: nothing is set when they are closed. */
    const leftAlone = new Set<Entry>();
    const close = (folder: OpenFolder): void => {
      if (!leftAlone.delete(folder.entry)) onClosed(folder);
    };
    for await (const item of this.#of.entries(signal)) {
      signal.throwIfAborted();
      if ('lacking' in item) {
        this.#of.tally.lack(item);
        continue;
      }
      const { entry, isStandIn } = item;
      if (isStandIn) leftAlone.add(entry);
      if (isStandIn && report) this.#of.tally.faults(entry, [STANDS_IN]);
      const verdict = order.next(entry);
      for (const folder of verdict.closed) close(folder);
      if (verdict.act === 'refuse') {
        if (report) this.#of.tally.fail(entry.path, verdict.because, { retry: false });
        continue;
      }
      const taken = names?.next(verdict.path);
      if (report && entry.stale) this.#of.tally.count('stale');
      if (taken === undefined) yield { ...item, path: verdict.path };
      else {
        if (entry.kind === 'directory') leftAlone.add(entry);
        if (report) this.#of.tally.fail(entry.path, taken, { retry: false });
      }
    }
    for (const folder of order.end()) close(folder);
  }
}

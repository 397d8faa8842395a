/**
 * Restore tally: what has become of a restore's entries. Each problem is reported as it happens; the rest is counted,
 * for progress displays and for the report at the end.
 *
 * It also knows whether running the same restore again would help. Driven by restore-tree.ts and its passes.
 */
import type { Entry } from './entry.js';
import { pathKey } from './path-order.js';
import type { LackingEntries } from './restore-content.js';
import { pathlessMessageOf, throwIfStopping } from './restore-failure.js';
import type { NotSet } from './restore-metadata.js';
import type { Outcome } from './restore-outcome.js';

/** Reported as it happens: there may be as many as there are entries. */
export type RestoreProblem =
  | { readonly kind: 'failed'; readonly path: Buffer; readonly because: string }
  /** Entries are missing that come somewhere after `path`. */
  | { readonly kind: 'lacking'; readonly path: Buffer; readonly because: string }
  | { readonly kind: 'not-set'; readonly path: Buffer; readonly what: NotSet['what']; readonly because: string };

export interface RestoreProgress {
  readonly phase: 'write' | 'finish' | 'verify';
  /** Regular files that have an outcome (in `verify`: that were read back), and bytes written (read back). */
  readonly files: number;
  readonly bytes: number;
  /** Bytes of files that were there and right, or that are another name of one: they need no writing. 0 in `verify`. */
  readonly keptBytes: number;
}

export interface RestoreReport {
  readonly files: number;
  readonly bytes: number;
  readonly folders: number;
  readonly symlinks: number;
  /** Files and symlinks that were there and right, or were to be left as they are. */
  readonly kept: number;
  readonly failed: number;
  readonly notSet: number;
  /** Files that were read back and are right; 0 without `verify`. */
  readonly verified: number;
  /**
   * Entries that are older than the snapshot, because they could not be read when it was taken. Their outcome is
   * counted above, too.
   */
  readonly stale: number;
  /** The mark was left: the same command, run again, retries what failed. */
  readonly resumable: boolean;
}

/** Failed paths that are remembered, so that reading back does not report them again: some 10 MiB. */
export const FAILED_KEPT_MAX = 65_536;

/** Why an entry of one of these kinds fails. */
export const UNMAKEABLE = 'pipes, sockets and devices cannot be made by this version';

export interface TallyOptions {
  /** Whether reading back will ask which paths have failed. */
  readonly verify: boolean;
  readonly onProblem: (problem: RestoreProblem) => void;
  readonly onProgress: (progress: RestoreProgress) => void;
}

export class RestoreTally {
  readonly #options: TallyOptions;
  readonly #counts = {
    files: 0,
    bytes: 0,
    folders: 0,
    symlinks: 0,
    kept: 0,
    failed: 0,
    notSet: 0,
    verified: 0,
    stale: 0,
  };
  #phase: RestoreProgress['phase'] = 'write';
  /** Since the beginning of writing, or of reading back. */
  #filesDone = 0;
  #bytesMoved = 0;
  #bytesKept = 0;
  #retry = false;
  /** Paths that have been reported as failed, up to FAILED_KEPT_MAX. */
  readonly #failedPaths = new Set<string>();
  /** The paths after which entries are lacking. */
  readonly #lacking = new Set<string>();

  constructor(options: TallyOptions) {
    this.#options = options;
  }

  /** The same command, run again, retries what failed. */
  get isResumable(): boolean {
    return this.#retry;
  }

  get report(): RestoreReport {
    return { ...this.#counts, resumable: this.#retry };
  }

  begin(phase: 'finish' | 'verify'): void {
    this.#phase = phase;
    if (phase === 'finish') return;
    this.#filesDone = 0;
    this.#bytesMoved = 0;
    this.#bytesKept = 0;
  }

  count(what: 'folders' | 'symlinks' | 'kept' | 'verified' | 'stale'): void {
    this.#counts[what] += 1;
  }

  countFile(bytes: number): void {
    this.#counts.files += 1;
    this.#counts.bytes += bytes;
  }

  /** Notes the outcome of a regular file. */
  settled({ path, size }: Entry, outcome: Outcome): void {
    this.#filesDone += 1;
    switch (outcome.kind) {
      case 'restored':
        this.countFile(outcome.bytes);
        this.#bytesKept += size - outcome.bytes;
        break;
      case 'kept':
        this.count('kept');
        this.#bytesKept += size;
        break;
      case 'failed':
        this.fail(path, outcome.because, outcome);
        break;
    }
    this.tell();
  }

  /** Counts bytes written, or read back. */
  moved(bytes: number): void {
    this.#bytesMoved += bytes;
  }

  /** Counts a regular file that has been read back. */
  wasRead(): void {
    this.#filesDone += 1;
  }

  tell(): void {
    const [bytes, keptBytes] = [this.#bytesMoved, this.#bytesKept];
    this.#options.onProgress({ phase: this.#phase, files: this.#filesDone, bytes, keptBytes });
  }

  /** Does what concerns only this entry: if that fails, the entry has failed, and the others go on. */
  guarded(entry: Entry, work: () => void): void {
    try {
      work();
    } catch (error) {
      throwIfStopping(error);
      this.fail(entry.path, pathlessMessageOf(error), { retry: false });
    }
  }

  fail(path: Buffer, because: string, { retry }: { readonly retry: boolean }): void {
    this.#counts.failed += 1;
    this.#retry ||= retry;
    if (this.#options.verify && this.#failedPaths.size < FAILED_KEPT_MAX) this.#failedPaths.add(pathKey(path));
    this.#options.onProblem({ kind: 'failed', path, because });
  }

  /** Whether the path has failed, as far as that is remembered. */
  hasFailed(path: Buffer): boolean {
    return this.#failedPaths.has(pathKey(path));
  }

  /**
   * Reports each place once. A later pass may lack entries that came in the first; what it leaves undone is reported
   * then.
   */
  lack({ after, lacking }: LackingEntries): void {
    const place = after.toString('latin1');
    if (this.#lacking.has(place)) return;
    this.#lacking.add(place);
    this.#counts.failed += 1;
    this.#retry = true;
    this.#options.onProblem({ kind: 'lacking', path: after, because: lacking });
  }

  faults({ path }: Entry, faults: readonly NotSet[]): void {
    this.#counts.notSet += faults.length;
    for (const { what, because } of faults) this.#options.onProblem({ kind: 'not-set', path, what, because });
  }
}

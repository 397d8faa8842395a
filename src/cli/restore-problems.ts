/**
 * Restore problems: what did not go as the snapshot has it, in few lines however many files it concerns.
 *
 * A file that could not be restored gets a line of its own. What could not be set (an owner, say) is often the same for
 * all files, so each reason gets one line, with a count and a few names. With `--json` each problem of each file is a
 * record.
 */
import { escapePath } from '../catalog/path-text.js';
import type { RestoreProblem } from '../catalog/restore-tally.js';
import type { Damage } from '../store/bare-stores.js';
import type { Context } from './context.js';

/** At most this many lines; the rest is only counted. */
const LINES_MAX = 20;
/** How many files are named that had the same reason. */
const NAMES_MAX = 3;

/** What could not be set, and why, for how many entries. */
interface Unset {
  readonly what: string;
  readonly because: string;
  readonly names: string[];
  count: number;
}

/** Held back until the progress bar is gone. */
export class RestoreProblems {
  readonly #context: Context;
  readonly #lines: string[] = [];
  readonly #unset = new Map<string, Unset>();
  #more = 0;
  /** Whether an owner could not be set. */
  #lacksOwners = false;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Whether more could be set by root than by this caller. */
  get needsRoot(): boolean {
    return this.#lacksOwners && process.getuid?.() !== 0;
  }

  add(problem: RestoreProblem): void {
    const path = escapePath(problem.path);
    const { kind, because } = problem;
    if (kind === 'not-set') {
      this.#lacksOwners ||= problem.what === 'owner';
      if (this.#context.json) this.#record({ kind, path, because, what: problem.what });
      else this.#addUnset(path || 'the folder itself', problem);
      return;
    }
    this.#tell(
      kind === 'failed'
        ? `not restored: ${path || 'the folder itself'}: ${because}`
        : `not restored: after ${path || 'the beginning'}: ${because}`,
      { kind, path, because },
    );
  }

  damaged({ path: store, what, because }: Damage): void {
    this.#tell(`damaged: ${what} on ${store}: ${because}`, { kind: 'damaged', store, what, because });
  }

  #addUnset(name: string, { what, because }: RestoreProblem & { readonly kind: 'not-set' }): void {
    const key = `${what}: ${because}`;
    const unset = this.#unset.get(key) ?? { what, because, names: [], count: 0 };
    if (unset.count === 0 && this.#unset.size >= LINES_MAX) {
      this.#more += 1;
      return;
    }
    this.#unset.set(key, unset);
    unset.count += 1;
    if (unset.names.length < NAMES_MAX) unset.names.push(name);
  }

  #tell(line: string, fields: Readonly<Record<string, string>>): void {
    if (this.#context.json) this.#record(fields);
    else if (this.#lines.length < LINES_MAX) this.#lines.push(line);
    else this.#more += 1;
  }

  #record(fields: Readonly<Record<string, string>>): void {
    void this.#context.record({ message_type: 'problem', ...fields });
  }

  /** Prints each problem once. */
  tell(): void {
    for (const line of this.#lines.splice(0)) this.#context.note(line);
    for (const { what, because, names, count } of this.#unset.values()) {
      const others = count - names.length;
      this.#context.note(`${what} not set: ${names.join(', ')}${others > 0 ? ` and ${others} more` : ''}: ${because}`);
    }
    this.#unset.clear();
    if (this.#more > 0) this.#context.note(`… and ${this.#more} more (--json shows all)`);
    this.#more = 0;
  }
}

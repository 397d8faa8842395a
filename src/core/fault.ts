/**
 * Errors: what could not be done, who is to blame, and what to do next.
 *
 * An expected outcome is a verdict, our own bug is an `assert`; this class is for the rest. The message echoes the bad
 * value, says what was kept safe and what to do. `code` is what scripts read and what crosses the control socket; the
 * command line maps codes to exit codes in one table (src/cli/exit-codes.ts).
 */
export type Blame = 'operator' | 'peer' | 'passing';

export class ClusterError extends Error {
  /** A literal in UPPER_SNAKE case, stable across releases. */
  readonly code: string;
  readonly blame: Blame;

  constructor(code: string, message: string, { blame, cause }: { readonly blame: Blame; readonly cause?: unknown }) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ClusterError';
    this.code = code;
    this.blame = blame;
  }
}

/** What was thrown, in words: it need not be an Error. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A broken invariant of our own is a bug: stop rather than guess. On in production. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`bug: ${message}`);
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new Error(`bug: unexpected ${JSON.stringify(value)}`);
}

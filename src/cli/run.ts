/**
 * Run: from a command's work to its exit code.
 *
 * `main.ts` makes one `Run` for the process; a command file hands it its work and gets what commander calls an action.
 */
import type { Context } from './context.js';
import type { ExitCode } from './exit-codes.js';

/** Takes a command's arguments and options as commander gives them: positional ones first, the options last. */
export type Run = <Arguments extends unknown[]>(
  work: (context: Context, ...args: Arguments) => Promise<ExitCode>,
) => (...args: Arguments) => Promise<void>;

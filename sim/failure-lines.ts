/**
 * Failure lines: what is reported of a seed that failed. This always includes its options, with which the run can be
 * repeated even after seeds have come to mean other runs. Of seeds that fail after the first few, nothing more is
 * reported.
 */
import type { RunOptions } from './run-options.js';
import type { Outcome } from './run-seed.js';

export interface Failure {
  readonly options: RunOptions;
  readonly by: NonNullable<Outcome['failed']>['by'];
  readonly message: string;
  /** Of a failure at some event. */
  readonly at?: Pick<Outcome, 'events' | 'atMs'>;
  /** Of a crash. */
  readonly stack?: string;
}

export function failureLines(
  { options, by, message, at, stack }: Failure,
  {
    build,
    inFull,
    given = String(options.seed),
  }: {
    readonly build: string;
    readonly inFull: boolean;
    /** By what the command finds the run again: its seed, or a file. Default: its seed. */
    readonly given?: string;
  },
): string[] {
  const { seed } = options;
  const when = at === undefined ? '' : ` at event ${at.events}, ${(at.atMs / 1_000).toFixed(3)} s`;
  const lines = [`seed ${seed} failed by ${by}${when} (build ${build})`, `  options: ${JSON.stringify(options)}`];
  if (!inFull) return lines;
  lines.splice(1, 0, `  ${message}`, ...(stack === undefined ? [] : [stack]));
  lines.push(`  again: npm run sim -- replay ${given} --trace; smaller: npm run sim -- shrink ${given}`);
  return lines;
}

/** @returns undefined for a run that passed. */
export const failureOf = (options: RunOptions, { failed, events, atMs }: Outcome): Failure | undefined =>
  failed === undefined
    ? undefined
    : {
        options,
        by: failed.by,
        message: failed.message,
        at: { events, atMs },
        ...(failed.by === 'crash' ? { stack: failed.stack } : {}),
      };

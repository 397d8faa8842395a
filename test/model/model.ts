/**
 * Model: `npm run model [-- --full]`. Do the protocols keep their invariants in every order of events, and does each rule matter?
 *
 * Checks the Promela models beside the protocols with spin, each in the sizes of runs.ts. A model as it stands must be safe; a
 * mutant, which lacks one rule, must be caught. Prints a table; exits 1 if anything is otherwise, 0 where spin is missing.
 */
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SKIPPED } from '../helpers/skip.js';
import { newTemporaryFolder } from '../helpers/temporary-folder.js';
import { INVARIANTS, RUNS } from './runs.js';
import { check, missingProgram } from './spin.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));

/** All runs together, some 40 s of CPU time, on a machine with other work to do. What has not ended by then has failed. */
const LIMIT_MS = 300_000;
const FULL_LIMIT_MS = 1_800_000;
/** More at once would need more memory than a small machine has. */
const JOBS_MAX = 2;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

const isFull = readArguments();
const missing = missingProgram();
if (missing !== undefined) {
  say(
    `${SKIPPED}: the models need ${missing}, which is not installed here (Debian: apt-get install spin gcc libc6-dev)`,
  );
} else {
  process.exitCode = await checkAll();
}

async function checkAll(): Promise<number> {
  const end = new AbortController();
  const { signal } = end;
  const limit = setTimeout(() => end.abort(), isFull ? FULL_LIMIT_MS : LIMIT_MS);
  let isInterrupted = false;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => {
      isInterrupted = true;
      end.abort();
    });
  }

  const waiting = RUNS.filter(({ isLong }) => isFull || !isLong).entries();
  const folder = newTemporaryFolder();
  let passed = 0;
  let failed = 0;
  /** Jobs share one iterator: each takes the next run that nobody has. */
  const job = async (): Promise<void> => {
    for (const [index, run] of waiting) {
      const modelPath = join(PROJECT, 'protocols', `${run.model}.pml`);
      const finding = await check(run, modelPath, join(folder, `${index}`), signal);
      const isAsExpected = finding.found === run.expected;
      if (isAsExpected) passed += 1;
      else failed += 1;
      row(
        run.model,
        `${run.hosts}`,
        `${run.copies}`,
        run.faults,
        inWords(run.expected),
        (isAsExpected ? '' : '✘ ') + inWords(finding.found),
        finding.states.toLocaleString('en-US'),
        (finding.ms / 1000).toFixed(1),
      );
    }
  };
  try {
    row('model', 'hosts', 'N', 'faults, or the rule that is missing', 'expected', 'found', 'states', 'seconds');
    await Promise.all(Array.from({ length: Math.min(JOBS_MAX, availableParallelism()) }, job));
  } finally {
    clearTimeout(limit);
    await rm(folder, { recursive: true, force: true });
  }
  say();
  say(`${passed} passed, ${failed} failed`);
  if (isInterrupted) return EXIT_INTERRUPTED;
  return failed === 0 ? 0 : EXIT_FAILED;
}

function inWords(found: string): string {
  return INVARIANTS.some(name => name === found) ? `violated: ${found}` : found;
}

function row(...cells: readonly string[]): void {
  const columns = [13, 5, 1, 36, 17, 19, 10, 7];
  const isNumber = [false, true, true, false, false, false, true, true];
  const padded = cells.map((cell, i) => (isNumber[i] ? cell.padStart(columns[i] ?? 0) : cell.padEnd(columns[i] ?? 0)));
  say(padded.join('  ').trimEnd());
}

function say(text = ''): void {
  process.stdout.write(`${text}\n`);
}

function readArguments(): boolean {
  try {
    return parseArgs({ options: { full: { type: 'boolean', default: false } } }).values.full;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\nusage: npm run model [-- --full]\n`);
    process.exit(EXIT_USAGE);
  }
}

/**
 * `npm run bench`: what the program's work costs, compared with other tools that do the same in the same run.
 *
 *   npm run bench -- [--json] [--size tiny|small|half|full] [--rounds N] [--minutes N] [--only WORK,…] [transfer] [history]
 *
 * `--size`: the fraction of the trees that the goals name; default small, an eighth, which takes up to 15 minutes for
 * each bench. `--only`: these works of the transfer and what they need, see WORKS in transfer/works.ts. `--json`: a line
 * for each figure; those of the transfer begin with a line about the run: size, rounds, whose copies are durable, load,
 * whether on loopback. Progress goes to stderr, figures to stdout. It exits with 0 even when a goal is missed: a bench
 * only reports.
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { jsonLine } from './figure-lines.js';
import { benchHistory } from './history/history.js';
import { benchTransfer, type TransferOptions } from './transfer/transfer.js';
import { WORK_NAMES, type WorkName } from './transfer/works.js';

const SIZES: Readonly<Record<string, number>> = { tiny: 1 / 64, small: 1 / 8, half: 1 / 2, full: 1 };
const GROUPS = ['transfer', 'history'] as const;
type Group = (typeof GROUPS)[number];
const MINUTE_MS = 60_000;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

const startMs = performance.now();
const say = (line: string): void => {
  process.stderr.write(`${((performance.now() - startMs) / 1000).toFixed(0).padStart(5)} s  ${line}\n`);
};

const { json, groups, ...options } = chosen();
// Installed before the sides' own handlers, which end everything silently.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    say(`${signal}: everything is ended and removed`);
    process.exit(EXIT_INTERRUPTED);
  });
}
try {
  const benches = { transfer: benchTransfer, history: benchHistory };
  for (const group of groups) {
    const { figures, lines, ...more } = await benches[group](options);
    // The first line is of the run, where a bench says under what it was taken.
    const out = json
      ? [...('run' in more ? [JSON.stringify({ run: more.run })] : []), ...figures.map(jsonLine)]
      : lines;
    for (const line of out) process.stdout.write(`${line}\n`);
  }
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.stack : error}\n`);
  process.exitCode = EXIT_FAILED;
}

function chosen(): TransferOptions & { readonly json: boolean; readonly groups: readonly Group[] } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        size: { type: 'string', default: 'small' },
        rounds: { type: 'string', default: '3' },
        minutes: { type: 'string', default: '15' },
        only: { type: 'string', default: WORK_NAMES.join(',') },
      },
    });
    if (!existsSync('/proc/self/stat')) throw new Error('what processes use is read from /proc, which only Linux has');
    const groups = positionals.map(name => oneOf<Group>('group', GROUPS, name));
    const part = SIZES[oneOf('size', Object.keys(SIZES), values.size)];
    const works = values.only.split(',').map(name => oneOf<WorkName>('work', WORK_NAMES, name));
    const rounds = wholeNumber('--rounds', values.rounds);
    const withinMs = wholeNumber('--minutes', values.minutes) * MINUTE_MS;
    return {
      json: values.json,
      groups: groups.length === 0 ? GROUPS : groups,
      part: part ?? 0,
      works,
      rounds,
      withinMs,
      say,
    };
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : error}\n`);
    process.exit(EXIT_USAGE);
  }
}

function oneOf<Name extends string>(what: string, names: readonly Name[], given: string): Name {
  const found = names.find(name => name === given);
  if (found === undefined) throw new Error(`there is no ${what} ${given}; there are: ${names.join(', ')}`);
  return found;
}

function wholeNumber(option: string, text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new Error(`${option} wants a whole number from 1, and got ${text}`);
  return Number(text);
}

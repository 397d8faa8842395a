/**
 * Run: the simulator's own command.
 *
 * Its options are listed in USAGE. Every failure prints what is needed to repeat it. The last line is
 * `N passed, N failed`. Exits 1 if any failed, 2 when the arguments are wrong.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { chainOf, chainOfSeed, firstDifference, readChains, writeChains } from './chain-record.js';
import { addCounts, COUNTS_DUE, type Counts, noCounts } from './counts.js';
import { type Failure, failureLines, failureOf } from './failure-lines.js';
import { allMutants, killMutant } from './kill-mutants.js';
import type { Mutant } from './mutants.js';
import { findRegression, readRegressions, writeRegression } from './regressions.js';
import { killingNeighbour, replayRegression } from './replay-regression.js';
import { oneOf, type SeedRange, seedRange, threadCount, UsageError, wholeNumber } from './run-arguments.js';
import { drawRun, type RunOptions } from './run-options.js';
import { runSeed } from './run-seed.js';
import { shrink } from './shrink.js';
import { whatIsWasted } from './thrift.js';
import { lineOf } from './trace.js';
import { tryOutAll } from './trials.js';

const USAGE = `npm run sim                               500 seeds
npm run sim -- --seeds N | --from A --to B [--threads T]
npm run sim -- replay SEED|FILE [--until EVENT] [--trace]
npm run sim -- shrink SEED|FILE [--save NAME]
npm run sim -- hashes [--from A --to B] [--save yes]
npm run sim -- mutants [--seeds 2000 | --from A --to B] [--only NAME] [--save yes] | --replay

FILE: one of sim/regressions, by its name, with the mutant that it is of; or any file with a run's options, as failures print them.`;

/** Failures reported in full; for the others, only what is needed to repeat them. */
const TOLD_MAX = 5;

/** Seeds whose chains are recorded: some seconds of one core. */
const RECORDED_SEEDS = 60;
/** Each mutant must die within this many seeds. */
const MUTANT_SEEDS = 2_000;
/** A regression is shrunk with at most this many runs. */
const SAVED_RUNS_MAX = 60;

interface Tally {
  passed: number;
  failed: number;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function buildId(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim();
  } catch {
    // Not a checkout: the package's version names the build.
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    return version;
  }
}

function tellFailure(
  failure: Failure | undefined,
  { inFull, given }: { readonly inFull: boolean; readonly given?: string },
): void {
  if (failure === undefined) return;
  for (const line of failureLines(failure, { build: buildId(), inFull, ...(given === undefined ? {} : { given }) }))
    say(line);
}

// ---------------------------------------------------------------------------------------------------------------- seeds

async function runSeeds(range: SeedRange, threads: number): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: 0 };
  const counts = noCounts();
  const seeds = range.to - range.from + 1;
  const tenth = Math.max(1, Math.ceil(seeds / 10));
  let events = 0;
  const started = process.cpuUsage();
  await tryOutAll(range, {
    threads,
    tried: trial => {
      events += trial.events;
      addCounts(counts, trial.counts);
      tally[trial.failure === undefined ? 'passed' : 'failed'] += 1;
      tellFailure(trial.failure, { inFull: tally.failed <= TOLD_MAX });
      const done = tally.passed + tally.failed;
      if (done % tenth === 0) say(`${done} of ${seeds} seeds`);
    },
  });
  const { user, system } = process.cpuUsage(started);
  const cpuS = (user + system) / 1e6;
  tellCounts(counts);
  say(
    `${events} events in ${cpuS.toFixed(1)} s of one core: ${Math.round(events / cpuS)} events/s, ` +
      `${(seeds / cpuS).toFixed(1)} seeds/s; run by ${threads === 1 ? '1 thread' : `${threads} threads`}`,
  );
  const missing = sawTooLittle(counts, seeds);
  for (const what of missing) say(`tested nothing: ${what}`);
  const wasted = seeds < COUNTS_DUE.runs ? undefined : whatIsWasted(counts);
  if (wasted !== undefined) say(`I11: ${wasted}`);
  tally.failed += missing.length + (wasted === undefined ? 0 : 1);
  return tally;
}

function sawTooLittle(counts: Counts, runs: number): string[] {
  if (runs < COUNTS_DUE.runs) return [];
  return Object.entries(COUNTS_DUE.least).flatMap(([name, least]) => {
    const seen = counts[name as keyof Counts];
    return seen >= least ? [] : [`${name}: ${seen} seen, at least ${least} expected`];
  });
}

function tellCounts(counts: Counts): void {
  const due: Partial<Counts> = COUNTS_DUE.least;
  for (const [name, seen] of Object.entries(counts)) {
    const least = due[name as keyof Counts];
    say(
      `${name.padEnd(16)} ${String(Math.round(seen)).padStart(14)}${least === undefined ? '' : `   of ${least} in ${COUNTS_DUE.runs} seeds`}`,
    );
  }
}

// -------------------------------------------------------------------------------------------------------------- one seed

/** A run that was named, and by what. */
interface Given {
  readonly given: string;
  readonly options: RunOptions;
  readonly mutant: Mutant | undefined;
}

/** @throws UsageError where the word is neither a seed nor a file with a run. */
function runOf(given: string): Given {
  if (/^\d+$/.test(given)) return { given, options: drawRun(wholeNumber('seed', given)), mutant: undefined };
  const found = findRegression(given);
  if (found === undefined) throw new UsageError(`${given}: neither a seed, a whole number, nor a file with a run`);
  const { mutant: name, by, options } = found;
  if (name === undefined) return { given, options, mutant: undefined };
  const mutant = oneOf(allMutants(), 'mutant', name);
  // Where it lives by now, its run as it was kept shows that.
  return { given, options: killingNeighbour(options, mutant, by) ?? options, mutant };
}

function replay(
  { given, options, mutant }: Given,
  { until, trace }: { readonly until: number | undefined; readonly trace: boolean },
): Tally {
  say(`options: ${JSON.stringify(options, undefined, 1)}`);
  if (mutant !== undefined) say(`without this: ${mutant.lacks}`);
  const outcome = runSeed(options, {
    mutant,
    untilEvent: until,
    hashes: true,
    ...(trace
      ? {
          trace: (happening, world) => {
            const line = lineOf(happening, world);
            if (line !== undefined) say(line);
          },
        }
      : {}),
  });
  tellFailure(failureOf(options, outcome), { inFull: true, given });
  say(`${outcome.events} events, ${(outcome.atMs / 1_000).toFixed(3)} s; state hashes: ${chainOf(outcome.links)}`);
  return outcome.failed === undefined ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

function shrinkRun({ given, options: before, mutant }: Given, save: string | undefined): Tally {
  const { options, outcome, runs } = shrink(before, { mutant });
  if (outcome.failed === undefined) {
    say(`${given} does not fail`);
    return { passed: 1, failed: 0 };
  }
  say(`after ${runs} runs: ${outcome.failed.message} at event ${outcome.events} (build ${buildId()})`);
  say(JSON.stringify(options, undefined, 1));
  const { by, message: title } = outcome.failed;
  if (save !== undefined)
    writeRegression(save, { title, ...(mutant === undefined ? {} : { mutant: mutant.name, by }), options });
  return { passed: 0, failed: 1 };
}

// ---------------------------------------------------------------------------------------------------------------- hashes

function compareChains({ from, to }: SeedRange): Tally {
  const tally: Tally = { passed: 0, failed: 0 };
  const recorded = readChains();
  for (let seed = from; seed <= to; seed += 1) {
    const before = recorded.get(seed);
    const wrong = before === undefined ? 'its chain was not recorded' : firstDifference(chainOfSeed(seed), before);
    tally[wrong === undefined ? 'passed' : 'failed'] += 1;
    if (wrong !== undefined) say(`seed ${seed}: ${wrong}`);
  }
  say(`by Node.js ${process.version} on ${process.platform} ${process.arch}`);
  return tally;
}

function recordChains({ from, to }: SeedRange): Tally {
  const chains = new Map<number, string>();
  for (let seed = from; seed <= to; seed += 1) chains.set(seed, chainOfSeed(seed));
  writeChains(chains);
  return { passed: chains.size, failed: 0 };
}

// --------------------------------------------------------------------------------------------------------------- mutants

function killAll(
  range: SeedRange,
  { save, only }: { readonly save: boolean; readonly only: string | undefined },
): Tally {
  const tally: Tally = { passed: 0, failed: 0 };
  const mutants = only === undefined ? allMutants() : [oneOf(allMutants(), 'mutant', only)];
  for (const mutant of mutants) {
    const end = killMutant(mutant, range);
    if ('lived' in end) {
      tally.failed += 1;
      say(`${mutant.name.padEnd(26)} LIVES   ${end.lived}`);
      continue;
    }
    tally.passed += 1;
    say(`${mutant.name.padEnd(26)} seed ${String(end.seed).padStart(5)}   ${end.message}`);
    if (!save) continue;
    const { options, outcome } = shrink(end.options, { mutant, runsMax: SAVED_RUNS_MAX });
    const by = outcome.failed?.by ?? end.by;
    writeRegression(`mutant-${mutant.name}`, {
      title: `without this: ${mutant.lacks}`,
      mutant: mutant.name,
      by,
      options,
    });
  }
  return tally;
}

function replayRegressions(): Tally {
  const tally: Tally = { passed: 0, failed: 0 };
  for (const regression of readRegressions()) {
    const wrong = replayRegression(regression);
    tally[wrong === undefined ? 'passed' : 'failed'] += 1;
    if (wrong !== undefined) say(`${regression.file}: ${wrong}`);
  }
  return tally;
}

// -------------------------------------------------------------------------------------------------------------- command

function main(): Tally | Promise<Tally> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      until: { type: 'string' },
      trace: { type: 'boolean', default: false },
      replay: { type: 'boolean', default: false },
      save: { type: 'string' },
      only: { type: 'string' },
      threads: { type: 'string' },
    },
  });
  const [command, ...words] = positionals;
  const isOfOne = command === 'replay' || command === 'shrink';
  if (words.length !== (isOfOne ? 1 : 0))
    throw new UsageError(isOfOne ? `${command}: give one seed or file` : `unexpected: ${words.join(' ')}`);
  const run = (): Given => runOf(words[0] ?? '');
  switch (command) {
    case 'replay': {
      const until = values.until === undefined ? undefined : wholeNumber('--until', values.until);
      return replay(run(), { until, trace: values.trace });
    }
    case 'shrink':
      return shrinkRun(run(), values.save);
    case 'hashes': {
      const range = seedRange(values, { seedsDefault: RECORDED_SEEDS });
      return values.save === undefined ? compareChains(range) : recordChains(range);
    }
    case 'mutants': {
      if (values.replay) return replayRegressions();
      const range = seedRange(values, { seedsDefault: MUTANT_SEEDS });
      return killAll(range, { save: values.save !== undefined, only: values.only });
    }
    case undefined:
      return runSeeds(seedRange(values, { seedsDefault: COUNTS_DUE.runs }), threadCount(values.threads));
    default:
      throw new UsageError(`no such command: ${command}`);
  }
}

const isParseError = (error: unknown): error is Error =>
  error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');

try {
  const { passed, failed } = await main();
  if (passed + failed === 0) say('tested nothing');
  say(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
} catch (error) {
  if (!(error instanceof UsageError) && !isParseError(error)) throw error;
  process.stderr.write(`${error.message}\n${USAGE}\n`);
  process.exitCode = 2;
}

/**
 * Soak: `npm run soak [-- --seed N --minutes N]`. Do real services keep what they promise through what real machines go
 * through?
 *
 * Five services (house.ts) with sources that change, round after round. In each round faults come one by one (faults.ts),
 * as the seed plans it (plan.ts); then all is healed, and the house must come to rest and pass the look at it (rest.ts).
 * The first round in which something does not hold is the last one. Exits 0 if all held.
 *
 * Whatever happens, every process that was started is ended by its id. The folder is removed, or kept with the logs if
 * something did not hold.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ChanceStreams } from '../../sim/chance-streams.js';
import { UsageError } from '../../sim/run-arguments.js';
import { readArguments, type SoakArguments, USAGE } from './arguments.js';
import { changeTree } from './change-tree.js';
import { House, type Machine } from './house.js';
import { Journal } from './journal.js';
import { planOf, type Round, type Step } from './plan.js';
import { checkAtRest, comesToRest, heal, tellShort } from './rest.js';
import { SavedSnapshots, type Stage } from './saved-snapshots.js';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

const MINUTE_MS = 60_000;
/** A seed that is made up has as many digits as a person likes to type. */
const MADE_UP_SEEDS = 1_000_000;
/** pino's: what a service could not do. */
const LOG_LEVEL_ERROR = 50;

const { seed = Date.now() % MADE_UP_SEEDS, minutes } = argumentsOrExit();
const ends: (() => void | Promise<void>)[] = [];
let house: House | undefined;
let isKept = false;
// Installed before the helpers' own handlers, which end everything silently.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    house?.journal.say(`${signal}: everything is ended`);
    keepIfFailed();
    process.exit(EXIT_INTERRUPTED);
  });
}
process.exit(await soak());

function argumentsOrExit(): SoakArguments {
  try {
    return readArguments(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`soak: ${error.message}\n${USAGE}\n`);
    process.exit(EXIT_USAGE);
  }
}

async function soak(): Promise<number> {
  const streams = new ChanceStreams(seed);
  house = await House.build(
    { teardown: end => ends.push(end) },
    {
      chance: streams,
      openJournal: ({ folder }) => {
        const journal = new Journal(join(folder, 'soak.log'));
        journal.say(`seed ${seed}, ${minutes} min, in ${folder}`);
        return journal;
      },
    },
  );
  const { journal, surroundings } = house;
  const { whyNoNetwork, whyNoMounts } = surroundings;
  if (whyNoNetwork !== undefined) journal.say(`NO NETWORK FAULTS, all hosts are on the loopback: ${whyNoNetwork}`);
  if (whyNoMounts !== undefined) journal.say(`NO FULL DISK: ${whyNoMounts}`);
  const rounds = await playRounds(house).catch((error: Error) => {
    journal.fail(`${error.stack}`);
    return 0;
  });
  tellLogs(house);
  const held = journal.failures === 0;
  keepIfFailed();
  for (const end of ends.reverse()) await end();
  process.stdout.write(
    held
      ? `held: ${rounds} rounds of seed ${seed}\n`
      : `FAILED: ${journal.failures} things did not hold, seed ${seed}\n`,
  );
  return held ? 0 : EXIT_FAILED;
}

/** @returns how many rounds held */
async function playRounds(where: House): Promise<number> {
  const { journal, surroundings } = where;
  const stage = { house: where, saved: new SavedSnapshots(where) };
  const rounds = planOf(seed, {
    hasNetwork: surroundings.whyNoNetwork === undefined,
    hasMounts: surroundings.whyNoMounts === undefined,
  });
  await heal(stage);
  if (!(await comesToRest(stage, undefined))) return 0;
  for (;;) {
    const round = rounds.next().value;
    await playRound(stage, round);
    if (journal.failures > 0) return round.number - 1;
    journal.say(`round ${round.number} held`);
    if (journal.elapsedMs >= minutes * MINUTE_MS) return round.number;
  }
}

async function playRound(stage: Stage, { number, steps, seed: restSeed }: Round): Promise<void> {
  stage.house.journal.say(`round ${number}`);
  stage.house.isLive = true;
  let harmed: Machine | undefined;
  for (const step of steps) {
    await playStep(stage, step);
    harmed ??= step.fault.harms;
    await tellShort(stage, harmed);
    await delay(step.restMs);
  }
  await heal(stage);
  await checkAtRest(stage, { harmed, seed: restSeed });
}

async function playStep(stage: Stage, { changes, backups, isBackupDuring, fault }: Step): Promise<void> {
  const { house: where, saved } = stage;
  for (const change of changes) changeTree(where.folderOf(change.source), new ChanceStreams(change.seed).of('change'));
  const taken = Promise.all(backups.map(source => saved.take(source)));
  // What is reported when it is awaited must not end the process before.
  taken.catch(() => {});
  if (!isBackupDuring) for (const why of await taken) if (why !== undefined) where.journal.fail(why);
  if (fault.harms !== undefined) await saved.notePromises();
  where.journal.say(fault.text);
  await fault.inflict(stage);
  for (const why of await taken) if (why !== undefined && isBackupDuring) where.journal.say(`  ${why}`);
}

/** What the services could not do, by its code. Much of it is as it should be: it is for people to wonder about. */
function tellLogs(where: House): void {
  const errors = new Map<string, number>();
  for (const { level, code, msg } of where.logs()) {
    if (typeof level !== 'number' || level < LOG_LEVEL_ERROR) continue;
    const what = String(code ?? msg);
    errors.set(what, (errors.get(what) ?? 0) + 1);
  }
  where.journal.say(
    `errors in the logs: ${[...errors].map(([what, times]) => `${times} ${what}`).join(', ') || 'none'}`,
  );
}

/** Where the folder can be looked at. */
function keepIfFailed(): void {
  if (house === undefined || house.journal.failures === 0 || isKept) return;
  isKept = true;
  const path = join(tmpdir(), `soak-${seed}-${process.pid}`);
  house.journal.say(`kept, with the hosts' logs: ${path}`);
  house.keepAs(path);
}

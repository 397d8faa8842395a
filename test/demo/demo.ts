/**
 * Demo: `npm run demo [-- FOLDER]`. Does this really keep my files?
 *
 * Five real services on this machine keep two copies of a real folder; one of them is killed, then the one that has the
 * folder; a third gives the folder back. Each step says whether it held, and the exit code is 0 only if all did. A
 * separate process counts the copies on the disks (count-copies.ts), and separate code compares the restored folder
 * (compare-trees.ts): the program itself is asked only where the demo shows how to ask it.
 *
 * Whatever happens, every process that was started is ended by its id, and the temporary folder is removed.
 */
import { spawn } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, realpathSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type CopyCount, contentsOf, countCopies } from '../helpers/count-copies.js';
import { MAIN, RealCluster, type RealHost } from '../helpers/real-cluster.js';
import { levelsOf } from './blob-names.js';
import type { Compared } from './compare-run.js';
import { type Bar, count, DidNotHold, paint, Stage, seconds, size } from './stage.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
const COMPARE = fileURLToPath(new URL('./compare-run.js', import.meta.url));

const ORIGIN = 'ann';
const HOLDERS = ['ben', 'cleo', 'dan', 'eve'] as const;
const COPIES = 2;
const SOURCE = 'folder';

/** When nothing new has come to the disks for this long, nothing more will. */
const STALL_MS = 60_000;
const LOOK_MS = 400;
const REPLICAS_SHOWN = 4;
const DIFFERENCES_SHOWN = 10;
/** Two copies, a third copy of some files during the repair, and the restored folder. */
const ROOM_TIMES = 4;
const SPARE_BYTES = 500_000_000;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

/** Waiting times for a demo: no house would count a laptop as dead after six seconds. */
const TIMING = {
  heartbeat: '500ms',
  heartbeatPerHost: '100ms',
  suspect: '3s',
  redial: '2s',
  dead: '6s',
  lastPlace: '1s',
  claimWait: '400ms',
  step: '1s',
  repairStep: '200ms',
  // The plain trees of the stores are for people to browse, and nobody browses here.
  treeQuiet: '10m',
};

const stage = new Stage();
const folder = chosenFolder();
const ends: (() => Promise<void>)[] = [];
/** Child processes that are not hosts. */
const children = new Set<ReturnType<typeof spawn>>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
// Installed before the cluster's own handlers, which end it silently.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stage.closeBars();
    stage.say();
    stage.say(`${signal}: the hosts are ended, ${cluster.folder} is removed`);
    process.exit(EXIT_INTERRUPTED);
  });
}
const cluster = new RealCluster({ teardown: end => ends.push(end) });

/** The contents that are backed up: hash → size. Known once the folder has been read. */
let known: ReadonlyMap<string, number> | undefined;

try {
  await play();
} catch (error) {
  tellFailure(error);
  await tellChanges();
}
await stage.act('Everything is stopped and removed', stop).catch(tellFailure);
tellEnd();
process.exit(stage.heldAll ? 0 : EXIT_FAILED);

function chosenFolder(): string {
  const said = process.argv[2];
  try {
    // npm starts us in the project's folder; INIT_CWD is where the person is.
    const asked = said === undefined ? join(PROJECT, 'node_modules') : resolve(process.env.INIT_CWD ?? '.', said);
    const found = realpathSync(asked);
    if (!statSync(found).isDirectory()) throw new Error(`${found} is not a folder`);
    if (!relative(found, realpathSync(tmpdir())).startsWith('..'))
      throw new Error(`${found} is where temporary files go, and so the copies themselves`);
    return found;
  } catch (error) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : error}\n`);
    process.exit(EXIT_USAGE);
  }
}

// ─────────────────────────────────────────────────────────────────────────────────────────────────────────────── the play

async function play(): Promise<void> {
  stage.say(paint('bold', 'Scatterhoard: five hosts, two copies, two deaths, and every file back'));
  stage.say(`   folder ${folder}`);
  stage.say(`   hosts  five service processes on this machine, in ${cluster.folder}`);

  const origin = cluster.add(ORIGIN);
  const holders = HOLDERS.map(name => cluster.add(name));
  // Read once, before anything else looks at it: this list is what the copies are counted against.
  const reading = contentsOf(folder);
  reading.catch(() => {}); // reported where it is awaited

  await stage.act('Five services find each other and form a cluster', () => found(origin, holders));
  const contents = await reading;
  known = contents;
  await stage.act('One policy for all of them: `cluster config apply`', () => setPolicy(origin, contents));
  await stage.act(`Every file gets ${COPIES} copies on ${COPIES} other hosts`, () =>
    copy({ contents, holders, asked: origin }),
  );
  const first = await stage.act('Counted on the disks: every byte of every copy is read and hashed', () =>
    countAll(contents, holders),
  );
  await stage.act('Where does a file lie? `cluster ls-replicas` on another host', () => showReplicas(holders));

  const victim = mostFilled(holders, first);
  const left = holders.filter(host => host !== victim);
  await stage.act(`${victim.name} is killed (SIGKILL), and the others make up for it`, () =>
    heal({ victim, contents, holders: left, asked: origin }),
  );
  const second = await stage.act('Counted again, on those that are left', () => countAll(contents, left));
  await stage.act(`${origin.name}, which has the folder, is killed too`, () => killOrigin(origin));

  const reader = mostFilled(left, second);
  const target = join(cluster.folder, 'restored');
  await stage.act(`${reader.name} restores the folder from what ${namesOf(left)} hold`, () => restore(reader, target));
  await stage.act('Compared with the original, bit for bit', () => compare(target));
}

/** The first host founds the cluster and invites, the others join; then all run as services. */
async function found(origin: RealHost, holders: readonly RealHost[]): Promise<void> {
  await origin.ok('init', '--name', 'demo', '--host', origin.name);
  await origin.up();
  const token = await origin.invite(holders.length);
  await Promise.all(
    holders.map(async host => {
      await host.ok('join', token, '--host', host.name, '--no-mdns');
      await host.up();
    }),
  );
  const all = [origin, ...holders];
  await origin.sees('all hosts', ({ hosts }) => hosts.filter(({ state }) => state === 'active').length === all.length);
  stage.note(`processes: ${all.map(({ name, pid }) => `${name} ${pid}`).join(', ')}`);
}

async function setPolicy(origin: RealHost, contents: ReadonlyMap<string, number>): Promise<void> {
  const bytes = sumOf(contents.values());
  const wantedBytes = ROOM_TIMES * bytes + SPARE_BYTES;
  const { bavail, bsize } = statfsSync(cluster.folder);
  if (bavail * bsize < wantedBytes)
    throw new Error(`${tmpdir()} has ${size(bavail * bsize)} free, and this takes up to ${size(wantedBytes)}`);

  const limit = `${bytes + SPARE_BYTES} B`;
  const stores = (name: string) => [{ path: cluster.makeFolder(`${name}.store`), limit }];
  const hosts = Object.fromEntries(HOLDERS.map(name => [name, { stores: stores(name) }]));
  await cluster.apply(
    {
      defaults: { copies: COPIES },
      hosts: { ...hosts, [ORIGIN]: { stores: stores(ORIGIN), sources: { [SOURCE]: { path: folder } } } },
      timing: TIMING,
    },
    { by: origin },
  );
  stage.note(`${origin.name} has the folder: ${count(contents.size)} different contents, ${size(bytes)}.`);
  stage.note(`Each host lends ${size(bytes + SPARE_BYTES)}. One that is silent for ${TIMING.dead} counts as dead.`);
}

interface Copying {
  readonly contents: ReadonlyMap<string, number>;
  /** The hosts whose stores are looked at. */
  readonly holders: readonly RealHost[];
  /** The host that is asked whether the cluster knows of the copies too, once the disks have them. */
  readonly asked: RealHost;
}

async function copy({ contents, holders, asked }: Copying): Promise<void> {
  const show = stage.bars();
  const totalBytes = sumOf(contents.values());
  let before = -1;
  let grewMs = performance.now();
  for (;;) {
    const { stores, enough } = levelsOf(contents, holders.map(storeOf), COPIES);
    const held: Bar[] = stores.map(({ blobs, bytes }, index) => ({
      name: holders[index]?.name ?? '',
      share: totalBytes === 0 ? 1 : bytes / totalBytes,
      text: `${size(bytes)}, ${count(blobs)} contents`,
    }));
    const all = {
      name: `${COPIES} copies`,
      share: enough / contents.size,
      text: `${count(enough)} of ${count(contents.size)}`,
    };
    show([...held, all]);
    if (enough === contents.size) break;

    const now = sumOf(stores.map(({ blobs }) => blobs));
    if (now !== before) {
      before = now;
      grewMs = performance.now();
    }
    if (performance.now() - grewMs > STALL_MS)
      throw new DidNotHold(
        `nothing came for ${seconds(STALL_MS)}, and ${count(contents.size - enough)} contents are short`,
      );
    await delay(LOOK_MS);
  }
  stage.closeBars();
  await asked.sees(`${COPIES} copies of everything`, status => status.protected);
}

/** Counts in a separate process, which knows only where the bytes lie in a store. */
async function countAll(contents: ReadonlyMap<string, number>, holders: readonly RealHost[]): Promise<CopyCount> {
  const counted = await countCopies(holders.map(host => ({ host: host.name, path: storeOf(host) })));
  for (const { name } of holders) {
    const held = [...counted.copies.values()].filter(({ hosts }) => hosts.includes(name));
    stage.note(
      `${name.padEnd(5)} ${size(sumOf(held.map(({ bytes }) => bytes))).padStart(8)}, ${count(held.length)} contents`,
    );
  }
  if (counted.wrong.length > 0)
    throw new DidNotHold(`damaged: ${counted.wrong.slice(0, DIFFERENCES_SHOWN).join('; ')}`);

  const withCopies = new Map<number, number>();
  for (const hash of contents.keys()) {
    const have = counted.copies.get(hash)?.hosts.length ?? 0;
    withCopies.set(have, (withCopies.get(have) ?? 0) + 1);
  }
  const kinds = [...withCopies].sort(([one], [other]) => one - other);
  stage.note(
    `of ${count(contents.size)} contents ${kinds.map(([have, number]) => `${count(number)} lie on ${have}`).join(', ')}`,
  );
  const short = sumOf(kinds.filter(([have]) => have < COPIES).map(([, number]) => number));
  if (short > 0)
    throw new DidNotHold(`${count(short)} of ${count(contents.size)} contents have fewer than ${COPIES} copies`);
  return counted;
}

async function showReplicas(holders: readonly RealHost[]): Promise<void> {
  const [asked] = holders;
  if (asked === undefined) return;
  for (const path of someFiles()) {
    const spec = `${SOURCE}:${path}`;
    const [replica] = (await asked.records('ls-replicas', spec)) as unknown as Replica[];
    if (replica === undefined) throw new DidNotHold(`${asked.name} does not know ${spec}`);
    const { have, want, hosts } = replica;
    stage.note(`${have}/${want}  ${hosts.join(', ').padEnd(10)}  ${shortened(path)}`);
    if (have < want || hosts.includes(ORIGIN)) throw new DidNotHold(`${path} lies on ${hosts.join(', ') || 'no host'}`);
  }
}

interface Replica {
  readonly want: number;
  readonly have: number;
  readonly hosts: readonly string[];
}

/** The first file with content of some of the folder's own folders, spread over all of them. */
function someFiles(): string[] {
  const names = readdirSync(folder).sort();
  const found: string[] = [];
  for (let part = 0; part < REPLICAS_SHOWN; part += 1) {
    const from = Math.floor((names.length * part) / REPLICAS_SHOWN);
    const to = Math.floor((names.length * (part + 1)) / REPLICAS_SHOWN);
    for (const name of names.slice(from, to)) {
      const file = firstFile(name);
      if (file === undefined) continue;
      found.push(file);
      break;
    }
  }
  return found;
}

/** Only names that need no escaping in a command's argument. */
function firstFile(path: string): string | undefined {
  if (!/^[\w@./ +-]+$/.test(path)) return undefined;
  const stat = lstatSync(join(folder, path));
  if (stat.isFile()) return stat.size > 0 ? path : undefined;
  if (!stat.isDirectory()) return undefined;
  for (const name of readdirSync(join(folder, path)).sort()) {
    const file = firstFile(`${path}/${name}`);
    if (file !== undefined) return file;
  }
  return undefined;
}

async function heal({ victim, ...copying }: Copying & { readonly victim: RealHost }): Promise<void> {
  const startMs = performance.now();
  await victim.kill();
  const { asked } = copying;
  await asked.sees(`that ${victim.name} is dead`, ({ hosts }) =>
    hosts.some(({ name, state }) => name === victim.name && state === 'dead'),
  );
  const noticedMs = performance.now() - startMs;
  await copy(copying);
  const healedMs = performance.now() - startMs;
  stage.note(`counted as dead after ${seconds(noticedMs)}, everything on two hosts again after ${seconds(healedMs)}`);
}

async function killOrigin(origin: RealHost): Promise<void> {
  await origin.kill();
  stage.note(`What ${origin.name} has was never counted as a copy: the two are elsewhere.`);
}

async function restore(reader: RealHost, target: string): Promise<void> {
  const show = stage.bars();
  let last: Restored | undefined;
  const problems: Problem[] = [];
  await runProgram([MAIN, '--state', reader.state, '--json', 'restore', SOURCE, '--target', target], record => {
    const { message_type: type, ...fields } = record as { readonly message_type: string };
    if (type === 'restore') last = fields as Restored;
    if (type === 'problem') problems.push(fields as Problem);
    if (type !== 'progress') return;
    const { files, bytes, total_files: totalFiles, total_bytes: totalBytes } = fields as RestoreProgress;
    const text = `${count(files)} of ${count(totalFiles)} files`;
    show([{ name: 'restored', share: totalBytes === 0 ? 1 : bytes / totalBytes, text }]);
  }).catch((cause: unknown) => {
    const told = problems.slice(0, DIFFERENCES_SHOWN).map(({ path, because }) => `${path}: ${because}`);
    throw new DidNotHold([`${cause instanceof Error ? cause.message : cause}`, ...told].join('\n'), { cause });
  });
  if (last === undefined) throw new DidNotHold('restore did not say what it did');
  const { restored, bytes, failed, not_set: notSet } = last;
  show([{ name: 'restored', share: 1, text: `${count(restored)} files, ${size(bytes)}` }]);
  if (failed > 0 || notSet > 0) throw new DidNotHold(`${failed} entries were not restored, ${notSet} not as they were`);
}

interface RestoreProgress {
  readonly files: number;
  readonly bytes: number;
  readonly total_files: number;
  readonly total_bytes: number;
}

interface Problem {
  readonly path: string;
  readonly because: string;
}

interface Restored {
  readonly restored: number;
  readonly bytes: number;
  readonly failed: number;
  readonly not_set: number;
}

async function compare(target: string): Promise<void> {
  let compared: Compared | undefined;
  await runProgram([COMPARE, folder, target], record => {
    compared = record as Compared;
  });
  if (compared === undefined) throw new DidNotHold('the comparison did not end');
  const { differences, files, folders, symlinks, bytes } = compared;
  stage.note(`${count(files)} files (${size(bytes)}), ${count(folders)} folders, ${count(symlinks)} symlinks:`);
  stage.note('content, mode, mtime to the nanosecond, owner, link targets, hard links');
  if (differences.length > 0) throw new DidNotHold(differences.slice(0, DIFFERENCES_SHOWN).join('\n'));
}

// ────────────────────────────────────────────────────────────────────────────────────────────────────────────── the stage

async function stop(): Promise<void> {
  for (const child of children) child.kill('SIGKILL');
  const running = [ORIGIN, ...HOLDERS].map(name => cluster.host(name)).filter(({ pid }) => pid !== undefined);
  // In order, as a service manager would; a host that does not end that way is killed below.
  const ended = await Promise.allSettled(running.map(host => host.stop()));
  for (const end of ends) await end();
  if (existsSync(cluster.folder)) throw new DidNotHold(`${cluster.folder} is still there`);
  const failure = ended.find(({ status }) => status === 'rejected');
  if (failure?.status === 'rejected') throw failure.reason;
  stage.note(`${namesOf(running)} ended cleanly, ${cluster.folder} is gone`);
}

/** A folder that changes during the demo cannot come back as it is at the end. */
async function tellChanges(): Promise<void> {
  if (known === undefined) return;
  const now = await contentsOf(folder);
  const gone = [...known.keys()].filter(hash => !now.has(hash)).length;
  if (gone > 0) stage.say(`   ${folder} has changed meanwhile: ${count(gone)} contents are no longer there.`);
}

function tellFailure(error: unknown): void {
  stage.closeBars();
  const text = error instanceof DidNotHold ? error.message : String(error instanceof Error ? error.stack : error);
  stage.say();
  for (const line of text.split('\n')) stage.say(paint('red', `   ${line}`));
}

function tellEnd(): void {
  stage.say();
  for (const { title, held, ms } of stage.acts) {
    const mark = held ? paint('green', '✔') : paint('red', '✘');
    stage.say(` ${mark} ${seconds(ms).padStart(7)}  ${title}`);
  }
  const heldCount = stage.acts.filter(({ held }) => held).length;
  const end = stage.heldAll
    ? paint('green', `All ${heldCount} steps held`)
    : paint('red', `${stage.acts.length - heldCount} of ${stage.acts.length} steps did not hold`);
  stage.say();
  stage.say(`${end}, in ${seconds(stage.elapsedMs)}.`);
}

/**
 * Runs one of this project's programs to its end; each JSON line that it prints is a record. @throws unless it ends
 * with 0
 */
function runProgram(words: readonly string[], onRecord: (record: unknown) => void): Promise<void> {
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk;
  });
  const lines = createInterface({ input: child.stdout }).on('line', line => onRecord(JSON.parse(line)));
  const read = new Promise(resolve => lines.once('close', resolve));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', async (code, signal) => {
      children.delete(child);
      await read;
      if (code === 0) resolve();
      else reject(new DidNotHold(`it ended with ${signal ?? code}: ${err.trim()}`));
    });
  });
}

// ────────────────────────────────────────────────────────────────────────────────────────────────────────────── and words

function storeOf({ name }: RealHost): string {
  return cluster.path(`${name}.store`);
}

/** The host whose loss costs most: the one that holds most copies. */
function mostFilled(hosts: readonly RealHost[], { copies }: CopyCount): RealHost {
  const held = (host: RealHost) => [...copies.values()].filter(({ hosts }) => hosts.includes(host.name)).length;
  const [most] = [...hosts].sort((one, other) => held(other) - held(one));
  if (most === undefined) throw new Error('there are no hosts');
  return most;
}

function namesOf(hosts: readonly RealHost[]): string {
  return hosts.map(({ name }) => name).join(', ');
}

function sumOf(numbers: Iterable<number>): number {
  return [...numbers].reduce((sum, number) => sum + number, 0);
}

function shortened(path: string): string {
  return path.length <= 56 ? path : `…${path.slice(-55)}`;
}

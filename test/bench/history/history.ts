/**
 * History: the bench of restore points: what snapshots of many files cost in time, on disk and in memory, also while
 * nothing happens.
 *
 * `many` is a source of a million small files (`--size` takes a part of them), with its copy on a second host; `mixed`
 * is a home of 20,000 files and 2 GiB, on a host that is alone. All caches are warm. The program and the tool that it
 * is compared with are measured in turns.
 */
import { appendFileSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { atLeast, atMost, beside, type Figure } from '../../../sim/bench/figure.js';
import { SETTLE_MS } from '../../../src/catalog/scan-cache.js';
import { nativeBackend, wasmBackend } from '../../../src/core/hash-backends.js';
import { atProcessEnd } from '../../helpers/at-process-end.js';
import { RealCluster, type RealHost } from '../../helpers/real-cluster.js';
import { newTemporaryFolder } from '../../helpers/temporary-folder.js';
import { textLine } from '../figure-lines.js';
import { anonymousBytes, ownCpuS } from '../transfer/processes.js';
import { median } from '../transfer/results.js';
import { runCommand } from '../transfer/run-command.js';
import { FIGURE_WIDTHS } from '../transfer/table.js';
import { GIB, homeSizes, makeTree } from '../transfer/trees.js';
import { diskBytes, hashTree } from './folders.js';

const MANY_FILES = 1_000_000;
const MANY_BYTES = 300;
const MIXED = { files: 20_000, bytes: 2 * GIB };
/** Of a million files. */
const CHANGED_FILES = 10;

const UNCHANGED_GOAL = 1.0;
const FIRST_NATIVE_GOAL = 70;
const FIRST_WASM_GOAL = 85;
const CATALOG_BYTES_GOAL = 150;
const INDEX_BYTES_GOAL = 300;
const ADDED_KB_GOAL = 150;
const IDLE_MB_GOAL = 200;
const SCANNING_MB_GOAL = 350;
const IDLE_PERCENT_GOAL = 0.5;
const REBUILD_GOAL = 2;

/** A cluster's defaults where tests have shorter times; but nobody browses the plain trees of the stores here. */
const TIMING = {
  heartbeat: '5s',
  heartbeatPerHost: '1s',
  suspect: '30s',
  redial: '30s',
  dead: '1h',
  lastPlace: '1m',
  treeQuiet: '10m',
  treeEvery: '10m',
};
/** The goal's own time: in a shorter one, what happens once in some minutes would weigh more. */
const IDLE_MS = 300_000;
const LOOK_EVERY_MS = 20;
const COMMAND_MS_MAX = 1_800_000;
const MB = 1e6;

export interface HistoryOptions {
  readonly part: number;
  readonly rounds: number;
  readonly say: (line: string) => void;
}

export async function benchHistory(
  options: HistoryOptions,
): Promise<{ figures: readonly Figure[]; lines: readonly string[] }> {
  const figures = [...(await firstSnapshots(options)), ...(await manyFiles(options))];
  return { figures, lines: ['', ...figures.map(figure => textLine(figure, FIGURE_WIDTHS))] };
}

/** Work with trees in a folder of its own, and with a cluster; all of it is gone afterwards. */
async function withCluster<T>(work: (root: string, cluster: RealCluster) => Promise<T>): Promise<T> {
  const root = newTemporaryFolder();
  const remove = (): void => rmSync(root, { recursive: true, force: true });
  const forget = atProcessEnd(remove);
  const ends: (() => Promise<void>)[] = [];
  try {
    return await work(root, new RealCluster({ teardown: end => void ends.push(end) }));
  } finally {
    for (const end of ends) await end();
    remove();
    forget();
  }
}

const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1000;
};

// ------------------------------------------------------------------------------------------------------ the first snapshot

async function firstSnapshots({ part, rounds, say }: HistoryOptions): Promise<Figure[]> {
  const sizes = homeSizes({ files: Math.round(MIXED.files * part), bytes: Math.round(MIXED.bytes * part) });
  return withCluster(async (root, cluster) => {
    const tree = join(root, 'tree');
    say(`making a home of ${sizes.length} files`);
    await makeTree(tree, sizes);
    const native = await nativeBackend();
    const figures: Figure[] = [];
    const backends = [
      { backend: await wasmBackend(), by: ['env', 'CLUSTER_HASHER=wasm'], goal: FIRST_WASM_GOAL },
      ...(native === undefined ? [] : [{ backend: native, by: ['env'], goal: FIRST_NATIVE_GOAL }]),
    ];
    for (const { backend, by, goal } of backends) {
      const source = join(root, `home-${backend.name}`);
      mkdirSync(source);
      const host = cluster.add(backend.name, { by, commandMsMax: COMMAND_MS_MAX });
      await host.ok('init', '--name', 'home', '--host', host.name);
      await host.up();
      const { hasher } = (await host.status()).process;
      if (hasher !== backend.name)
        throw new Error(`the service hashes by ${hasher}: nothing would be known of ${backend.name}`);
      const sources = Object.fromEntries(
        Array.from({ length: rounds }, (_, n) => [`home${n}`, { path: join(source, String(n)), every: '7d' }]),
      );
      for (let n = 0; n < rounds; n += 1) {
        mkdirSync(join(source, String(n)));
        appendFileSync(join(source, String(n), 'first'), 'a source that is empty counts as missing');
      }
      await cluster.apply({ hosts: { [host.name]: { sources } } }, { by: host });
      await host.sees(
        'a first snapshot of each',
        ({ sources: all }) => all.length === rounds && all.every(one => one.lastSnapshot !== undefined),
      );
      const ours: number[] = [];
      const alone: number[] = [];
      for (let n = 0; n < rounds; n += 1) {
        renameSync(tree, join(source, String(n), 'tree'));
        alone.push(await seconds(async () => hashTree(join(source, String(n)), backend)));
        ours.push(await seconds(() => host.ok('backup', `home${n}`)));
        renameSync(join(source, String(n), 'tree'), tree);
        say(
          `first snapshot, ${backend.name}: ${ours.at(-1)?.toFixed(2)} s; hashed by one thread ${alone.at(-1)?.toFixed(2)} s`,
        );
      }
      const value = (100 * median(alone)) / median(ours);
      figures.push(atLeast(goal, { figure: `first snapshot: of one ${backend.name} thread`, value, unit: '%' }));
      await host.stop();
    }
    return figures;
  });
}

// --------------------------------------------------------------------------------------------------------------- many files

async function manyFiles({ part, rounds, say }: HistoryOptions): Promise<Figure[]> {
  const files = Math.round(MANY_FILES * part);
  return withCluster(async (root, cluster) => {
    const source = join(root, 'many');
    say(`making ${files} small files`);
    await makeTree(
      source,
      Array.from({ length: files }, () => MANY_BYTES),
    );
    const launch = { commandMsMax: COMMAND_MS_MAX };
    const [origin, holder] = await cluster.found(['ann', 'ben'], { ann: launch, ben: launch });
    const store = cluster.makeFolder('ben.store');
    say('waiting until the files have settled');
    // Otherwise the second snapshot, for which nothing has changed, would read them all once more.
    await delay(SETTLE_MS);
    await cluster.apply({
      defaults: { copies: 1 },
      hosts: {
        ann: { sources: { many: { path: source, every: '7d' } } },
        ben: { stores: [{ path: store, limit: '1 TB' }] },
      },
      timing: TIMING,
    });
    await untilProtected(origin);
    say('the first snapshot is protected');
    const many = { files, root, source, store, origin, holder, say };
    return [
      ...(await nothingChanged(many, rounds)),
      ...(await onDisk(many)),
      ...(await atRest(many)),
      ...(await indexMadeAnew(many)),
      beside({ figure: 'files of all this', value: files, unit: '' }),
    ];
  });
}

interface Many {
  readonly files: number;
  readonly root: string;
  readonly source: string;
  readonly store: string;
  readonly origin: RealHost;
  readonly holder: RealHost;
  readonly say: (line: string) => void;
}

async function nothingChanged({ root, source, origin, say }: Many, rounds: number): Promise<Figure[]> {
  const copy = join(root, 'copy');
  await runCommand(['cp', '-a', source, copy], { withinMs: COMMAND_MS_MAX });
  const dryRun = ['rsync', '-a', '--dry-run', `${source}/`, `${copy}/`];
  const ours: number[] = [];
  const rsync: number[] = [];
  let scanningBytes = 0;
  for (let round = 0; round < rounds; round += 1) {
    rsync.push(await seconds(() => runCommand(dryRun, { withinMs: COMMAND_MS_MAX })));
    const peak = watchMemory(origin);
    ours.push(await seconds(() => origin.ok('backup', 'many')));
    scanningBytes = Math.max(scanningBytes, peak());
    say(`nothing changed: ${ours.at(-1)?.toFixed(2)} s, rsync ${rsync.at(-1)?.toFixed(2)} s`);
  }
  const value = median(ours) / median(rsync);
  return [
    atMost(UNCHANGED_GOAL, { figure: 'nothing changed: wall / rsync --dry-run', value, unit: 'ratio' }),
    atMost(SCANNING_MB_GOAL, { figure: 'scanning: RssAnon, origin', value: scanningBytes / MB, unit: 'MB' }),
  ];
}

async function onDisk({ files, source, store, origin, holder }: Many): Promise<Figure[]> {
  const figures: Figure[] = [];
  const objects = join(origin.state, 'catalog/objects');
  const hosts = { origin: [objects], holder: [join(holder.state, 'catalog/objects'), join(store, '.catalog/objects')] };
  for (const [what, folders] of Object.entries(hosts)) {
    const value = diskBytes(...folders) / files;
    figures.push(atMost(CATALOG_BYTES_GOAL, { figure: `catalog on disk, ${what}`, value, unit: 'B/file' }));
  }
  for (const [what, host] of Object.entries({ origin, holder })) {
    const value = diskBytes(join(host.state, 'index')) / files;
    figures.push(atMost(INDEX_BYTES_GOAL, { figure: `index on disk, ${what}`, value, unit: 'B/file' }));
  }
  const before = diskBytes(objects);
  for (let n = 0; n < CHANGED_FILES; n += 1) appendFileSync(join(source, `part-${n}`, 'folder-0', 'new'), `new ${n}`);
  await origin.ok('backup', 'many');
  const value = (diskBytes(objects) - before) / 1000;
  return [...figures, atMost(ADDED_KB_GOAL, { figure: 'a snapshot that changes 10 files adds', value, unit: 'kB' })];
}

async function atRest({ origin, holder, say }: Many): Promise<Figure[]> {
  await untilProtected(origin);
  await origin.sees('everything settled', ({ settled }) => settled, COMMAND_MS_MAX);
  say(`nothing happens for ${IDLE_MS / 1000} s`);
  const hosts = Object.entries({ origin, holder });
  const before = hosts.map(([, host]) => ownCpuS(pidOf(host)));
  await delay(IDLE_MS);
  return hosts.flatMap(([what, host], n) => {
    const usedS = ownCpuS(pidOf(host)) - (before[n] ?? 0);
    const percent = { figure: `idle: of one core, ${what}`, value: (100_000 * usedS) / IDLE_MS, unit: '%' };
    const memory = { figure: `idle: RssAnon, ${what}`, value: anonymousBytes(pidOf(host)) / MB, unit: 'MB' };
    return [atMost(IDLE_PERCENT_GOAL, percent), atMost(IDLE_MB_GOAL, memory)];
  });
}

async function indexMadeAnew({ source, store, origin, holder, say }: Many): Promise<Figure[]> {
  const backend = (await nativeBackend()) ?? (await wasmBackend());
  const works = {
    holder: { folder: join(store, '.blobs'), made: () => madeAnew(holder, () => untilProtected(holder)) },
    origin: { folder: source, made: () => madeAnew(origin, () => origin.ok('backup', 'many')) },
  };
  const figures: Figure[] = [];
  for (const [what, { folder, made }] of Object.entries(works)) {
    const hashedS = await seconds(async () => hashTree(folder, backend));
    const madeS = await made();
    say(`index made anew, ${what}: ${madeS.toFixed(2)} s; all hashed by one thread in ${hashedS.toFixed(2)} s`);
    const value = madeS / hashedS;
    figures.push(atMost(REBUILD_GOAL, { figure: `index made anew / hashing, ${what}`, value, unit: 'ratio' }));
  }
  return figures;
}

/** As the host itself sees it. */
const untilProtected = (host: RealHost): Promise<unknown> =>
  host.sees(
    'everything protected',
    ({ protected: all, sources }) => all && sources.some(({ lastSnapshot }) => lastSnapshot !== undefined),
    COMMAND_MS_MAX,
  );

function pidOf(host: RealHost): number {
  if (host.pid === undefined) throw new Error(`${host.name} does not run`);
  return host.pid;
}

/** @returns a function that ends the watch and returns the largest amount of the service's own memory seen, in bytes */
function watchMemory(host: RealHost): () => number {
  const pid = pidOf(host);
  let mostBytes = 0;
  const look = (): void => {
    mostBytes = Math.max(mostBytes, anonymousBytes(pid));
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  return () => {
    clearInterval(timer);
    look();
    return mostBytes;
  };
}

/** From the start of the service without its index until the work is done, in s. */
async function madeAnew(host: RealHost, work: () => Promise<unknown>): Promise<number> {
  await host.stop();
  rmSync(join(host.state, 'index'), { recursive: true });
  return seconds(async () => {
    await host.up();
    await work();
  });
}

/**
 * Transfer: the bench of the transfer engine. In each round every tool does all works by itself, from nothing, with nothing
 * else of ours running; the next round takes the tools in another order. So the numbers are alternating, and their medians
 * are compared.
 *
 * All is warm: the trees have just been written, or read by the round before. All lies on the disk of the temporary folder.
 */
import { statfsSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Figure } from '../../../sim/bench/figure.js';
import { SETTLE_MS } from '../../../src/catalog/scan-cache.js';
import { atProcessEnd } from '../../helpers/at-process-end.js';
import { newTemporaryFolder } from '../../helpers/temporary-folder.js';
import { textLine } from '../figure-lines.js';
import { figuresOf, TOOLS, usageFigures } from './figures.js';
import { Home, type Tree } from './home.js';
import { OurSide } from './our-side.js';
import { Results } from './results.js';
import { RsyncSide } from './rsync-side.js';
import type { Side, ToolName } from './side.js';
import { whyNoRsync } from './ssh.js';
import { FIGURE_WIDTHS, tableLines } from './table.js';
import { AS_SHIPPED, treesOf, WORKS, type WorkName, withNeeds } from './works.js';

const DURABLE: readonly ToolName[] = ['scatterhoard', 'rsync --fsync'];

/** The trees, three copies of them, one restored, and what else is on its way. */
const ROOM_TIMES = 6;

export interface TransferOptions {
  /** Of the trees that the goals name: 1 is all. */
  readonly part: number;
  readonly works: readonly WorkName[];
  readonly rounds: number;
  /** No round begins that would not end by then; at least one is run. */
  readonly withinMs: number;
  /** For people who wait. */
  readonly say: (line: string) => void;
}

/** Under what all figures of a run were taken, for programs; people get it in words. */
export interface Run {
  /** Of the trees that the goals name. */
  readonly size: number;
  /** That were run. */
  readonly rounds: number;
  /** Whose copies are on disk when the time ends. */
  readonly durable: readonly ToolName[];
  /** Where waiting times are those that are shipped: elsewhere they are the demo's. */
  readonly shippedTiming: readonly string[];
  /** Processes that wanted a processor before it began. */
  readonly load: number;
  readonly processors: number;
  /** Why there were no networks of their own, so that everybody's bytes were counted on loopback; null where there were. */
  readonly onLoopback: string | null;
}

export interface Transferred {
  readonly run: Run;
  readonly figures: readonly Figure[];
  /** The same for people. */
  readonly lines: readonly string[];
}

export async function benchTransfer({ part, works, rounds, withinMs, say }: TransferOptions): Promise<Transferred> {
  const names = withNeeds(works);
  const [busy = 0] = loadavg();
  const home = new Home(newTemporaryFolder(), part);
  const forget = atProcessEnd(() => home.remove());
  try {
    const trees = treesOf(names);
    demandRoom(trees.reduce((sum, tree) => sum + home.extents[tree].bytes, 0));
    say(`making ${trees.map(tree => extentText(home, tree)).join('; ')}`);
    await home.make(trees);
    say('waiting until the files have settled');
    // Else a service would read those once more that it is to find unchanged, or renamed.
    await delay(SETTLE_MS);

    const because = whyNoRsync();
    if (because !== undefined) say(`rsync is left out: ${because}`);
    const tools = because === undefined ? TOOLS : TOOLS.slice(0, 1);
    const results = new Results();
    const { done, onLoopback } = await runRounds({ tools, names, home, results, rounds, withinMs, say });
    const figures = [...figuresOf(results, home.extents)];
    const lines = [
      '',
      ...tableLines(results),
      '',
      ...figures.map(figure => textLine(figure, FIGURE_WIDTHS)),
      '',
      ...notes({ done, home, trees, busy }),
    ];
    const run: Run = {
      size: part,
      rounds: done,
      durable: DURABLE.filter(tool => tools.includes(tool)),
      shippedTiming: AS_SHIPPED.filter(name => names.includes(name)).map(name => WORKS[name].title),
      load: busy,
      processors: cpus().length,
      onLoopback,
    };
    return { run, figures: [...figures, ...usageFigures(results)], lines };
  } finally {
    home.remove();
    forget();
  }
}

interface Running {
  readonly tools: readonly ToolName[];
  readonly names: readonly WorkName[];
  readonly home: Home;
  readonly results: Results;
  readonly rounds: number;
  readonly withinMs: number;
  readonly say: (line: string) => void;
}

interface Rounds {
  readonly done: number;
  readonly onLoopback: string | null;
}

async function runRounds({ rounds, withinMs, ...running }: Running): Promise<Rounds> {
  const startMs = performance.now();
  let onLoopback: string | null = null;
  let longestMs = 0;
  for (let round = 0; round < rounds; round += 1) {
    const roundMs = performance.now();
    if (roundMs - startMs + longestMs > withinMs) {
      running.say(`no time for round ${round + 1}`);
      return { done: round, onLoopback };
    }
    const order = running.tools.map((_, index, { length }) => running.tools[(index + round) % length]);
    for (const tool of order) {
      if (tool === undefined) continue;
      onLoopback ??= (await runTool(tool, { ...running, words: `round ${round + 1}/${rounds} ${tool}` })) ?? null;
    }
    longestMs = Math.max(longestMs, performance.now() - roundMs);
  }
  return { done: rounds, onLoopback };
}

type ToolRun = Pick<Running, 'names' | 'home' | 'results' | 'say'> & { readonly words: string };

/** Gives why it was on loopback, if it was. */
async function runTool(tool: ToolName, { names, home, results, say, words }: ToolRun): Promise<string | undefined> {
  const side = sideOf(tool, home);
  const { onLoopbackBecause } = side;
  if (onLoopbackBecause !== undefined) say(`on loopback, with everybody's bytes: ${onLoopbackBecause}`);
  try {
    await side.start();
    for (const name of names) {
      const usage = await WORKS[name].run(side, home);
      say(`${words}: ${WORKS[name].title}: ${usage.wallS.toFixed(2)} s`);
      results.add(tool, name, usage);
      if (name === 'large' && side instanceof OurSide) {
        results.addRaw(await side.rawStreamsS(home.extents.large.bytes));
      }
    }
    if (side instanceof OurSide) results.addLoad(side.load);
    await side.verify(treesOf(names));
    say(`${words}: every content is in its replicas`);
    return onLoopbackBecause;
  } finally {
    home.moveAllOut();
    await side.end();
  }
}

function sideOf(tool: ToolName, home: Home): Side {
  return tool === 'scatterhoard' ? new OurSide(home) : new RsyncSide(home, { fsync: tool === 'rsync --fsync' });
}

function demandRoom(bytes: number): void {
  const { bavail, bsize } = statfsSync(tmpdir());
  if (bavail * bsize >= ROOM_TIMES * bytes) return;
  const gb = (number: number): string => `${(number / 1e9).toFixed(1)} GB`;
  throw new Error(`${tmpdir()} has ${gb(bavail * bsize)} free, and this takes up to ${gb(ROOM_TIMES * bytes)}`);
}

function extentText(home: Home, tree: Tree): string {
  const { files, bytes } = home.extents[tree];
  return `${tree}: ${files} ${files === 1 ? 'file' : 'files'}, ${(bytes / 1e6).toFixed(0)} MB`;
}

interface Told {
  readonly done: number;
  readonly home: Home;
  readonly trees: readonly Tree[];
  readonly busy: number;
}

function notes({ done, home, trees, busy }: Told): string[] {
  return [
    ...trees.map(tree => extentText(home, tree)),
    '',
    `Medians of ${done} ${done === 1 ? 'round' : 'rounds'}. Two replicas each, on two machines; warm; our copies are`,
    "durable when the time ends, rsync's only with --fsync. Ratios against rsync are",
    'without it. The wire is what all cards have sent, the CPU that of all processes,',
    "the memory that of the largest one. The policy's waiting times are the demo's,",
    'but those that are shipped for the unchanged home and the renamed album.',
    `Before it began, ${busy.toFixed(1)} processes wanted one of ${cpus().length} processors: above half a one the`,
    'figures are those of a busy machine.',
  ];
}

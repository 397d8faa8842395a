/**
 * `npm run bench:sim`: figures of placement, repair and traffic, in virtual time: ratios and counts that are the same
 * on every machine. The exceptions are the simulator's own speed, which is taken from processor time, and `gossip`,
 * which compares the simulator's network with real services on loopback.
 *
 *   npm run bench:sim -- [--json] [--full] [NAME…]
 *
 * Without `--full` the larger clusters are left out. NAME: only these groups, see GROUPS.
 */
import { parseArgs } from 'node:util';
import { wastedByBursts } from '../../sim/bench/bursts.js';
import { atLeast, atMost, beside, type Figure } from '../../sim/bench/figure.js';
import { fullestWithNothingShort, tenLargeFilesOnThreeHosts } from '../../sim/bench/full.js';
import { idleTraffic } from '../../sim/bench/idle.js';
import { repairAfterLoss } from '../../sim/bench/repair.js';
import { settleFromNothing } from '../../sim/bench/settle.js';
import { settleFigures } from '../../sim/bench/settle-figures.js';
import { jsonLine, textLine } from './figure-lines.js';
import { modelledGossip, realGossip } from './gossip.js';
import { bytesPerParcel } from './machine-memory.js';

interface Extent {
  readonly full: boolean;
}

const SEED = 1;
/** The lengths of the longest name and the longest unit below. */
const WIDTHS = { figure: 72, unit: 12 };

const GROUPS: Readonly<Record<string, (extent: Extent) => Iterable<Figure> | AsyncIterable<Figure>>> = {
  *bursts({ full }) {
    for (const hosts of full ? [10, 50, 200] : [10, 50]) {
      const run = { seed: SEED, hosts, bursts: hosts > 50 ? 5 : 10 };
      const figure = `wasted bytes, idle cluster, bursts of new files, ${hosts} hosts`;
      yield atMost(1, { figure, value: 100 * wastedByBursts(run), unit: '%' });
      yield beside({ figure: `${figure}, greedy`, value: 100 * wastedByBursts({ ...run, greedy: true }), unit: '%' });
    }
  },

  *bulk({ full }) {
    for (const [hosts, parcels] of full ? FULL_BULKS : QUICK_BULKS) {
      const start = process.cpuUsage();
      const settled = settleFromNothing({ seed: SEED, hosts, parcels });
      const { user, system } = process.cpuUsage(start);
      yield* settleFigures(settled, { hosts, parcels, cpuS: (user + system) / 1e6 });
    }
  },

  *fill({ full }) {
    let worst = 1;
    const seeds = full ? 20 : 3;
    for (let seed = 1; seed <= seeds; seed += 1) {
      worst = Math.min(worst, fullestWithNothingShort({ seed, hosts: 8 }));
    }
    yield atLeast(97, {
      figure: `fill with nothing under-replicated, worst of ${seeds} seeds`,
      value: 100 * worst,
      unit: '%',
    });
  },

  *fit({ full }) {
    const seeds = full ? 100 : 20;
    let solved = 0;
    let relocations = 0;
    for (let seed = 1; seed <= seeds; seed += 1) {
      const fit = tenLargeFilesOnThreeHosts({ seed });
      if (fit.solved) solved += 1;
      relocations = Math.max(relocations, fit.relocations);
    }
    const what = '10 files of 100 GB twice on 3 x 700 GB';
    yield atLeast(100, { figure: `${what}, solved of ${seeds} seeds`, value: (100 * solved) / seeds, unit: '%' });
    yield atMost(2, { figure: `${what}, most relocations`, value: relocations, unit: 'moves' });
  },

  *repair({ full }) {
    const { receivedOverLost, seconds, boundS, short } = repairAfterLoss({
      seed: SEED,
      hosts: 50,
      parcels: full ? 5_000 : 2_000,
    });
    const ratio = short > 0 ? Number.POSITIVE_INFINITY : seconds / boundS;
    yield atMost(1.01, {
      figure: 'repair after losing 1 of 50 hosts, bytes / lost bytes',
      value: receivedOverLost,
      unit: 'ratio',
    });
    yield atMost(1.3, {
      figure: 'repair after losing 1 of 50 hosts, time / bandwidth bound',
      value: ratio,
      unit: 'ratio',
    });
  },

  *idle() {
    for (const [hosts, goal] of [
      [5, 4],
      [50, 8],
    ] as const) {
      const value = idleTraffic({ seed: SEED, hosts }) / 1000;
      yield atMost(goal, { figure: `control traffic a host, idle, in + out, ${hosts} hosts`, value, unit: 'kB/s' });
    }
  },

  async *gossip() {
    for (const hosts of [5, 12]) {
      const real = await realGossip(hosts);
      const model = modelledGossip(hosts);
      const what = `gossip, ${hosts} hosts`;
      yield beside({ figure: `${what}, real, bytes a frame and hearer`, value: real.bytesPerFrame, unit: 'bytes' });
      yield beside({
        figure: `${what}, … model / real`,
        value: model.bytesPerFrame / real.bytesPerFrame,
        unit: 'ratio',
      });
      yield beside({
        figure: `${what}, real, GossipSub's own words`,
        value: real.quietBytesPerS / 1000,
        unit: 'kB/s a host',
      });
      yield beside({ figure: `${what}, real, delay on loopback`, value: real.delayMs, unit: 'ms' });
      yield beside({ figure: `${what}, … model / real`, value: model.delayMs / real.delayMs, unit: 'ratio' });
      yield beside({ figure: `${what}, real, lost of what is said at once`, value: 100 * real.lostAtStart, unit: '%' });
      yield beside({ figure: `${what}, … model`, value: 100 * model.lostAtStart, unit: '%' });
    }
  },

  *memory() {
    const value = bytesPerParcel({ parcels: 200_000, hosts: 30 });
    yield atMost(200, { figure: 'memory of the machine, 200k parcels, 30 hosts', value, unit: 'bytes/parcel' });
  },
};

const QUICK_BULKS = [[10, 10_000]] as const;
const FULL_BULKS = [
  [10, 10_000],
  [50, 10_000],
  [200, 10_000],
  [50, 100_000],
] as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    quick: { type: 'boolean' },
  },
});
const names = positionals.length > 0 ? positionals : Object.keys(GROUPS);
for (const name of names) {
  const group = GROUPS[name];
  if (group === undefined) {
    process.stderr.write(`no figures called ${name}; there are: ${Object.keys(GROUPS).join(', ')}\n`);
    process.exitCode = 2;
    break;
  }
  for await (const figure of group({ full: values.full })) {
    process.stdout.write(`${values.json ? jsonLine(figure) : textLine(figure, WIDTHS)}\n`);
  }
}

/**
 * Faults: all that happens to the house, one table. Each is drawn from what is expected to be so when its turn comes,
 * without a look at the house, so that a seed's plan is known beforehand; and is carried out later.
 *
 * At most one machine is down, and in one round the disk of at most one machine is harmed: copies are promised for the
 * loss of one host. A fault that is over ends itself; a round's end undoes what lasts.
 */
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ChanceStreams } from '../../sim/chance-streams.js';
import { between, oneIn, pick } from '../../sim/draw.js';
import type { Chance } from '../../src/core/chance.js';
import { fillDisk } from '../helpers/small-disk.js';
import {
  ADMIN,
  COPIES,
  type House,
  MACHINES,
  type Machine,
  QUIET_SOURCES,
  SMALL_DISK_MACHINE,
  SOURCES,
} from './house.js';
import { restoreUnderKill } from './restoring.js';
import type { Stage } from './saved-snapshots.js';

export interface Fault {
  /** Says all that was drawn. */
  readonly text: string;
  /** Whose copies may be gone: a snapshot that was never protected may lose its only ones. */
  readonly harms?: Machine;
  readonly inflict: (stage: Stage) => Promise<void>;
}

/** What is so when the fault's turn comes, if the plan before it was carried out. Draws bring it up to date. */
export interface Expected {
  readonly hasNetwork: boolean;
  readonly hasMounts: boolean;
  down: Machine | undefined;
  /** Whose disk was harmed in this round. */
  harmed: Machine | undefined;
  copies: number;
}

/** At most; a service that is silent for 12 s is dead (`TIMING` of house.ts), so these are on both sides of it. */
const PAUSE_MS_MAX = 9_000;
const CUT_MS_MAX = 22_000;
const MUTE_MS_MAX = 16_000;
const BACK_MS_MAX = 4_000;
const DRAIN_MS_MAX = 25_000;
const FULL_MS_MAX = 15_000;
const ROTTEN_MAX = 5;
/** Within a restore's first seconds. */
const KILL_AFTER_MS_MAX = 2_500;
/** Those without a source. */
const REPLACEABLE: readonly Machine[] = ['c', 'e'];
/** All copies on one machine are much to make again; those of `a` and `b` are as many as anybody's. */
const WIPEABLE: readonly Machine[] = ['c', 'd', 'e'];

const upIn = ({ down }: Expected): Machine[] => MACHINES.filter(machine => machine !== down);
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** Undefined: it cannot happen now. */
export type Draw = (expected: Expected, chance: Chance) => Fault | undefined;

export const FAULTS: Readonly<Record<string, Draw>> = {
  kill: (expected, chance) => {
    if (expected.down !== undefined) return undefined;
    const machine = pick(chance, MACHINES);
    const backMs = oneIn(chance, 2) ? chance.below(BACK_MS_MAX) : undefined;
    if (backMs === undefined) expected.down = machine;
    return {
      text: `kill ${machine}, ${backMs === undefined ? 'down' : `up again after ${seconds(backMs)}`}`,
      inflict: async ({ house }) => {
        await house.kill(machine);
        if (backMs === undefined) return;
        await delay(backMs);
        await house.bringUp(machine);
      },
    };
  },

  stop: (expected, chance) => {
    if (expected.down !== undefined) return undefined;
    const machine = pick(chance, MACHINES);
    const comesBack = !oneIn(chance, 3);
    if (!comesBack) expected.down = machine;
    return {
      text: `stop ${machine}, ${comesBack ? 'up again at once' : 'down'}`,
      inflict: async ({ house }) => {
        await house.stop(machine);
        if (comesBack) await house.bringUp(machine);
      },
    };
  },

  comeBack: expected => {
    const { down } = expected;
    if (down === undefined) return undefined;
    expected.down = undefined;
    return { text: `${down} comes back`, inflict: ({ house }) => house.bringUp(down) };
  },

  /** As a laptop that sleeps: its clocks go on, its connections break. */
  pause: (expected, chance) => {
    const machine = pick(chance, upIn(expected));
    const ms = chance.below(PAUSE_MS_MAX);
    return {
      text: `pause ${machine} for ${seconds(ms)}`,
      inflict: async ({ house }) => {
        const { pid } = house.hostOn(machine);
        if (pid === undefined) return house.journal.fail(`${machine} does not run`);
        process.kill(pid, 'SIGSTOP');
        await delay(ms);
        process.kill(pid, 'SIGCONT');
      },
    };
  },

  cut: (expected, chance) => {
    if (!expected.hasNetwork) return undefined;
    const machine = pick(chance, upIn(expected));
    const ms = chance.below(CUT_MS_MAX);
    return {
      text: `cut the cable of ${machine} for ${seconds(ms)}`,
      inflict: async ({ house: { net } }) => {
        net?.cut(machine);
        await delay(ms);
        net?.heal(machine);
      },
    };
  },

  oneWay: (expected, chance) => {
    if (!expected.hasNetwork) return undefined;
    const from = pick(chance, upIn(expected));
    const to = pick(
      chance,
      upIn(expected).filter(machine => machine !== from),
    );
    const ms = chance.below(MUTE_MS_MAX);
    return {
      text: `nothing goes from ${from} to ${to} for ${seconds(ms)}`,
      inflict: async ({ house: { net } }) => {
        net?.mute(from, to);
        await delay(ms);
        net?.unmute(from, to);
      },
    };
  },

  /** The bytes change, the times do not: only who reads can tell. */
  rot: (expected, chance) => {
    const machine = expected.harmed ?? pick(chance, MACHINES);
    expected.harmed = machine;
    const blobs = between(chance, 1, ROTTEN_MAX);
    const seed = chance.uint32();
    return {
      text: `rot in ${machine}: ${blobs} of its blobs`,
      harms: machine,
      inflict: async ({ house }) => {
        const dice = new ChanceStreams(seed).of('rot');
        for (let n = 0; n < blobs; n += 1) rotOne(house, machine, dice);
      },
    };
  },

  wipe: (expected, chance) => {
    if (expected.harmed !== undefined || expected.down !== undefined) return undefined;
    const machine = pick(chance, WIPEABLE);
    expected.harmed = machine;
    return {
      text: `${machine} dies, and comes back without its blobs`,
      harms: machine,
      inflict: async ({ house }) => {
        await house.kill(machine);
        rmSync(join(house.storeOn(machine), '.blobs'), { recursive: true, force: true });
        await house.bringUp(machine);
      },
    };
  },

  loseIndex: (expected, chance) => {
    if (expected.down !== undefined) return undefined;
    const machine = pick(chance, MACHINES);
    return {
      text: `${machine} loses its index`,
      inflict: async ({ house }) => {
        await house.stop(machine);
        rmSync(join(house.hostOn(machine).state, 'index'), { recursive: true, force: true });
        await house.bringUp(machine);
      },
    };
  },

  copies: expected => {
    if (expected.down === ADMIN) return undefined;
    const copies = expected.copies === COPIES ? COPIES + 1 : COPIES;
    expected.copies = copies;
    return {
      text: `${copies} copies are wanted`,
      inflict: ({ house }) => {
        house.copies = copies;
        return house.applyPolicy();
      },
    };
  },

  scrub: (expected, chance) => {
    const machine = pick(chance, upIn(expected));
    return {
      text: `scrub ${machine}`,
      inflict: async ({ house }) => {
        const { code } = await house.hostOn(machine).run('scrub');
        if (code !== 0 && code !== 1) house.journal.fail(`scrub ${machine} ended with ${code}`);
      },
    };
  },

  fill: (expected, chance) => {
    if (!expected.hasMounts) return undefined;
    const ms = between(chance, 1_000, FULL_MS_MAX);
    return {
      text: `the disk of ${SMALL_DISK_MACHINE} is full for ${seconds(ms)}`,
      inflict: async ({ house }) => {
        const filler = join(house.diskOf(SMALL_DISK_MACHINE), 'filler');
        fillDisk(filler);
        await delay(ms);
        rmSync(filler);
      },
    };
  },

  drain: (expected, chance) => {
    if (expected.down === ADMIN) return undefined;
    const machine = pick(
      chance,
      MACHINES.filter(one => one !== ADMIN),
    );
    const ms = chance.below(DRAIN_MS_MAX);
    return {
      text: `drain ${machine} for ${seconds(ms)}`,
      inflict: async ({ house }) => {
        const { name } = house.hostOn(machine);
        await house.hostOn(ADMIN).ok('drain', name);
        await delay(ms);
        await house.hostOn(ADMIN).ok('drain', name, '--undo');
      },
    };
  },

  reinstall: (expected, chance) => {
    if (expected.harmed !== undefined || expected.down !== undefined) return undefined;
    const machine = pick(chance, REPLACEABLE);
    expected.harmed = machine;
    return {
      text: `${machine} is revoked, and joins as another host with an empty store`,
      harms: machine,
      inflict: ({ house }) => house.reinstall(machine),
    };
  },

  /** What no snapshot lists goes after `gcGrace`, also within its hold. */
  forget: (expected, chance) => {
    if (expected.down === ADMIN) return undefined;
    const source = pick(chance, QUIET_SOURCES);
    return {
      text: `forget what is unlisted of ${source}`,
      inflict: async ({ house }) => {
        await house.hostOn(ADMIN).ok('forget', source, '--now', '--yes');
      },
    };
  },

  restore: (expected, chance) => {
    if (expected.down !== undefined) return undefined;
    const source = pick(chance, QUIET_SOURCES);
    const victim = oneIn(chance, 2) ? SOURCES[source] : pick(chance, MACHINES);
    const by = pick(
      chance,
      MACHINES.filter(machine => machine !== victim),
    );
    const afterMs = chance.below(KILL_AFTER_MS_MAX);
    return {
      text: `${by} restores ${source}, and ${victim} is killed after ${seconds(afterMs)}`,
      inflict: stage => restoreUnderKill(stage, { source, by, victim, afterMs }),
    };
  },
};

type Rot = 'flip' | 'shorten' | 'remove';

function rotOne(house: House, machine: Machine, chance: Chance): void {
  const blobs = blobsIn(house.storeOn(machine));
  if (blobs.length === 0) {
    house.journal.say(`  ${machine} has none`);
    return;
  }
  const blob = pick(chance, blobs);
  const rot = pick<Rot>(chance, ['flip', 'shorten', 'remove']);
  try {
    spoil(blob, rot, chance);
  } catch (error) {
    // The service may have removed it.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    house.journal.say(`  ${blob} went by itself`);
    return;
  }
  house.journal.say(`  ${rot} ${blob.slice(house.cluster.folder.length + 1)}`);
}

function spoil(blob: string, rot: Rot, chance: Chance): void {
  const { atime, mtime } = statSync(blob);
  const bytes = readFileSync(blob);
  switch (rot) {
    case 'remove':
      rmSync(blob);
      return;
    case 'shorten':
      truncateSync(blob, chance.below(bytes.length));
      break;
    case 'flip': {
      const at = chance.below(bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8));
      // In place: its plain name in a tree is a name of the same file.
      writeFileSync(blob, bytes, { flag: 'r+' });
    }
  }
  utimesSync(blob, atime, mtime);
}

/** Sorted: a folder's own order is not the same everywhere. */
const blobsIn = (store: string): string[] =>
  readdirSync(join(store, '.blobs'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && /^[0-9a-f]{64}$/.test(entry.name))
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort();

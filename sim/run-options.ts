/**
 * Run options: everything that a seed stands for, drawn before the run begins and printed when it fails: the cluster,
 * its times, and the schedule of faults.
 *
 * Times scale with the heartbeat (`paceMs`), so that a run may span minutes or weeks and still costs about the same
 * number of events.
 */
import type { Chance } from '../src/core/chance.js';
import type { Timing } from '../src/core/cluster-config.js';
import { ChanceStreams } from './chance-streams.js';
import { between, logBetween, oneIn, pick } from './draw.js';
import type { Fault, FaultKind } from './fault.js';

export interface RunOptions {
  readonly seed: number;
  readonly hosts: number;
  readonly storesPerHost: number;
  /** The number of hosts in a domain; 1: each host has its own. */
  readonly hostsPerDomain: number;
  /** How many of the first hosts are untrusted (the last ones) and roaming (those before them). Absent: none. */
  readonly untrustedHosts?: number;
  readonly roamingHosts?: number;
  /** Parcels of all sources together, in the first snapshots. */
  readonly parcels: number;
  readonly sources: number;
  readonly copies: number;
  /**
   * One snapshot in this many lists a parcel again that was listed before, and not by the last one: what was deleted or
   * changed is as it was again. Absent: none does.
   */
  readonly againOneIn?: number;
  readonly parcelBytesMax: number;
  readonly lentBytes: number;
  /** Of each host, each way; absent: so fast that a parcel arrives almost at once. */
  readonly bytesPerS?: number;
  readonly paceMs: number;
  readonly timing: Partial<Timing>;
  /** Absent: as in the daemon, so that no log of a run is long enough for one. */
  readonly checkpointEveryOps?: number;
  /** How long the phase with faults lasts. */
  readonly safetyMs: number;
  readonly lossPercent: number;
  readonly duplicatePercent: number;
  readonly delayMsMost: number;
  readonly faults: readonly Fault[];
}

const MIB = 1024 * 1024;
/** Heartbeats in the phase with faults. */
const SAFETY_HEARTBEATS = 80;
/** The first heartbeats are mostly left in peace, so that there is something to lose. */
const WARM_UP_HEARTBEATS = 6;
const PACES_MS = [20_000, 60_000, 300_000, 1_200_000] as const;
/** On slow links the largest parcel takes this share of a heartbeat, in percent: then faults hit running transfers. */
const SLOW_PERCENT = { least: 5, most: 50 };
const SLOW_ONE_IN = 3;
/** Operations between two checkpoints: a store's log has some dozens of operations in a run. */
const CHECKPOINT_OPS = { least: 4, most: 64 };
const AGAIN_ONE_IN = 2;
const PAUSE_MS = { least: 100, most: 2 * 24 * 3_600_000 };
/**
 * A pause may last this many times as long as the phase would otherwise: more than two days in runs of the slowest
 * pace.
 */
const PAUSE_PHASES = 2;
/** The phase goes on for this long after a pause, so that a host which was away is seen among faults. */
const AFTER_PAUSE_HEARTBEATS = 10;

/** How often each kind comes, relative to the others. */
const WEIGHTS: Readonly<Record<FaultKind, number>> = {
  partition: 4,
  'one-way': 3,
  'half-open': 2,
  'mute-gossip': 3,
  'mute-streams': 2,
  loss: 3,
  lag: 3,
  'slow-link': 2,
  crash: 6,
  'boundary-crash': 20,
  pause: 5,
  suspend: 3,
  drift: 2,
  'wall-jump': 1,
  clone: 1,
  'bit-rot': 4,
  'read-error': 2,
  'no-room': 3,
  'slow-disk': 4,
  'lost-write': 2,
  'torn-write': 2,
  'lost-index': 1,
  'astray-write': 2,
  wipe: 1,
  'old-image': 4,
  join: 2,
  'late-join': 1,
  drain: 2,
  leave: 2,
  revoke: 1,
  lose: 1,
  copies: 7,
  capacity: 2,
  fork: 1,
  'asked-pause': 3,
  lie: 1,
  'back-up': 8,
  'erase-history': 1,
};
const KINDS = Object.keys(WEIGHTS) as FaultKind[];

export interface DrawOptions {
  /** Kinds that make up most of the schedule. */
  readonly favours?: readonly FaultKind[];
}

/** Draws everything that a seed stands for. */
export function drawRun(seed: number, { favours = [] }: DrawOptions = {}): RunOptions {
  const streams = new ChanceStreams(seed);
  const chance = streams.of('options');
  const paceMs = pick(chance, PACES_MS);
  const phaseMs = SAFETY_HEARTBEATS * paceMs;
  // When something is being looked for, it meets the same few parcels again and again.
  const parcels = favours.length > 0 ? between(chance, 1, 10) : logBetween(chance, 5, 40);
  const parcelBytesMax = logBetween(chance, MIB, 256 * MIB);
  const copies = between(chance, 1, 3);
  const hosts = between(chance, Math.max(3, copies + 1), 7);
  const isCalm = oneIn(chance, 12) && favours.length === 0;
  const faults = isCalm
    ? drawBackUps(streams.of('faults'), phaseMs)
    : drawFaults(streams.of('faults'), { safetyMs: phaseMs, paceMs, favours });
  const pauseEndsMs = faults
    .filter(({ kind }) => kind === 'pause' || kind === 'suspend')
    .map(({ atMs, forMs }) => atMs + forMs + AFTER_PAUSE_HEARTBEATS * paceMs);
  return {
    seed,
    hosts,
    storesPerHost: oneIn(chance, 5) ? 2 : 1,
    hostsPerDomain: oneIn(chance, 5) ? 2 : 1,
    ...drawMembers(streams.of('members'), { hosts, copies }),
    parcels,
    sources: between(chance, 1, 2),
    copies,
    ...(oneIn(streams.of('again'), 2) ? { againOneIn: AGAIN_ONE_IN } : {}),
    parcelBytesMax,
    lentBytes: drawRoom(chance, { parcels, parcelBytesMax, copies, hosts }),
    ...drawLinks(streams.of('links'), { parcelBytesMax, paceMs }),
    paceMs,
    timing: drawTiming(chance, paceMs),
    checkpointEveryOps: logBetween(streams.of('checkpoints'), CHECKPOINT_OPS.least, CHECKPOINT_OPS.most),
    safetyMs: Math.max(phaseMs, ...pauseEndsMs),
    lossPercent: isCalm ? 0 : pick(chance, [0, 0, 2, 10, 30]),
    duplicatePercent: isCalm ? 0 : pick(chance, [0, 0, 5]),
    delayMsMost: isCalm ? 50 : pick(chance, [20, 50, 200, 2_000]),
    faults,
  };
}

/** Few of each, and at least as many trusted hosts as the copies and the origin need. */
function drawMembers(
  chance: Chance,
  { hosts, copies }: Pick<RunOptions, 'hosts' | 'copies'>,
): Required<Pick<RunOptions, 'untrustedHosts' | 'roamingHosts'>> {
  return {
    untrustedHosts: oneIn(chance, 6) && hosts >= copies + 2 ? 1 : 0,
    roamingHosts: oneIn(chance, 4) ? between(chance, 1, 2) : 0,
  };
}

/**
 * The bytes each store lends: usually enough for almost everything, now and then little more than needed on average.
 */
function drawRoom(
  chance: Chance,
  { parcels, parcelBytesMax, copies, hosts }: Pick<RunOptions, 'parcels' | 'parcelBytesMax' | 'copies' | 'hosts'>,
): number {
  if (!oneIn(chance, 4)) return parcels * parcelBytesMax * 3;
  const neededBytes = (parcels * parcelBytesMax * copies) / 2;
  return Math.ceil(Math.max(parcelBytesMax, (neededBytes / hosts) * (between(chance, 10, 20) / 10)));
}

function drawLinks(
  chance: Chance,
  { parcelBytesMax, paceMs }: Pick<RunOptions, 'parcelBytesMax' | 'paceMs'>,
): Pick<RunOptions, 'bytesPerS'> {
  if (!oneIn(chance, SLOW_ONE_IN)) return {};
  const parcelS = (paceMs / 1_000) * (logBetween(chance, SLOW_PERCENT.least, SLOW_PERCENT.most) / 100);
  return { bytesPerS: Math.ceil(parcelBytesMax / parcelS) };
}

/** Every copy is audited once in this many heartbeats: a few times in a run. */
const SCRUB_HEARTBEATS = 40;

function drawTiming(chance: Chance, paceMs: number): Partial<Timing> {
  const heartbeats = (least: number, most: number): number => between(chance, least, most) * paceMs;
  return {
    heartbeatMs: paceMs,
    suspectMs: 6 * paceMs,
    redialMs: 6 * paceMs,
    deadMs: heartbeats(12, 25),
    lastPlaceMs: heartbeats(2, 8),
    surplusMs: heartbeats(0, 4),
    regrabMs: heartbeats(2, 10),
    returnMs: heartbeats(0, 12),
    gcGraceMs: heartbeats(4, 16),
    trashMs: heartbeats(4, 60),
    claimMs: Math.max(60_000, paceMs),
    scrubMs: SCRUB_HEARTBEATS * paceMs,
  };
}

function drawBackUps(chance: Chance, safetyMs: number): Fault[] {
  return Array.from({ length: 4 }, (_, id) => ({
    ...drawFault(chance, id, 'back-up'),
    atMs: between(chance, 1, safetyMs),
    forMs: 0,
  }));
}

function drawFaults(
  chance: Chance,
  {
    safetyMs,
    paceMs,
    favours,
  }: { readonly safetyMs: number; readonly paceMs: number; readonly favours: readonly FaultKind[] },
): Fault[] {
  const count = between(chance, 4, 24);
  const warmUpMs = WARM_UP_HEARTBEATS * paceMs;
  const faults = Array.from({ length: count }, (_, id): Fault => {
    const kind = favours.length > 0 && chance.below(10) < 7 ? pick(chance, favours) : drawKind(chance);
    const isSoon = oneIn(chance, 10);
    return {
      ...drawFault(chance, id, kind),
      atMs: isSoon ? between(chance, 1, warmUpMs) : between(chance, warmUpMs, safetyMs),
      forMs: drawLength(chance, kind, { safetyMs, paceMs }),
    };
  });
  return faults.sort((a, b) => a.atMs - b.atMs);
}

function drawKind(chance: Chance): FaultKind {
  const sum = KINDS.reduce((total, kind) => total + WEIGHTS[kind], 0);
  let left = chance.below(sum);
  for (const kind of KINDS) {
    left -= WEIGHTS[kind];
    if (left < 0) return kind;
  }
  return 'crash';
}

const drawFault = (
  chance: Chance,
  id: number,
  kind: FaultKind,
): Pick<Fault, 'id' | 'kind' | 'host' | 'other' | 'dice'> => ({
  id,
  kind,
  host: chance.below(64),
  other: chance.below(64),
  dice: chance.uint32(),
});

function drawLength(
  chance: Chance,
  kind: FaultKind,
  { safetyMs, paceMs }: { readonly safetyMs: number; readonly paceMs: number },
): number {
  switch (kind) {
    case 'pause':
    case 'suspend':
      return logBetween(chance, PAUSE_MS.least, Math.min(PAUSE_MS.most, PAUSE_PHASES * safetyMs));
    case 'crash':
    case 'boundary-crash':
    case 'lost-write':
    case 'torn-write':
    case 'lost-index':
      return logBetween(chance, 50, 20 * paceMs);
    case 'slow-disk':
    case 'lag':
      return logBetween(chance, paceMs, 40 * paceMs);
    case 'leave':
      return logBetween(chance, safetyMs / 4, safetyMs);
    default:
      return logBetween(chance, paceMs, safetyMs / 2);
  }
}

/**
 * Crash points: at which boundary of which effect a crash strikes (`Running.dies`). Every effect is in the draw, and
 * those by which data could be lost come more often than the others.
 */
import type { Effect } from '../src/core/effects.js';
import type { ArmedCrash, Boundary } from './sim-host.js';

/** What removes a copy, promises one, or writes to a log; each must have been struck at each boundary. */
const DANGEROUS = [
  'drop',
  'expire',
  'prove-own',
  'ask-grants',
  'read-possession',
  'answer-grant',
  'cancel-attempt',
  'fetch',
  'keep-head',
  'note-unwanted',
] as const;
type Dangerous = (typeof DANGEROUS)[number];

/** The others, and whether there is a moment at which they are done and the machine does not know of it yet. */
const OTHERS = {
  gossip: true,
  'ask-state': true,
  'ask-config': true,
  'cancel-fetch': false,
  measure: true,
  'ask-audit': true,
  'offer-relocation': true,
  'answer-relocation': true,
  identify: true,
  'note-absence': true,
  'note-unanswered': true,
  'note-distrust': false,
  'note-distrust-full': false,
  'note-unanswered-full': false,
  'note-move-ended': false,
  'note-liveness': false,
  'note-duplicate': false,
  'note-outage': false,
} as const satisfies Record<Exclude<Effect['do'], Dangerous | 'wake'>, boolean>;

const BOUNDARIES: readonly Boundary[] = ['asked', 'begun', 'done'];
/** How often a dangerous effect comes, relative to another one. */
const DANGER_WEIGHT = 5;

type Point = Pick<ArmedCrash, 'on' | 'boundary'>;

/** Giving up an attempt is over as soon as it was asked for. */
const boundariesOf = (effect: Effect['do']): readonly Boundary[] =>
  effect === 'cancel-attempt' || OTHERS[effect as keyof typeof OTHERS] === false ? ['asked', 'begun'] : BOUNDARIES;

const pointsOf = (effect: Effect['do']): Point[] => boundariesOf(effect).map(boundary => ({ on: effect, boundary }));

const POINTS: readonly Point[] = [
  ...DANGEROUS.flatMap(effect => pointsOf(effect)).flatMap(point => Array<Point>(DANGER_WEIGHT).fill(point)),
  ...(Object.keys(OTHERS) as (keyof typeof OTHERS)[]).flatMap(pointsOf),
  // Whichever effect comes next.
  ...BOUNDARIES.map(boundary => ({ on: undefined, boundary })),
];

export const crashPoint = (dice: number): Point => POINTS[dice % POINTS.length] as Point;

export type CrashName = `crash: ${Dangerous} ${Boundary}`;

/** One count for each dangerous effect and boundary. */
export const dangerousCrashes = (count: number): Record<CrashName, number> =>
  Object.fromEntries(
    DANGEROUS.flatMap(effect => boundariesOf(effect).map(boundary => [crashName(effect, boundary), count])),
  ) as Record<CrashName, number>;

export const crashName = (effect: Effect['do'], boundary: Boundary): string => `crash: ${effect} ${boundary}`;

/**
 * Host view: everything that this host knows of one other member.
 *
 * Written by hosts.ts and the files it uses. A view holds what was last heard of the host. Of the conclusions drawn
 * from several hosts, it holds only those on how long this one is waited for.
 */
import type { Absence } from './absence.js';
import type { Member } from './cluster-config.js';
import { type Boot, StartTurns } from './duplicate.js';
import type { LogPosition } from './holdings-log.js';
import { bytesOf, type HostId, type StoreId } from './ids.js';
import type { Liveness } from './liveness.js';
import type { Heartbeat, StoreReport } from './messages.js';
import { type IdWords, idWords } from './rendezvous.js';

/** Least time between two questions to one host for news that should have come unasked, in ms. */
export const ASK_AGAIN_MS = 1_000;

export interface HostView {
  readonly id: HostId;
  readonly words: IdWords;
  member: Member;
  knownSinceMs: number;
  connected: boolean;
  disconnectedAtMs: number | undefined;
  lastHeardMs: number | undefined;
  risingHeartbeats: number;
  liveness: Liveness;
  livenessSinceMs: number;
  livenessNextMs: number;
  /** While it is suspect: from then on its copies do not count if only one live place is left. */
  lastPlaceAtMs: number;
  /** Its known starts, the latest last. */
  readonly boots: Boot[];
  readonly startTurns: StartTurns;
  /** Two machines run with its identity: nothing it says counts, at least until `setAsideUntilMs`. */
  isSetAside: boolean;
  setAsideUntilMs: number;
  /**
   * When it, or a store of it, last came back from being dead or away, by our time; its copies may be surplus since.
   */
  returnedAtMs: number | undefined;
  /** Its present absence, or the last one until that has been judged. */
  away: Away | undefined;
  /** Its good absences of the last 14 days. */
  absences: readonly Absence[];
  /** It is away, and for longer than usual. */
  missed: boolean;
  /** It vanished with so many others that it is waited for twice as long … */
  inOutage: boolean;
  /** … even before the last place is repaired. */
  inSuddenOutage: boolean;
  /** Its last heartbeat; undefined before the first since our start. */
  heartbeat: Heartbeat | undefined;
  /** The stores of the last heartbeat, by id. */
  reports: ReadonlyMap<StoreId, StoreReport>;
  /** Stores that it listed since its start and lists no longer. */
  readonly storesAway: Set<StoreId>;
  /** Sum of the stated weights of its mounted stores. */
  weightMiB: number;
  /** The most free bytes in one of its stores. */
  freeBytes: number;
  /** Its logs have been read to the end since it was last away. */
  caughtUp: boolean;
  /** Since when we have been waiting for that. */
  awaitedSinceMs: number;
  /** When the news that its heartbeat announced should have come; Infinity while none is expected. */
  newsDueMs: number;
  asking: boolean;
  askAgain: boolean;
  askNotBeforeMs: number;
  askBackOffMs: number;
  /**
   * What still differed after its last two answers. Two, because two processes with one identity answer in turns;
   * undefined when nothing differed.
   */
  differed: readonly (string | undefined)[];
  /** Since it was last asked, it has spoken as an earlier start. */
  spokeAsOlder: boolean;
}

/** An absence: what must be known at its end to judge whether it was a good one. */
export interface Away {
  /** The last sign of life before it. */
  readonly sinceMs: number;
  /** The logs that the host listed then; undefined when we had not heard it. */
  stores: readonly LogPosition[] | undefined;
  /** How much of our time some other host had been there when the absence began. */
  readonly companyMs: number;
  wasDead: boolean;
  heartbeatHeard: boolean;
  back: { readonly atMs: number; readonly companyMs: number } | undefined;
}

/**
 * A host of which nothing has been heard yet. `companyMs`: how much of our time some other host was there, up to now.
 */
export function newHostView(
  member: Member,
  {
    nowMs,
    absences,
    companyMs,
  }: { readonly nowMs: number; readonly absences: readonly Absence[]; readonly companyMs: number },
): HostView {
  return {
    id: member.host,
    words: idWords(bytesOf(member.host)),
    member,
    knownSinceMs: nowMs,
    connected: false,
    disconnectedAtMs: undefined,
    lastHeardMs: undefined,
    risingHeartbeats: 0,
    liveness: 'suspect',
    livenessSinceMs: nowMs,
    livenessNextMs: nowMs,
    lastPlaceAtMs: nowMs,
    returnedAtMs: absences.findLast(({ wasDead }) => wasDead)?.endedAtMs,
    away: {
      sinceMs: nowMs,
      stores: undefined,
      companyMs,
      wasDead: false,
      heartbeatHeard: false,
      back: undefined,
    },
    absences,
    missed: false,
    inOutage: false,
    inSuddenOutage: false,
    heartbeat: undefined,
    reports: new Map(),
    storesAway: new Set(),
    weightMiB: 0,
    freeBytes: 0,
    caughtUp: false,
    awaitedSinceMs: nowMs,
    boots: [],
    startTurns: new StartTurns(),
    isSetAside: false,
    setAsideUntilMs: Number.POSITIVE_INFINITY,
    newsDueMs: Number.POSITIVE_INFINITY,
    asking: false,
    askAgain: false,
    askNotBeforeMs: nowMs,
    askBackOffMs: ASK_AGAIN_MS,
    differed: [],
    spokeAsOlder: false,
  };
}

export const NOBODY: readonly HostView[] = [];

/** Since when a host has been away; for one that is there, when its absence would have begun. */
export const awaySinceMs = ({ away, lastHeardMs, knownSinceMs }: HostView): number =>
  away !== undefined && away.back === undefined ? away.sinceMs : (lastHeardMs ?? knownSinceMs);

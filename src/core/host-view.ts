/**
 * Host view: all that this host knows of one other member.
 *
 * Written by hosts.ts and those that it asks; whoever looks at it sees what was heard last, and nothing that is concluded
 * from several hosts but how long this one is waited for.
 */
import type { Absence } from './absence.js';
import type { Member } from './cluster-config.js';
import { type Boot, StartTurns } from './duplicate.js';
import type { LogPosition } from './holdings-log.js';
import { bytesOf, type HostId, type StoreId } from './ids.js';
import type { Liveness } from './liveness.js';
import type { Heartbeat, StoreReport } from './messages.js';
import { type IdWords, idWords } from './rendezvous.js';

/** Between two questions to one host for what should have come by itself, in ms. */
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
  /** While it is suspect: from then on its copies do not count where only one live place is left. */
  lastPlaceAtMs: number;
  /** Its starts that we know of, the last one last. */
  readonly boots: Boot[];
  readonly startTurns: StartTurns;
  /** Two machines run with its identity: nothing that it says counts, until then at least. */
  isSetAside: boolean;
  setAsideUntilMs: number;
  /** When it last came back from the dead, or a store of it from wherever that was, by our time; its copies may be surplus since. */
  returnedAtMs: number | undefined;
  /** The absence that it is in, or has come back from, until that is judged. */
  away: Away | undefined;
  /** Good ones, of the last 14 days. */
  absences: readonly Absence[];
  /** It is away, and for longer than is usual of it. */
  missed: boolean;
  /** It vanished with so many others that it is waited for twice as long … */
  inOutage: boolean;
  /** … also before the last place is repaired. */
  inSuddenOutage: boolean;
  /** The last heartbeat; undefined before the first since our start. */
  heartbeat: Heartbeat | undefined;
  /** Stores of the last heartbeat, by id. */
  reports: ReadonlyMap<StoreId, StoreReport>;
  /** Stores that it had since its start and has no more. */
  readonly storesAway: Set<StoreId>;
  /** Sum of the stated weights of its mounted stores. */
  weightMiB: number;
  /** Most room in one of its stores. */
  freeBytes: number;
  /** Its logs were read to the end once since it was last away. */
  caughtUp: boolean;
  /** Since when we wait for that. */
  awaitedSinceMs: number;
  /** When what its heartbeat was ahead of us should have come; Infinity while nothing is expected. */
  newsDueMs: number;
  asking: boolean;
  askAgain: boolean;
  askNotBeforeMs: number;
  askBackOffMs: number;
  /** After its last two answers, for two processes with one identity answer in turns; undefined when nothing did. */
  differed: readonly (string | undefined)[];
  /** It has spoken as an earlier start since it was last asked. */
  spokeAsOlder: boolean;
}

/** An absence: what has to be known at its end to tell whether it was a good one. */
export interface Away {
  /** The last sign before it. */
  readonly sinceMs: number;
  /** What the host listed then; undefined when we were not there to hear. */
  stores: readonly LogPosition[] | undefined;
  /** How long somebody was there, in all of our time, when it began. */
  readonly companyMs: number;
  wasDead: boolean;
  heartbeatHeard: boolean;
  back: { readonly atMs: number; readonly companyMs: number } | undefined;
}

/** A host of which nothing has been heard yet. `companyMs`: in how much of our time somebody was there, up to now. */
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

/** Since when a host that is away has been so, or would be. */
export const awaySinceMs = ({ away, lastHeardMs, knownSinceMs }: HostView): number =>
  away !== undefined && away.back === undefined ? away.sinceMs : (lastHeardMs ?? knownSinceMs);

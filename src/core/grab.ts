/**
 * Grab: should this host take a copy of a parcel that has too few?
 *
 * Hosts decide alone, from their own view, with no vote and no lock. Every host ranks the candidates for a parcel the
 * same way; the first N ranks start at once and each later rank waits one more turn, so a dead host costs one turn, never
 * a copy. A claim goes before the fetch, so that two hosts that start together see each other in time; and who ranks later
 * says its claim a little later, so that most of the time it hears the others' first and says nothing (claimTurnMs).
 *
 * Pure: same view, same verdict. Driven by machine.ts, once when a parcel changes, once before the claim and once more
 * after `claimWait`.
 */
/** Turns that a host counts ahead at the least; looking again costs about as much as counting so many hosts. */
const RANKS_AHEAD = 8;
/**
 * So many turns more has a host to wait where others could do it that hold the family: most of the bytes lie there already,
 * and a host that is only busy would have them moved. A file that has no host for some seconds longer is the cheaper way.
 */
const FAMILY_TURNS = 4;
/**
 * A roaming host leaves what would be one copy too many on such hosts to those that are always on, for so long after any of what
 * is short was last filled, in ms: while they get on with a first backup, which is more than they can claim at once, it is theirs …
 */
const LEFT_TO_STEADY_MS = 15 * 60_000;
/** … and for so long in all: by then something keeps this one from being filled. */
const LEFT_TO_STEADY_MS_MAX = 24 * 3_600_000;

export interface GrabView {
  readonly nowMs: number;
  /** A listed snapshot references it. */
  readonly wanted: boolean;
  readonly isOrigin: boolean;
  /** In a store of ours. */
  readonly held: boolean;
  /** N. */
  readonly copiesWanted: number;
  /** Copies that count, one a domain. */
  readonly copies: number;
  /** A host that is too full has asked us to take it over: whatever its copies, and whoever claims it. */
  readonly relocated: boolean;
  /** A counted copy lies in this host's own domain: another one here would not count. */
  readonly domainTaken: boolean;
  /** This host may take parcels: an active, trusted member that lends room. */
  readonly mayHold: boolean;
  /** A store of ours has room for what is missing of it. */
  readonly hasRoom: boolean;
  /** Its origin or a holder is connected: somebody could give it now. */
  readonly hasSource: boolean;
  /** Live claims of others, one a domain, and those among them whose hosts rank before this one. */
  readonly claims: number;
  readonly betterClaims: number;
  /** Somebody in this host's own domain claims it; and ranks before this one. */
  readonly ownDomainClaimed: boolean;
  readonly ownDomainBetterClaimed: boolean;
  /** This host's place among the candidates: 0 is first. Holders are candidates too. From `rankMaxOf` on: or any later one. */
  readonly rank: number;
  /** Enough others could take it that hold its family, and this host does not. */
  readonly leftToFamily: boolean;
  /** This host roams, others that do may hold as many copies as such hosts should, and one that does not has room for it. */
  readonly leftToSteady: boolean;
  /** Since when copies have been short. */
  readonly shortSinceMs: number;
  /** When anything that was short last got its copies; -Infinity for never. */
  readonly filledMs: number;
  /** One rank's turn: `step`, or `repairStep` for what once had its copies. */
  readonly stepMs: number;
  /** No copy is left but one, or none: everybody who can starts at once. */
  readonly lastPlace: boolean;
  /** Until when it is left to faster hosts (leave-to-faster.ts). */
  readonly leftUntilMs: number;
  /** This host is after it: it has reserved the room … */
  readonly claimed: boolean;
  /** … and has not said so yet: whoever has comes first, whatever its rank. */
  readonly unsaid: boolean;
  /** Not before this: a failure's back-off. */
  readonly notBeforeMs: number;
}

export type GrabVerdict =
  | { readonly act: 'grab' }
  | {
      readonly act: 'wait';
      readonly untilMs: number;
      readonly because: 'turn' | 'claimed' | 'back-off' | 'slow' | 'roaming';
    }
  | {
      readonly act: 'decline';
      readonly because:
        | 'not-wanted'
        | 'origin'
        | 'held'
        | 'enough-copies'
        | 'domain-taken'
        | 'may-not-hold'
        | 'no-source'
        | 'no-room';
    };

/**
 * How far a host's rank has to be known: to where its turn would come only after the parcel has been short for twice as long
 * as now, and some turns. It looks again then, with this much more patience; mostly the parcel has its copies before.
 */
export function rankMaxOf({
  copiesWanted,
  stepMs,
  shortForMs,
}: {
  readonly copiesWanted: number;
  readonly stepMs: number;
  readonly shortForMs: number;
}): number {
  if (stepMs <= 0) return Number.POSITIVE_INFINITY;
  return copiesWanted - 1 + RANKS_AHEAD + 2 * Math.ceil(shortForMs / stepMs);
}

/** So many ranks say their claims one after the other in one `claimWait`, 50 ms each: mostly a claim has come to everybody by then. */
const CLAIM_TURNS = 40;
/** Nobody holds its claim back by more turns. */
const CLAIM_TURNS_MAX = 15;

/** How long a host holds a claim back, in ms, for those before it who may be about to say theirs. */
export const claimTurnMs = (rank: number, claimWaitMs: number): number =>
  (Math.min(rank, CLAIM_TURNS_MAX) * claimWaitMs) / CLAIM_TURNS;

export function decideGrab(view: GrabView): GrabVerdict {
  if (!view.wanted) return { act: 'decline', because: 'not-wanted' };
  if (view.isOrigin) return { act: 'decline', because: 'origin' };
  if (view.held) return { act: 'decline', because: 'held' };
  if (!view.mayHold) return { act: 'decline', because: 'may-not-hold' };
  if (!view.relocated && view.copies >= view.copiesWanted) return { act: 'decline', because: 'enough-copies' };
  if (!view.relocated && view.domainTaken) return { act: 'decline', because: 'domain-taken' };
  // A claim that cannot be followed up would keep others from it, and its room from other parcels.
  if (!view.hasSource) return { act: 'decline', because: 'no-source' };
  // A host that has claimed has reserved its room already.
  if (!view.claimed && !view.hasRoom) return { act: 'decline', because: 'no-room' };

  if (view.relocated) return { act: 'grab' };
  if (view.claimed) {
    // Second look: those who rank before us and claimed too will do.
    const { claims, ownDomainClaimed } = view.unsaid
      ? view
      : { claims: view.betterClaims, ownDomainClaimed: view.ownDomainBetterClaimed };
    const enough = view.copies + claims >= view.copiesWanted || ownDomainClaimed;
    return enough ? { act: 'wait', untilMs: Number.POSITIVE_INFINITY, because: 'claimed' } : { act: 'grab' };
  }
  if (view.copies + view.claims >= view.copiesWanted || view.ownDomainClaimed) {
    // Somebody is at it. When a claim ends, the machine looks again.
    return { act: 'wait', untilMs: Number.POSITIVE_INFINITY, because: 'claimed' };
  }
  if (view.nowMs < view.notBeforeMs) return { act: 'wait', untilMs: view.notBeforeMs, because: 'back-off' };

  if (view.nowMs < view.leftUntilMs) return { act: 'wait', untilMs: view.leftUntilMs, because: 'slow' };
  if (view.leftToSteady && !view.lastPlace) {
    const leftMs = Math.max(view.shortSinceMs, view.filledMs) + LEFT_TO_STEADY_MS;
    const untilMs = Math.min(leftMs, view.shortSinceMs + LEFT_TO_STEADY_MS_MAX);
    if (view.nowMs < untilMs) return { act: 'wait', untilMs, because: 'roaming' };
  }

  const turns = Math.max(0, view.rank - (view.copiesWanted - 1)) + (view.leftToFamily ? FAMILY_TURNS : 0);
  const turn = view.lastPlace ? 0 : turns;
  const dueMs = view.shortSinceMs + turn * view.stepMs;
  return view.nowMs >= dueMs ? { act: 'grab' } : { act: 'wait', untilMs: dueMs, because: 'turn' };
}

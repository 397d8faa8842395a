/**
 * Grab: should this host take a copy of a parcel that has too few?
 *
 * Hosts decide alone, from their own view, with no vote and no lock. Every host ranks the candidates for a parcel the
 * same way; the first N ranks start at once and each later rank waits one more turn, so a dead host costs one turn,
 * never a copy. A claim precedes the fetch, so that two hosts that start together see each other in time. A host that
 * ranks later announces its claim a little later (claimTurnMs), so it usually hears the others' claims first and makes
 * none.
 *
 * All this saves bytes. A host whose stores have all of a parcel already receives none, so it takes the parcel without
 * waiting for others' claims, if it is among the first as many as copies are missing: others that have it at hand too
 * wait for their turn, or a renamed folder would get as many copies as hosts ever held its files.
 *
 * Pure: same view, same verdict. Driven by machine.ts, once when a parcel changes, once before the claim and once more
 * after `claimWait`.
 */
/** Turns that a host counts ahead at least; looking again costs about as much as counting this many hosts. */
const RANKS_AHEAD = 8;
/**
 * A host waits this many more turns if others that hold the family could take the parcel: most of the bytes are there
 * already, and a family holder that is merely busy must not cause them to be moved. It is cheaper for a file to lack a
 * host a few seconds longer.
 */
const FAMILY_TURNS = 4;
/**
 * If a roaming host's copy would be one too many on such hosts, it leaves the parcel to hosts that are always on for
 * this long after any short parcel was last filled, in ms: while they progress with a first backup, which is more than
 * they can claim at once, the parcel is theirs …
 */
const LEFT_TO_STEADY_MS = 15 * 60_000;
/** … and for at most this long in total, in ms: by then something prevents the parcel from being filled. */
const LEFT_TO_STEADY_MS_MAX = 24 * 3_600_000;

export interface GrabView {
  readonly nowMs: number;
  /** A listed snapshot references it. */
  readonly wanted: boolean;
  readonly isOrigin: boolean;
  /** One of our stores has it. */
  readonly held: boolean;
  /** N. */
  readonly copiesWanted: number;
  /** Copies that count, one per domain. */
  readonly copies: number;
  /** A host that is too full has asked us to take it over: then neither its copies nor any claims matter. */
  readonly relocated: boolean;
  /** This host's own domain has a counted copy: another one here would not count. */
  readonly domainTaken: boolean;
  /** This host may take parcels: an active, trusted member that lends room. */
  readonly mayHold: boolean;
  /** A store of ours has room for the parcel's missing bytes. */
  readonly hasRoom: boolean;
  /** Its origin or a holder is connected and could give it now, or it is at hand. */
  readonly hasSource: boolean;
  /** Our stores have all of it. */
  readonly atHand: boolean;
  /** Live claims of others, one per domain, and those of them made by hosts that rank before this one. */
  readonly claims: number;
  readonly betterClaims: number;
  /** A host in this host's own domain claims it; and that host ranks before this one. */
  readonly ownDomainClaimed: boolean;
  readonly ownDomainBetterClaimed: boolean;
  /**
   * This host's place among the candidates: 0 is first. Holders are candidates too. From `rankMaxOf` on, it stands for
   * any later place.
   */
  readonly rank: number;
  /** How many of those before it lack the parcel. */
  readonly lackersBefore: number;
  /** Enough other hosts that hold its family could take it, and this host does not hold the family. */
  readonly leftToFamily: boolean;
  /**
   * This host roams, other roaming hosts may hold as many copies as such hosts should, and a host that does not roam
   * has room for it.
   */
  readonly leftToSteady: boolean;
  /** Since when copies have been short. */
  readonly shortSinceMs: number;
  /** When any short parcel last got its copies; -Infinity for never. */
  readonly filledMs: number;
  /** One rank's turn: `step`, or `repairStep` for a parcel that once had its copies. */
  readonly stepMs: number;
  /** At most one copy is left: every host that can starts at once. */
  readonly lastPlace: boolean;
  /** Until when it is left to faster hosts (leave-to-faster.ts). */
  readonly leftUntilMs: number;
  /** This host pursues it: it has reserved the room … */
  readonly claimed: boolean;
  /** … but has not announced its claim yet: an announced claim comes first, whatever its rank. */
  readonly unsaid: boolean;
  /** Not before this: a failure's back-off. */
  readonly notBeforeMs: number;
}

export type GrabVerdict =
  /** Claim it, look once more, fetch it. */
  | { readonly act: 'grab' }
  /** Claim it, and begin at once. */
  | { readonly act: 'take' }
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
 * How far a host's rank must be known: up to where its turn would come only after the parcel has been short for twice
 * as long as now, plus some turns. The host looks again then, with a higher limit; usually the parcel has its copies by
 * then.
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

/**
 * This many ranks announce their claims one after the other within one `claimWait`, 50 ms each: usually a claim has
 * reached everybody by then.
 */
const CLAIM_TURNS = 40;
/** No host holds its claim back by more turns. */
const CLAIM_TURNS_MAX = 15;

/** How long a host holds its claim back, in ms, for better-ranked hosts that may be about to announce theirs. */
export const claimTurnMs = (rank: number, claimWaitMs: number): number =>
  (Math.min(rank, CLAIM_TURNS_MAX) * claimWaitMs) / CLAIM_TURNS;

export function decideGrab(view: GrabView): GrabVerdict {
  if (!view.wanted) return { act: 'decline', because: 'not-wanted' };
  if (view.isOrigin) return { act: 'decline', because: 'origin' };
  if (view.held) return { act: 'decline', because: 'held' };
  if (!view.mayHold) return { act: 'decline', because: 'may-not-hold' };
  if (!view.relocated && view.copies >= view.copiesWanted) return { act: 'decline', because: 'enough-copies' };
  if (!view.relocated && view.domainTaken) return { act: 'decline', because: 'domain-taken' };
  // A claim that cannot be followed up would keep other hosts from the parcel, and this room from other parcels.
  if (!view.hasSource) return { act: 'decline', because: 'no-source' };
  // A host that has claimed has reserved its room already.
  if (!view.claimed && !view.hasRoom) return { act: 'decline', because: 'no-room' };

  if (view.relocated) return { act: 'grab' };
  if (view.claimed) {
    // Second look: if hosts that rank before us have claimed too, theirs are enough.
    const { claims, ownDomainClaimed } = view.unsaid
      ? view
      : { claims: view.betterClaims, ownDomainClaimed: view.ownDomainBetterClaimed };
    if (isToTake(view)) return { act: 'take' };
    const enough = view.copies + claims >= view.copiesWanted || ownDomainClaimed;
    return enough ? { act: 'wait', untilMs: Number.POSITIVE_INFINITY, because: 'claimed' } : { act: 'grab' };
  }
  if (view.copies + view.claims >= view.copiesWanted || view.ownDomainClaimed) {
    // Other hosts are fetching it. When a claim ends, the machine looks again.
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
  if (view.nowMs < dueMs) return { act: 'wait', untilMs: dueMs, because: 'turn' };
  return isToTake(view) ? { act: 'take' } : { act: 'grab' };
}

/**
 * With one place left all hosts begin at once, so the claims must say who goes on. A host of our own domain that claims
 * it is as good as this one.
 */
const isToTake = (view: GrabView): boolean =>
  view.atHand && !view.lastPlace && !view.ownDomainClaimed && view.lackersBefore < view.copiesWanted - view.copies;

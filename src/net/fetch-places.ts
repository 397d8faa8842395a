/**
 * Fetch places: how many answers of the fetch protocol one peer may have under way here at once, and which of them are
 * urgent: read and sent before all else.
 *
 * A restore is urgent, because a person waits for it. It has places of its own, so it waits for nothing that its host
 * fetches besides. But what a fetch is for, only its asker says. So no more are urgent than one restore asks for at
 * once; all further ones count like other fetches, and a peer that calls everything a restore gets no more than one that
 * restores.
 */
import type { PeerName } from '../core/ids.js';
import type { Urgency } from '../platform/urgent-first.js';

/** As many as one restore asks for at once (PARCELS_AT_ONCE in catalog/restore-tree.ts). */
const URGENT_PLACES = 4;
/** For all other answers: four fetches (SERVED_PER_PEER_MAX), each with four asks at once for a large blob. */
const OTHER_PLACES = 16;
/** Streams that rest between two asks: at most one for each place of a restore. */
const RESTING_STREAMS = 4;
/** Streams that one peer may have open: what one of them is for is not known before it asks. */
export const FETCH_STREAMS_MAX = URGENT_PLACES + OTHER_PLACES + RESTING_STREAMS;

export interface FetchPlace extends Required<Urgency> {
  /** Once, when the answer is over. */
  leave(): void;
}

interface Taken {
  urgent: number;
  others: number;
}

export class FetchPlaces {
  readonly #taken = new Map<PeerName, Taken>();

  /** For an answer that is asked for as urgent, or not. Undefined when the peer has all its places taken. */
  take(peer: PeerName, asked: Required<Urgency>): FetchPlace | undefined {
    const taken = this.#taken.get(peer) ?? { urgent: 0, others: 0 };
    const isUrgent = asked.isUrgent && taken.urgent < URGENT_PLACES;
    if (!isUrgent && taken.others >= OTHER_PLACES) return undefined;
    const kind = isUrgent ? 'urgent' : 'others';
    taken[kind] += 1;
    this.#taken.set(peer, taken);
    return {
      isUrgent,
      leave: () => {
        taken[kind] -= 1;
        if (taken.urgent + taken.others === 0) this.#taken.delete(peer);
      },
    };
  }
}

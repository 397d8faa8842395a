/**
 * Inputs and effects: all that the host machine is told, and all that it may ask for.
 *
 * The effects of one step have no order among themselves. Each that can fail has an id or a name by which its outcome
 * comes back as an input; what must follow a durable write is asked for in the step that gets word of it.
 */
import type { ClusterConfig } from './cluster-config.js';
import type { LogSegment } from './holdings-log.js';
import type { HostId, ParcelId, SourceId, StoreId } from './ids.js';
import type { GossipMessage, HeadHint } from './messages.js';
import type { ParcelRef } from './parcel.js';

/** Why a fetch ended without a copy. */
export type FetchFailure =
  /** The server has enough to do; ask again after `retryAfterMs`. */
  | 'busy'
  /** The origin cannot give these bytes any more; a re-cut snapshot will replace the parcel. */
  | 'gone'
  | 'unreachable'
  /** What came did not hash to its name. */
  | 'bad-bytes'
  /** The disk is full, whatever the accounts say. */
  | 'no-room'
  /** Our own disk failed. */
  | 'disk'
  | 'cancelled';

/** An absence that a host came back from with its copies (absence.ts). */
export interface PastAbsence {
  readonly host: HostId;
  readonly lengthMs: number;
  /** How long ago it ended. An age, as the machine's time and that of whoever keeps it over a restart have no common zero. */
  readonly agoMs: number;
  /** The host had been taken for dead. */
  readonly wasDead: boolean;
}

export type Input =
  /** Time has passed; sent at the latest when the last `wake` effect said. */
  | { readonly is: 'wake'; readonly nowMs: number }
  /** The configuration in use. Its version goes back only where the lost branch of a fork is given up. */
  | { readonly is: 'config'; readonly nowMs: number; readonly config: ClusterConfig }
  | { readonly is: 'connected' | 'disconnected'; readonly nowMs: number; readonly host: HostId }
  | { readonly is: 'heard'; readonly nowMs: number; readonly from: HostId; readonly message: GossipMessage }
  /** Operations of anybody's log, read over a stream or from our own disk; the signature has been checked. */
  | {
      readonly is: 'log';
      readonly nowMs: number;
      readonly segment: LogSegment;
      /** Another host passed it on. The signature is over the end alone, so operations that do not lead there prove nothing. */
      readonly relayed?: boolean;
    }
  | { readonly is: 'state-answered'; readonly nowMs: number; readonly host: HostId; readonly ok: boolean }
  /** A store of ours is mounted (its log has been handed in), or its room has been measured again. */
  | {
      readonly is: 'store';
      readonly nowMs: number;
      readonly store: StoreId;
      readonly lentBytes: number;
      readonly usedBytes: number;
      readonly draining: boolean;
    }
  | { readonly is: 'store-gone'; readonly nowMs: number; readonly store: StoreId }
  /** A head that is newer than what we had, verified, with its snapshots and pages at hand: what it changes. */
  | {
      readonly is: 'wanted';
      readonly nowMs: number;
      readonly source: SourceId;
      readonly head: HeadHint;
      /** New to the listed snapshots. */
      readonly add: readonly ParcelRef[];
      /** Listed before, and no longer. */
      readonly remove: readonly ParcelId[];
      /** Still listed, and no longer in the newest snapshot. */
      readonly notNewest: readonly ParcelId[];
      /** Listed before, and again in the newest snapshot. */
      readonly newestAgain: readonly ParcelId[];
    }
  | { readonly is: 'fetch-progress'; readonly nowMs: number; readonly fetch: number; readonly doneBytes: number }
  /** Verified, durable, and its `add` is in our log: `segment` ends with it. */
  | {
      readonly is: 'fetched';
      readonly nowMs: number;
      readonly fetch: number;
      readonly segment: LogSegment;
      readonly usedBytes: number;
    }
  | {
      readonly is: 'fetch-failed';
      readonly nowMs: number;
      readonly fetch: number;
      readonly because: FetchFailure;
      readonly retryAfterMs: number;
    }
  | {
      readonly is: 'measured';
      readonly nowMs: number;
      readonly parcel: ParcelId;
      readonly store: StoreId;
      readonly missingBytes: number | undefined;
    }
  /** Our store now durably holds the head: `segment` ends with the `head` operation. */
  | {
      readonly is: 'head-kept';
      readonly nowMs: number;
      readonly store: StoreId;
      readonly source: SourceId;
      readonly segment: LogSegment;
    }
  | { readonly is: 'head-not-kept'; readonly nowMs: number; readonly store: StoreId; readonly source: SourceId };

export type Effect =
  | { readonly do: 'gossip'; readonly message: GossipMessage }
  /** Read the host's logs and heads over a stream → `log`, `wanted`, then `state-answered`. */
  | { readonly do: 'ask-state'; readonly host: HostId }
  /** Its configuration is newer → `config`. */
  | { readonly do: 'ask-config'; readonly host: HostId }
  /** → `fetch-progress`, then `fetched` or `fetch-failed`. */
  | {
      readonly do: 'fetch';
      readonly fetch: number;
      readonly parcel: ParcelId;
      readonly store: StoreId;
      readonly from: HostId;
      readonly purpose: 'grab' | 'repair';
    }
  | { readonly do: 'cancel-fetch'; readonly fetch: number }
  /** How many of its bytes are missing in the store? → `measured` */
  | { readonly do: 'measure'; readonly parcel: ParcelId; readonly store: StoreId }
  /** Put head, snapshots and pages into the store's own catalog, then `head` into its log → `head-kept` or `head-not-kept`. */
  | { readonly do: 'keep-head'; readonly store: StoreId; readonly source: SourceId; readonly seq: number }
  /** A host is to be taken for gone, or is back: for people and logs. */
  | { readonly do: 'note-liveness'; readonly host: HostId; readonly state: 'live' | 'suspect' | 'dead' }
  /** To be kept for 14 days and handed in at each start, so that a restart does not forget what is usual of a host. */
  | { readonly do: 'note-absence'; readonly absence: PastAbsence }
  /**
   * So many hosts vanished at about the same time that repair waits once more: an alarm. `hosts`: those of them that are
   * still waited for; none when it is over, because they are back or because their time is up.
   */
  | { readonly do: 'note-outage'; readonly hosts: readonly HostId[] }
  | { readonly do: 'wake'; readonly atMs: number };

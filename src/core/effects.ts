/**
 * Inputs and effects: all that the host machine is told, and all that it may ask for.
 *
 * The effects of one step have no order among themselves. Each that can fail has an id or a name by which its outcome
 * comes back as an input; what must follow a durable write is asked for in the step that gets word of it.
 */
import type { AuditAnswer } from './audit.js';
import type { CheckpointPiece } from './checkpoint.js';
import type { ClusterConfig, ConfigMark } from './cluster-config.js';
import type { DropProof } from './drop-proof.js';
import type { ExpiryWarrant } from './expiry.js';
import type { GrantAnswer } from './grant.js';
import type { LogSegment } from './holdings-log.js';
import type { HostId, Nonce, ParcelId, Possession, SourceId, StoreId } from './ids.js';
import type { CopyName, GossipMessage, HeadHint } from './messages.js';
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
  /** More of it is to be written than room is kept for: something of it that lay here has left. */
  | 'outgrown'
  /** Our own disk failed. */
  | 'disk'
  | 'cancelled';

/** Why our own copy could not be read whole. */
export type ReadFailure =
  /** Its bytes are not what its name says, or a file of it is gone: its `corrupt` is in our log. */
  | 'corrupt'
  /** The disk gave an error, or the store is not mounted: nothing is known of the bytes. */
  | 'unreadable';
/** An absence that a host came back from with its copies (absence.ts). */
export interface PastAbsence {
  readonly host: HostId;
  readonly lengthMs: number;
  /** How long ago it ended. An age, as the machine's time and that of whoever keeps it over a restart have no common zero. */
  readonly agoMs: number;
  /** The host had been taken for dead. */
  readonly wasDead: boolean;
}

/** A copy that had no answer to this many audits in a row, the first at `sinceRunMs` of this host's running time. */
export interface UnansweredAudit {
  readonly copy: CopyName;
  readonly unanswered: { readonly questions: number; readonly sinceRunMs: number };
}

export type Input =
  /** Time has passed; sent at the latest when the last `wake` effect said. */
  | { readonly is: 'wake'; readonly nowMs: number }
  /** The configuration in use. Its version goes back only where the lost branch of a fork is given up. */
  | { readonly is: 'config'; readonly nowMs: number; readonly config: ClusterConfig }
  | { readonly is: 'connected' | 'disconnected'; readonly nowMs: number; readonly host: HostId }
  | { readonly is: 'heard'; readonly nowMs: number; readonly from: HostId; readonly message: GossipMessage }
  /** A frame of gossip comes of an earlier start of the host than its last one, and had not been sent before (frame-window.ts). */
  | { readonly is: 'earlier-start'; readonly nowMs: number; readonly from: HostId }
  /** Operations of anybody's log, read over a stream or from our own disk; the signature has been checked. */
  | {
      readonly is: 'log';
      readonly nowMs: number;
      readonly segment: LogSegment;
      /** Another host passed it on. The signature is over the end alone, so operations that do not lead there prove nothing. */
      readonly relayed?: boolean;
    }
  /** A piece of a checkpoint of anybody's log; the checkpoint's signature has been checked, which says nothing of this piece. */
  | {
      readonly is: 'checkpoint';
      readonly nowMs: number;
      readonly piece: CheckpointPiece;
      /** Another host passed it on. */
      readonly relayed?: boolean;
    }
  /** What was kept of a log is not what its writer's checkpoint stands for: it counts for nothing until it is read again. */
  | { readonly is: 'log-forked'; readonly nowMs: number; readonly host: HostId; readonly store: StoreId }
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
  /** The disk of a store of ours keeps somebody waiting for longer than a disk should, or answers again. It is mounted all the same. */
  | { readonly is: 'store-hangs'; readonly nowMs: number; readonly store: StoreId; readonly hangs: boolean }
  /** A head that is newer than what we had, verified, with its snapshots and pages at hand: what it changes. */
  | {
      readonly is: 'wanted';
      readonly nowMs: number;
      readonly source: SourceId;
      readonly head: HeadHint;
      /** New to the listed snapshots and to those in their hold. */
      readonly add: readonly ParcelRef[];
      /** Listed or held before, and neither now. */
      readonly remove: readonly ParcelId[];
      /** Still wanted, and no longer in the newest snapshot. */
      readonly notNewest: readonly ParcelId[];
      /** Wanted before, and again in the newest snapshot. */
      readonly newestAgain: readonly ParcelId[];
      /** Still wanted, and by snapshots in their hold alone. */
      readonly notListed: readonly ParcelId[];
      /** Wanted before, and listed again. */
      readonly listedAgain: readonly ParcelId[];
    }
  | { readonly is: 'fetch-progress'; readonly nowMs: number; readonly fetch: number; readonly doneBytes: number }
  /** Verified, durable, and its `add` is in our log: `segment` ends with it. */
  | {
      readonly is: 'fetched';
      readonly nowMs: number;
      readonly fetch: number;
      /** That came for it; what was here before did not have to. */
      readonly receivedBytes: number;
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
  | { readonly is: 'head-not-kept'; readonly nowMs: number; readonly store: StoreId; readonly source: SourceId }
  /**
   * Operations of our own store that nobody waits for became durable: a scrub, or a read for a grant, found a copy corrupt, or one
   * was taken back out of the trash.
   */
  | { readonly is: 'own-ops'; readonly nowMs: number; readonly segment: LogSegment; readonly usedBytes: number }
  /**
   * A lost parcel is about to be taken out of the trash of our store: its room is kept until `taken-back`, if it is there
   * (`Machine.keepsRoomFor`).
   */
  | {
      readonly is: 'taking-back';
      readonly nowMs: number;
      readonly parcel: ParcelId;
      readonly store: StoreId;
      readonly bytes: number;
    }
  /** However that went; what came of it has been told by `own-ops`. */
  | { readonly is: 'taken-back'; readonly nowMs: number; readonly parcel: ParcelId }
  /** Our copy is whole, and this is what each holder that was named must answer. */
  | {
      readonly is: 'own-proved';
      readonly nowMs: number;
      readonly attempt: Nonce;
      readonly expected: ReadonlyMap<HostId, Possession>;
    }
  | { readonly is: 'own-not-proved'; readonly nowMs: number; readonly attempt: Nonce; readonly because: ReadFailure }
  /** A holder's answer, its signature checked; undefined when none could be had. */
  | {
      readonly is: 'grant-answered';
      readonly nowMs: number;
      readonly attempt: Nonce;
      readonly from: HostId;
      readonly answer: GrantAnswer | undefined;
    }
  /** `del` is in our log: `segment` ends with it. */
  | {
      readonly is: 'dropped';
      readonly nowMs: number;
      readonly attempt: Nonce;
      readonly segment: LogSegment;
      readonly usedBytes: number;
    }
  /**
   * The copy is PRESENT as before: its log has not taken `del`. Where nobody knows that, as a write failed half-way, its
   * store must be opened again, and this comes after the `store-gone` of that.
   */
  | { readonly is: 'not-dropped'; readonly nowMs: number; readonly attempt: Nonce }
  /** What came of `ask-audit`. `expected`: by our own copy or files, where they could be read and were needed. */
  | {
      readonly is: 'audited';
      readonly nowMs: number;
      readonly audit: Nonce;
      readonly expected: Possession | undefined;
      readonly answer: AuditAnswer | undefined;
    }
  /** Another host is about to drop the parcel and asks for our grant → `answer-grant` with this `ask`. */
  | {
      readonly is: 'grant-asked';
      readonly nowMs: number;
      /** Given by the driver, unique since its start. */
      readonly ask: number;
      readonly from: HostId;
      readonly nonce: Nonce;
      readonly parcel: ParcelId;
      readonly config: ConfigMark;
    }
  /** `possession`: undefined when the read failed, for `because`. */
  | {
      readonly is: 'possession-read';
      readonly nowMs: number;
      readonly ask: number;
      readonly possession: Possession | undefined;
      readonly because?: ReadFailure;
    }
  /** A host that is too full asks us to take these parcels, all or none → `answer-relocation` with this `ask`. */
  | {
      readonly is: 'relocation-offered';
      readonly nowMs: number;
      /** Given by the driver, unique since its start. */
      readonly ask: number;
      readonly from: HostId;
      /** 1 to 512. */
      readonly parcels: readonly ParcelId[];
    }
  /** `accepted`: false also when nobody answered. */
  | { readonly is: 'relocation-answered'; readonly nowMs: number; readonly offer: number; readonly accepted: boolean }
  | {
      readonly is: 'expired';
      readonly nowMs: number;
      readonly parcel: ParcelId;
      readonly segment: LogSegment;
      readonly usedBytes: number;
    }
  /** As `not-dropped`. */
  | { readonly is: 'not-expired'; readonly nowMs: number; readonly parcel: ParcelId }
  /** Whose parcel it is, by its record; undefined when the record cannot be had. */
  | {
      readonly is: 'identified';
      readonly nowMs: number;
      readonly parcel: ParcelId;
      readonly source: SourceId | undefined;
    }
  /** At start, and whenever this host's clock has stood still: for how long it was off, or asleep. */
  | { readonly is: 'was-off'; readonly nowMs: number; readonly forMs: number }
  /** At start, before any store: what was noted by `note-unwanted`. */
  | {
      readonly is: 'unwanted-before';
      readonly nowMs: number;
      readonly parcels: readonly { readonly parcel: ParcelId; readonly sinceRunMs: number }[];
    }
  /** At start, when the logs of others that were kept have been handed in: what was noted by `note-unanswered`. */
  | { readonly is: 'unanswered-before'; readonly nowMs: number; readonly audits: readonly UnansweredAudit[] };

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
      /** Kept for it: where more is to be written it is not begun (I6), but ends as `outgrown`. */
      readonly roomBytes: number;
    }
  /** It still ends in `fetched` or `fetch-failed`: until then its room is kept. */
  | { readonly do: 'cancel-fetch'; readonly fetch: number }
  /** How many of its bytes are missing in the store? → `measured` */
  | { readonly do: 'measure'; readonly parcel: ParcelId; readonly store: StoreId }
  /** Put head, snapshots and pages into the store's own catalog, then `head` into its log → `head-kept` or `head-not-kept`. */
  | { readonly do: 'keep-head'; readonly store: StoreId; readonly source: SourceId; readonly seq: number }
  /**
   * This host has entered DROPPING with a nonce that was never used: read our own copy whole, verify every blob, and compute
   * what each of these holders must answer to it → `own-proved` or `own-not-proved`.
   */
  | {
      readonly do: 'prove-own';
      readonly attempt: Nonce;
      readonly parcel: ParcelId;
      readonly store: StoreId;
      readonly holders: readonly HostId[];
    }
  /** Ask each of these hosts for its grant → `grant-answered` for every one of them. */
  | {
      readonly do: 'ask-grants';
      readonly attempt: Nonce;
      readonly parcel: ParcelId;
      readonly holders: readonly HostId[];
      readonly config: ConfigMark;
    }
  /** Ask the holder to show the parcel, and read our own copy of it, or its files at the origin, for what must come → `audited`. */
  | {
      readonly do: 'ask-audit';
      readonly audit: Nonce;
      readonly parcel: ParcelId;
      /** Ours, with the copy to compare by; undefined: this host is the parcel's origin, and has its files. */
      readonly store: StoreId | undefined;
      readonly holder: HostId;
    }
  /** So many copies that the host's store says it holds count for nothing now, as an audit of each failed. For people. */
  | { readonly do: 'note-distrust'; readonly host: HostId; readonly store: StoreId; readonly copies: number }
  /** … and these are as many as there can be: others that fail go on counting, until there is room. For people, once until then. */
  | { readonly do: 'note-distrust-full'; readonly copies: number }
  /** As many had no answer as can be remembered: others go on counting, however often, until there is room. For people, as above. */
  | { readonly do: 'note-unanswered-full'; readonly copies: number }
  /** Keep over a restart that the copy did not answer; undefined: forget it. */
  | {
      readonly do: 'note-unanswered';
      readonly copy: CopyName;
      readonly unanswered: UnansweredAudit['unanswered'] | undefined;
    }
  /**
   * No read of our own copy and no answer of this attempt is of use any more: it was given up, or has grants enough. To save
   * disk time here and there; each of those effects still ends in its inputs, and what comes of them counts for nothing.
   */
  | { readonly do: 'cancel-attempt'; readonly attempt: Nonce }
  /** `del` into the log, durably, then the bytes to the trash → `dropped` or `not-dropped`. */
  | { readonly do: 'drop'; readonly proof: DropProof }
  /** Read the parcel from the disk, every byte, in this request → `possession-read`. */
  | {
      readonly do: 'read-possession';
      readonly ask: number;
      readonly parcel: ParcelId;
      readonly store: StoreId;
      readonly nonce: Nonce;
    }
  /** Sign and send. */
  | {
      readonly do: 'answer-grant';
      readonly ask: number;
      readonly to: HostId;
      readonly nonce: Nonce;
      readonly parcel: ParcelId;
      readonly answer: GrantAnswer;
    }
  /** Ask the host to take these parcels, all or none → `relocation-answered`. */
  | {
      readonly do: 'offer-relocation';
      readonly offer: number;
      readonly to: HostId;
      readonly parcels: readonly ParcelId[];
    }
  | { readonly do: 'answer-relocation'; readonly ask: number; readonly to: HostId; readonly accepted: boolean }
  /** As `drop`, for what nobody wants any more → `expired` or `not-expired`. */
  | { readonly do: 'expire'; readonly warrant: ExpiryWarrant }
  /** Read its record → `identified`. */
  | { readonly do: 'identify'; readonly parcel: ParcelId }
  /** Keep over a restart since when, in this host's running time, nobody wants a parcel that it holds; undefined: forget it. */
  | { readonly do: 'note-unwanted'; readonly parcel: ParcelId; readonly sinceRunMs: number | undefined }
  /** A host is to be taken for gone, or is back: for people and logs. */
  | { readonly do: 'note-liveness'; readonly host: HostId; readonly state: 'live' | 'suspect' | 'dead' }
  /** Two machines run with the host's identity, which is set aside: an alarm. `duplicate` false: no longer. */
  | { readonly do: 'note-duplicate'; readonly host: HostId; readonly duplicate: boolean }
  /** To be kept for 14 days and handed in at each start, so that a restart does not forget what is usual of a host. */
  | { readonly do: 'note-absence'; readonly absence: PastAbsence }
  /**
   * So many hosts vanished at about the same time that repair waits once more: an alarm. `hosts`: those of them that are
   * still waited for; none when it is over, because they are back or because their time is up.
   */
  | { readonly do: 'note-outage'; readonly hosts: readonly HostId[] }
  | { readonly do: 'wake'; readonly atMs: number };

/**
 * Inputs and effects: everything the host machine is told, and everything it may ask for.
 *
 * The effects of one step have no order among themselves. Each that can fail has an id or a name by which its outcome
 * comes back as an input; whatever must follow a durable write is asked for in the step that learns of its completion.
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
  /** The origin no longer has these bytes; a re-cut snapshot will replace the parcel. */
  | 'gone'
  | 'unreachable'
  /** The received bytes did not hash to their name. */
  | 'bad-bytes'
  /** The disk is full, whatever our accounting says. */
  | 'no-room'
  /** More must be written than room was reserved for: a part of it that was already here has gone. */
  | 'outgrown'
  /** Our own disk failed. */
  | 'disk'
  | 'cancelled';

/** Why our own copy could not be read whole. */
export type ReadFailure =
  /** Its bytes do not match its name, or a file of it is gone: `corrupt` is already in our log. */
  | 'corrupt'
  /** The disk gave an error, or the store is not mounted: that says nothing about the bytes. */
  | 'unreadable';
/** Why a relocation ended. */
export type MoveEnd =
  /** All of it has left. */
  | 'made-room'
  /** The parcel that needed the room has its copies, is no longer wanted, or comes to this host in another way. */
  | 'not-needed'
  | 'refused'
  /** The other host no longer fetches it. */
  | 'given-up'
  /** Another holder dropped its copy first, and has the room. */
  | 'left-elsewhere'
  /** It took longer than any move should. */
  | 'late'
  /** The store that was to have the room is gone, drains, or has hung for long. */
  | 'store-takes-no-more'
  | 'paused';

/** An absence that a host came back from with its copies (absence.ts). */
export interface PastAbsence {
  readonly host: HostId;
  readonly lengthMs: number;
  /** How long ago it ended: an age, as the machine's clock starts from another zero after a restart. */
  readonly agoMs: number;
  /** The host had been taken for dead. */
  readonly wasDead: boolean;
}

/** A copy that left this many audits in a row unanswered, the first at `sinceRunMs` of this host's running time. */
export interface UnansweredAudit {
  readonly copy: CopyName;
  readonly unanswered: { readonly questions: number; readonly sinceRunMs: number };
}

export type Input =
  /** Time has passed; sent at the latest when the last `wake` effect said. */
  | { readonly is: 'wake'; readonly nowMs: number }
  /** The configuration in use. Its version goes back only when the losing branch of a fork is given up. */
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
      /** Another host relayed it. Only the end is signed, so operations that do not lead to it prove nothing. */
      readonly relayed?: boolean;
    }
  /** A piece of a checkpoint of any log. The checkpoint's signature is checked; this proves nothing about the piece. */
  | {
      readonly is: 'checkpoint';
      readonly nowMs: number;
      readonly piece: CheckpointPiece;
      /** Another host relayed it. */
      readonly relayed?: boolean;
    }
  /**
   * The kept part of a log differs from what its writer's checkpoint stands for: it does not count until it is read
   * again.
   */
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
      /** After doubt about its log its copies are being read again: more may be in it than its log tells. */
      readonly unread: boolean;
    }
  | { readonly is: 'store-gone'; readonly nowMs: number; readonly store: StoreId }
  /**
   * The disk of one of our stores has kept a request waiting too long, or answers again. The store stays mounted
   * meanwhile.
   */
  | { readonly is: 'store-hangs'; readonly nowMs: number; readonly store: StoreId; readonly hangs: boolean }
  /** A person wants this host to begin nothing of its own accord for a while, or that while is over. */
  | { readonly is: 'paused'; readonly nowMs: number; readonly paused: boolean }
  /** The changes made by a head that is newer than ours, verified, with its snapshots and pages at hand. */
  | {
      readonly is: 'wanted';
      readonly nowMs: number;
      readonly source: SourceId;
      readonly head: HeadHint;
      /** Referenced now by listed snapshots or by those in their hold, and not before. */
      readonly add: readonly ParcelRef[];
      /** Was listed or held before, and is neither now. */
      readonly remove: readonly ParcelId[];
      /** Still wanted, but no longer in the newest snapshot. */
      readonly notNewest: readonly ParcelId[];
      /** Wanted before, and again in the newest snapshot. */
      readonly newestAgain: readonly ParcelId[];
      /** Still wanted, but only by snapshots in their hold. */
      readonly notListed: readonly ParcelId[];
      /** Wanted before, and listed again. */
      readonly listedAgain: readonly ParcelId[];
    }
  | {
      readonly is: 'fetch-progress';
      readonly nowMs: number;
      readonly fetch: number;
      /** Bytes that came over the wire. */
      readonly doneBytes: number;
      /** Bytes taken from what this host has: they keep the claim alive too, and say nothing about a pace. Default 0. */
      readonly foundBytes?: number;
    }
  /** The parcel is verified and durable, and its `add` is in our log: `segment` ends with it. */
  | {
      readonly is: 'fetched';
      readonly nowMs: number;
      readonly fetch: number;
      /** Bytes that were received for it; those that were here before did not have to be. */
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
      /** Our stores together have all of it: what this one lacks lies in others. */
      readonly atHand: boolean;
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
   * Operations of our own store that no effect waits for became durable: a scrub, or a read for a grant, found a copy
   * corrupt, or a copy was taken back out of the trash.
   */
  | { readonly is: 'own-ops'; readonly nowMs: number; readonly segment: LogSegment; readonly usedBytes: number }
  /**
   * A lost parcel is about to be taken out of our store's trash, if it is there: its room is kept until `taken-back`
   * (`Machine.keepsRoomFor`).
   */
  | {
      readonly is: 'taking-back';
      readonly nowMs: number;
      readonly parcel: ParcelId;
      readonly store: StoreId;
      readonly bytes: number;
    }
  /** Sent whatever the outcome; its operations have been reported by `own-ops`. */
  | { readonly is: 'taken-back'; readonly nowMs: number; readonly parcel: ParcelId }
  /** Our copy is whole, and `expected` holds what each named holder must answer. */
  | {
      readonly is: 'own-proved';
      readonly nowMs: number;
      readonly attempt: Nonce;
      readonly expected: ReadonlyMap<HostId, Possession>;
    }
  | { readonly is: 'own-not-proved'; readonly nowMs: number; readonly attempt: Nonce; readonly because: ReadFailure }
  /** A holder's answer, its signature checked; undefined when there was none. */
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
   * The copy is PRESENT as before: its log has not taken `del`. If a write failed half-way, so that nobody knows, its
   * store must be opened again, and this input comes after the `store-gone` of that.
   */
  | { readonly is: 'not-dropped'; readonly nowMs: number; readonly attempt: Nonce }
  /** The outcome of `ask-audit`. `expected`: from our own copy or files, if these could be read and were needed. */
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
  /** The parcel's source, from its record; undefined when the record cannot be had. */
  | {
      readonly is: 'identified';
      readonly nowMs: number;
      readonly parcel: ParcelId;
      readonly source: SourceId | undefined;
    }
  /** At start, and whenever this host's clock has stood still: how long the host was off or asleep. */
  | { readonly is: 'was-off'; readonly nowMs: number; readonly forMs: number }
  /** At start, before any store: the notes made by `note-unwanted`. */
  | {
      readonly is: 'unwanted-before';
      readonly nowMs: number;
      readonly parcels: readonly { readonly parcel: ParcelId; readonly sinceRunMs: number }[];
    }
  /** At start, after the kept logs of others: the notes made by `note-unanswered`. */
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
      /** This host itself: all of it is read from our stores. */
      readonly from: HostId;
      readonly purpose: 'grab' | 'repair';
      /** The room kept for the fetch: if more must be written, it is not begun (I6), but ends as `outgrown`. */
      readonly roomBytes: number;
    }
  /** The fetch still ends in `fetched` or `fetch-failed`; its room is kept until then. */
  | { readonly do: 'cancel-fetch'; readonly fetch: number }
  /** How many of its bytes are missing in the store, and do our other stores have those? → `measured` */
  | { readonly do: 'measure'; readonly parcel: ParcelId; readonly store: StoreId }
  /**
   * Put head, snapshots and pages into the store's own catalog, then `head` into its log → `head-kept` or
   * `head-not-kept`.
   */
  | { readonly do: 'keep-head'; readonly store: StoreId; readonly source: SourceId; readonly seq: number }
  /**
   * This host has entered DROPPING with a nonce that was never used: read our own copy whole, verify every blob, and
   * compute what each of these holders must answer → `own-proved` or `own-not-proved`.
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
  /**
   * Ask the holder for a possession of the parcel, and compute the expected one from our own copy, or from the files if
   * this host is the origin → `audited`.
   */
  | {
      readonly do: 'ask-audit';
      readonly audit: Nonce;
      readonly parcel: ParcelId;
      /** Our store with the copy to compare; undefined: this host is the parcel's origin, and has its files. */
      readonly store: StoreId | undefined;
      readonly holder: HostId;
    }
  /**
   * This many copies that the host's store claims to hold do not count now, because an audit of each failed. For
   * people.
   */
  | { readonly do: 'note-distrust'; readonly host: HostId; readonly store: StoreId; readonly copies: number }
  /**
   * `copies` has reached the limit: other copies that fail go on counting until there is room. For people, once until
   * then.
   */
  | { readonly do: 'note-distrust-full'; readonly copies: number }
  /**
   * As many unanswered copies as can be remembered: others go on counting, however often they do not answer, until
   * there is room. For people, once until then.
   */
  | { readonly do: 'note-unanswered-full'; readonly copies: number }
  /** Keep over a restart that the copy did not answer; undefined: forget it. */
  | {
      readonly do: 'note-unanswered';
      readonly copy: CopyName;
      readonly unanswered: UnansweredAudit['unanswered'] | undefined;
    }
  /**
   * Reads of our own copy and answers for this attempt are no longer needed: it was given up, or has enough grants.
   * Stopping them saves disk time here and at the holders; each of those effects still ends in its inputs, which are
   * then ignored.
   */
  | { readonly do: 'cancel-attempt'; readonly attempt: Nonce }
  /** Write `del` into the log, durably, then move the bytes to the trash → `dropped` or `not-dropped`. */
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
  /** Ask the host to take these parcels, all or none → `relocation-answered`. `needed`: what the room is for. */
  | {
      readonly do: 'offer-relocation';
      readonly offer: number;
      readonly to: HostId;
      readonly needed: ParcelId;
      readonly parcels: readonly ParcelId[];
    }
  | { readonly do: 'answer-relocation'; readonly ask: number; readonly to: HostId; readonly accepted: boolean }
  /** That which was offered as `offer` is over. For people and logs. */
  | { readonly do: 'note-move-ended'; readonly offer: number; readonly because: MoveEnd }
  /** As `drop`, for a parcel that nobody wants → `expired` or `not-expired`. */
  | { readonly do: 'expire'; readonly warrant: ExpiryWarrant }
  /** Read its record → `identified`. */
  | { readonly do: 'identify'; readonly parcel: ParcelId }
  /**
   * Keep over a restart since when, in this host's running time, a held parcel has been unwanted; undefined: forget it.
   */
  | { readonly do: 'note-unwanted'; readonly parcel: ParcelId; readonly sinceRunMs: number | undefined }
  /** The host's liveness has changed: for people and logs. */
  | { readonly do: 'note-liveness'; readonly host: HostId; readonly state: 'live' | 'suspect' | 'dead' }
  /** Two machines run with the host's identity, so it is set aside: an alarm. `duplicate` false: that is over. */
  | { readonly do: 'note-duplicate'; readonly host: HostId; readonly duplicate: boolean }
  /** Keep it for 14 days and hand it in at each start, so that a restart does not forget the host's habits. */
  | { readonly do: 'note-absence'; readonly absence: PastAbsence }
  /**
   * So many hosts vanished at about the same time that repair waits once more: an alarm. `hosts`: those of them that
   * are still waited for; empty when that is over, because they are back or their time is up.
   */
  | { readonly do: 'note-outage'; readonly hosts: readonly HostId[] }
  | { readonly do: 'wake'; readonly atMs: number };

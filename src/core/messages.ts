/**
 * Messages: what hosts tell each other by gossip. All of them are hints: losing every one costs time or bytes, never a
 * copy. The truth is asked for over streams (protocols/state, protocols/config and protocols/object).
 *
 * `src/net` maps these to the wire at one border; the envelope there carries the writer's boot and frame counters.
 */

import type { LogPosition, LogSegment } from './holdings-log.js';
import type { HostId, ParcelId, SourceId, StoreId } from './ids.js';

export interface StoreReport {
  readonly position: LogPosition;
  /** Total bytes that the store lends. */
  readonly lentBytes: number;
  /** Held and reserved bytes. Trash counts as free room, as it is the first to go. */
  readonly usedBytes: number;
  /**
   * The weight in the rendezvous, in MiB: the last stated `lentBytes`; restated when that has changed by more than a
   * tenth.
   */
  readonly weightMiB: number;
  /** After doubt about its log its copies are being read again: more may be in the store than its log tells. */
  readonly unread: boolean;
}

export interface Heartbeat {
  readonly kind: 'heartbeat';
  /** Rises with each start of the service. */
  readonly boot: number;
  /** Random, drawn at each start: two ids under one `boot` are two machines (duplicate.ts). 16 hex digits. */
  readonly bootId: string;
  /** Mounted stores only: a store that is not listed does not count. */
  readonly stores: readonly StoreReport[];
  readonly configVersion: number;
  /** BLAKE3 over the sorted (source, seq, hash) of every head known: 64 hex digits. */
  readonly headsDigest: string;
  /** This host's pace while it fetches, in bytes a second (pace.ts); 0 while unknown. */
  readonly paceBytesPerS: number;
}

/** Fresh operations of one store's log. At most 64 KiB when encoded. */
export interface LogDelta {
  readonly kind: 'log';
  readonly segment: LogSegment;
}

export interface HeadHint {
  readonly source: SourceId;
  readonly seq: number;
  /** BLAKE3 of the signed head: 64 hex digits. */
  readonly hash: string;
}

export interface HeadHints {
  readonly kind: 'heads';
  readonly heads: readonly HeadHint[];
}

/** "I am about to fetch these": at most 512. A claim lives until `ttlMs` after it was received unless renewed. */
export interface Claims {
  readonly kind: 'claims';
  readonly store: StoreId;
  readonly claims: readonly { readonly parcel: ParcelId; readonly ttlMs: number }[];
  readonly withdrawn: readonly ParcelId[];
}

/** Names a copy: a parcel in a store of a host, as that store's log has it. */
export interface CopyName {
  readonly host: HostId;
  readonly store: StoreId;
  readonly parcel: ParcelId;
}

/**
 * "I have audited these and they failed": at most 256. Believed for two hours after the last repetition, and by hosts
 * that have the bytes until they have audited them themselves.
 */
export interface FailedAudits {
  readonly kind: 'failed-audits';
  readonly failed: readonly CopyName[];
}

export interface ConfigHint {
  readonly kind: 'config';
  readonly version: number;
  /** BLAKE3 of the signed version: 64 hex digits. Another hash for a version that we have means a fork. */
  readonly hash: string;
  /** Admissions that are not in the configuration yet; a receiver that lacks one asks over the `config` protocol. */
  readonly admissions: readonly HostId[];
}

export type GossipMessage = Heartbeat | LogDelta | HeadHints | Claims | FailedAudits | ConfigHint;

/** Parcels in one claim message, so that a frame stays well under 64 KiB. */
export const CLAIMS_PER_MESSAGE_MAX = 512;
/** Copies in one message of failed audits: some 90 bytes each. */
export const FAILED_AUDITS_PER_MESSAGE_MAX = 256;
/** A gossip frame's encoded size; GossipSub silently delivers nothing above 4 MiB. */
export const GOSSIP_FRAME_BYTES_MAX = 64 * 1024;

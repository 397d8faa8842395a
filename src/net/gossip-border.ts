/**
 * Gossip border: one frame, between core's `GossipMessage` and the bytes that GossipSub carries.
 *
 * Invariants: what decodes is well-shaped in every field; a frame above 64 KiB is neither made nor read. A message kind
 * of a later version decodes to no message: it is relayed, not heard.
 */
import { multiaddr } from '@multiformats/multiaddr';
import { Frame, Heartbeat as WireHeartbeat } from '../../protocols/gossip/gossip.js';
import { assert, unreachable } from '../core/fault.js';
import { bytesOf, hexOf, parseHostId, parseParcelId, parseSourceId, parseStoreId } from '../core/ids.js';
import {
  CLAIMS_PER_MESSAGE_MAX,
  type Claims,
  type ConfigHint,
  FAILED_AUDITS_PER_MESSAGE_MAX,
  type FailedAudits,
  GOSSIP_FRAME_BYTES_MAX,
  type GossipMessage,
  type HeadHints,
  type Heartbeat,
} from '../core/messages.js';
import { hashFrom, positionFrom, SEGMENT_OPS_MAX, segmentFrom, toPosition, toSegment } from './log-border.js';
import { countFrom, malformed, reading } from './malformed.js';
import { limited } from './wire-codec.js';

/** Who wrote a frame, and its place among all that it has written: (boot, frame) rises strictly. */
export interface FrameStamp {
  /** The writer's peer id as a multihash. */
  readonly writer: Uint8Array;
  readonly boot: number;
  readonly frame: number;
}

/** What a frame carries besides its message. */
export interface FrameExtras {
  /** Addresses that the writer listens on; empty when it does not say. */
  readonly addresses: readonly string[];
  /** The writer's wall clock when it wrote the frame; 0 when it does not say. */
  readonly wallMs: number;
  /** How many alarms stand on the writer, up to `ALARMS_TOLD_MAX`. */
  readonly alarms: number;
}

const NO_EXTRAS: FrameExtras = { addresses: [], wallMs: 0, alarms: 0 };

/** A number to read, in a line of 80 characters; no host keeps more of them. */
export const ALARMS_TOLD_MAX = 999;

/** Addresses of one host: a few interfaces, two address families. */
export const ADDRESSES_PER_FRAME_MAX = 8;
/** Random bytes that name one start of a host. */
const BOOT_ID_BYTES = 8;
/** A multiaddr's text; DNS names have at most 253 characters. */
const ADDRESS_CHARACTERS_MAX = 400;

/** Stores of one host in a heartbeat: no machine has more disks than that, and the frame stays under 8 KiB. */
const STORES_PER_HEARTBEAT_MAX = 64;
/** Heads in one message: at most 150 bytes each, so under 40 KiB. */
export const HEADS_PER_MESSAGE_MAX = 256;
/** Admissions in one message; more of them wait only while no admin host is up. */
export const ADMISSIONS_PER_MESSAGE_MAX = 256;

const HEARTBEAT_LIMITS = { stores: STORES_PER_HEARTBEAT_MAX };
const LIMITED_HEARTBEAT = limited(WireHeartbeat, HEARTBEAT_LIMITS);
const LIMITED_FRAME = limited(Frame, {
  addresses: ADDRESSES_PER_FRAME_MAX,
  heartbeat: HEARTBEAT_LIMITS,
  log: { ops: SEGMENT_OPS_MAX },
  heads: { heads: HEADS_PER_MESSAGE_MAX },
  claims: { claims: CLAIMS_PER_MESSAGE_MAX, withdrawn: CLAIMS_PER_MESSAGE_MAX },
  failedAudits: { failed: FAILED_AUDITS_PER_MESSAGE_MAX },
  config: { admissions: ADMISSIONS_PER_MESSAGE_MAX },
});

/** @throws (our bug) when the frame would exceed 64 KiB: call `splitForFrames` first, or cut the log delta shorter. */
export function encodeFrame(
  { writer, boot, frame }: FrameStamp,
  message: GossipMessage,
  { addresses, wallMs, alarms }: FrameExtras = NO_EXTRAS,
): Uint8Array {
  const bytes = Frame.encode({ writer, boot, frame, ...toWire(message), addresses: [...addresses], wallMs, alarms });
  assert(bytes.length <= GOSSIP_FRAME_BYTES_MAX, `a ${message.kind} frame of ${bytes.length} bytes`);
  return bytes;
}

/** @throws ClusterError MALFORMED_MESSAGE (peer) */
export function decodeFrame(bytes: Uint8Array): {
  readonly stamp: FrameStamp;
  readonly message: GossipMessage | undefined;
  readonly extras: FrameExtras;
} {
  if (bytes.length > GOSSIP_FRAME_BYTES_MAX) throw malformed(`gossip frame of ${bytes.length} bytes`);
  return reading('gossip frame', () => {
    const wire = LIMITED_FRAME.decode(bytes);
    const stamp = { writer: wire.writer, boot: countFrom(wire.boot), frame: countFrom(wire.frame) };
    const addresses = wire.addresses.map(addressFrom);
    return {
      stamp,
      message: messageFrom(wire),
      extras: { addresses, wallMs: countFrom(wire.wallMs), alarms: Math.min(wire.alarms, ALARMS_TOLD_MAX) },
    };
  });
}

/**
 * Cuts a message into messages that each fit a frame. Claims, heads and admissions can be cut anywhere; a log delta cannot
 * be cut here, because only its writer can sign the positions between: it comes back whole.
 */
export function splitForFrames(message: GossipMessage): readonly GossipMessage[] {
  switch (message.kind) {
    case 'claims': {
      const claims = chunks(message.claims, CLAIMS_PER_MESSAGE_MAX);
      const withdrawn = chunks(message.withdrawn, CLAIMS_PER_MESSAGE_MAX);
      return Array.from({ length: Math.max(1, claims.length, withdrawn.length) }, (_, i) => ({
        ...message,
        claims: claims[i] ?? [],
        withdrawn: withdrawn[i] ?? [],
      }));
    }
    case 'heads':
      return chunks(message.heads, HEADS_PER_MESSAGE_MAX).map(heads => ({ ...message, heads }));
    case 'config': {
      const parts = chunks(message.admissions, ADMISSIONS_PER_MESSAGE_MAX);
      return (parts.length === 0 ? [[]] : parts).map(admissions => ({ ...message, admissions }));
    }
    case 'failed-audits':
      return chunks(message.failed, FAILED_AUDITS_PER_MESSAGE_MAX).map(failed => ({ ...message, failed }));
    case 'log':
    case 'heartbeat':
      return [message];
    default:
      return unreachable(message);
  }
}

/** The most bytes that a message's frame takes, so that a log delta can be cut to fit before it is signed. */
export function frameBytes(message: GossipMessage): number {
  const widest = { writer: new Uint8Array(38), boot: Number.MAX_SAFE_INTEGER, frame: Number.MAX_SAFE_INTEGER };
  return Frame.encode({ ...widest, ...toWire(message), addresses: [], wallMs: 0, alarms: 0 }).length;
}

function chunks<T>(all: readonly T[], length: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < all.length; at += length) parts.push(all.slice(at, at + length));
  return parts;
}

type WireMessage = Pick<Frame, 'heartbeat' | 'log' | 'heads' | 'claims' | 'failedAudits' | 'config'>;

function toWire(message: GossipMessage): WireMessage {
  switch (message.kind) {
    case 'heartbeat':
      return { heartbeat: toHeartbeat(message) };
    case 'log':
      return { log: toSegment(message.segment) };
    case 'heads':
      return { heads: { heads: message.heads.map(({ source, seq, hash }) => ({ source, seq, hash: bytesOf(hash) })) } };
    case 'claims':
      return {
        claims: {
          store: bytesOf(message.store),
          claims: message.claims.map(({ parcel, ttlMs }) => ({ parcel: bytesOf(parcel), ttlMs })),
          withdrawn: message.withdrawn.map(bytesOf),
        },
      };
    case 'failed-audits':
      return {
        failedAudits: {
          failed: message.failed.map(({ host, store, parcel }) => ({
            host: bytesOf(host),
            store: bytesOf(store),
            parcel: bytesOf(parcel),
          })),
        },
      };
    case 'config':
      return {
        config: {
          version: message.version,
          hash: bytesOf(message.hash),
          admissions: message.admissions.map(bytesOf),
        },
      };
    default:
      return unreachable(message);
  }
}

function toHeartbeat({ boot, bootId, stores, configVersion, headsDigest, paceBytesPerS }: Heartbeat): WireHeartbeat {
  return {
    boot,
    bootId: bytesOf(bootId),
    stores: stores.map(({ position, lentBytes, usedBytes, weightMiB, unread }) => ({
      position: toPosition(position),
      lentBytes,
      usedBytes,
      weightMib: weightMiB,
      unread,
    })),
    configVersion,
    headsDigest: bytesOf(headsDigest),
    paceBytesPerS,
  };
}

/** A heartbeat by itself, as the state protocol carries it. */
export const encodeHeartbeat = (heartbeat: Heartbeat): Uint8Array => WireHeartbeat.encode(toHeartbeat(heartbeat));

/** @throws ClusterError MALFORMED_MESSAGE (peer) */
export const decodeHeartbeat = (bytes: Uint8Array): Heartbeat =>
  reading('heartbeat', () => heartbeatFrom(LIMITED_HEARTBEAT.decode(bytes)));

function messageFrom(wire: WireMessage): GossipMessage | undefined {
  if (wire.heartbeat !== undefined) return heartbeatFrom(wire.heartbeat);
  if (wire.log !== undefined) return { kind: 'log', segment: segmentFrom(wire.log) };
  if (wire.heads !== undefined) return headHintsFrom(wire.heads);
  if (wire.claims !== undefined) return claimsFrom(wire.claims);
  if (wire.failedAudits !== undefined) return failedAuditsFrom(wire.failedAudits);
  if (wire.config !== undefined) return configHintFrom(wire.config);
  return undefined;
}

function heartbeatFrom(wire: WireHeartbeat): Heartbeat {
  return {
    kind: 'heartbeat',
    boot: countFrom(wire.boot),
    bootId: bootIdFrom(wire.bootId),
    stores: wire.stores.map(store => ({
      position: positionFrom(store.position),
      lentBytes: countFrom(store.lentBytes),
      usedBytes: countFrom(store.usedBytes),
      weightMiB: countFrom(store.weightMib),
      unread: store.unread,
    })),
    configVersion: countFrom(wire.configVersion),
    headsDigest: hashFrom(wire.headsDigest),
    paceBytesPerS: countFrom(wire.paceBytesPerS),
  };
}

function failedAuditsFrom({ failed }: NonNullable<WireMessage['failedAudits']>): FailedAudits {
  return {
    kind: 'failed-audits',
    failed: failed.map(({ host, store, parcel }) => ({
      host: parseHostId(hexOf(host)),
      store: parseStoreId(hexOf(store)),
      parcel: parseParcelId(hexOf(parcel)),
    })),
  };
}

function bootIdFrom(bytes: Uint8Array): string {
  if (bytes.length !== BOOT_ID_BYTES) throw malformed(`a boot id of ${bytes.length} bytes`);
  return hexOf(bytes);
}

function headHintsFrom(wire: NonNullable<WireMessage['heads']>): HeadHints {
  return {
    kind: 'heads',
    heads: wire.heads.map(({ source, seq, hash }) => ({
      source: parseSourceId(source),
      seq: countFrom(seq),
      hash: hashFrom(hash),
    })),
  };
}

function claimsFrom(wire: NonNullable<WireMessage['claims']>): Claims {
  return {
    kind: 'claims',
    store: parseStoreId(hexOf(wire.store)),
    claims: wire.claims.map(({ parcel, ttlMs }) => ({
      parcel: parseParcelId(hexOf(parcel)),
      ttlMs: countFrom(ttlMs),
    })),
    withdrawn: wire.withdrawn.map(parcel => parseParcelId(hexOf(parcel))),
  };
}

function configHintFrom(wire: NonNullable<WireMessage['config']>): ConfigHint {
  return {
    kind: 'config',
    version: countFrom(wire.version),
    hash: hashFrom(wire.hash),
    admissions: wire.admissions.map(host => parseHostId(hexOf(host))),
  };
}

function addressFrom(text: string): string {
  if (text.length > ADDRESS_CHARACTERS_MAX) throw new RangeError(`an address of ${text.length} characters`);
  // Throws when the text is not a multiaddr.
  return multiaddr(text).toString();
}

/**
 * Net: this host on the network. Who is connected, how to open a stream to a member, and who may reach what here?
 *
 * Invariants: a peer that is not a member reaches nothing but handlers with `strangers: true`, and those only while the
 * gate welcomes strangers. Membership is checked again at every connection and every stream, and its loss closes both.
 * No stranger is ever dialled. After `stop()` nothing is left: no timer, no socket.
 *
 * A peer is `connected` when it has answered identify, which only members may ask: so both sides know each other as
 * members. start-net.ts makes a `Net`. Driven by src/daemon, and by src/membership for the moment of joining.
 */
import type { Stream } from '@libp2p/interface';
import type { Logger } from 'pino';
import type { ClusterError } from '../core/fault.js';
import type { FrameNumber } from '../core/frame-window.js';
import type { ClusterId, PeerName } from '../core/ids.js';
import type { GossipMessage } from '../core/messages.js';
import type { FrameMemory } from './frame-order.js';
import type { Gate } from './gating.js';
import type { GossipClock, GossipListener } from './gossip-topic.js';
import type { Paces } from './pace.js';
import type { KnownPeer } from './redial.js';
import type { NetHandler } from './served-streams.js';

export type { GossipListener, KnownPeer, NetHandler };

export interface NetOptions {
  /** The host's Ed25519 key: 32 bytes. */
  readonly privateKeySeed: Uint8Array;
  /** This start's boot counter: it rises with each start, and every gossip frame carries it. */
  readonly boot: number;
  /** Multiaddrs to listen on; an empty list listens nowhere (it still dials). */
  readonly listen: readonly string[];
  /** Finds members on the local network. False: only known and static addresses. */
  readonly mdns: boolean;
  readonly cluster: ClusterId;
  readonly gate: Gate;
  readonly log: Logger;
  /** Remembered, configured and given addresses of members, asked at every round of the redial loop. */
  knownAddresses(): Iterable<KnownPeer>;
  /** `--peer`: addresses that may lack their `/p2p/…`; the peer that answers there must be a member. Default none. */
  readonly staticAddresses?: readonly string[];
  /** Time between rounds of the redial loop, ± 20 %. Default 3 s. */
  readonly redialEveryMs?: number;
  /** Members at this start: above 8, gossip goes through a mesh of 4 instead of to everybody. Default: everybody. */
  readonly hosts?: number;
  /**
   * Keeps the last frame of each writer over a restart, so that nothing can be replayed. Default: kept in memory only.
   */
  readonly frameMemory?: FrameMemory;
  /** How many alarms stand on this host, told with each heartbeat. Default: none. */
  alarms?(): number;
  /** Default: this machine's clocks. */
  readonly gossipClock?: GossipClock;
}

export interface HandleOptions {
  /** Open to strangers too, while the gate welcomes them. Default false. */
  readonly strangers?: boolean;
  /** Streams of this protocol that one peer may have open here at once. Default and most: 32. */
  readonly streamsMax?: number;
  /** How long, after the handler is done, its peer may take to read the rest and close its own end. Default 30 s. */
  readonly lingerMs?: number;
}

export type OffenceListener = (peer: PeerName, error: ClusterError, banned: boolean) => void;

export interface Net {
  /** This host's own peer name. */
  readonly peer: PeerName;
  /** Where this host listens: multiaddrs that end in `/p2p/<peer>`. */
  addresses(): string[];
  /** The connected members that have accepted this host. */
  connected(): PeerName[];
  /** A member is connected. `addresses` is where it says it can be dialled. Returns the function that ends listening. */
  onConnect(listener: (peer: PeerName, addresses: string[]) => void): () => void;
  onDisconnect(listener: (peer: PeerName) => void): () => void;
  /**
   * Opens a stream; dials first when there is no connection. An open stream does not mean that the peer serves it: a
   * peer that refuses this host resets the stream at the first read.
   * @throws ClusterError PEER_UNREACHABLE (passing)
   */
  open(peer: PeerName, protocol: string, options?: { readonly signal?: AbortSignal }): Promise<Stream>;
  /**
   * Connects to the peer that answers at an address, if the gate says it is a member. The other side may still refuse
   * this host: it then closes the connection, and the first `open` fails.
   * @throws ClusterError PEER_UNREACHABLE (passing), BAD_ADDRESS (operator)
   */
  dial(address: string, options?: { readonly signal?: AbortSignal }): Promise<PeerName>;
  handle(protocol: string, handler: NetHandler, options?: HandleOptions): Promise<void>;
  /**
   * Sends a message to every member that listens. Pass a message that may be large through `splitForFrames` first.
   * `recipients` is how many peers it was sent to, not who got it: 0 may happen just after connecting, and is not an
   * error.
   * @throws (our bug) above 64 KiB.
   */
  publish(message: GossipMessage): Promise<{ readonly recipients: number }>;
  /** How fast fetches may go, all together. Without limits until some are set. */
  readonly paces: Paces;
  /** Gossip frames that this start has sent. */
  readonly framesSent: number;
  /** How far this host's wall clock is ahead of the median of the members', in ms; undefined while none is known. */
  clockAheadMs(): number | undefined;
  /** How many alarms the member had by its last heartbeat; undefined while none was heard. */
  alarmsOf(peer: PeerName): number | undefined;
  /** The start counter and number of the last gossip frame heard of a member, even before this host's last start. */
  lastFrame(peer: PeerName): FrameNumber | undefined;
  /** `from` is the member that wrote the message, by its signature; the message may have come through others. */
  onGossip(listener: GossipListener): () => void;
  /**
   * For the callers of protocols: no honest build gives the answer that this peer gave. Ten within ten minutes: a ban.
   */
  reportOffence(peer: PeerName, error: ClusterError): void;
  /** A peer offended; `banned` when it is shut out for 10 min from now on: raise an alarm. */
  onOffence(listener: OffenceListener): () => void;
  /**
   * Gossip of an earlier start of a member arrives after a later start was heard. At most once a minute for each.
   * `isRising`: that frame had not been sent before, so that start goes on.
   */
  onOlderStart(listener: (peer: PeerName, isRising: boolean) => void): () => void;
  /** Closes every connection to a peer, at once. The redial loop comes back to it if it is still a member. */
  close(peer: PeerName): Promise<void>;
  /** Closes everything. Safe to call twice. */
  stop(): Promise<void>;
}

/** Streams that one peer may have open on this host, over all of our protocols together (src/DESIGN.md, "Limits on peers"). */
export const STREAMS_PER_PEER_MAX = 32;
/**
 * How often known members that are not connected are dialled, unless set otherwise. A partition heals within it
 * (measured 0.1 to 1 s).
 */
export const REDIAL_EVERY_MS = 3_000;
/** One address answers a SYN within a second on a LAN, and within three anywhere else that matters. */
export const DIAL_MS_MAX = 5_000;
/** Opening a stream is two round trips. */
export const OPEN_MS_MAX = 10_000;
/**
 * Default of `lingerMs`: on 1 Mbit/s, bytes under way take 10 s; a peer that stays longer costs only its own streams.
 */
export const LINGER_MS_MAX = 30_000;

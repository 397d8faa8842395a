/**
 * Gossip topic: the one topic of this cluster. What may be said on it, and which messages are heard and passed on?
 *
 * GossipSub checks the author's signature; the judge here checks the rest *before* a message is delivered or forwarded:
 * the author is a member and the frame's writer, the size, the shape, the order, the rate. Rejected (an offence): what
 * no honest build sends. Ignored: what may come from an honest host at a bad moment. Neither is passed on.
 * A frame that counts is charged to its author's rate; one that does not, to the rate of the peer that passed it on.
 * Otherwise anybody could repeat a member's old frames until its new ones exceed its rate.
 *
 * Messages of one stream are judged one after the other (`awaitRpcHandler`): GossipSub awaits each signature, and a
 * heartbeat that another has overtaken no longer counts. On Node 20 signatures are checked in order either way
 * (tried); this code does not rely on that.
 */
import { type GossipSub, type GossipsubOpts, type Message, StrictSign, TopicValidatorResult } from '@libp2p/gossipsub';
import type { PeerId } from '@libp2p/interface';
import type { Logger } from 'pino';
import { ClusterError } from '../core/fault.js';
import type { FrameNumber } from '../core/frame-window.js';
import type { ClusterId, PeerName } from '../core/ids.js';
import type { GossipMessage } from '../core/messages.js';
import { type FrameMemory, FrameOrder } from './frame-order.js';
import {
  ADDRESSES_PER_FRAME_MAX,
  ALARMS_TOLD_MAX,
  decodeFrame,
  encodeFrame,
  type FrameExtras,
} from './gossip-border.js';
import { Listeners } from './listeners.js';
import { TokenBucket } from './token-bucket.js';

/** Sustained frames of one writer: heartbeats every 100 ms and full log deltas besides. 3 MiB/s at most. */
export const FRAMES_PER_SECOND_MAX = 50;
/** Frames at once: a first scan announces thousands of parcels, 512 a frame. */
export const FRAMES_BURST_MAX = 500;
/** Up to this many hosts, all gossip with all: 4 to 9 ms and nothing lost (measured; D = 2 loses first messages). */
const FULL_MESH_HOSTS_MAX = 8;
/** The most that waits for a slow peer before its gossip stream is given up; the redial loop makes a new one. */
const OUTBOUND_BUFFER_BYTES_MAX = 16 << 20;
/** One RPC may answer an IWANT with many frames at once; GossipSub itself delivers nothing above 4 MiB. */
const RPC_BYTES_MAX = 4 << 20;
/** Peer scores, by which nobody is judged here, are aged this often; GossipSub's default is each second. */
const SCORES_AGE_EVERY_MS = 60_000;
/** The same complaint about one writer is logged at most this often. */
const COMPLAIN_EVERY_MS = 60_000;

export const topicOf = (cluster: ClusterId): string => `scatterhoard/${cluster}/1`;

/** @param hosts members at the start of this service; a cluster that outgrows its mesh gets the larger one at the next start. */
export function gossipOptions(cluster: ClusterId, hosts: number): Partial<GossipsubOpts> {
  const mesh =
    hosts > FULL_MESH_HOSTS_MAX ? { D: 4, Dlo: 3, Dhi: 6, Dlazy: 4, floodPublish: false } : { floodPublish: true };
  return {
    ...mesh,
    globalSignaturePolicy: StrictSign,
    // The first publish after connecting may reach no one, which is not an error here: gossip is hints.
    allowPublishToZeroTopicPeers: true,
    fallbackToFloodsub: false,
    emitSelf: false,
    doPX: false,
    allowedTopics: [topicOf(cluster)],
    awaitRpcHandler: true,
    awaitRpcMessageHandler: true,
    maxInboundStreams: 4,
    maxOutboundStreams: 4,
    maxOutboundBufferSize: OUTBOUND_BUFFER_BYTES_MAX,
    maxInboundDataLength: RPC_BYTES_MAX,
    maxTopicBytesPerPeer: 8 * 1024,
    decodeRpcLimits: {
      maxSubscriptions: 8,
      maxMessages: 1024,
      maxIhaveMessageIDs: 5000,
      maxIwantMessageIDs: 5000,
      maxIdontwantMessageIDs: 512,
      maxControlMessages: 64,
      maxPeerInfos: 16,
    },
    // Scores judge strangers, and only members are here. The defaults would shut out the eleventh host behind one
    // address (a NAT, a test on loopback) and a peer that reconnects three times in a second. With these weights their
    // inputs need not be aged each second.
    scoreParams: { IPColocationFactorWeight: 0, behaviourPenaltyWeight: 0, decayInterval: SCORES_AGE_EVERY_MS },
  };
}

export interface GossipClock {
  /** The clock that dates heartbeats: ms since 1970. */
  wallMs(): number;
  /** The clock that limits rates and complaints: it never goes back. */
  nowMs(): number;
}

export interface TopicOptions {
  readonly cluster: ClusterId;
  readonly self: PeerId;
  /** This start's boot counter. */
  readonly boot: number;
  readonly log: Logger;
  readonly memory: FrameMemory | undefined;
  readonly clock: GossipClock;
  admits(peer: PeerName): boolean;
  /** Where this host listens: sent with each heartbeat. */
  addresses(): readonly string[];
  /** Where a member says that it listens. */
  onAddresses(peer: PeerName, addresses: readonly string[]): void;
  /** A member's wall clock, ms since 1970; the message may have been on its way for seconds. */
  onClock(peer: PeerName, wallMs: number): void;
  /** How many alarms stand on this host: sent with each heartbeat. */
  alarms(): number;
  /** How many alarms a member says that it has. */
  onAlarms(peer: PeerName, count: number): void;
  /**
   * Frames of an earlier start of a member arrive after a later start was heard. At most once a minute for each.
   * @param isRising this frame had not been sent before: that start goes on
   */
  onOlderStart(peer: PeerName, isRising: boolean): void;
  /** A member sent what no honest build sends. */
  offends(peer: PeerName, error: ClusterError): void;
}

export type GossipListener = (from: PeerName, message: GossipMessage) => void;

export class GossipTopic {
  readonly #pubsub: GossipSub;
  readonly #options: TopicOptions;
  readonly #topic: string;
  readonly #writer: Uint8Array;
  readonly #order: FrameOrder;
  /** By author: the rate of frames that count. */
  readonly #rates = new Map<PeerName, TokenBucket>();
  /** By relay: the rate of frames that do not count. */
  readonly #replayRates = new Map<PeerName, TokenBucket>();
  readonly #complainedMs = new Map<string, number>();
  readonly #listeners: Listeners<Parameters<GossipListener>>;
  /** Judged but not yet delivered: GossipSub delivers the very object that it had judged. */
  readonly #judged = new WeakMap<Message, { readonly message: GossipMessage; readonly extras: FrameExtras }>();
  #frame = 0;

  constructor(pubsub: GossipSub, options: TopicOptions) {
    this.#pubsub = pubsub;
    this.#options = options;
    this.#topic = topicOf(options.cluster);
    this.#writer = options.self.toMultihash().bytes;
    this.#order = new FrameOrder(options.memory);
    this.#listeners = new Listeners(options.log);
    pubsub.topicValidators.set(this.#topic, (relay, message) => this.#judge(relay.toString() as PeerName, message));
    pubsub.addEventListener('message', ({ detail }) => this.#deliver(detail));
  }

  /** Call only after the network has started. */
  subscribe(): void {
    this.#pubsub.subscribe(this.#topic);
  }

  listen(listener: GossipListener): () => void {
    return this.#listeners.add(listener);
  }

  /** Frames of this start so far. */
  get framesSent(): number {
    return this.#frame;
  }

  lastFrame(writer: PeerName): FrameNumber | undefined {
    return this.#order.last(writer);
  }

  async publish(message: GossipMessage): Promise<{ readonly recipients: number }> {
    this.#frame += 1;
    const stamp = { writer: this.#writer, boot: this.#options.boot, frame: this.#frame };
    const extras =
      message.kind === 'heartbeat'
        ? {
            addresses: this.#options.addresses().slice(0, ADDRESSES_PER_FRAME_MAX),
            wallMs: this.#options.clock.wallMs(),
            alarms: Math.min(this.#options.alarms(), ALARMS_TOLD_MAX),
          }
        : undefined;
    const bytes = encodeFrame(stamp, message, extras);
    const { recipients } = await this.#pubsub.publish(this.#topic, bytes);
    return { recipients: recipients.length };
  }

  #judge(relay: PeerName, message: Message): TopicValidatorResult {
    if (message.type !== 'signed') return TopicValidatorResult.Reject;
    const author = message.from.toString() as PeerName;
    // A relay may know a member that this host has not heard of yet, or may not have heard of a revocation.
    if (!this.#options.admits(author)) return TopicValidatorResult.Ignore;

    const nowMs = this.#options.clock.nowMs();
    try {
      const { stamp, message: said, extras } = decodeFrame(message.data);
      if (!Buffer.from(stamp.writer).equals(message.from.toMultihash().bytes)) {
        throw new ClusterError('WRONG_WRITER', 'a gossip frame names another writer than the one that signed it', {
          blame: 'peer',
        });
      }
      const verdict = this.#order.admit(author, stamp);
      if (verdict === 'older-boot' || verdict === 'older-rising') {
        const isTold = this.#complain(
          author,
          'GOSSIP_OLDER_BOOT',
          'a frame from before its writer’s last start: a replay, an old image of its disk, or two machines with one identity',
          nowMs,
        );
        if (isTold) this.#options.onOlderStart(author, verdict === 'older-rising');
      }
      // What a host says of itself is true only as it last said it; what a claim or an operation says stays true.
      const counts = verdict === 'newer' || (verdict === 'overtaken' && said?.kind !== 'heartbeat');
      if (!counts) {
        // Not an offence: the relay may know less of the author than this host does, and may have been misled itself.
        if (!takeOne(this.#replayRates, relay, nowMs))
          this.#complain(relay, 'GOSSIP_REPLAYS', 'a member passes on many old messages; none of them counts', nowMs);
        return TopicValidatorResult.Ignore;
      }
      if (!takeOne(this.#rates, author, nowMs)) {
        this.#complain(
          author,
          'GOSSIP_TOO_FAST',
          'a member gossips faster than is allowed; the excess is dropped',
          nowMs,
        );
        return TopicValidatorResult.Ignore;
      }
      if (said !== undefined) this.#judged.set(message, { message: said, extras });
      return TopicValidatorResult.Accept;
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      this.#options.offends(author, error);
      return TopicValidatorResult.Reject;
    }
  }

  #deliver(message: Message): void {
    const said = this.#judged.get(message);
    if (said === undefined || message.type !== 'signed') return;
    const author = message.from.toString() as PeerName;
    const { addresses, wallMs, alarms } = said.extras;
    if (addresses.length > 0) this.#options.onAddresses(author, addresses);
    if (wallMs > 0) this.#options.onClock(author, wallMs);
    if (said.message.kind === 'heartbeat') this.#options.onAlarms(author, alarms);
    this.#listeners.tell(author, said.message);
  }

  /** @returns false when the same complaint was logged a moment ago */
  #complain(peer: PeerName, code: string, what: string, nowMs: number): boolean {
    const key = `${code} ${peer}`;
    if (nowMs - (this.#complainedMs.get(key) ?? -COMPLAIN_EVERY_MS) < COMPLAIN_EVERY_MS) return false;
    this.#complainedMs.set(key, nowMs);
    this.#options.log.warn({ peer, code }, what);
    return true;
  }
}

/** Takes one frame off a peer's rate. @returns false when none is left */
function takeOne(rates: Map<PeerName, TokenBucket>, peer: PeerName, nowMs: number): boolean {
  const rate = rates.get(peer) ?? new TokenBucket({ perSecond: FRAMES_PER_SECOND_MAX, burst: FRAMES_BURST_MAX, nowMs });
  rates.set(peer, rate);
  return rate.take(1, nowMs);
}

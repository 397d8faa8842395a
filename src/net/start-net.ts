/**
 * Start net: this host on the network, by js-libp2p.
 *
 * libp2p neither dials what it discovers nor reconnects after a partition (tried: its defaults never heal), so a loop
 * in this program dials every known member that is not connected, every few seconds. Each round also closes
 * connections that are no longer admitted.
 *
 * The invariants are net.ts's. Driven by src/daemon, and by src/membership for the moment of joining.
 */
import '../platform/node-shims.js';
import type { Connection, Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { Logger } from 'pino';
import { ClusterError } from '../core/fault.js';
import type { FrameNumber } from '../core/frame-window.js';
import type { PeerName } from '../core/ids.js';
import type { GossipMessage } from '../core/messages.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import { orAborted } from '../platform/or-aborted.js';
import { ConnectedMembers } from './connected-members.js';
import { withDeadline } from './deadline.js';
import { Gating, STREAMS_PER_STRANGER_MAX } from './gating.js';
import { GossipTopic } from './gossip-topic.js';
import { CONNECTIONS_PER_PEER_MAX, createNode, type Node, nameOf } from './libp2p-node.js';
import { Listeners } from './listeners.js';
import {
  DIAL_MS_MAX,
  type GossipListener,
  type HandleOptions,
  type KnownPeer,
  LINGER_MS_MAX,
  type Net,
  type NetHandler,
  type NetOptions,
  type OffenceListener,
  OPEN_MS_MAX,
  REDIAL_EVERY_MS,
  STREAMS_PER_PEER_MAX,
} from './net.js';
import { PacedLine, type Paces } from './pace.js';
import { PeerClocks } from './peer-clocks.js';
import { PeerLog } from './peer-log.js';
import { addressOf } from './pending-connections.js';
import { Redial } from './redial.js';
import { shareTurns } from './send-turns.js';
import { ServedStreams } from './served-streams.js';

/** How long the last read of the peer store is valid while the store reports no change, in ms. */
const STORED_MS = 60_000;

/** @throws ClusterError LISTEN_FAILED (operator) */
export async function startNet(options: NetOptions): Promise<Net> {
  const gating = new Gating(options.gate);
  const node = await createNode(options, gating);
  const net = new LibraryNet(node, options, gating);
  try {
    await node.start();
    net.begin();
  } catch (cause) {
    await net.stop();
    throw new ClusterError('LISTEN_FAILED', `cannot listen on ${options.listen.join(', ')}; nothing was started`, {
      blame: 'operator',
      cause,
    });
  }
  return net;
}

/** `Net` over js-libp2p. */
class LibraryNet implements Net {
  readonly peer: PeerName;
  readonly paces: Paces = { upload: new PacedLine(), download: new PacedLine() };
  readonly #node: Node;
  readonly #options: NetOptions;
  readonly #log: Logger;
  readonly #peerLog: PeerLog;
  readonly #stopping = lastingAbort();
  readonly #gating: Gating;
  readonly #gossip: GossipTopic;
  readonly #redial: Redial;
  readonly #served: ServedStreams;
  readonly #members: ConnectedMembers;
  /** The peer store's content as of the last read. */
  #stored: { readonly peers: readonly KnownPeer[]; readonly changes: number; readonly readMs: number } | undefined;
  #storeChanges = 0;
  /** Addresses that members last said they listen on. */
  readonly #told = new Map<PeerName, readonly string[]>();
  readonly #clocks = new PeerClocks();
  readonly #alarms = new Map<PeerName, number>();
  readonly #onOffence: Listeners<Parameters<OffenceListener>>;
  readonly #onOlderStart: Listeners<[peer: PeerName, isRising: boolean]>;
  #timer: NodeJS.Timeout | undefined;
  #stopped: Promise<void> | undefined;

  constructor(node: Node, options: NetOptions, gating: Gating) {
    this.#node = node;
    this.#options = options;
    this.#log = options.log;
    this.#peerLog = new PeerLog(options.log, peer => options.gate.isMember(peer));
    this.#gating = gating;
    this.peer = nameOf(node.peerId);
    this.#onOffence = new Listeners(options.log);
    this.#onOlderStart = new Listeners(options.log);
    this.#members = new ConnectedMembers({ node, gating, stopping: this.#stopping.signal, log: options.log });
    this.#served = new ServedStreams(this.#peerLog, (peer, error) => this.reportOffence(peer, error));
    this.#gossip = new GossipTopic(node.services.pubsub, {
      cluster: options.cluster,
      self: node.peerId,
      boot: options.boot,
      log: options.log,
      memory: options.frameMemory,
      clock: options.gossipClock ?? { wallMs: Date.now, nowMs: () => performance.now() },
      admits: peer => gating.admits(peer),
      addresses: () => this.addresses(),
      onAddresses: (peer, addresses) => {
        // Hosts that joined through one host know only that one; it must not be the only thing between them.
        this.#told.set(peer, addresses);
        void this.#redial.reach(peer, addresses);
      },
      onClock: (peer, wallMs) => this.#clocks.hear(peer, wallMs, performance.now()),
      alarms: () => options.alarms?.() ?? 0,
      onAlarms: (peer, count) => void this.#alarms.set(peer, count),
      onOlderStart: (peer, isRising) => this.#onOlderStart.tell(peer, isRising),
      offends: (peer, error) => this.reportOffence(peer, error),
    });
    this.#redial = new Redial({
      self: this.peer,
      admits: peer => gating.admits(peer),
      getConnections: peer => node.getConnections(peer),
      dial: address => this.#dial(address),
      log: options.log,
    });
    node.addEventListener('connection:open', ({ detail }) => this.#opened(detail));
    node.addEventListener('connection:close', ({ detail }) => this.#closed(detail));
    node.services.discovery?.onPeer(({ id, multiaddrs }) => {
      void this.#redial.reach(nameOf(id), multiaddrs.map(String));
    });
    node.addEventListener('peer:update', () => {
      this.#storeChanges += 1;
    });
  }

  clockAheadMs(): number | undefined {
    return this.#clocks.aheadMs(Date.now(), performance.now());
  }

  alarmsOf(peer: PeerName): number | undefined {
    return this.#alarms.get(peer);
  }

  addresses(): string[] {
    return this.#node.getMultiaddrs().map(String);
  }

  connected(): PeerName[] {
    return this.#members.peers();
  }

  onConnect(listener: (peer: PeerName, addresses: string[]) => void): () => void {
    return this.#members.onConnect.add(listener);
  }

  onDisconnect(listener: (peer: PeerName) => void): () => void {
    return this.#members.onDisconnect.add(listener);
  }

  async open(peer: PeerName, protocol: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Stream> {
    try {
      return await withDeadline(OPEN_MS_MAX, [this.#stopping.signal, signal], async inTime => {
        await orAborted(this.#connect(peer), inTime);
        // The newest, for the reason in `#opened`.
        const connection = this.#openConnections(peer).at(-1);
        if (connection === undefined) throw new Error('it is not connected');
        const options = { signal: inTime, maxOutboundStreams: STREAMS_PER_PEER_MAX };
        const stream = await connection.newStream(protocol, options);
        shareTurns(stream, connection);
        return stream;
      });
    } catch (cause) {
      throw unreachablePeer(`${peer} (${protocol})`, cause);
    }
  }

  async dial(address: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<PeerName> {
    const target = parseAddress(address);
    try {
      return await this.#dial(target, signal);
    } catch (cause) {
      throw unreachablePeer(address, cause);
    }
  }

  /**
   * Not by libp2p's own dial of a peer: that would try all addresses that it remembers, in its order, and this
   * program's dials of that peer would wait behind it.
   */
  async #connect(peer: PeerName): Promise<void> {
    if (this.#openConnections(peer).length > 0) return;
    const known = (await this.#known()).filter(({ peer: other }) => other === peer);
    await this.#redial.reachKnown(
      peer,
      known.flatMap(({ addresses }) => addresses),
    );
  }

  #openConnections(peer: PeerName): Connection[] {
    return this.#node.getConnections(peerIdFromString(peer)).filter(({ status }) => status === 'open');
  }

  async #dial(target: Multiaddr, signal?: AbortSignal): Promise<PeerName> {
    const connection = await withDeadline(DIAL_MS_MAX, [this.#stopping.signal, signal], inTime =>
      this.#node.dial(target, { signal: inTime }),
    );
    return nameOf(connection.remotePeer);
  }

  async handle(
    protocol: string,
    handler: NetHandler,
    { strangers = false, streamsMax = STREAMS_PER_PEER_MAX, lingerMs = LINGER_MS_MAX }: HandleOptions = {},
  ): Promise<void> {
    await this.#node.handle(
      protocol,
      async (stream, connection) => {
        shareTurns(stream, connection);
        const from = nameOf(connection.remotePeer);
        const member = this.#gating.admits(from);
        if (this.#stopping.signal.aborted || !(member || (strangers && this.#gating.welcomes(from)))) {
          stream.abort(new Error('refused: not a member'));
          return;
        }
        const most = member ? STREAMS_PER_PEER_MAX : STREAMS_PER_STRANGER_MAX;
        await this.#served.serve(stream, handler, { from, most, mostOfProtocol: streamsMax, lingerMs });
      },
      { maxInboundStreams: Math.min(streamsMax, STREAMS_PER_PEER_MAX), maxOutboundStreams: STREAMS_PER_PEER_MAX },
    );
  }

  publish(message: GossipMessage): Promise<{ readonly recipients: number }> {
    return this.#gossip.publish(message);
  }

  get framesSent(): number {
    return this.#gossip.framesSent;
  }

  lastFrame(peer: PeerName): FrameNumber | undefined {
    return this.#gossip.lastFrame(peer);
  }

  onGossip(listener: GossipListener): () => void {
    return this.#gossip.listen(listener);
  }

  reportOffence(peer: PeerName, error: ClusterError): void {
    const banned = this.#gating.offended(peer);
    this.#peerLog.warn(
      peer,
      { err: error, code: error.code, banned },
      banned ? 'a peer is banned for 10 min' : 'an offence',
    );
    this.#onOffence.tell(peer, error, banned);
    if (banned) void this.close(peer);
  }

  onOffence(listener: OffenceListener): () => void {
    return this.#onOffence.add(listener);
  }

  onOlderStart(listener: (peer: PeerName, isRising: boolean) => void): () => void {
    return this.#onOlderStart.add(listener);
  }

  async close(peer: PeerName): Promise<void> {
    const gone = new Error('closed by this host');
    this.#served.end(gone, peer);
    for (const connection of this.#node.getConnections(peerIdFromString(peer))) connection.abort(gone);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#timer);
    const ended = new Error('this host is stopping');
    this.#stopping.abort(ended);
    this.#served.end(ended);
    await this.#node.stop();
  }

  /** Called once the node has started. */
  begin(): void {
    this.#gossip.subscribe();
    const everyMs = this.#options.redialEveryMs ?? REDIAL_EVERY_MS;
    const round = async (): Promise<void> => {
      try {
        await this.#tend();
      } catch (error) {
        this.#log.error({ err: error }, 'a round of the redial loop failed; the next one runs as usual');
      }
      if (this.#stopping.signal.aborted) return;
      // ± 20 %, so that hosts that came up together do not dial each other at the same instant for ever.
      this.#timer = setTimeout(() => void round(), everyMs * (0.8 + Math.random() * 0.4));
    };
    void round();
  }

  /** One round: closes what is no longer admitted, asks again who has not accepted this host, dials who is missing. */
  async #tend(): Promise<void> {
    for (const connection of this.#node.getConnections()) {
      // A connection that was closed along with another one of its peer is gone already, and nobody would remove its
      // peer again.
      if (connection.status !== 'open') continue;
      const peer = nameOf(connection.remotePeer);
      if (this.#gating.admits(peer)) {
        this.#gating.isNoStranger(peer);
        this.#members.tend(connection);
        continue;
      }
      // The stranger may have been a member when it came.
      this.#gating.strangerCame(peer, addressOf(connection));
      if (this.#members.has(peer) || this.#gating.overstays(peer) || !this.#gating.welcomes(peer))
        await this.close(peer);
    }

    this.#redial.round(await this.#known());
    for (const address of this.#options.staticAddresses ?? []) void this.#redial.reachStatic(address);
  }

  /** Addresses that a member itself said last are the likeliest. */
  async #known(): Promise<KnownPeer[]> {
    const told = [...this.#told].map(([peer, addresses]) => ({ peer, addresses }));
    return [...told, ...this.#options.knownAddresses(), ...(await this.#storedPeers())];
  }

  /**
   * Reads the store again when it has changed, because a read decodes everything; and once in a while, because the
   * store does not report entries that expire.
   */
  async #storedPeers(): Promise<readonly KnownPeer[]> {
    const nowMs = performance.now();
    const changes = this.#storeChanges;
    if (this.#stored?.changes === changes && nowMs - this.#stored.readMs < STORED_MS) return this.#stored.peers;
    const peers = (await this.#node.peerStore.all()).map(({ id, addresses }) => ({
      peer: nameOf(id),
      addresses: addresses.map(address => String(address.multiaddr)),
    }));
    this.#stored = { peers, changes, readMs: nowMs };
    return peers;
  }

  #opened(connection: Connection): void {
    const peer = nameOf(connection.remotePeer);
    // The newest is the likeliest to live: a host that restarts leaves some behind that nobody has found broken yet.
    for (const old of this.#openConnections(peer).slice(0, -CONNECTIONS_PER_PEER_MAX))
      old.abort(new Error('too many connections of one peer'));
    if (this.#gating.admits(peer)) void this.#members.identify(connection);
    else this.#gating.strangerCame(peer, addressOf(connection));
  }

  #closed({ remotePeer }: Connection): void {
    // Two hosts that dial each other at once have two connections; the peer is gone when the last of them is.
    if (this.#node.getConnections(remotePeer).some(other => other.status === 'open')) return;
    const peer = nameOf(remotePeer);
    this.#gating.isNoStranger(peer);
    this.#members.gone(peer);
  }
}

function parseAddress(address: string): Multiaddr {
  try {
    return multiaddr(address);
  } catch (cause) {
    throw new ClusterError(
      'BAD_ADDRESS',
      `not a multiaddr: ${JSON.stringify(address.slice(0, 200))} (expected like /ip4/192.168.1.10/tcp/4747)`,
      { blame: 'operator', cause },
    );
  }
}

function unreachablePeer(what: string, cause: unknown): ClusterError {
  return new ClusterError('PEER_UNREACHABLE', `cannot reach ${what}`, { blame: 'passing', cause });
}

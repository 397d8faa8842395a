/**
 * Net: this host on the network. Who is connected, how to open a stream to a member, and who may reach what here?
 *
 * A libp2p host over TCP, noise and yamux. libp2p neither dials what it discovers nor reconnects after a partition (tried:
 * its defaults never heal), so a loop of our own dials every known member that is not connected, every few seconds.
 *
 * Invariants: a peer that is not a member reaches nothing but handlers with `strangers: true`, and those only while the
 * gate welcomes strangers; membership is asked anew at every connection and every stream, and its loss closes both; no
 * stranger is ever dialled; after `stop()` nothing is left: no timer, no socket.
 *
 * A peer is `connected` when it has answered identify, which members alone are allowed to ask: so both sides know each
 * other as members. Driven by src/daemon, and by src/membership for the moment of joining.
 */
import '../platform/node-shims.js';
import { noise } from '@chainsafe/libp2p-noise';
import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import { type GossipSub, gossipsub } from '@libp2p/gossipsub';
import { type Identify, identify } from '@libp2p/identify';
import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface';
import { mdns } from '@libp2p/mdns';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Ping, ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import type { Logger } from 'pino';
import { HOSTS_MAX } from '../core/cluster-config.js';
import { ClusterError } from '../core/fault.js';
import type { FrameNumber } from '../core/frame-window.js';
import type { ClusterId, PeerName } from '../core/ids.js';
import type { GossipMessage } from '../core/messages.js';
import { signerFromSeed } from '../platform/ed25519.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import { withDeadline } from './deadline.js';
import type { FrameMemory } from './frame-order.js';
import { gatedRegistrar } from './gated-registrar.js';
import { type GossipListener, GossipTopic, gossipOptions } from './gossip-topic.js';
import { Offences } from './offences.js';
import { PacedLine, type Paces } from './pace.js';
import { PeerClocks } from './peer-clocks.js';
import { type KnownPeer, Redial } from './redial.js';
import { type NetHandler, ServedStreams } from './served-streams.js';

export type { GossipListener, KnownPeer, NetHandler };

/** Asked synchronously at every connection and every stream: it must answer from memory. */
export interface Gate {
  isMember(peer: PeerName): boolean;
  /** An invite is open: strangers may connect, and reach the handlers that are made for them. */
  strangersWelcome(): boolean;
}

export interface NetOptions {
  /** The host's Ed25519 key: 32 bytes. */
  readonly privateKeySeed: Uint8Array;
  /** This start's boot counter: it rises with each start, and every gossip frame carries it. */
  readonly boot: number;
  /** Multiaddrs to listen on; an empty list listens nowhere (it still dials). */
  readonly listen: readonly string[];
  /** Find members on the local network. False: only known and static addresses. */
  readonly mdns: boolean;
  readonly cluster: ClusterId;
  readonly gate: Gate;
  readonly log: Logger;
  /** Remembered, configured and given addresses of members, asked at every round of the redial loop. */
  knownAddresses(): Iterable<KnownPeer>;
  /** `--peer`: addresses that may lack their `/p2p/…`; who answers there must be a member. Default none. */
  readonly staticAddresses?: readonly string[];
  /** Rounds of the redial loop, ± 20 %. Default 3 s. */
  readonly redialEveryMs?: number;
  /** Members at this start: above 8, gossip goes through a mesh of 4 instead of to everybody. Default: everybody. */
  readonly hosts?: number;
  /** Keeps the last frame of each writer over a restart, so that nothing can be replayed. Default: in memory only. */
  readonly frameMemory?: FrameMemory;
  /** By which gossip is dated and its rate is limited, in ms since 1970. Default: this machine's wall clock. */
  readonly gossipWallMs?: () => number;
}

export interface HandleOptions {
  /** Open to strangers too, while the gate welcomes them. Default false. */
  readonly strangers?: boolean;
  /** Streams of this protocol that one peer may have open here at once. Default and most: 32. */
  readonly streamsMax?: number;
  /** After the handler is done, how long its peer may take to read the rest and close its own end. Default 30 s. */
  readonly lingerMs?: number;
}

export type OffenceListener = (peer: PeerName, error: ClusterError, banned: boolean) => void;

export interface Net {
  /** This host's own peer name. */
  readonly peer: PeerName;
  /** Where this host listens: multiaddrs that end in `/p2p/<peer>`. */
  addresses(): string[];
  /** The members that are connected and have accepted us. */
  connected(): PeerName[];
  /** A member is connected. `addresses` is where it says it can be dialled. Returns the function that ends listening. */
  onConnect(listener: (peer: PeerName, addresses: string[]) => void): () => void;
  onDisconnect(listener: (peer: PeerName) => void): () => void;
  /**
   * Opens a stream; dials first when there is no connection. That it opens does not mean that the peer serves it: a peer
   * that refuses us resets it at the first read.
   * @throws ClusterError PEER_UNREACHABLE (passing)
   */
  open(peer: PeerName, protocol: string, options?: { readonly signal?: AbortSignal }): Promise<Stream>;
  /**
   * Connects to whoever answers at an address, if the gate says it is a member. The other side may still refuse us: it
   * then closes the connection, and the first `open` fails.
   * @throws ClusterError PEER_UNREACHABLE (passing), BAD_ADDRESS (operator)
   */
  dial(address: string, options?: { readonly signal?: AbortSignal }): Promise<PeerName>;
  handle(protocol: string, handler: NetHandler, options?: HandleOptions): Promise<void>;
  /**
   * Says something to every member that listens. Give the message to `splitForFrames` first if it can be large.
   * `recipients` is to how many peers it was sent, not who got it: it may be 0 just after connecting, and is no error.
   * @throws (our bug) above 64 KiB.
   */
  publish(message: GossipMessage): Promise<{ readonly recipients: number }>;
  /** How fast fetches may go, all together. No limits until somebody sets them. */
  readonly paces: Paces;
  /** Gossip frames that this start has sent. */
  readonly framesSent: number;
  /** By how much our wall clock is ahead of the median of the members', in ms; undefined while none is known. */
  clockAheadMs(): number | undefined;
  /** The last gossip frame that was heard of a member, also before our last start: its start counter, and its number. */
  lastFrame(peer: PeerName): FrameNumber | undefined;
  /** `from` is the member who wrote the message, by its signature; it may have come through others. */
  onGossip(listener: GossipListener): () => void;
  /** For the callers of protocols: this peer's answer was such as no honest build gives. Ten within ten minutes: a ban. */
  reportOffence(peer: PeerName, error: ClusterError): void;
  /** A peer offended; `banned` when it is shut out for 10 min from now on: an alarm. */
  onOffence(listener: OffenceListener): () => void;
  /** Gossip comes of an earlier start of a member than others of its that were heard. At most once a minute for each. */
  onOlderStart(listener: (peer: PeerName) => void): () => void;
  /** Closes every connection to a peer, at once. The redial loop comes back to it if it is still a member. */
  close(peer: PeerName): Promise<void>;
  /** Closes everything. Safe to call twice. */
  stop(): Promise<void>;
}

/** Streams that one peer may have open here, over all our protocols together (DESIGN section 9). */
export const STREAMS_PER_PEER_MAX = 32;
/** A stranger has one thing to do here, `join`; a second stream is for its retry. */
export const STREAMS_PER_STRANGER_MAX = 2;
/** A class of thirty that joins at once needs a few at a time; each is done within seconds and the others come back. */
export const STRANGERS_MAX = 16;
/** Two of each member, for two that dial each other at once have both for a moment; libp2p's own limit of 300 would cut members off. */
const CONNECTIONS_MAX = 2 * HOSTS_MAX + STRANGERS_MAX;
/** Joining takes a few round trips; a stranger that stays longer has another reason. */
export const STRANGER_CONNECTION_MS_MAX = 60_000;
/** How often known members that are not connected are dialled, unless told otherwise. Heals within it (measured 0.1 to 1 s). */
export const REDIAL_EVERY_MS = 3_000;
/** One address answers a SYN within a second on a LAN, within three on anything else that we want. */
export const DIAL_MS_MAX = 5_000;
/** All addresses of one member, one after the other. */
const REACH_MS_MAX = 2 * DIAL_MS_MAX;
/** Opening a stream is two round trips. */
export const OPEN_MS_MAX = 10_000;
/** Default of `lingerMs`: on 1 Mbit/s what is still under way takes 10 s; a peer that stays longer costs only its own streams. */
export const LINGER_MS_MAX = 30_000;
/** Unacknowledged bytes of one stream. Must stay below the 4 MiB at which libp2p resets a paused stream. */
export const STREAM_WINDOW_BYTES_MAX = 1 << 20;
/** How often a connection is pinged. */
const PING_EVERY_MS = 10_000;
/** A ping waits behind the bulk data in the socket: on 1 Mbit/s, 4 streams of 256 KiB take 8 s. So not less than this. */
const PING_MS_MIN = 10_000;
const PING_MS_MAX = 30_000;

/** The name under which hosts of one cluster look for each other by mDNS: no other cluster's host answers to it. */
export const serviceTagOf = (cluster: ClusterId): string => `_hoard-${cluster.slice(0, 8)}._udp.local`;

const nameOf = (peer: PeerId): PeerName => peer.toString() as PeerName;

type Services = { readonly identify: Identify; readonly ping: Ping; readonly pubsub: GossipSub };
type Node = Libp2p<Services>;

/** @throws ClusterError LISTEN_FAILED (operator) */
export async function startNet(options: NetOptions): Promise<Net> {
  const { privateKeySeed: seed } = options;
  // The seed and its public key. From a seed alone libp2p works that out in JavaScript, in 35 ms.
  const privateKey = privateKeyFromRaw(Buffer.concat([seed, signerFromSeed(seed).publicKey]));
  const { gate } = options;
  const offences = new Offences();
  const admitsName = (peer: PeerName): boolean => gate.isMember(peer) && !offences.isBanned(peer, Date.now());
  const admits = (peer: PeerId): boolean => admitsName(nameOf(peer));
  const strangersNow = new Set<PeerName>();
  const refuses = (peer: PeerId): boolean => {
    const name = nameOf(peer);
    if (admitsName(name)) return false;
    if (!gate.strangersWelcome() || offences.isBanned(name, Date.now())) return true;
    return strangersNow.size >= STRANGERS_MAX && !strangersNow.has(name);
  };

  const node = await createLibp2p<Services>({
    privateKey,
    start: false,
    nodeInfo: { name: 'scatterhoard' },
    addresses: { listen: [...options.listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES_MAX } })],
    connectionGater: {
      denyDialPeer: peer => !admits(peer),
      // The default refuses private addresses in browsers only; ours are all private.
      denyDialMultiaddr: () => false,
      denyOutboundEncryptedConnection: peer => !admits(peer),
      denyInboundEncryptedConnection: refuses,
    },
    connectionManager: {
      // Five a second from one address is too few where many hosts stand behind one address: tests, containers, a NAT.
      inboundConnectionThreshold: 50,
      maxConnections: CONNECTIONS_MAX,
      addressDialTimeout: DIAL_MS_MAX,
      // It dials tagged peers after a disconnect; our own loop does that for all, for ever.
      reconnectRetries: 0,
    },
    connectionMonitor: {
      pingInterval: PING_EVERY_MS,
      pingTimeout: { minTimeout: PING_MS_MIN, maxTimeout: PING_MS_MAX },
    },
    peerDiscovery: options.mdns ? [mdns({ serviceTag: serviceTagOf(options.cluster), interval: 10_000 })] : [],
    services: {
      identify: components =>
        identify({ runOnConnectionOpen: false })({
          peerId: components.peerId,
          privateKey: components.privateKey,
          peerStore: components.peerStore,
          addressManager: components.addressManager,
          events: components.events,
          logger: components.logger,
          nodeInfo: components.nodeInfo,
          registrar: gatedRegistrar(components.registrar, admits),
        }),
      ping: components =>
        ping()({
          connectionManager: components.connectionManager,
          registrar: gatedRegistrar(components.registrar, admits),
        }),
      pubsub: components =>
        gossipsub(gossipOptions(options.cluster, options.hosts ?? 0))({
          privateKey: components.privateKey,
          peerId: components.peerId,
          peerStore: components.peerStore,
          connectionManager: components.connectionManager,
          logger: components.logger,
          registrar: gatedRegistrar(components.registrar, admits),
        }),
    },
  });

  const net = new LibraryNet(node, options, { strangersNow, offences, admits: admitsName });
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

/** Who is let in, as the connection gater and the net must both see it. */
interface Admission {
  /** Strangers that are connected. */
  readonly strangersNow: Set<PeerName>;
  readonly offences: Offences;
  /** A member, and not banned. */
  admits(peer: PeerName): boolean;
}

/** `Net` over js-libp2p. */
class LibraryNet implements Net {
  readonly peer: PeerName;
  readonly paces: Paces = { upload: new PacedLine(), download: new PacedLine() };
  readonly #node: Node;
  readonly #options: NetOptions;
  readonly #log: Logger;
  readonly #stopping = lastingAbort();
  readonly #admission: Admission;
  readonly #gossip: GossipTopic;
  readonly #redial: Redial;
  readonly #served: ServedStreams;
  /** Members that answered identify: what `connected` means. */
  readonly #accepted = new Set<PeerName>();
  /** Where members last said, in passing, that they listen. */
  readonly #told = new Map<PeerName, readonly string[]>();
  readonly #clocks = new PeerClocks();
  /** Connections whose identify is on its way. */
  readonly #asking = new Set<Connection>();
  readonly #onConnect = new Set<(peer: PeerName, addresses: string[]) => void>();
  readonly #onDisconnect = new Set<(peer: PeerName) => void>();
  readonly #onOffence = new Set<OffenceListener>();
  readonly #onOlderStart = new Set<(peer: PeerName) => void>();
  #timer: NodeJS.Timeout | undefined;
  #stopped: Promise<void> | undefined;

  constructor(node: Node, options: NetOptions, admission: Admission) {
    this.#node = node;
    this.#options = options;
    this.#log = options.log;
    this.#admission = admission;
    this.peer = nameOf(node.peerId);
    this.#served = new ServedStreams(options.log, (peer, error) => this.reportOffence(peer, error));
    this.#gossip = new GossipTopic(node.services.pubsub, {
      cluster: options.cluster,
      self: node.peerId,
      boot: options.boot,
      log: options.log,
      memory: options.frameMemory,
      wallMs: options.gossipWallMs ?? Date.now,
      admits: peer => admission.admits(peer),
      addresses: () => this.addresses(),
      onAddresses: (peer, addresses) => {
        // Hosts that joined through one door know only that one; it must not be the only thing between them.
        this.#told.set(peer, addresses);
        void this.#redial.reach(peer, addresses);
      },
      onClock: (peer, wallMs) => this.#clocks.hear(peer, wallMs, performance.now()),
      onOlderStart: peer => this.#tell(this.#onOlderStart, peer),
      offends: (peer, error) => this.reportOffence(peer, error),
    });
    this.#redial = new Redial({
      self: this.peer,
      admits: peer => admission.admits(peer),
      getConnections: peer => node.getConnections(peer),
      dial: addresses => this.#dial([...addresses], REACH_MS_MAX),
      log: options.log,
    });
    node.addEventListener('connection:open', ({ detail }) => this.#opened(detail));
    node.addEventListener('connection:close', ({ detail }) => this.#closed(detail));
    node.addEventListener('peer:discovery', ({ detail }) => {
      // Fires once a peer, ever: if this dial fails, the redial loop goes on with what the peer store has kept.
      void this.#redial.reach(nameOf(detail.id), detail.multiaddrs.map(String));
    });
  }

  clockAheadMs(): number | undefined {
    return this.#clocks.aheadMs(Date.now(), performance.now());
  }

  addresses(): string[] {
    return this.#node.getMultiaddrs().map(String);
  }

  connected(): PeerName[] {
    return [...this.#accepted];
  }

  onConnect(listener: (peer: PeerName, addresses: string[]) => void): () => void {
    this.#onConnect.add(listener);
    return () => this.#onConnect.delete(listener);
  }

  onDisconnect(listener: (peer: PeerName) => void): () => void {
    this.#onDisconnect.add(listener);
    return () => this.#onDisconnect.delete(listener);
  }

  async open(peer: PeerName, protocol: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Stream> {
    try {
      return await withDeadline(OPEN_MS_MAX, [this.#stopping.signal, signal], inTime =>
        this.#node.dialProtocol(peerIdFromString(peer), protocol, {
          signal: inTime,
          maxOutboundStreams: STREAMS_PER_PEER_MAX,
        }),
      );
    } catch (cause) {
      throw unreachablePeer(`${peer} (${protocol})`, cause);
    }
  }

  async dial(address: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<PeerName> {
    const target = parseAddress(address);
    try {
      return await this.#dial(target, DIAL_MS_MAX, signal);
    } catch (cause) {
      throw unreachablePeer(address, cause);
    }
  }

  async #dial(target: Multiaddr | Multiaddr[], withinMs: number, signal?: AbortSignal): Promise<PeerName> {
    const connection = await withDeadline(withinMs, [this.#stopping.signal, signal], inTime =>
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
        const from = nameOf(connection.remotePeer);
        const member = this.#admission.admits(from);
        if (this.#stopping.signal.aborted || !(member || (strangers && this.#welcomes(from)))) {
          stream.abort(new Error('refused: not a member'));
          return;
        }
        const most = member ? STREAMS_PER_PEER_MAX : STREAMS_PER_STRANGER_MAX;
        await this.#served.serve(stream, handler, { from, most, lingerMs });
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
    const banned = this.#admission.offences.count(peer, Date.now());
    this.#log.warn(
      { err: error, peer, code: error.code, banned },
      banned ? 'a peer is banned for 10 min' : 'an offence',
    );
    this.#tell(this.#onOffence, peer, error, banned);
    if (banned) void this.close(peer);
  }

  onOffence(listener: OffenceListener): () => void {
    this.#onOffence.add(listener);
    return () => this.#onOffence.delete(listener);
  }

  onOlderStart(listener: (peer: PeerName) => void): () => void {
    this.#onOlderStart.add(listener);
    return () => this.#onOlderStart.delete(listener);
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

  /** Once the node has started. */
  begin(): void {
    this.#gossip.subscribe();
    const everyMs = this.#options.redialEveryMs ?? REDIAL_EVERY_MS;
    const round = async (): Promise<void> => {
      try {
        await this.#tend();
      } catch (error) {
        this.#log.error({ err: error }, 'a round of the redial loop failed; the next one comes');
      }
      if (this.#stopping.signal.aborted) return;
      // ± 20 %, so that hosts that came up together do not dial each other at the same instant for ever.
      this.#timer = setTimeout(() => void round(), everyMs * (0.8 + Math.random() * 0.4));
    };
    void round();
  }

  /** One round: close what is no longer admitted, ask again who has not accepted us yet, dial who is missing. */
  async #tend(): Promise<void> {
    for (const connection of this.#node.getConnections()) {
      const peer = nameOf(connection.remotePeer);
      if (this.#admission.admits(peer)) {
        this.#admission.strangersNow.delete(peer);
        if (!this.#accepted.has(peer) || !this.#gossips(peer)) void this.#identify(connection);
        continue;
      }
      const overstays = Date.now() - connection.timeline.open > STRANGER_CONNECTION_MS_MAX;
      if (this.#accepted.has(peer) || overstays || !this.#welcomes(peer)) await this.close(peer);
    }

    const known: KnownPeer[] = [...this.#options.knownAddresses()];
    for (const [peer, addresses] of this.#told) known.push({ peer, addresses });
    for (const { id, addresses } of await this.#node.peerStore.all()) {
      known.push({ peer: nameOf(id), addresses: addresses.map(address => String(address.multiaddr)) });
    }
    this.#redial.round(known);
    for (const address of this.#options.staticAddresses ?? []) void this.#redial.reachStatic(address);
  }

  #welcomes(stranger: PeerName): boolean {
    return this.#options.gate.strangersWelcome() && !this.#admission.offences.isBanned(stranger, Date.now());
  }

  #opened(connection: Connection): void {
    const peer = nameOf(connection.remotePeer);
    if (this.#admission.admits(peer)) void this.#identify(connection);
    else this.#admission.strangersNow.add(peer);
  }

  #closed({ remotePeer }: Connection): void {
    // Two hosts that dial each other at once have two connections; the peer is gone when the last of them is.
    if (this.#node.getConnections(remotePeer).some(other => other.status === 'open')) return;
    const peer = nameOf(remotePeer);
    this.#admission.strangersNow.delete(peer);
    if (this.#accepted.delete(peer)) this.#tell(this.#onDisconnect, peer);
  }

  /**
   * Is there a gossip stream to this peer that it still reads? GossipSub opens one when a peer is identified and never
   * again: not when the connection that carried it closes and another stays, nor when the other side gave it up over a
   * message it could not read. Then its end is closed and what we publish goes nowhere; so it is reset, and identified anew.
   */
  #gossips(peer: PeerName): boolean {
    const { protocols } = this.#node.services.pubsub;
    let open = false;
    for (const connection of this.#node.getConnections(peerIdFromString(peer))) {
      for (const stream of connection.streams) {
        if (stream.direction !== 'outbound' || !protocols.includes(stream.protocol)) continue;
        if (stream.remoteWriteStatus === 'closed')
          stream.abort(new Error('the peer no longer reads this gossip stream'));
        else open = true;
      }
    }
    return open;
  }

  /** Asks who a member is and where it listens: done, it has accepted us, and gossip may begin on this connection. */
  async #identify(connection: Connection): Promise<void> {
    if (this.#asking.has(connection) || this.#stopping.signal.aborted) return;
    this.#asking.add(connection);
    const peer = nameOf(connection.remotePeer);
    try {
      const { listenAddrs } = await withDeadline(OPEN_MS_MAX, [this.#stopping.signal], signal =>
        this.#node.services.identify.identify(connection, { signal }),
      );
      if (connection.status !== 'open' || !this.#admission.admits(peer) || this.#accepted.has(peer)) return;
      this.#accepted.add(peer);
      this.#tell(this.#onConnect, peer, listenAddrs.map(String));
    } catch (error) {
      // It does not know us as a member yet, or the connection broke: asked again at the next round while it stands.
      this.#log.debug({ err: error, peer }, 'connected, not accepted yet');
    } finally {
      this.#asking.delete(connection);
    }
  }

  /** A listener that throws has a bug, and the others are told nevertheless. */
  #tell<Args extends readonly unknown[]>(listeners: ReadonlySet<(...args: Args) => void>, ...args: Args): void {
    for (const listener of listeners) {
      try {
        listener(...args);
      } catch (error) {
        this.#log.error({ err: error }, 'bug: a listener of the network threw');
      }
    }
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

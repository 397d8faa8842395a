/**
 * Libp2p node: js-libp2p as this program sets it up: TCP, noise and yamux; identify, ping and GossipSub, each behind
 * the gating; mDNS where it is wanted.
 *
 * The limits here are libp2p's own: on connections, on dials, on what a stream may have under way. Driven by
 * start-net.ts.
 *
 * What a transfer costs, measured by `--cpu-prof` of the services under `npm run bench -- transfer`: each process takes
 * 0.38 ms for a small file and 6.2 s for a GiB, half of which raw libp2p streams take alone. Of the samples, 24 % are
 * in the kernel, 19 % in V8's built-ins, 12 % in its compiler, 4 % in ciphers, 2 % in BLAKE3. For a GiB of a mixed
 * home, a process has some 11,000 yamux frames and 900 gossip messages. So neither frames nor window updates are the
 * cost, and larger ones would save little.
 *
 * Its memory over idle is 120 to 140 MB, 64 of which are V8's: bytes outside its heap that have outlived two scavenges
 * are freed by its next full collection, and it makes one for every 64 MiB of them, a constant of its own. A collection
 * every 100 ms brought the peak to 59 MB over idle, and took four times the CPU; one for every 16 or 24 MB brought it to
 * 72 and 80, for 1.5 times the CPU and pauses of 40 ms. Smaller windows, smaller semi-spaces, a smaller heap growth,
 * other settings of malloc and scavenges for every 8 MiB changed nothing.
 */
import '../platform/node-shims.js';
import { noise } from '@chainsafe/libp2p-noise';
import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import { type GossipSub, gossipsub } from '@libp2p/gossipsub';
import { type Identify, identify } from '@libp2p/identify';
import type { Libp2p, PeerId } from '@libp2p/interface';
import { mdns } from '@libp2p/mdns';
import { type Ping, ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import { HOSTS_MAX } from '../core/cluster-config.js';
import type { ClusterId, PeerName } from '../core/ids.js';
import { signerFromSeed } from '../platform/ed25519.js';
import { Discovery } from './discovery.js';
import { gatedRegistrar } from './gated-registrar.js';
import { type Gating, STRANGERS_MAX } from './gating.js';
import { gossipOptions } from './gossip-topic.js';
import { DIAL_MS_MAX, type NetOptions } from './net.js';
import { addressOf, PENDING_MAX, PendingConnections } from './pending-connections.js';

/**
 * Two for each member, because two members that dial each other at once have two connections for a moment; libp2p's
 * default limit of 300 would cut members off.
 */
const CONNECTIONS_MAX = 2 * HOSTS_MAX + STRANGERS_MAX;
/** For one peer: two, and two left behind by its last start. Each brings buffers and limits of libp2p's own. */
export const CONNECTIONS_PER_PEER_MAX = 4;
/** Unacknowledged bytes of one stream. Must stay below the 4 MiB at which libp2p resets a paused stream. */
export const STREAM_WINDOW_BYTES_MAX = 1 << 20;
/** How often a connection is pinged. */
const PING_EVERY_MS = 10_000;
/** A ping waits behind bulk data in the socket: on 1 Mbit/s, 4 streams of 256 KiB take 8 s. So not less than this. */
const PING_MS_MIN = 10_000;
const PING_MS_MAX = 30_000;

/** The name under which hosts of one cluster look for each other by mDNS: no host of another cluster answers to it. */
const serviceTagOf = (cluster: ClusterId): string => `_hoard-${cluster.slice(0, 8)}._udp.local`;

export const nameOf = (peer: PeerId): PeerName => peer.toString() as PeerName;

type Services = {
  readonly identify: Identify;
  readonly ping: Ping;
  readonly pubsub: GossipSub;
  /** Set where mDNS is wanted. */
  readonly discovery?: Discovery;
};
export type Node = Libp2p<Services>;

/** Makes a node that is not started yet: it does not listen, and dials nobody. */
export function createNode(
  {
    privateKeySeed: seed,
    listen,
    mdns: usesMdns,
    cluster,
    hosts = 0,
  }: Pick<NetOptions, 'privateKeySeed' | 'listen' | 'mdns' | 'cluster' | 'hosts'>,
  gating: Gating,
): Promise<Node> {
  // Contains the seed and its public key. From a seed alone libp2p computes the key in JavaScript, in 35 ms.
  const privateKey = privateKeyFromRaw(Buffer.concat([seed, signerFromSeed(seed).publicKey]));
  const pending = new PendingConnections();
  const admits = (peer: PeerId): boolean => gating.admits(nameOf(peer));
  return createLibp2p<Services>({
    privateKey,
    start: false,
    nodeInfo: { name: 'scatterhoard' },
    addresses: { listen: [...listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES_MAX } })],
    connectionGater: {
      denyDialPeer: peer => !admits(peer),
      // The default refuses private addresses in browsers only; here all addresses are private.
      denyDialMultiaddr: () => false,
      denyOutboundEncryptedConnection: peer => !admits(peer),
      denyInboundConnection: connection => pending.refuses(connection),
      denyInboundEncryptedConnection: (peer, connection) => {
        pending.named(connection);
        return gating.refuses(nameOf(peer), addressOf(connection));
      },
    },
    connectionManager: {
      // Five a second from one address is too few where many hosts stand behind one address: tests, containers, a NAT.
      inboundConnectionThreshold: 50,
      maxConnections: CONNECTIONS_MAX,
      maxIncomingPendingConnections: PENDING_MAX,
      // The dialling side has given up by then.
      inboundUpgradeTimeout: DIAL_MS_MAX,
      addressDialTimeout: DIAL_MS_MAX,
      // libp2p would dial tagged peers after a disconnect; redial.ts does that for all members, for ever.
      reconnectRetries: 0,
    },
    connectionMonitor: {
      pingInterval: PING_EVERY_MS,
      pingTimeout: { minTimeout: PING_MS_MIN, maxTimeout: PING_MS_MAX },
    },
    services: {
      ...(usesMdns && {
        discovery: ({ addressManager, logger }) =>
          new Discovery(mdns({ serviceTag: serviceTagOf(cluster), interval: 10_000 })({ addressManager, logger })),
      }),
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
        gossipsub(gossipOptions(cluster, hosts))({
          privateKey: components.privateKey,
          peerId: components.peerId,
          peerStore: components.peerStore,
          connectionManager: components.connectionManager,
          logger: components.logger,
          registrar: gatedRegistrar(components.registrar, admits),
        }),
    },
  });
}

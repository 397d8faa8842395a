/**
 * Connected members: which of the members that have a connection with this host have accepted it.
 *
 * A member that answers identify has accepted this host, because only members may ask. From then on it is `connected`,
 * and gossip may begin. A member that has not answered, or lost its gossip stream, is asked again in each round.
 *
 * Driven by start-net.ts with the node's connections.
 */
import type { Connection } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import type { Logger } from 'pino';
import type { PeerName } from '../core/ids.js';
import { withDeadline } from './deadline.js';
import type { Gating } from './gating.js';
import { type Node, nameOf } from './libp2p-node.js';
import { Listeners } from './listeners.js';
import { OPEN_MS_MAX } from './net.js';

/** What asking members who they are needs of the network. */
export interface ConnectedMembersContext {
  readonly node: Pick<Node, 'getConnections' | 'services'>;
  readonly gating: Pick<Gating, 'admits'>;
  readonly stopping: AbortSignal;
  readonly log: Logger;
}

export class ConnectedMembers {
  readonly onConnect: Listeners<[peer: PeerName, addresses: string[]]>;
  readonly onDisconnect: Listeners<[peer: PeerName]>;
  readonly #of: ConnectedMembersContext;
  /** Members that answered identify. */
  readonly #accepted = new Set<PeerName>();
  /** Connections with an identify under way. */
  readonly #asking = new Set<Connection>();

  constructor(context: ConnectedMembersContext) {
    this.#of = context;
    this.onConnect = new Listeners(context.log);
    this.onDisconnect = new Listeners(context.log);
  }

  peers(): PeerName[] {
    return [...this.#accepted];
  }

  has(peer: PeerName): boolean {
    return this.#accepted.has(peer);
  }

  /** The peer's last connection has closed. */
  gone(peer: PeerName): void {
    if (this.#accepted.delete(peer)) this.onDisconnect.tell(peer);
  }

  /** Asks a member that has not accepted this host yet, or that this host's gossip does not reach. */
  tend(connection: Connection): void {
    const peer = nameOf(connection.remotePeer);
    if (!this.#accepted.has(peer) || !this.#gossips(peer)) void this.identify(connection);
  }

  /**
   * Asks a member who it is and where it listens. When it answers, it has accepted this host, and gossip may begin on
   * this connection.
   */
  async identify(connection: Connection): Promise<void> {
    if (this.#asking.has(connection) || this.#of.stopping.aborted) return;
    this.#asking.add(connection);
    const peer = nameOf(connection.remotePeer);
    try {
      const { listenAddrs } = await withDeadline(OPEN_MS_MAX, [this.#of.stopping], signal =>
        this.#of.node.services.identify.identify(connection, { signal }),
      );
      if (connection.status !== 'open' || !this.#of.gating.admits(peer) || this.#accepted.has(peer)) return;
      this.#accepted.add(peer);
      this.onConnect.tell(peer, listenAddrs.map(String));
    } catch (error) {
      // The member does not know this host yet, or the connection broke: it is asked again in the next round while the
      // connection stands.
      this.#of.log.debug({ err: error, peer }, 'connected, not accepted yet');
    } finally {
      this.#asking.delete(connection);
    }
  }

  /**
   * Is there a gossip stream to this peer that it still reads? GossipSub opens one when a peer is identified and never
   * again: not when the connection that carried it closes and another stays, nor when the other side gave it up over a
   * message it could not read. Then its end is closed and what this host publishes goes nowhere; so it is reset, and
   * the peer identified again.
   */
  #gossips(peer: PeerName): boolean {
    const { protocols } = this.#of.node.services.pubsub;
    let open = false;
    for (const connection of this.#of.node.getConnections(peerIdFromString(peer))) {
      for (const stream of connection.streams) {
        if (stream.direction !== 'outbound' || !protocols.includes(stream.protocol)) continue;
        if (stream.remoteWriteStatus === 'closed')
          stream.abort(new Error('the peer no longer reads this gossip stream'));
        else open = true;
      }
    }
    return open;
  }
}

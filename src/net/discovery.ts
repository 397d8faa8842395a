/**
 * Discovery: passes what mDNS says to this program alone.
 *
 * libp2p puts everything that a discovery of its own hears into the peer store, before anybody is asked whether the
 * peer is a member; and anybody on the network can say anything by mDNS, in anybody's name. So made-up peers would
 * fill the memory, and wrong addresses of members would be dialled for ever. Here nothing is kept: the listener
 * decides. It hears of a peer each time that the peer answers.
 *
 * Driven by libp2p, which starts and stops it like any service; start-net.ts listens.
 */
import { type PeerDiscovery, type PeerInfo, type Startable, start, stop } from '@libp2p/interface';

export class Discovery implements Startable {
  /** libp2p recognizes a discovery by a symbol in it, so this one is hidden from libp2p. */
  readonly #module: PeerDiscovery;

  constructor(module: PeerDiscovery) {
    this.#module = module;
  }

  onPeer(listener: (heard: PeerInfo) => void): void {
    this.#module.addEventListener('peer', ({ detail }) => listener(detail));
  }

  start(): Promise<void> {
    return start(this.#module);
  }

  stop(): Promise<void> {
    return stop(this.#module);
  }
}

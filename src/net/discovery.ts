/**
 * Discovery: what mDNS says, heard by us alone.
 *
 * libp2p keeps all that a discovery of its own hears in the peer store, before anybody is asked whether it is a member: and
 * anybody on the network can say anything by mDNS, in anybody's name. So made-up peers would fill the memory, and wrong
 * addresses of members would be dialled for ever. Here nothing is kept: who listens decides. A peer is told of each time it
 * answers.
 *
 * Driven by libp2p, which starts and stops it as any service; start-net.ts listens.
 */
import { type PeerDiscovery, type PeerInfo, type Startable, start, stop } from '@libp2p/interface';

export class Discovery implements Startable {
  /** libp2p knows a discovery by a symbol in it, so this one is out of its sight. */
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

/**
 * Redial: which members are missing, and where might they answer?
 *
 * libp2p dials nothing that it discovers, and what its keep-alive redials it gives up after 80 s. So every few seconds
 * each member that is not connected is dialled at every address that is known of it, for ever: a partition heals in
 * under a second after its end (measured). One dial a peer at a time. Driven by start-net.ts.
 */
import type { Connection, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { Logger } from 'pino';
import type { PeerName } from '../core/ids.js';

export interface KnownPeer {
  readonly peer: PeerName;
  /** Multiaddrs, with or without `/p2p/<peer>` at their end. */
  readonly addresses: readonly string[];
}

/** What redialling needs of the network. */
export interface Dialler {
  readonly self: PeerName;
  /** A member, and not banned: nobody else is ever dialled. */
  admits(peer: PeerName): boolean;
  getConnections(peer: PeerId): readonly Connection[];
  /** @throws when nobody answers in time */
  dial(addresses: readonly Multiaddr[]): Promise<PeerName>;
  readonly log: Logger;
}

export class Redial {
  readonly #dialler: Dialler;
  readonly #dialling = new Set<string>();
  /** Which member answers at an address without a peer id, so that it is not dialled while connected. */
  readonly #answering = new Map<string, PeerName>();

  constructor(dialler: Dialler) {
    this.#dialler = dialler;
  }

  /** Begins a dial to every known member that is not connected; returns at once. */
  round(known: Iterable<KnownPeer>): void {
    const wanted = new Map<PeerName, string[]>();
    for (const { peer, addresses } of known) wanted.set(peer, [...(wanted.get(peer) ?? []), ...addresses]);
    for (const [peer, addresses] of wanted) void this.reach(peer, addresses);
  }

  /** Never rejects: a member that is switched off is no news here; the machine hears of it by its silence. */
  async reach(peer: PeerName, addresses: readonly string[]): Promise<void> {
    const { self, admits, log } = this.#dialler;
    if (peer === self || !admits(peer) || this.#isConnected(peer)) return;
    const ending = `/p2p/${peer}`;
    const targets = this.#readable(addresses)
      .map(address => (address.includes('/p2p/') ? address : address + ending))
      .filter(address => address.endsWith(ending));
    if (targets.length === 0) return;
    await this.#once(peer, async () => {
      await this.#dialler.dial([...new Set(targets)].map(target => multiaddr(target)));
    }).catch((error: unknown) => log.debug({ err: error, peer }, 'not reachable now'));
  }

  /** An address that may lack its peer id: who answers there must be a member. Never rejects. */
  async reachStatic(address: string): Promise<void> {
    const { self, log } = this.#dialler;
    const known = this.#answering.get(address);
    if (known !== undefined && (known === self || this.#isConnected(known))) return;
    const [target] = this.#readable([address]);
    if (target === undefined) return;
    await this.#once(address, async () => {
      this.#answering.set(address, await this.#dialler.dial([multiaddr(target)]));
    }).catch((error: unknown) => {
      if (isSelfDial(error)) this.#answering.set(address, self);
      else log.debug({ err: error, address }, 'not reachable now');
    });
  }

  async #once(key: string, dial: () => Promise<void>): Promise<void> {
    if (this.#dialling.has(key)) return;
    this.#dialling.add(key);
    try {
      await dial();
    } finally {
      this.#dialling.delete(key);
    }
  }

  #isConnected(peer: PeerName): boolean {
    return this.#dialler.getConnections(peerIdFromString(peer)).length > 0;
  }

  #readable(addresses: readonly string[]): string[] {
    return addresses.filter(address => {
      try {
        multiaddr(address);
        return true;
      } catch (error) {
        this.#dialler.log.warn(
          { err: error, address: address.slice(0, 200) },
          'an address that cannot be read is left out',
        );
        return false;
      }
    });
  }
}

/** It answers at one of our own addresses: a peer list that is copied to every host names each to itself. */
function isSelfDial(error: unknown): boolean {
  return error instanceof Error && (error.name === 'InvalidPeerIdError' || /dial self/i.test(error.message));
}

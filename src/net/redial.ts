/**
 * Redial: which members are missing, and where might they answer?
 *
 * libp2p dials nothing that it discovers, and gives up its keep-alive redials after 80 s. So every few seconds each
 * member that is not connected is dialled at every known address, for ever: a partition heals in under a second after
 * its end (measured). One address of a member is dialled at a time, in the order chosen here. libp2p would try all
 * addresses that it is given one after the other, public ones first, within one deadline, and addresses that swallow
 * what is sent there would use it up.
 *
 * Invariant: each address of a member gets its turn, whatever else is said about that member. Addresses just heard
 * alternate with known ones: they are likelier to be right, but anybody on the network may have announced them. Driven
 * by start-net.ts.
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

/** What redialling needs from the network. */
export interface Dialler {
  readonly self: PeerName;
  /** True for a member that is not banned: nobody else is ever dialled. */
  admits(peer: PeerName): boolean;
  getConnections(peer: PeerId): readonly Connection[];
  /** @throws when nobody answers in time */
  dial(address: Multiaddr): Promise<PeerName>;
  readonly log: Logger;
}

/** Just-heard addresses of one member that wait: those of one announcement, and some. Others are heard again. */
const HEARD_MAX = 16;

export class Redial {
  readonly #dialler: Dialler;
  /** Members that are being dialled, and the addresses of each that are still to be tried. */
  readonly #rows = new Map<PeerName, { readonly row: AddressRow; readonly tried: Promise<void> }>();
  /** Addresses without a peer id that are being dialled. */
  readonly #dialling = new Set<string>();
  /** Which member answers at an address without a peer id, so that it is not dialled while connected. */
  readonly #answering = new Map<string, PeerName>();

  constructor(dialler: Dialler) {
    this.#dialler = dialler;
  }

  /** Begins to dial every known member that is not connected; returns at once. */
  round(known: Iterable<KnownPeer>): void {
    for (const { peer, addresses } of known) void this.#reach(peer, addresses, 'known');
  }

  /**
   * A member was just heard to listen at these addresses. Done when it is connected, or when all its addresses have
   * been tried. Never rejects: a member that is switched off is no news here; the machine notices its silence.
   */
  reach(peer: PeerName, addresses: readonly string[]): Promise<void> {
    return this.#reach(peer, addresses, 'heard');
  }

  /** As `reach`, for a caller that wants it now, at the known addresses. */
  reachKnown(peer: PeerName, addresses: readonly string[]): Promise<void> {
    return this.#reach(peer, addresses, 'known');
  }

  async #reach(peer: PeerName, addresses: readonly string[], how: 'known' | 'heard'): Promise<void> {
    if (!this.#isMissing(peer)) return;
    const ending = `/p2p/${peer}`;
    const targets = this.#readable(addresses)
      .map(address => (address.includes('/p2p/') ? address : address + ending))
      .filter(address => address.endsWith(ending));
    const underWay = this.#rows.get(peer);
    if (underWay !== undefined) {
      // Also for a caller that knows no address: the ones that were heard are being tried.
      underWay.row.add(targets, how);
      return underWay.tried;
    }
    if (targets.length === 0) return;
    const row = new AddressRow();
    row.add(targets, how);
    const tried = this.#tryAll(peer, row).finally(() => this.#rows.delete(peer));
    this.#rows.set(peer, { row, tried });
    return tried;
  }

  async #tryAll(peer: PeerName, row: AddressRow): Promise<void> {
    for (let next = row.next(); next !== undefined && this.#isMissing(peer); next = row.next())
      await this.#try(next, peer);
  }

  async #try(address: string, peer: PeerName): Promise<void> {
    try {
      await this.#dialler.dial(multiaddr(address));
    } catch (error) {
      this.#dialler.log.debug({ err: error, peer, address }, 'not reachable now');
    }
  }

  /** Dials an address that may lack its peer id: the peer that answers there must be a member. Never rejects. */
  async reachStatic(address: string): Promise<void> {
    const { self, log } = this.#dialler;
    const known = this.#answering.get(address);
    if (known !== undefined && (known === self || this.#isConnected(known))) return;
    const [target] = this.#readable([address]);
    if (target === undefined || this.#dialling.has(address)) return;
    this.#dialling.add(address);
    try {
      this.#answering.set(address, await this.#dialler.dial(multiaddr(target)));
    } catch (error) {
      if (isSelfDial(error)) this.#answering.set(address, self);
      else log.debug({ err: error, address }, 'not reachable now');
    } finally {
      this.#dialling.delete(address);
    }
  }

  #isMissing(peer: PeerName): boolean {
    return peer !== this.#dialler.self && this.#dialler.admits(peer) && !this.#isConnected(peer);
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
        this.#dialler.log.warn({ err: error, address: address.slice(0, 200) }, 'an unreadable address was left out');
        return false;
      }
    });
  }
}

/** The addresses of one member that are still to be tried, in order of arrival, so that each gets its turn. */
class AddressRow {
  readonly #known = new Set<string>();
  readonly #heard = new Set<string>();
  /** The address being tried. */
  #now: string | undefined;
  #wasHeard = false;

  add(addresses: readonly string[], how: 'known' | 'heard'): void {
    for (const address of addresses) {
      if (address === this.#now || (how === 'heard' && this.#heard.size >= HEARD_MAX)) continue;
      (how === 'heard' ? this.#heard : this.#known).add(address);
    }
  }

  /** Undefined when all have had their turn. */
  next(): string | undefined {
    const first = this.#wasHeard ? this.#known : this.#heard;
    const row = first.size > 0 ? first : this.#heard.size > 0 ? this.#heard : this.#known;
    [this.#now] = row;
    this.#wasHeard = row === this.#heard;
    if (this.#now === undefined) return undefined;
    this.#known.delete(this.#now);
    this.#heard.delete(this.#now);
    return this.#now;
  }
}

/** The address is one of this host's own: a peer list that is copied to every host names each host to itself. */
function isSelfDial(error: unknown): boolean {
  return error instanceof Error && (error.name === 'InvalidPeerIdError' || /dial self/i.test(error.message));
}

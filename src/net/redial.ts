/**
 * Redial: which members are missing, and where might they answer?
 *
 * libp2p dials nothing that it discovers, and what its keep-alive redials it gives up after 80 s. So every few seconds
 * each member that is not connected is dialled at every address that is known of it, for ever: a partition heals in
 * under a second after its end (measured). One address a member at a time, in our order: libp2p tries all that it is given
 * one after the other, public ones first, within one deadline, and addresses that swallow what is sent there use it up.
 *
 * Invariant: each address of a member gets its turn, whatever else is said of that member. What was just heard takes turns
 * with what is known: it is likelier to be right, and anybody on the network may have said it. Driven by start-net.ts.
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
  dial(address: Multiaddr): Promise<PeerName>;
  readonly log: Logger;
}

/** Addresses of one member that were just heard and wait: all that one announcement names, and some. More come again. */
const HEARD_MAX = 16;

export class Redial {
  readonly #dialler: Dialler;
  /** Members that are being dialled, and what is still to be tried of each. */
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
   * A member was just heard to listen there. Done when it is connected, or all that is to be tried of it has been. Never rejects: one
   * that is switched off is no news here; the machine hears of it by its silence.
   */
  reach(peer: PeerName, addresses: readonly string[]): Promise<void> {
    return this.#reach(peer, addresses, 'heard');
  }

  /** As `reach`, for somebody who wants it now, at what is known of it. */
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
      // Also for who knows of no address: what was heard is being tried.
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

  /** An address that may lack its peer id: who answers there must be a member. Never rejects. */
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
        this.#dialler.log.warn(
          { err: error, address: address.slice(0, 200) },
          'an address that cannot be read is left out',
        );
        return false;
      }
    });
  }
}

/** The addresses of one member that are still to be tried: first come, first tried, so that each gets its turn. */
class AddressRow {
  readonly #known = new Set<string>();
  readonly #heard = new Set<string>();
  /** Being tried. */
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

/** It answers at one of our own addresses: a peer list that is copied to every host names each to itself. */
function isSelfDial(error: unknown): boolean {
  return error instanceof Error && (error.name === 'InvalidPeerIdError' || /dial self/i.test(error.message));
}

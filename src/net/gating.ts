/**
 * Gating: who may connect to this host, and who reaches anything here? Members, unless they are banned; strangers only
 * while the gate welcomes them, and few at once.
 *
 * No answer is remembered: membership is checked again at every connection and every stream. All times here run by the
 * steady clock, whatever the wall clock does. Driven by start-net.ts and by libp2p's connection gater.
 */
import type { PeerName } from '../core/ids.js';
import { Offences } from './offences.js';

/** Asked synchronously at every connection and every stream: it must answer from memory. */
export interface Gate {
  isMember(peer: PeerName): boolean;
  /** An invite is open: strangers may connect, and reach the handlers that are made for them. */
  strangersWelcome(): boolean;
}

/** A stranger has one thing to do on this host, `join`; a second stream is for its retry. */
export const STREAMS_PER_STRANGER_MAX = 2;
/** A class of thirty that joins at once needs a few at a time; each is done within seconds and the others come back. */
export const STRANGERS_MAX = 16;
/** … of which one address has a share, so that a machine with many keys does not keep all others out. */
export const STRANGERS_PER_ADDRESS_MAX = STRANGERS_MAX / 2;
/**
 * A stranger that proves an invite is a member at once, which takes a few round trips: whoever has not in this time is
 * shown out, and who was only slow comes again a second later.
 */
const STRANGER_CONNECTION_MS_MAX = 10_000;

interface Stranger {
  readonly sinceMs: number;
  readonly address: string;
}

export class Gating {
  readonly #gate: Gate;
  readonly #offences = new Offences();
  /** Strangers that are connected. */
  readonly #strangersNow = new Map<PeerName, Stranger>();

  constructor(gate: Gate) {
    this.#gate = gate;
  }

  /** True for a member that is not banned. */
  admits(peer: PeerName): boolean {
    return this.#gate.isMember(peer) && !this.#isBanned(peer);
  }

  /** For a peer that is not a member: true when strangers may come now and this one is not banned. */
  welcomes(stranger: PeerName): boolean {
    return this.#gate.strangersWelcome() && !this.#isBanned(stranger);
  }

  /** Asked when a peer connects to this host, as soon as it has proved its name. */
  refuses(peer: PeerName, address: string): boolean {
    if (this.admits(peer)) return false;
    if (!this.welcomes(peer)) return true;
    if (this.#strangersNow.has(peer)) return false;
    const neighbours = [...this.#strangersNow.values()].filter(other => other.address === address).length;
    return this.#strangersNow.size >= STRANGERS_MAX || neighbours >= STRANGERS_PER_ADDRESS_MAX;
  }

  strangerCame(peer: PeerName, address: string): void {
    if (!this.#strangersNow.has(peer)) this.#strangersNow.set(peer, { sinceMs: performance.now(), address });
  }

  /** True when the stranger has been connected for longer than joining takes. */
  overstays(stranger: PeerName): boolean {
    const sinceMs = this.#strangersNow.get(stranger)?.sinceMs;
    return sinceMs !== undefined && performance.now() - sinceMs > STRANGER_CONNECTION_MS_MAX;
  }

  /** The peer has gone, or is a member now. */
  isNoStranger(peer: PeerName): void {
    this.#strangersNow.delete(peer);
  }

  /** Counts an offence. @returns true when this one leads to a ban, which starts now. */
  offended(peer: PeerName): boolean {
    return this.#offences.count(peer, performance.now());
  }

  #isBanned(peer: PeerName): boolean {
    return this.#offences.isBanned(peer, performance.now());
  }
}

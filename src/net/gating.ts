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
/** Joining takes a few round trips; a stranger that stays longer has another reason. */
const STRANGER_CONNECTION_MS_MAX = 60_000;

export class Gating {
  readonly #gate: Gate;
  readonly #offences = new Offences();
  /** Strangers that are connected, and since when. */
  readonly #strangersNow = new Map<PeerName, number>();

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
  refuses(peer: PeerName): boolean {
    if (this.admits(peer)) return false;
    if (!this.welcomes(peer)) return true;
    return this.#strangersNow.size >= STRANGERS_MAX && !this.#strangersNow.has(peer);
  }

  strangerCame(peer: PeerName): void {
    if (!this.#strangersNow.has(peer)) this.#strangersNow.set(peer, performance.now());
  }

  /** True when the stranger has been connected for longer than joining takes. */
  overstays(stranger: PeerName): boolean {
    const sinceMs = this.#strangersNow.get(stranger);
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

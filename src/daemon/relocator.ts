/**
 * Relocator: offers families of parcels of this host to hosts that have room for them, and puts other hosts' offers
 * before the machine.
 *
 * Invariants: every offer of this host ends in exactly one `relocation-answered`, not accepted when the host is out of
 * reach, breaks off, answers nonsense or nothing for a while, and when the service stops. Every offer of another host
 * is reported once, and its answer goes to the host that made it, or to nobody if that host has gone.
 *
 * The machine decides which family, to which host, and whether one is taken (relocating.ts).
 */
import type { Logger } from 'pino';
import type { Effect } from '../core/effects.js';
import { assert } from '../core/fault.js';
import type { HostId, ParcelId, PeerName } from '../core/ids.js';
import { withDeadline } from '../net/deadline.js';
import type { Net } from '../net/net.js';
import { offerRelocation, serveRelocations } from '../net/relocate-protocol.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import type { Unstamped } from './driver.js';
import type { Roster } from './roster.js';

/** No disk is read for an answer, so a host that has not given one by then is taken to be out of reach. */
const ANSWER_MS_MAX = 30_000;

interface OpenOffer {
  readonly from: HostId;
  readonly answer: (accepted: boolean) => void;
}

export class Relocator {
  readonly #net: Net;
  readonly #roster: Roster;
  readonly #tell: (input: Unstamped) => void;
  readonly #log: Logger;
  readonly #answerMs: number;
  /** Offers of other hosts, by the number that the machine knows them by. */
  readonly #open = new Map<number, OpenOffer>();
  readonly #running = new Set<Promise<void>>();
  readonly #ended = lastingAbort();
  #nextAsk = 1;

  constructor(options: {
    readonly net: Net;
    readonly roster: Roster;
    readonly tell: (input: Unstamped) => void;
    readonly log: Logger;
    /** Time for an answer to an offer of this host. Default 30 s. */
    readonly answerMs?: number;
  }) {
    this.#net = options.net;
    this.#roster = options.roster;
    this.#tell = options.tell;
    this.#log = options.log;
    this.#answerMs = options.answerMs ?? ANSWER_MS_MAX;
  }

  async serve(): Promise<void> {
    await serveRelocations(this.#net, (parcels, from, signal) => this.#offered(parcels, from, signal));
  }

  /** Carries out `offer-relocation`. */
  offer(effect: Extract<Effect, { do: 'offer-relocation' }>): void {
    const running = this.#offer(effect).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Carries out `answer-relocation`. */
  answer({ ask, to, accepted }: Extract<Effect, { do: 'answer-relocation' }>): void {
    const open = this.#open.get(ask);
    if (open === undefined) return;
    assert(open.from === to, 'an answer to another host than the one that offered');
    this.#log.info(
      { code: accepted ? 'RELOCATION_TAKEN' : 'RELOCATION_DECLINED', host: this.#roster.nameOf(to) },
      accepted ? 'taking parcels over from a host that must make room' : 'not now taking parcels over from a host',
    );
    open.answer(accepted);
  }

  /** Carries out `note-move-ended`. */
  ended({ offer, because }: Extract<Effect, { do: 'note-move-ended' }>): void {
    this.#log.info({ code: 'RELOCATION_ENDED', offer, because }, `a relocation is over: ${because}`);
  }

  /** Ends every offer of this host. */
  async stop(): Promise<void> {
    this.#ended.abort(new Error('the service stops'));
    await Promise.all(this.#running);
  }

  async #offer({ offer, to, needed, parcels }: Parameters<Relocator['offer']>[0]): Promise<void> {
    const peer = this.#roster.peerOf(to);
    const host = this.#roster.nameOf(to);
    this.#log.info(
      { code: 'RELOCATION_OFFERED', offer, host, parcel: needed, parcels: parcels.length },
      'offering parcels to a host with more room, to make room here',
    );
    let accepted = false;
    try {
      this.#ended.signal.throwIfAborted();
      if (peer !== undefined)
        accepted = await withDeadline(this.#answerMs, [this.#ended.signal], signal =>
          offerRelocation(this.#net, peer, parcels, signal),
        );
    } catch (error) {
      if (!this.#ended.signal.aborted)
        this.#log.debug({ code: 'OFFER_NOT_ANSWERED', offer, host, err: error }, 'a host did not answer an offer');
    }
    this.#tell({ is: 'relocation-answered', offer, accepted });
  }

  async #offered(parcels: readonly ParcelId[], peer: PeerName, signal: AbortSignal): Promise<boolean> {
    const from = this.#roster.hostOf(peer);
    if (from === undefined) throw new Error(`${peer} is no longer a member`);
    const ask = this.#nextAsk++;
    try {
      return await new Promise<boolean>((resolve, reject) => {
        this.#open.set(ask, { from, answer: resolve });
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        signal.throwIfAborted();
        this.#tell({ is: 'relocation-offered', ask, from, parcels });
      });
    } finally {
      this.#open.delete(ask);
    }
  }
}

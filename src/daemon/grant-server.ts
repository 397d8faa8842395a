/**
 * Grant server: turns what other hosts ask before they drop a copy into `grant-asked`, and `answer-grant` into the
 * signed answer on the stream that asked.
 *
 * The machine decides which copies there are, what is read, and whether a grant may be given after the read. When the
 * asker has gone, its question is answered to nobody.
 */
import type { Effect } from '../core/effects.js';
import { assert } from '../core/fault.js';
import type { HostId, PeerName } from '../core/ids.js';
import type { Signer } from '../core/signed.js';
import { type GivenAnswer, type ParcelAsk, serveGrants, signGrant } from '../net/drop-protocol.js';
import type { Net } from '../net/net.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import type { Unstamped } from './driver.js';
import type { Roster } from './roster.js';

interface OpenAsk {
  readonly to: HostId;
  readonly ask: ParcelAsk;
  readonly signal: AbortSignal;
  readonly give: (answer: GivenAnswer) => void;
}

export class GrantServer {
  readonly #net: Net;
  readonly #roster: Roster;
  readonly #signer: Signer;
  readonly #boot: number;
  readonly #tell: (input: Unstamped) => void;
  readonly #open = new Map<number, OpenAsk>();
  #nextAsk = 1;

  constructor(options: {
    readonly net: Net;
    readonly roster: Roster;
    readonly signer: Signer;
    /** The number of this start. */
    readonly boot: number;
    readonly tell: (input: Unstamped) => void;
  }) {
    this.#net = options.net;
    this.#roster = options.roster;
    this.#signer = options.signer;
    this.#boot = options.boot;
    this.#tell = options.tell;
  }

  async serve(): Promise<void> {
    await serveGrants(this.#net, (asks, from, signal) => this.#answers(asks, from, signal));
  }

  /** Fires once nobody waits for the answer any longer; undefined when that is already so. */
  signalOf(ask: number): AbortSignal | undefined {
    return this.#open.get(ask)?.signal;
  }

  /** Carries out `answer-grant`. */
  answer({ ask: number, to, nonce, parcel, answer }: Extract<Effect, { do: 'answer-grant' }>): void {
    const open = this.#open.get(number);
    if (open === undefined) return;
    assert(open.to === to && open.ask.nonce === nonce && open.ask.parcel === parcel, 'an answer to another question');
    this.#open.delete(number);
    if (answer.answer === 'deny') {
      open.give({ nonce, parcel, answer });
      return;
    }
    const boot = this.#boot;
    const words = { nonce, parcel, holder: this.#roster.self, dropper: to, boot, answer };
    open.give({ nonce, parcel, answer, boot, signature: signGrant(this.#signer, words) });
  }

  async *#answers(asks: readonly ParcelAsk[], from: PeerName, signal: AbortSignal): AsyncGenerator<GivenAnswer> {
    const to = this.#roster.hostOf(from);
    if (to === undefined) throw new Error(`${from} is no longer a member`);
    const given: GivenAnswer[] = [];
    let wake: () => void = () => undefined;
    const give = (answer: GivenAnswer): void => {
      given.push(answer);
      wake();
    };
    // A signal of its own, because the reads of up to 64 asks listen to it.
    const asker = lastingAbort();
    const onAbort = (): void => {
      asker.abort(signal.reason);
      wake();
    };
    signal.addEventListener('abort', onAbort);
    const numbers = asks.map(ask => {
      const number = this.#nextAsk++;
      this.#open.set(number, { to, ask, signal: asker.signal, give });
      return number;
    });
    try {
      for (const [i, { nonce, parcel, config }] of asks.entries())
        this.#tell({ is: 'grant-asked', ask: numbers[i] as number, from: to, nonce, parcel, config });
      for (let left = asks.length; left > 0; ) {
        signal.throwIfAborted();
        const answer = given.shift();
        if (answer === undefined) {
          await new Promise<void>(resolve => {
            wake = resolve;
          });
        } else {
          yield answer;
          left -= 1;
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      for (const number of numbers) this.#open.delete(number);
    }
  }
}

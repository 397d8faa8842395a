/**
 * Grant asker: carries out `ask-grants`: asks the holders of parcels that this host is about to drop.
 *
 * The questions to one holder in one turn go in one message. Questions that come while all streams to it are taken
 * wait and go with the next message. Each question ends in exactly one `grant-answered`, whatever happens. It carries
 * no answer when the holder is out of reach, breaks off, says nothing until the attempt is over by any clock, or need
 * not be waited for any longer (`cancel-attempt`). The machine ends attempts by itself; an answer that comes later
 * counts for nothing there.
 *
 * A holder learns of an end only by the end of its stream, once no question of a message is open any longer. Until
 * then it goes on reading for questions that nobody waits for, which costs its disk time and nothing else.
 */
import type { Logger } from 'pino';
import type { Timing } from '../core/cluster-config.js';
import type { Effect } from '../core/effects.js';
import type { GrantAnswer } from '../core/grant.js';
import type { HostId, Nonce, ParcelId } from '../core/ids.js';
import { READ_BYTES_PER_MS } from '../core/read-rate.js';
import { withDeadline } from '../net/deadline.js';
import { ASKS_PER_MESSAGE_MAX, askGrants, type ParcelAsk } from '../net/drop-protocol.js';
import type { Net } from '../net/net.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import { TIMER_MS_MAX } from '../platform/long-timer.js';
import type { Clock } from './clock.js';
import type { Unstamped } from './driver.js';
import type { Roster } from './roster.js';

type AskEffect = Extract<Effect, { do: 'ask-grants' }>;

/** Messages to one holder at once: it serves eight, and refuses any more. */
const STREAMS_PER_HOLDER_MAX = 6;
/** Questions that wait for one holder. With more, it is taken to be out of reach. */
const WAITING_MAX = 4_096;

interface Question extends ParcelAsk {
  /** After this no answer is of use. */
  readonly untilMs: number;
}

/** One message to a holder, and the stream that carries it. */
interface Batch {
  readonly open: Map<Nonce, Question>;
  readonly end: AbortController;
}

interface Holder {
  waiting: Question[];
  readonly batches: Set<Batch>;
  turn: NodeJS.Immediate | undefined;
}

export class GrantAsker {
  readonly #net: Net;
  readonly #roster: Roster;
  readonly #clock: Clock;
  readonly #timing: () => Timing;
  readonly #bytesOf: (parcel: ParcelId) => number | undefined;
  readonly #tell: (input: Unstamped) => void;
  readonly #log: Logger;
  readonly #holders = new Map<HostId, Holder>();
  readonly #running = new Set<Promise<void>>();
  readonly #ended = lastingAbort();

  constructor(options: {
    readonly net: Net;
    readonly roster: Roster;
    readonly clock: Clock;
    readonly timing: () => Timing;
    /** From the parcel's page; undefined where the page is not known. */
    readonly bytesOf: (parcel: ParcelId) => number | undefined;
    readonly tell: (input: Unstamped) => void;
    readonly log: Logger;
  }) {
    this.#net = options.net;
    this.#roster = options.roster;
    this.#clock = options.clock;
    this.#timing = options.timing;
    this.#bytesOf = options.bytesOf;
    this.#tell = options.tell;
    this.#log = options.log;
  }

  ask({ attempt, parcel, holders, config }: AskEffect): void {
    const patienceMs = this.#timing().attemptMs + (this.#bytesOf(parcel) ?? 0) / READ_BYTES_PER_MS;
    const question = { nonce: attempt, parcel, config, untilMs: this.#clock.nowMs() + patienceMs };
    for (const id of holders) {
      const holder = this.#holders.get(id) ?? { waiting: [], batches: new Set(), turn: undefined };
      if (this.#ended.signal.aborted || holder.waiting.length >= WAITING_MAX) {
        this.#answered(attempt, id, undefined);
        continue;
      }
      this.#holders.set(id, holder);
      holder.waiting.push(question);
      holder.turn ??= setImmediate(() => {
        holder.turn = undefined;
        this.#send(id, holder);
      });
    }
  }

  /** Carries out `cancel-attempt`: none of its questions stays open. */
  cancel(attempt: Nonce): void {
    for (const [id, holder] of this.#holders) {
      const waiting = holder.waiting.findIndex(({ nonce }) => nonce === attempt);
      if (waiting >= 0) {
        holder.waiting.splice(waiting, 1);
        this.#answered(attempt, id, undefined);
      }
      for (const { open, end } of holder.batches) {
        if (!open.delete(attempt)) continue;
        this.#answered(attempt, id, undefined);
        if (open.size === 0) end.abort(unneeded());
      }
    }
  }

  /** Ends every question. */
  async stop(): Promise<void> {
    this.#ended.abort(new Error('the service stops'));
    for (const [id, holder] of this.#holders) {
      clearImmediate(holder.turn);
      for (const { nonce } of holder.waiting.splice(0)) this.#answered(nonce, id, undefined);
    }
    await Promise.all(this.#running);
  }

  #send(id: HostId, holder: Holder): void {
    while (holder.waiting.length > 0 && holder.batches.size < STREAMS_PER_HOLDER_MAX) {
      const questions = holder.waiting.splice(0, ASKS_PER_MESSAGE_MAX);
      const batch = {
        open: new Map(questions.map(question => [question.nonce, question])),
        end: new AbortController(),
      };
      holder.batches.add(batch);
      const running = this.#ask(id, batch).finally(() => {
        this.#running.delete(running);
        holder.batches.delete(batch);
        this.#send(id, holder);
      });
      this.#running.add(running);
    }
    if (holder.batches.size === 0 && holder.waiting.length === 0 && holder.turn === undefined) this.#holders.delete(id);
  }

  async #ask(id: HostId, { open, end }: Batch): Promise<void> {
    const nowMs = this.#clock.nowMs();
    // These waited for a stream until their attempts were over.
    for (const { nonce, untilMs } of open.values())
      if (untilMs <= nowMs && open.delete(nonce)) this.#answered(nonce, id, undefined);
    const asks = [...open.values()];
    const peer = this.#roster.peerOf(id);
    const holderKey = this.#roster.keyOf(id);
    try {
      if (peer !== undefined && holderKey !== undefined && asks.length > 0) {
        const patienceMs = Math.max(...asks.map(({ untilMs }) => untilMs)) - nowMs;
        const signals = [this.#ended.signal, end.signal];
        await withDeadline(Math.min(TIMER_MS_MAX, patienceMs), signals, async signal => {
          const options = { holder: id, holderKey, dropper: this.#roster.self, signal };
          let left = asks.length;
          for await (const { nonce, answer } of askGrants(this.#net, peer, asks, options)) {
            left -= 1;
            if (open.delete(nonce)) this.#answered(nonce, id, answer);
            if (open.size === 0 && left > 0) end.abort(unneeded());
          }
        });
      }
    } catch (error) {
      if (!this.#ended.signal.aborted && !end.signal.aborted)
        this.#log.debug({ code: 'NO_GRANT', host: id, asks: open.size, err: error }, 'a holder did not answer');
    }
    for (const nonce of open.keys()) this.#answered(nonce, id, undefined);
  }

  #answered(attempt: Nonce, from: HostId, answer: GrantAnswer | undefined): void {
    this.#tell({ is: 'grant-answered', attempt, from, answer });
  }
}

const unneeded = (): Error => new Error('nobody waits for an answer any longer');

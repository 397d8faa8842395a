/**
 * Fetch session: many fetches from one peer over one stream; the next ones are asked for while earlier ones are
 * answered.
 *
 * A stream for each fetch costs each side some twenty frames of yamux, each of them a frame of noise and a packet: for
 * parcels of small files that is more than their bytes cost. So small parcels share a stream. Large ones have their
 * own (`askFetch`), because answers come in the order of the questions, and nobody should wait behind gigabytes.
 *
 * Invariants: an answer that its asker has left is read to its end, so that the next one can begin; when the stream
 * breaks, every caller that still waits gets the error; a session that nobody uses ends after two seconds. Nothing is
 * retried here.
 */
import type { Stream } from '@libp2p/interface';
import { type Part, Want } from '../../protocols/fetch/fetch.js';
import { ClusterError } from '../core/fault.js';
import type { PeerName } from '../core/ids.js';
import { orAborted } from '../platform/or-aborted.js';
import {
  FETCH_PART_BYTES_MAX,
  FETCH_PROTOCOL,
  type FetchPart,
  type FetchRequest,
  isForPerson,
  LIMITED_PART,
  pacedBy,
  readAnswer,
  toWant,
} from './fetch-protocol.js';
import { FloorRate } from './floor-rate.js';
import { readMessages, writeMessage } from './message-stream.js';
import type { Net } from './net.js';

/** After this long without a question the stream is closed, in ms. */
const IDLE_MS = 2_000;

export class FetchSessions {
  readonly #net: Net;
  readonly #open = new Map<PeerName, FetchSession>();

  constructor(net: Net) {
    this.#net = net;
  }

  /** As `askFetch`. Answers come one after the other: a caller that begins one reads it to its end, or leaves it. */
  async *ask(peer: PeerName, request: FetchRequest, signal: AbortSignal): AsyncGenerator<FetchPart, void, undefined> {
    const answer = this.#sessionWith(peer).ask(request);
    let isOver = false;
    try {
      for (;;) {
        const { value, done } = await orAborted(answer.next(), signal);
        if (done === true) break;
        yield value;
      }
      isOver = true;
    } catch (error) {
      isOver = !signal.aborted;
      throw error;
    } finally {
      if (!isOver) drain(answer);
    }
  }

  #sessionWith(peer: PeerName): FetchSession {
    const open = this.#open.get(peer);
    if (open !== undefined && !open.isOver) return open;
    const session = new FetchSession(this.#net, peer);
    this.#open.set(peer, session);
    return session;
  }

  /** Resets every stream. */
  stop(): void {
    for (const session of this.#open.values()) session.end(new Error('the service stops'));
    this.#open.clear();
  }
}

class FetchSession {
  readonly #net: Net;
  readonly #peer: PeerName;
  readonly #stream: Promise<Stream>;
  #parts: AsyncGenerator<Part, void, undefined> | undefined;
  /** Fulfilled when the previous answer has been read to its end. */
  #turn: Promise<void> = Promise.resolve();
  #asking = 0;
  #idle: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(net: Net, peer: PeerName) {
    this.#net = net;
    this.#peer = peer;
    this.#stream = net.open(peer, FETCH_PROTOCOL);
    // Every caller gets the error.
    this.#stream.catch(() => {});
  }

  /** Takes no more questions: the stream broke, or was closed. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Must be taken to its end. */
  async *ask(request: FetchRequest): AsyncGenerator<FetchPart, void, undefined> {
    clearTimeout(this.#idle);
    this.#asking += 1;
    const before = this.#turn;
    let end = (): void => {};
    this.#turn = new Promise<void>(resolve => {
      end = resolve;
    });
    try {
      const stream = await this.#stream;
      // Sent in the order of the turns: all that wait for the stream go on in the order in which they came.
      await writeMessage(stream, Want, toWant(request), {});
      await before;
      if (this.#isOver) throw new ClusterError('STREAM_BROKEN', 'the stream to a peer broke', { blame: 'passing' });
      this.#parts ??= readMessages(stream, LIMITED_PART, { what: 'fetch answer', bytesMax: FETCH_PART_BYTES_MAX });
      const paced = pacedBy(this.#net.paces.download, { peer: this.#peer, isUrgent: isForPerson(request) });
      yield* readAnswer(this.#parts, request, { paced, floor: new FloorRate() });
    } catch (error) {
      if (error instanceof ClusterError && error.blame === 'peer') this.#net.reportOffence(this.#peer, error);
      this.end(error instanceof Error ? error : new Error(String(error)));
      throw error;
    } finally {
      end();
      this.#asking -= 1;
      if (this.#asking === 0 && !this.#isOver) {
        this.#idle = setTimeout(() => this.#close(), IDLE_MS);
        this.#idle.unref();
      }
    }
  }

  /** Resets the stream. */
  end(reason: Error): void {
    clearTimeout(this.#idle);
    this.#isOver = true;
    this.#stream.then(
      stream => stream.abort(reason),
      () => {},
    );
  }

  #close(): void {
    this.#isOver = true;
    this.#stream
      .then(stream => stream.close())
      .catch(() => {
        // The stream broke meanwhile, and nobody waits for anything.
      });
  }
}

/** Reads to its end an answer that its asker has left, because the next answer comes after it. */
function drain(answer: AsyncGenerator<FetchPart, void, undefined>): void {
  const read = async (): Promise<void> => {
    for (let part = await answer.next(); part.done !== true; ) part = await answer.next();
  };
  read().catch(() => {
    // The callers that wait behind it get the error.
  });
}

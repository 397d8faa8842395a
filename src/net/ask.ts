/**
 * Ask: the caller's half of every protocol here. Opens a stream, sends one request, closes this end, reads what comes.
 *
 * Invariants: however the reading ends (all read, left early, an error, a signal), the stream is closed or reset and
 * nothing waits on it; an answer that no honest build gives is reported as an offence of the peer.
 */
import type { Stream } from '@libp2p/interface';
import { ClusterError } from '../core/fault.js';
import type { PeerName } from '../core/ids.js';
import { type MessageOptions, readMessages, writeMessage } from './message-stream.js';
import type { Net } from './net.js';
import type { WireCodec } from './wire-codec.js';

export interface AskOptions {
  readonly signal?: AbortSignal | undefined;
  /** After this long without any movement the ask is given up. Default 60 s. */
  readonly stallMs?: number;
}

/** How long the other side may take to close its end after everything was said, in ms. */
const LINGER_MS_MAX = 2_000;

interface Question<Request, Reply> extends Omit<MessageOptions, 'signal' | 'stallMs'> {
  readonly protocol: string;
  readonly request: Request;
  readonly requestCodec: WireCodec<Request>;
  readonly replyCodec: WireCodec<Reply>;
}

/**
 * Lets `read` make answers from a peer's replies. `read` returns when the answer is complete, and throws otherwise.
 * @throws ClusterError PEER_UNREACHABLE, STREAM_BROKEN, STREAM_STALLED (passing), and what `read` throws.
 */
export async function* ask<Request, Reply, Answer>(
  net: Net,
  peer: PeerName,
  { protocol, request, requestCodec, replyCodec, what, bytesMax }: Question<Request, Reply>,
  options: AskOptions,
  read: (replies: AsyncGenerator<Reply, void, undefined>) => AsyncGenerator<Answer, void, undefined>,
): AsyncGenerator<Answer, void, undefined> {
  const bulk = { signal: options.signal, ...(options.stallMs === undefined ? {} : { stallMs: options.stallMs }) };
  const stream = await net.open(peer, protocol, options.signal === undefined ? {} : { signal: options.signal });
  let complete = false;
  try {
    await writeMessage(stream, requestCodec, request, bulk);
    await stream.close(options.signal === undefined ? {} : { signal: options.signal });
    yield* read(readMessages(stream, replyCodec, { what, bytesMax, ...bulk }));
    complete = true;
  } catch (error) {
    if (error instanceof ClusterError && error.blame === 'peer') net.reportOffence(peer, error);
    throw error;
  } finally {
    if (complete) linger(stream);
    else stream.abort(new Error('left before all was read'));
  }
}

/** All was read, and the other side is about to close its end. If it does not, the stream is reset. */
function linger(stream: Stream): void {
  if (stream.status !== 'open') return;
  const timer = setTimeout(() => stream.abort(new Error('the peer left its end of the stream open')), LINGER_MS_MAX);
  timer.unref();
  stream.addEventListener('close', () => clearTimeout(timer), { once: true });
}

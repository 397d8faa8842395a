/**
 * Bulk stream: reading and writing a libp2p stream so that the slower side sets the pace.
 *
 * libp2p 3 has seven traps here, all found by trying; this file avoids them.
 * - `for await (stream)` and everything built on it push what arrives into an unbounded queue: no back-pressure at all.
 *   So this file pauses the stream while more than `READ_AHEAD_BYTES` wait for the reader; yamux then stops its window.
 * - A paused stream still gets what its window had promised, and is reset above 4 MiB: libp2p-node.ts keeps windows at 1 MiB.
 * - `onDrain()` makes its promise once and never again, so from the second time on it returns at once and the sender
 *   runs ahead without end. So this file listens for `drain` itself.
 * - When the other side closes while the stream is paused and our own side is closed, `close` comes although up to 1 MiB
 *   lies unread in the stream. So a paused stream is always resumed, closed or not, before it counts as read.
 * - `resume()` hands over everything buffered first and opens yamux's window afterwards. A `pause()` during that is
 *   undone: the stream says that it is paused, its window opens again and again, and 4 MiB later it is reset. So the
 *   stream is paused only once `resume()` has returned.
 * - `readableEnded` may be true although bytes lie in the stream: see `isReadOut`.
 * - Of many streams that wait for one connection, those that were opened first get nearly all of it: see send-turns.ts.
 *
 * The end of a stream proves nothing: a connection that is closed in good order ends all its streams like that. Each
 * protocol must say itself whether an answer is complete.
 */
import type { Stream } from '@libp2p/interface';
import type { Uint8ArrayList } from 'uint8arraylist';
import { ClusterError } from '../core/fault.js';
import { turnsOf } from './send-turns.js';

/** The stream is paused while more than this is unread. With the window: at most about 2.25 MiB a stream. */
export const READ_AHEAD_BYTES = 256 * 1024;
/** A stream that is waited for is given up after this long without movement, in ms. A disk spins up in 15 s. */
export const STALL_MS_MAX = 60_000;

export interface BulkOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default `STALL_MS_MAX`. */
  readonly stallMs?: number;
  /** False for what only other hosts wait for. Default: true. */
  readonly isUrgent?: boolean;
}

/**
 * Yields what the other side sends, as it comes. Ends when the other side has closed its end. A reader that leaves
 * early leaves the stream as it is: abort it.
 * @throws ClusterError STREAM_BROKEN, STREAM_STALLED (passing); the signal's reason.
 */
export async function* pausingSource(
  stream: Stream,
  { signal, stallMs = STALL_MS_MAX }: BulkOptions = {},
): AsyncGenerator<Uint8Array | Uint8ArrayList, void, undefined> {
  const waiting: (Uint8Array | Uint8ArrayList)[] = [];
  let waitingBytes = 0;
  let broken: Error | undefined;
  let wake: (() => void) | undefined;
  let isResuming = false;

  const pauseWhenFull = (): void => {
    if (waitingBytes > READ_AHEAD_BYTES && stream.readStatus === 'readable') stream.pause();
  };
  const onMessage = ({ data }: { readonly data: Uint8Array | Uint8ArrayList }): void => {
    waiting.push(data);
    waitingBytes += data.byteLength;
    if (!isResuming) pauseWhenFull();
    wake?.();
  };
  const onClose = ({ error }: { readonly error?: Error }): void => {
    if (error !== undefined) broken = error;
    wake?.();
  };
  const onEnd = (): void => wake?.();
  const onAbort = (): void => wake?.();

  stream.addEventListener('message', onMessage);
  stream.addEventListener('end', onEnd);
  stream.addEventListener('close', onClose);
  signal?.addEventListener('abort', onAbort);
  if (stream.status === 'aborted' || stream.status === 'reset') broken = new Error(`the stream was ${stream.status}`);
  try {
    while (true) {
      signal?.throwIfAborted();
      const chunk = waiting.shift();
      if (chunk !== undefined) {
        waitingBytes -= chunk.byteLength;
        if (waitingBytes <= READ_AHEAD_BYTES / 2 && stream.readStatus === 'paused') {
          isResuming = true;
          resume(stream);
          isResuming = false;
          pauseWhenFull();
        }
        yield chunk;
        continue;
      }
      if (broken !== undefined) throw streamBroken(broken);
      if (isReadOut(stream)) return;
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(streamStalled('received', stallMs)), stallMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      wake = undefined;
    }
  } finally {
    wake?.();
    stream.removeEventListener('message', onMessage);
    stream.removeEventListener('end', onEnd);
    stream.removeEventListener('close', onClose);
    signal?.removeEventListener('abort', onAbort);
  }
}

/**
 * True when nothing is left to read and nothing more will come. `end` alone does not say so: bytes that came in one
 * packet with the answer to the negotiation are put back into the stream after its `end` has passed.
 */
function isReadOut(stream: Stream): boolean {
  if (stream.readBufferLength > 0) return stream.readStatus === 'closed';
  return stream.readableEnded || stream.status === 'closed';
}

function resume(stream: Stream): void {
  try {
    stream.resume();
  } catch (error) {
    // It hands over its buffer first; then it fails to notify a muxer that is already closed, which needs no notice.
    if (stream.status === 'open') throw error;
  }
}

/**
 * Sends when it is the stream's turn, and returns when the reader's window has taken all of it.
 * @throws ClusterError STREAM_BROKEN, STREAM_STALLED (passing); the signal's reason.
 */
export async function send(
  stream: Stream,
  bytes: Uint8Array | Uint8ArrayList,
  { signal, stallMs = STALL_MS_MAX, isUrgent = true }: BulkOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  const turns = turnsOf(stream);
  await turns.take({ isUrgent }, signal);
  try {
    // What still waits for the stream's own window keeps no other stream waiting: these bytes go behind it.
    while (stream.writableNeedsDrain && stream.writeBufferLength === 0)
      await drained(stream, signal, { atMs: turns.movedMs + stallMs, stallMs });
    stream.send(bytes);
    turns.moved();
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof ClusterError ? error : streamBroken(error);
  } finally {
    turns.leave();
  }
  // A drained connection wakes all its streams, even those whose own window is still shut: so look again each time.
  // Only movement on this stream is a sign that its reader is there.
  let heldBytes = stream.writeBufferLength;
  let stallsAtMs = performance.now() + stallMs;
  while (stream.writeBufferLength > 0) {
    await drained(stream, signal, { atMs: stallsAtMs, stallMs });
    if (stream.writeBufferLength === heldBytes) continue;
    heldBytes = stream.writeBufferLength;
    stallsAtMs = performance.now() + stallMs;
  }
}

function drained(
  stream: Stream,
  signal: AbortSignal | undefined,
  { atMs, stallMs }: { readonly atMs: number; readonly stallMs: number },
): Promise<void> {
  if (stream.status !== 'open') return Promise.reject(streamBroken(new Error(`the stream is ${stream.status}`)));
  return new Promise<void>((resolve, reject) => {
    const settle = (done: () => void): void => {
      clearTimeout(timer);
      stream.removeEventListener('drain', onDrain);
      stream.removeEventListener('close', onClose);
      signal?.removeEventListener('abort', onAbort);
      done();
    };
    // The stream tries to send what it holds in a microtask of its own, queued before this one: look after that.
    const onDrain = (): void => settle(resolve);
    const onClose = ({ error }: { readonly error?: Error }): void => settle(() => reject(streamBroken(error)));
    const onAbort = (): void => settle(() => reject(signal?.reason));
    const leftMs = Math.max(0, atMs - performance.now());
    const timer = setTimeout(() => settle(() => reject(streamStalled('taken', stallMs))), leftMs);
    stream.addEventListener('drain', onDrain);
    stream.addEventListener('close', onClose);
    signal?.addEventListener('abort', onAbort);
  });
}

function streamBroken(cause: unknown): ClusterError {
  return new ClusterError('STREAM_BROKEN', 'the connection or the stream to a peer broke', { blame: 'passing', cause });
}

function streamStalled(what: 'received' | 'taken', stallMs: number): ClusterError {
  return new ClusterError('STREAM_STALLED', `nothing was ${what} by a peer for ${stallMs / 1000} s`, {
    blame: 'passing',
  });
}

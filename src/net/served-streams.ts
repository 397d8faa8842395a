/**
 * Served streams: the inbound streams that this host's handlers are serving now, counted by peer.
 *
 * Invariants: no peer has more than its limit open; each handler gets a signal that fires when its stream breaks or is
 * ended here; when the handler is done the stream is closed, and when it fails, reset. Driven by start-net.ts, which has
 * checked who the peer is.
 */
import type { Stream } from '@libp2p/interface';
import { ClusterError } from '../core/fault.js';
import type { PeerName } from '../core/ids.js';
import { withDeadline } from './deadline.js';
import type { PeerLog } from './peer-log.js';

/**
 * Serves one inbound stream. When it returns, the stream is closed. When it throws, the stream is reset and the reason
 * is logged; a `ClusterError` that blames the peer counts as its offence. `signal` fires when the stream breaks, when
 * the peer is no longer admitted, and when the net stops.
 */
export type NetHandler = (stream: Stream, from: PeerName, signal: AbortSignal) => Promise<void>;

interface Serving {
  readonly from: PeerName;
  /** Streams that this peer may have open at once. */
  readonly most: number;
  /** … and of this protocol. libp2p's own limit is for each connection. */
  readonly mostOfProtocol: number;
  readonly lingerMs: number;
}

export class ServedStreams {
  readonly #log: PeerLog;
  readonly #offends: (peer: PeerName, error: ClusterError) => void;
  readonly #open = new Map<PeerName, Map<AbortController, string>>();

  constructor(log: PeerLog, offends: (peer: PeerName, error: ClusterError) => void) {
    this.#log = log;
    this.#offends = offends;
  }

  /** Serves one stream to its end. Never rejects. */
  async serve(stream: Stream, handler: NetHandler, { from, most, mostOfProtocol, lingerMs }: Serving): Promise<void> {
    const open = this.#open.get(from) ?? new Map<AbortController, string>();
    const { protocol } = stream;
    const ofProtocol = [...open.values()].filter(other => other === protocol).length;
    if (open.size >= most || ofProtocol >= mostOfProtocol) {
      this.#log.warn(from, { protocol, most, mostOfProtocol }, 'refused: too many streams of one peer');
      stream.abort(new Error('refused: too many streams'));
      return;
    }
    const end = new AbortController();
    this.#open.set(from, open.set(end, protocol));
    const onEnd = (): void => stream.abort(errorOf(end.signal.reason));
    const onClose = ({ error }: { readonly error?: Error }): void => {
      if (error !== undefined) end.abort(error);
    };
    end.signal.addEventListener('abort', onEnd, { once: true });
    stream.addEventListener('close', onClose);
    try {
      await handler(stream, from, end.signal);
      await withDeadline(lingerMs, [end.signal], async signal => {
        await stream.close({ signal });
        await closed(stream, signal);
      });
    } catch (error) {
      if (error instanceof ClusterError && error.blame === 'peer') this.#offends(from, error);
      // After a break, or an end by this host, the handler's error only says the same again.
      this.#log[end.signal.aborted ? 'debug' : 'warn'](from, { err: error, protocol }, 'a stream was reset');
      stream.abort(errorOf(error));
    } finally {
      end.signal.removeEventListener('abort', onEnd);
      stream.removeEventListener('close', onClose);
      open.delete(end);
      if (open.size === 0) this.#open.delete(from);
    }
  }

  /** Ends all streams of a peer, or of everybody: their signals fire and they are reset. */
  end(reason: Error, peer?: PeerName): void {
    const ended =
      peer === undefined ? [...this.#open.values()] : [this.#open.get(peer) ?? new Map<AbortController, string>()];
    for (const open of ended) for (const end of [...open.keys()]) end.abort(reason);
  }
}

/** Resolves when both ends of a stream are closed, for whatever reason. @throws when `signal` fires before that */
async function closed(stream: Stream, signal: AbortSignal): Promise<void> {
  if (stream.status !== 'open' && stream.status !== 'closing') return;
  await new Promise<void>((resolve, reject) => {
    const onClose = (): void => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    };
    const onAbort = (): void => {
      stream.removeEventListener('close', onClose);
      reject(new Error('the peer left its end of the stream open', { cause: signal.reason }));
    };
    stream.addEventListener('close', onClose, { once: true });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

const errorOf = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));

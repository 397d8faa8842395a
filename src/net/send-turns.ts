/**
 * Send turns: whose bytes go next into a connection that is full.
 *
 * When a connection can take more, libp2p tells its streams one after the other, in the order in which they were opened,
 * and the first that has something to send fills the connection again. Measured with 17 streams: the first got 40 times
 * as much as the 16th, and the last one, a restore, had its first byte after 6 s. So whoever sends takes a turn, and
 * holds it until its bytes are in the connection. What a person may wait for goes before what other hosts fetch, and
 * takes turns with it (urgent-first.ts).
 *
 * A stream whose own window is full holds no turn: it keeps nobody waiting. Driven by bulk-stream.ts; start-net.ts says
 * which streams share a connection.
 */
import type { Connection, Stream } from '@libp2p/interface';
import { type Urgency, UrgentFirst } from '../platform/urgent-first.js';

const ofConnections = new WeakMap<Connection, SendTurns>();
const ofStreams = new WeakMap<Stream, SendTurns>();

/** To be called before anything is sent on the stream. */
export function shareTurns(stream: Stream, connection: Connection): void {
  const turns = ofConnections.get(connection) ?? new SendTurns();
  ofConnections.set(connection, turns);
  ofStreams.set(stream, turns);
}

/** Those of its connection; a stream that shares none has its own. */
export function turnsOf(stream: Stream): SendTurns {
  const turns = ofStreams.get(stream) ?? new SendTurns();
  ofStreams.set(stream, turns);
  return turns;
}

export class SendTurns {
  readonly #waiting = new UrgentFirst<() => void>();
  #isTaken = false;
  #movedMs = 0;

  /** When bytes last went into the connection, or somebody began to wait for that, in ms of the monotonic clock. */
  get movedMs(): number {
    return this.#movedMs;
  }

  /** Resolves when it is the caller's turn, which it must `leave`. @throws the signal's reason: then it has no turn */
  take(urgency: Urgency, signal?: AbortSignal): Promise<void> | undefined {
    if (!this.#isTaken) {
      this.#isTaken = true;
      this.#movedMs = performance.now();
      return undefined;
    }
    return new Promise((resolve, reject) => {
      let hasLeft = false;
      const onAbort = (): void => {
        hasLeft = true;
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const go = (): void => {
        signal?.removeEventListener('abort', onAbort);
        if (hasLeft) this.#next();
        else resolve();
      };
      this.#waiting.push(go, urgency);
    });
  }

  /** Its bytes are in the connection. */
  moved(): void {
    this.#movedMs = performance.now();
  }

  leave(): void {
    this.#next();
  }

  #next(): void {
    const go = this.#waiting.next()?.shift();
    if (go === undefined) this.#isTaken = false;
    else go();
  }
}

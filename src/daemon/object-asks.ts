/**
 * Object asks: asks one peer at a time for catalog objects; objects that are wanted while other asks are under way are
 * asked for together.
 *
 * A stream costs both sides more than a record does. Two asks to a peer run at once, so that one large answer does not
 * hold up the small ones; objects wanted meanwhile wait for the next ask.
 */
import { ClusterError } from '../core/fault.js';
import type { ObjectId, PeerName } from '../core/ids.js';
import { withDeadline } from '../net/deadline.js';
import type { Net } from '../net/net.js';
import { askObjects } from '../net/object-protocol.js';

/** Asks to one peer at once: it serves eight. */
const ASKS_PER_PEER_MAX = 2;
/** Objects of one ask. Most are records of small files, of 10 kB each. */
const OBJECTS_PER_ASK = 64;
/** Time for one ask, in ms: an object has at most 1 MiB, and most have a hundredth of that. */
const ASK_MS_MAX = 30_000;

interface Wanted {
  readonly id: ObjectId;
  readonly found: (bytes: Uint8Array | undefined) => void;
  readonly failed: (error: unknown) => void;
}

interface PeerQueue {
  readonly waiting: Wanted[];
  running: number;
}

export class ObjectAsks {
  readonly #net: Net;
  readonly #queues = new Map<PeerName, PeerQueue>();

  constructor(net: Net) {
    this.#net = net;
  }

  /**
   * Undefined when the peer does not have it.
   * @throws ClusterError as `askObjects`, STREAM_BROKEN (passing) also when it takes too long; the signal's reason
   */
  get(peer: PeerName, id: ObjectId, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const onAbort = (): void => reject(signal?.reason);
      const settled = (): void => signal?.removeEventListener('abort', onAbort);
      signal?.addEventListener('abort', onAbort, { once: true });
      const wanted: Wanted = {
        id,
        found: bytes => {
          settled();
          resolve(bytes);
        },
        failed: error => {
          settled();
          reject(error);
        },
      };
      const queue = this.#queues.get(peer) ?? { waiting: [], running: 0 };
      this.#queues.set(peer, queue);
      queue.waiting.push(wanted);
      // One turn of the event loop later, so that everything that is wanted in this turn comes along.
      setImmediate(() => void this.#askOn(peer, queue));
    });
  }

  async #askOn(peer: PeerName, queue: PeerQueue): Promise<void> {
    if (queue.running >= ASKS_PER_PEER_MAX) return;
    queue.running += 1;
    while (queue.waiting.length > 0) await this.#ask(peer, queue.waiting.splice(0, OBJECTS_PER_ASK));
    queue.running -= 1;
    if (queue.running === 0 && this.#queues.get(peer) === queue) this.#queues.delete(peer);
  }

  /** Never throws: an error goes to every caller that is still without an answer. */
  async #ask(peer: PeerName, wanted: readonly Wanted[]): Promise<void> {
    const byId = new Map<ObjectId, Wanted[]>();
    for (const one of wanted) byId.set(one.id, [...(byId.get(one.id) ?? []), one]);
    try {
      await withDeadline(ASK_MS_MAX, [], async signal => {
        for await (const answer of askObjects(this.#net, peer, [...byId.keys()], { signal })) {
          const bytes = answer.missing === true ? undefined : answer.bytes;
          for (const { found } of byId.get(answer.id) ?? []) found(bytes);
          byId.delete(answer.id);
        }
      });
    } catch (error) {
      // The time is over, or the stream ended in a way of its own: in neither has a disk of ours failed.
      const failure =
        error instanceof ClusterError
          ? error
          : new ClusterError('STREAM_BROKEN', 'a peer did not give catalog objects in time', {
              blame: 'passing',
              cause: error,
            });
      for (const { failed } of [...byId.values()].flat()) failed(failure);
    }
  }
}

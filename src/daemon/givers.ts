/**
 * Givers: decides which holder is asked for the next parcel of a restore.
 *
 * A restore asks for a few parcels at once. As long as one holder gives faster than the reader takes, it is the only
 * one asked: a second one would make nothing faster and cost the memory of both (measured with 256 MiB and four hosts
 * on two processors: 9.5 s of CPU instead of 5.8). Where the reader waits for the holder more than the holder for the
 * reader, other holders are asked as well.
 *
 * A holder that failed, gave wrong bytes, or gave nothing until its ask was given up comes after all others for a
 * while: a parcel that begins with it waits for nothing, up to a minute, or comes twice.
 *
 * Pure but for the clock. Driven by blob-source.ts.
 */
import type { PeerName } from '../core/ids.js';
import type { Clock } from './clock.js';

/** As many streams as one restore asks for at once. */
const STREAMS_MAX = 4;
/** Streams of a holder that the reader waits for: the others get the rest, and it is never idle between two parcels. */
const STREAMS_OF_SLOW_MAX = 2;
/** How much of the waiting is remembered, in ms: disks and lines change. */
const REMEMBERED_MS = 4_000;
/**
 * For this long after a failure, in ms, other holders are asked first. With four parcels at once, a holder that gives
 * nothing holds up a restore for at most one minute in six, and one that has recovered is soon in use.
 */
const LAST_MS = 5 * 60_000;

interface Giver {
  streams: number;
  /** Turns are counted across all givers. */
  lastTurn: number;
  /** How long the reader waited for its bytes, and its bytes for the reader, in ms, summed over its streams. */
  waitedMs: number;
  keptMs: number;
  /** Until then it is asked last; 0 when it did not fail. */
  lastUntilMs: number;
}

export class Givers {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #givers = new Map<PeerName, Giver>();
  #turns = 0;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  /**
   * Prefers a giver that is in use and can give more; among equals, the one whose turn was longest ago. When all are
   * full, the one that gives least.
   */
  best(among: Iterable<PeerName>): PeerName | undefined {
    const [best] = [...among].sort((a, b) => {
      const [one, other] = [this.#of(a), this.#of(b)];
      if (isFull(one) !== isFull(other)) return isFull(one) ? 1 : -1;
      const fewer = one.streams - other.streams;
      return (isFull(one) ? fewer : -fewer) || one.lastTurn - other.lastTurn;
    });
    return best;
  }

  /** Its ask ended with an error or brought wrong bytes: others are asked before it. */
  failed(peer: PeerName): void {
    this.#of(peer).lastUntilMs = this.#clock.nowMs() + LAST_MS;
  }

  /** True when it failed and others should be asked before it. */
  comesLast(peer: PeerName): boolean {
    return this.#of(peer).lastUntilMs > this.#clock.nowMs();
  }

  /** Passes on what it gives, as it comes; this counts as one of its streams until it ends or is left. */
  async *from<Part>(
    peer: PeerName,
    parts: AsyncGenerator<Part, void, undefined>,
  ): AsyncGenerator<Part, void, undefined> {
    const giver = this.#of(peer);
    giver.streams += 1;
    this.#turns += 1;
    giver.lastTurn = this.#turns;
    let sinceMs = this.#clock.nowMs();
    const passed = (): number => {
      const fromMs = sinceMs;
      sinceMs = this.#clock.nowMs();
      return sinceMs - fromMs;
    };
    let isWaitedFor = true;
    try {
      for await (const part of parts) {
        giver.waitedMs += passed();
        isWaitedFor = false;
        yield part;
        giver.keptMs += passed();
        isWaitedFor = true;
        forget(giver);
      }
      giver.lastUntilMs = 0;
    } finally {
      // A wait that ended without a part counts too.
      if (isWaitedFor) giver.waitedMs += passed();
      giver.streams -= 1;
    }
  }

  #of(peer: PeerName): Giver {
    const giver = this.#givers.get(peer) ?? { streams: 0, lastTurn: 0, waitedMs: 0, keptMs: 0, lastUntilMs: 0 };
    this.#givers.set(peer, giver);
    return giver;
  }
}

const isFull = ({ streams, waitedMs, keptMs }: Giver): boolean =>
  streams >= (waitedMs > keptMs ? STREAMS_OF_SLOW_MAX : STREAMS_MAX);

function forget(giver: Giver): void {
  if (giver.waitedMs + giver.keptMs < REMEMBERED_MS) return;
  giver.waitedMs /= 2;
  giver.keptMs /= 2;
}

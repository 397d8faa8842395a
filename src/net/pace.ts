/**
 * Pace: no more than so many bytes a second, over all streams together.
 *
 * Whoever is about to move bytes takes a turn for them first. A turn is given when the line has had time for those before it, so
 * a large one makes the next one wait. Turns of people who wait (restores) come before all others, unless one of these has
 * waited for long: a stream that stands still for a minute is given up, and what is in its midst comes anew. Of the others
 * every peer has a row of its own, and the rows take turns: who has many streams open gets no more than who has one.
 *
 * Without a rate nobody waits. A peer may have a rate of its own, which its turns wait for before they wait for that of all.
 */
import type { PeerName } from '../core/ids.js';

/** A timer that comes late, on a busy machine, is made up for by up to this much, in ms; so is a pause. */
const LATE_MS_MAX = 100;

/** Who has waited this long goes before people, in ms: a third of the time after which a stream that stands still is given up. */
const WAIT_MS_MAX = 20_000;

export interface Turn {
  readonly peer: PeerName;
  readonly bytes: number;
  /** A person waits for it. */
  readonly isUrgent: boolean;
}

interface Waiting extends Turn {
  readonly sinceMs: number;
  readonly go: () => void;
}

export class Pace {
  #bytesPerS: number | undefined;
  readonly #urgent: Waiting[] = [];
  /** In the order in which they take turns: who had one goes to the end. */
  readonly #rows = new Map<PeerName, Waiting[]>();
  readonly #waitMsMax: number;
  #freeAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ waitMsMax = WAIT_MS_MAX }: { readonly waitMsMax?: number } = {}) {
    this.#waitMsMax = waitMsMax;
  }

  /** From now on. @param bytesPerS undefined: as fast as can be */
  set(bytesPerS: number | undefined): void {
    this.#bytesPerS = bytesPerS;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#give();
  }

  /** Undefined when these bytes may move at once. @throws the signal's reason */
  take(turn: Turn, signal?: AbortSignal): Promise<void> | undefined {
    if (this.#bytesPerS === undefined) return undefined;
    return new Promise<void>((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const row = turn.isUrgent ? this.#urgent : this.#rowOf(turn.peer);
      const waiting: Waiting = {
        ...turn,
        sinceMs: performance.now(),
        go: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        const at = row.indexOf(waiting);
        if (at >= 0) row.splice(at, 1);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      row.push(waiting);
      if (this.#timer === undefined) this.#give();
    });
  }

  #rowOf(peer: PeerName): Waiting[] {
    const row = this.#rows.get(peer) ?? [];
    this.#rows.set(peer, row);
    return row;
  }

  #give(): void {
    for (;;) {
      const nowMs = performance.now();
      const waitMs = this.#bytesPerS === undefined ? 0 : this.#freeAtMs - nowMs;
      if (waitMs > 0) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#give();
        }, waitMs);
        return;
      }
      const turn = this.#next(nowMs);
      if (turn === undefined) return;
      if (this.#bytesPerS !== undefined)
        this.#freeAtMs = Math.max(this.#freeAtMs, nowMs - LATE_MS_MAX) + (turn.bytes / this.#bytesPerS) * 1_000;
      turn.go();
    }
  }

  #next(nowMs: number): Waiting | undefined {
    return this.#ofRows(nowMs - this.#waitMsMax) ?? this.#urgent.shift() ?? this.#ofRows(nowMs);
  }

  /** Of the next row whose first has waited since `sinceMs` or longer. */
  #ofRows(sinceMs: number): Waiting | undefined {
    for (const [peer, row] of this.#rows) {
      const [first] = row;
      if (first === undefined) this.#rows.delete(peer);
      else if (first.sinceMs <= sinceMs) {
        row.shift();
        this.#rows.delete(peer);
        if (row.length > 0) this.#rows.set(peer, row);
        return first;
      }
    }
    return undefined;
  }
}

/** Bytes a second; a peer that is not named has only the rate of all together. */
export interface Rates {
  readonly all: number | undefined;
  readonly ofPeers: ReadonlyMap<PeerName, number>;
}

/** One direction of a host's traffic. */
export class PacedLine {
  readonly #all = new Pace();
  readonly #ofPeers = new Map<PeerName, Pace>();

  /** From now on. */
  set({ all, ofPeers }: Rates): void {
    this.#all.set(all);
    for (const [peer, pace] of this.#ofPeers) {
      if (ofPeers.has(peer)) continue;
      pace.set(undefined);
      this.#ofPeers.delete(peer);
    }
    for (const [peer, bytesPerS] of ofPeers) {
      const pace = this.#ofPeers.get(peer) ?? new Pace();
      pace.set(bytesPerS);
      this.#ofPeers.set(peer, pace);
    }
  }

  /** Undefined when these bytes may move at once. @throws the signal's reason */
  take(turn: Turn, signal?: AbortSignal): Promise<void> | undefined {
    const own = this.#ofPeers.get(turn.peer)?.take(turn, signal);
    return own === undefined ? this.#all.take(turn, signal) : own.then(() => this.#all.take(turn, signal));
  }
}

/** Of one host: what it sends, and what it takes. */
export interface Paces {
  readonly upload: PacedLine;
  readonly download: PacedLine;
}

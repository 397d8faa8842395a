/**
 * Pace: limits the bytes per second, over all streams together.
 *
 * A stream that is about to move bytes takes a turn for them first. It gets the turn when the line has had time for
 * the turns before it, so a large turn makes the next one wait. Turns of people who wait (restores) come before all
 * others, unless one of these has waited for long: a stream that stands still for a minute is given up, and what it
 * was sending must come again. Each peer has a row of its own for the other turns, and the rows alternate: a peer with
 * many streams open gets no more than a peer with one.
 *
 * Without a rate nobody waits. A peer may have a rate of its own; its turns wait for that before they wait for the
 * common rate.
 */
import type { PeerName } from '../core/ids.js';

/** A timer that fires late, on a busy machine, is made up for by up to this much, in ms; so is a pause. */
const LATE_MS_MAX = 100;

/**
 * A turn that has waited this long goes before people's, in ms: a third of the time after which a stream that stands
 * still is given up.
 */
const WAIT_MS_MAX = 20_000;

export interface Turn {
  readonly peer: PeerName;
  readonly bytes: number;
  /** A person waits for these bytes. */
  readonly isUrgent: boolean;
}

interface Waiting extends Turn {
  readonly sinceMs: number;
  readonly go: () => void;
}

export class Pace {
  #bytesPerS: number | undefined;
  readonly #urgent: Waiting[] = [];
  /** In the order of their turns: a row that had one goes to the end. */
  readonly #rows = new Map<PeerName, Waiting[]>();
  readonly #waitMsMax: number;
  #freeAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ waitMsMax = WAIT_MS_MAX }: { readonly waitMsMax?: number } = {}) {
    this.#waitMsMax = waitMsMax;
  }

  /** Applies from now on. @param bytesPerS undefined: as fast as possible */
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

  /** The first turn of the next row whose first turn has waited since `sinceMs` or longer. */
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

/** Bytes per second; a peer that is not named has only the common rate. */
export interface Rates {
  readonly all: number | undefined;
  readonly ofPeers: ReadonlyMap<PeerName, number>;
}

/** One direction of a host's traffic. */
export class PacedLine {
  readonly #all = new Pace();
  readonly #ofPeers = new Map<PeerName, Pace>();

  /** Applies from now on. */
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

/** For one host: what it sends, and what it receives. */
export interface Paces {
  readonly upload: PacedLine;
  readonly download: PacedLine;
}

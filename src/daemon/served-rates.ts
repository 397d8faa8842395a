/**
 * Served rates: how fast each fetch that is served here moves, so that one that hardly does gives its place to those who wait.
 *
 * Places are few (core/serve.ts). Four peers on a bad radio link, four fetches each, would keep all others out for as long as
 * theirs take. Who loses its place has kept what came, and may ask again.
 *
 * Driven by fetch-server.ts.
 */
import { isTooSlow } from '../core/serve.js';

/** A rate is that of so long, in ms: a radio link may be away for seconds. */
const WINDOW_MS = 60_000;

/** One fetch, by however many streams. */
export class ServedRate {
  #sinceMs: number;
  #bytes = 0;
  #bytesPerMs: number | undefined;
  readonly #end = new AbortController();

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** Of the last whole window, or of the present one when that is longer by now; undefined before there was one. */
  at(nowMs: number): number | undefined {
    const forMs = nowMs - this.#sinceMs;
    return forMs < WINDOW_MS ? this.#bytesPerMs : this.#bytes / forMs;
  }

  /** It lost its place. */
  end(): void {
    this.#end.abort(new GaveWay());
  }

  /** Fires when it lost its place: also whoever takes nothing, and waits for no next bytes, gives it up. */
  get ended(): AbortSignal {
    return this.#end.signal;
  }

  /** So many bytes are to go. */
  moves(bytes: number, nowMs: number): void {
    this.#bytes += bytes;
    const forMs = nowMs - this.#sinceMs;
    if (forMs < WINDOW_MS) return;
    this.#bytesPerMs = this.#bytes / forMs;
    this.#sinceMs = nowMs;
    this.#bytes = 0;
  }
}

/** A fetch that hardly moved was ended, for others wait. */
class GaveWay extends Error {
  constructor() {
    super('this fetch hardly moved, and others wait for its place');
  }
}

/** Somebody is told to wait: the slowest of those whose place it could have gives way, if it is slow beside all that are served. */
export function endSlowest<T extends { readonly rate: ServedRate }>(
  places: Iterable<T>,
  served: Iterable<T>,
  nowMs: number,
): T | undefined {
  const rates = [...served].flatMap(({ rate }) => rate.at(nowMs) ?? []);
  let slowest: { readonly place: T; readonly rate: number } | undefined;
  for (const place of places) {
    const rate = place.rate.at(nowMs);
    if (rate !== undefined && rate < (slowest?.rate ?? Number.POSITIVE_INFINITY)) slowest = { place, rate };
  }
  if (slowest === undefined || !isTooSlow(slowest.rate, rates)) return undefined;
  slowest.place.rate.end();
  return slowest.place;
}

/**
 * Served rates: how fast each fetch that is served here moves, so that one that hardly moves gives its place to peers
 * that wait.
 *
 * Places are few (core/serve.ts). Four peers on a bad radio link, with four fetches each, would keep all others out
 * for as long as their fetches take. A peer that loses its place has kept what came, and may ask again.
 *
 * Driven by fetch-server.ts.
 */
import { isTooSlow } from '../core/serve.js';

/** The time that a rate is measured over, in ms: a radio link may be away for seconds. */
const WINDOW_MS = 60_000;

/** The rate of one fetch, over all its streams. */
export class ServedRate {
  #sinceMs: number;
  #bytes = 0;
  #bytesPerMs: number | undefined;
  #restsSinceMs: number | undefined;
  readonly #end = new AbortController();

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** In bytes per ms, over the last whole window, or the present one if longer; undefined before there was one. */
  at(nowMs: number): number | undefined {
    const forMs = nowMs - this.#sinceMs;
    return forMs < WINDOW_MS ? this.#bytesPerMs : this.#bytes / forMs;
  }

  /** It asks for nothing at present: that is not slowness. */
  rests(nowMs: number): void {
    this.#restsSinceMs = nowMs;
  }

  /** It asks again: the rest does not count. */
  goesOn(nowMs: number): void {
    this.#sinceMs += nowMs - (this.#restsSinceMs ?? nowMs);
    this.#restsSinceMs = undefined;
  }

  /** Takes the place from this fetch. */
  end(): void {
    this.#end.abort(new GaveWay());
  }

  /** Fires when the fetch has lost its place, so that a peer that takes nothing, and asks for no more, loses it too. */
  get ended(): AbortSignal {
    return this.#end.signal;
  }

  /** This many bytes are about to be sent. */
  moves(bytes: number, nowMs: number): void {
    this.#bytes += bytes;
    const forMs = nowMs - this.#sinceMs;
    if (forMs < WINDOW_MS) return;
    this.#bytesPerMs = this.#bytes / forMs;
    this.#sinceMs = nowMs;
    this.#bytes = 0;
  }
}

/** A fetch that hardly moved was ended, because others wait. */
class GaveWay extends Error {
  constructor() {
    super('this fetch hardly moved, and others wait for its place');
  }
}

/**
 * Called when somebody is told to wait: of the fetches whose place it could have, the slowest gives way, if it is slow
 * beside all that are served.
 */
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

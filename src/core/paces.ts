/**
 * Paces: how fast this host receives parcels, from each source and in total, and how fast the other hosts say they do.
 * From that follow which source can be expected to give most, and what to leave to others.
 *
 * A first backup waits for a slow origin's link. The link must carry every byte once; whatever it carries twice, or to
 * a host that can pass it on only over another slow link, is lost time for all. So each parcel of a slow origin is at
 * first fetched by one host only, and by a fast one as long as the fast hosts keep that link busy.
 *
 * What a host says of its own pace is only a hint: a false one costs time, never a copy.
 */
import type { HostId } from './ids.js';
import { Pace } from './pace.js';

/**
 * A host is slow beside another one that is this many times as fast: on one network, that is a step between kinds of
 * links.
 */
const SLOW_RATIO = 4;
/** The span over which other hosts' fetches are counted, in ms: some large parcels from a slow source. */
const TAKEN_MS = 60_000;
/** A source counts as busy when others take at least this share of its expected rate. */
const BUSY_SHARE = 0.1;

/** Bytes taken in the present span and in the one before it. */
interface Taken {
  sinceMs: number;
  bytes: number;
  bytesBefore: number;
}

export class Paces {
  readonly #saidOf: (host: HostId) => number;
  readonly #fastest: () => number;
  readonly #saidVersion: () => number;
  /** Answers of `hopedOf` since the version last changed. */
  readonly #hoped = new Map<HostId, number>();
  #hopedOfVersion = -1;
  readonly #own = new Pace();
  readonly #from = new Map<HostId, Pace>();
  readonly #taken = new Map<HostId, Taken>();
  #version = 0;

  constructor({
    saidOf,
    saidVersion,
    fastest,
  }: {
    /** A host's own report of its pace, in bytes a second; 0 when there is none yet. */
    readonly saidOf: (host: HostId) => number;
    /** Rises when any such report may have changed. */
    readonly saidVersion: () => number;
    /** The greatest pace that any live host reports. */
    readonly fastest: () => number;
  }) {
    this.#saidOf = saidOf;
    this.#saidVersion = saidVersion;
    this.#fastest = fastest;
  }

  /** This host's total rate from all sources, in bytes a second; 0 while unknown. */
  get own(): number {
    return this.#own.bytesPerS;
  }

  /** Rises when this host's own pace, or the rate expected of any source, may have changed. */
  get version(): number {
    return this.#version + this.#saidVersion();
  }

  began(source: HostId, nowMs: number): void {
    this.#version += 1;
    this.#own.began(nowMs);
    let pace = this.#from.get(source);
    if (pace === undefined) {
      pace = new Pace();
      this.#from.set(source, pace);
    }
    pace.began(nowMs);
  }

  came(source: HostId, bytes: number, nowMs: number): void {
    this.#version += 1;
    this.#own.came(bytes, nowMs);
    this.#from.get(source)?.came(bytes, nowMs);
  }

  ended(source: HostId, nowMs: number): void {
    this.#version += 1;
    this.#own.ended(nowMs);
    this.#from.get(source)?.ended(nowMs);
  }

  /** The rate expected of a source, in bytes a second: links carry about as much out as in. 0 when nothing is known. */
  hopedOf(source: HostId): number {
    const { version } = this;
    if (version !== this.#hopedOfVersion) {
      this.#hoped.clear();
      this.#hopedOfVersion = version;
    }
    let hoped = this.#hoped.get(source);
    if (hoped === undefined) {
      hoped = Math.max(this.#saidOf(source), this.#from.get(source)?.bytesPerS ?? 0);
      this.#hoped.set(source, hoped);
    }
    return hoped;
  }

  /** Other hosts' links are far faster than this source's. */
  isSlow(source: HostId): boolean {
    const hoped = this.hopedOf(source);
    return hoped > 0 && hoped * SLOW_RATIO <= Math.max(this.own, this.#fastest());
  }

  /** A host has a new copy that it may have had from `source`, its origin. */
  took(
    host: HostId,
    { source, bytes, nowMs }: { readonly source: HostId; readonly bytes: number; readonly nowMs: number },
  ): void {
    const hoped = this.hopedOf(source);
    if (hoped === 0 || this.#saidOf(host) < SLOW_RATIO * hoped) return;
    const taken = this.#takenOf(source, nowMs);
    taken.bytes += bytes;
  }

  /**
   * Whether this slow host leaves a slow source's parcels to faster hosts, because these take about all that it can
   * give.
   */
  isLeftToFaster(source: HostId, nowMs: number): boolean {
    return this.leftUntilMs(source, nowMs) >= nowMs;
  }

  /** Until when it leaves them if the faster hosts take nothing more; ask again by then. −Infinity when it does not. */
  leftUntilMs(source: HostId, nowMs: number): number {
    if (!this.#taken.has(source) || !this.isSlow(source)) return Number.NEGATIVE_INFINITY;
    const hoped = this.hopedOf(source);
    if (this.own >= SLOW_RATIO * hoped) return Number.NEGATIVE_INFINITY;
    const { sinceMs, bytes, bytesBefore } = this.#takenOf(source, nowMs);
    const fromMs = bytesBefore > 0 ? sinceMs - TAKEN_MS : sinceMs;
    const busyForMs = ((bytes + bytesBefore) * 1000) / (BUSY_SHARE * hoped);
    if (busyForMs < Math.max(TAKEN_MS / 2, nowMs - fromMs)) return Number.NEGATIVE_INFINITY;
    return Math.min(fromMs + busyForMs, sinceMs + TAKEN_MS);
  }

  /** Forgets the rates of a host that is no longer a member. */
  forget(host: HostId): void {
    this.#from.delete(host);
    this.#taken.delete(host);
  }

  #takenOf(source: HostId, nowMs: number): Taken {
    const taken = this.#taken.get(source) ?? { sinceMs: nowMs, bytes: 0, bytesBefore: 0 };
    this.#taken.set(source, taken);
    const spanMs = nowMs - taken.sinceMs;
    if (spanMs < TAKEN_MS) return taken;
    taken.bytesBefore = spanMs < 2 * TAKEN_MS ? taken.bytes : 0;
    taken.bytes = 0;
    taken.sinceMs = nowMs;
    return taken;
  }
}

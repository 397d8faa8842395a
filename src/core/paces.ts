/**
 * Paces: how fast this host takes parcels in, from each source and in all, and how fast the others say they do: from that,
 * whom to hope for most, and what to leave to others.
 *
 * A slow origin's link is what a first backup waits for: it has to carry every byte once, and whatever it carries twice, or
 * to somebody who can pass it on only over another slow link, is lost time for all. So of a slow origin's parcels each is
 * fetched by one host at first, and by a fast one as long as the fast ones keep that link busy.
 *
 * What a host says of its own pace is a hint: a false one costs time, never a copy.
 */
import type { HostId } from './ids.js';
import { Pace } from './pace.js';

/** A host is slow beside another one that is so many times as fast: on one network, a step between kinds of links. */
const SLOW_RATIO = 4;
/** What others took is looked at over so long, in ms: some large parcels from a slow source. */
const TAKEN_MS = 60_000;
/** A source is kept busy by those who take at least this part of what is hoped of it. */
const BUSY_SHARE = 0.1;

/** Bytes taken in the span that runs and the one before it. */
interface Taken {
  sinceMs: number;
  bytes: number;
  bytesBefore: number;
}

export class Paces {
  readonly #saidOf: (host: HostId) => number;
  readonly #fastest: () => number;
  readonly #saidVersion: () => number;
  /** What `hopedOf` answered since the versions were these. */
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
    /** What a host says it takes in, in bytes a second; 0 when it has said nothing yet. */
    readonly saidOf: (host: HostId) => number;
    /** Rises when any of that may be another. */
    readonly saidVersion: () => number;
    /** The greatest that any live host says. */
    readonly fastest: () => number;
  }) {
    this.#saidOf = saidOf;
    this.#saidVersion = saidVersion;
    this.#fastest = fastest;
  }

  /** What this host takes in from all sources together, in bytes a second; 0 when that is not known yet. */
  get own(): number {
    return this.#own.bytesPerS;
  }

  /** Rises when this host's own pace, or what can be hoped of any source, may be another. */
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

  /** What a source may give, in bytes a second: links carry about as much out as in. 0 when nothing is known of it. */
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

  /** Others have links far better than this source's. */
  isSlow(source: HostId): boolean {
    const hoped = this.hopedOf(source);
    return hoped > 0 && hoped * SLOW_RATIO <= Math.max(this.own, this.#fastest());
  }

  /** A host has a copy since now that it may have had from `source`, its origin. */
  took(
    host: HostId,
    { source, bytes, nowMs }: { readonly source: HostId; readonly bytes: number; readonly nowMs: number },
  ): void {
    const hoped = this.hopedOf(source);
    if (hoped === 0 || this.#saidOf(host) < SLOW_RATIO * hoped) return;
    const taken = this.#takenOf(source, nowMs);
    taken.bytes += bytes;
  }

  /** Whether this host, slow itself, leaves a slow source's parcels to faster ones: these take about all that it can give. */
  isLeftToFaster(source: HostId, nowMs: number): boolean {
    return this.leftUntilMs(source, nowMs) >= nowMs;
  }

  /** Until when it leaves them, if these take nothing more: then at the latest it is to be asked again; −Infinity when it does not. */
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

  /** Forgets what a host that is no member any more gave. */
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

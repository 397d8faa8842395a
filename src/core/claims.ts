/**
 * Claims: which hosts say "I am about to fetch this". Claims are hints that expire: they save bytes, and losing all of
 * them loses nothing else.
 *
 * Each host may have thousands, and each is made, renewed and gone within a minute. So claims are kept in typed arrays,
 * those on one row linked, with a queue of the next ends.
 */
import { grown } from './grown.js';
import type { HostId } from './ids.js';
import { MinQueue } from './min-queue.js';
import { Numbering } from './numbering.js';
import type { Row } from './parcel-table.js';

/** A host that claims more than this is broken or hostile; further claims are ignored. */
const CLAIMS_PER_HOST_MAX = 4096;

/** A claim that is not renewed blocks others no longer than this, in ms: a transfer that moves renews it every 20 s. */
export const CLAIM_MS_MAX = 3_600_000;

/** Queued ends per place, renewals included, before the outdated ones are removed. */
const ENDS_PER_PLACE_MAX = 4;
/** The same with few places. */
const ENDS_LEAST = 1_024;

/** A claim's place in the arrays. */
type Place = number;
const NO_PLACE = -1;
const NO_ROW = -1;
const NONE: readonly HostId[] = [];
const NO_ROWS: readonly Row[] = [];

export class Claims {
  /** By row. */
  #first = new Int32Array(64).fill(NO_PLACE);
  /**
   * By place: the claim's row, or NO_ROW if the place is free; its host's number; its end; the next place on the same
   * row, or the next free one.
   */
  #row = new Int32Array(64);
  #host = new Int32Array(64);
  #untilMs = new Float64Array(64);
  #next = new Int32Array(64);
  #places = 0;
  #firstFree: Place = NO_PLACE;
  /** Places ordered by every end that was ever set. A renewal adds an entry. */
  readonly #ends = new MinQueue();
  readonly #hosts = new Numbering<HostId>();
  /** By host number. */
  readonly #count: number[] = [];
  #rows = 0;

  /** False for a host that is at its limit. */
  mayClaim(host: HostId): boolean {
    return (this.#count[this.#hosts.find(host) ?? -1] ?? 0) < CLAIMS_PER_HOST_MAX;
  }

  /** When the next claim ends; Infinity when there is none. */
  get firstEndMs(): number {
    for (let place = this.#ends.firstItem; place !== undefined; place = this.#ends.firstItem) {
      if (this.#row[place] !== NO_ROW && this.#untilMs[place] === this.#ends.first) break;
      // Withdrawn or renewed since.
      this.#ends.take(Number.POSITIVE_INFINITY);
    }
    return this.#ends.first;
  }

  /** Adds a claim, or renews it. @returns false when the host has too many. */
  hear(row: Row, host: HostId, untilMs: number): boolean {
    const number = this.#hosts.numberOf(host);
    let last = NO_PLACE;
    for (let place = this.#firstOn(row); place !== NO_PLACE; place = this.#next[place] as Place) {
      if (this.#host[place] === number) {
        this.#untilMs[place] = untilMs;
        this.#queueEnd(place);
        return true;
      }
      last = place;
    }
    const count = this.#count[number] ?? 0;
    if (count >= CLAIMS_PER_HOST_MAX) return false;
    this.#count[number] = count + 1;
    const place = this.#takePlace();
    this.#row[place] = row;
    this.#host[place] = number;
    this.#untilMs[place] = untilMs;
    this.#next[place] = NO_PLACE;
    this.#queueEnd(place);
    if (last !== NO_PLACE) this.#next[last] = place;
    else {
      if (row >= this.#first.length) this.#first = grown(this.#first, row + 1, NO_PLACE);
      this.#first[row] = place;
      this.#rows += 1;
    }
    return true;
  }

  /** Bounds the queue: otherwise a host that renews a claim thousands of times a second would fill the memory. */
  #queueEnd(place: Place): void {
    if (this.#ends.size >= Math.max(ENDS_LEAST, ENDS_PER_PLACE_MAX * this.#places)) {
      this.#ends.clear();
      for (let each = 0; each < this.#places; each += 1) {
        if (each !== place && this.#row[each] !== NO_ROW) this.#ends.push(each, this.#untilMs[each] as number);
      }
    }
    this.#ends.push(place, this.#untilMs[place] as number);
  }

  withdraw(row: Row, host: HostId): void {
    let place = this.#firstOn(row);
    if (place === NO_PLACE) return;
    const number = this.#hosts.find(host);
    let before = NO_PLACE;
    for (; place !== NO_PLACE; place = this.#next[place] as Place) {
      if (this.#host[place] === number) {
        this.#remove(place, before);
        return;
      }
      before = place;
    }
  }

  #remove(place: Place, before: Place): void {
    const row = this.#row[place] as Row;
    const next = this.#next[place] as Place;
    if (before !== NO_PLACE) this.#next[before] = next;
    else {
      this.#first[row] = next;
      if (next === NO_PLACE) this.#rows -= 1;
    }
    const number = this.#host[place] as number;
    this.#count[number] = (this.#count[number] as number) - 1;
    this.#row[place] = NO_ROW;
    this.#next[place] = this.#firstFree;
    this.#firstFree = place;
  }

  /** The hosts that claim the row. */
  on(row: Row): readonly HostId[] {
    const first = this.#firstOn(row);
    if (first === NO_PLACE) return NONE;
    const hosts: HostId[] = [];
    for (let place = first; place !== NO_PLACE; place = this.#next[place] as Place) hosts.push(this.#hostAt(place));
    return hosts;
  }

  /** Forgets the claims that have ended, on whatever row. @returns their rows. */
  expire(nowMs: number): readonly Row[] {
    if (nowMs < this.#ends.first) return NO_ROWS;
    const rows: Row[] = [];
    for (let place = this.#ends.take(nowMs); place !== undefined; place = this.#ends.take(nowMs)) {
      const row = this.#row[place] as Row;
      if (row === NO_ROW || (this.#untilMs[place] as number) > nowMs) continue;
      this.withdraw(row, this.#hostAt(place));
      rows.push(row);
    }
    return rows;
  }

  /** Forgets everything that a host claimed. @returns the rows. */
  forgetHost(host: HostId): readonly Row[] {
    const number = this.#hosts.find(host);
    const rows: Row[] = [];
    for (let place = 0; place < this.#places; place += 1) {
      if (this.#host[place] === number && this.#row[place] !== NO_ROW) rows.push(this.#row[place] as Row);
    }
    for (const row of rows) this.withdraw(row, host);
    return rows;
  }

  /** The number of rows with a claim. */
  get size(): number {
    return this.#rows;
  }

  #firstOn(row: Row): Place {
    return this.#first[row] ?? NO_PLACE;
  }

  #hostAt(place: Place): HostId {
    return this.#hosts.idOf(this.#host[place] as number);
  }

  #takePlace(): Place {
    if (this.#firstFree !== NO_PLACE) {
      const place = this.#firstFree;
      this.#firstFree = this.#next[place] as Place;
      return place;
    }
    if (this.#places === this.#row.length) {
      this.#row = grown(this.#row, this.#places + 1, NO_ROW);
      this.#host = grown(this.#host, this.#places + 1, 0);
      this.#next = grown(this.#next, this.#places + 1, NO_PLACE);
      this.#untilMs = grown(this.#untilMs, this.#places + 1, 0);
    }
    this.#places += 1;
    return this.#places - 1;
  }
}

/**
 * Claim budget: how much may this host claim ahead of fetching it? As much as arrives in a few rounds of claims, from
 * each source and in total: with less a fast link stands idle, with more a slow host hoards what others could have by
 * now.
 *
 * Slow sources are counted apart: one parcel of theirs may be larger than what all other sources together bring in a
 * round, and must not keep those waiting.
 */
import type { HostId } from './ids.js';
import { FETCHES_OF_SLOW_MAX } from './pursuit.js';

/** Bytes claimed and not yet held: as much as arrives in this many `claimWait` … */
const CLAIMED_WAITS = 5;
/** … but within these two: the least keeps a gigabit link busy for half a second. */
const CLAIMED_BYTES_LEAST = 64 * 1024 * 1024;
const CLAIMED_BYTES_MAX = 2 * 1024 * 1024 * 1024;
/**
 * This many times that total for the first parcel from a source, so that no source that has a needed parcel stands
 * idle.
 */
const SPREAD = 4;

export interface ClaimBudgetView {
  /** The bytes claimed from each source when the budget is made; later claims are spent from it. */
  readonly claimed: Iterable<readonly [HostId, number]>;
  /** These must not change while the budget is in use. */
  readonly paces: {
    readonly own: number;
    hopedOf(source: HostId): number;
    isSlow(source: HostId): boolean;
  };
  readonly claimWaitMs: number;
}

export class ClaimBudget {
  readonly #view: ClaimBudgetView;
  readonly #claimed = new Map<HostId, number>();
  /** Answers given since the last `spend`. */
  readonly #answers = new Map<HostId, boolean>();
  #slowSources = 0;
  #slowBytes = 0;
  #otherBytes = 0;
  /** The rate, in bytes a second, that can be expected from all sources that are not slow and have claims. */
  #otherBytesPerS = 0;
  readonly #bytesMax: number;

  constructor(view: ClaimBudgetView) {
    this.#view = view;
    this.#bytesMax = this.#claimable(view.paces.own);
    for (const [source, bytes] of view.claimed) this.spend(source, bytes);
  }

  /** Whether one more parcel may be claimed from the source. The last one may exceed the budget. */
  allows(source: HostId): boolean {
    const known = this.#answers.get(source);
    if (known !== undefined) return known;
    const answer = this.#answer(source);
    this.#answers.set(source, answer);
    return answer;
  }

  #answer(source: HostId): boolean {
    const { paces } = this.#view;
    const bytes = this.#claimed.get(source) ?? 0;
    const hoped = paces.hopedOf(source);
    if (bytes > 0 && hoped > 0 && bytes >= this.#claimable(hoped)) return false;
    if (paces.isSlow(source))
      return this.#slowBytes < CLAIMED_BYTES_MAX && (bytes > 0 || this.#slowSources < FETCHES_OF_SLOW_MAX);
    // A large parcel keeps its source's link busy, but perhaps only part of this host's own link.
    if (bytes === 0 && this.#otherBytesPerS > 0 && this.#otherBytesPerS < paces.own) return true;
    return this.#otherBytes < Math.min(CLAIMED_BYTES_MAX, bytes === 0 ? SPREAD * this.#bytesMax : this.#bytesMax);
  }

  spend(source: HostId, bytes: number): void {
    if (bytes === 0) return;
    if (this.#answers.size > 0) this.#answers.clear();
    const before = this.#claimed.get(source) ?? 0;
    this.#claimed.set(source, before + bytes);
    const { paces } = this.#view;
    if (!paces.isSlow(source)) {
      this.#otherBytes += bytes;
      if (before === 0) this.#otherBytesPerS += paces.hopedOf(source) || paces.own;
      return;
    }
    this.#slowBytes += bytes;
    if (before === 0) this.#slowSources += 1;
  }

  #claimable(bytesPerS: number): number {
    const bytes = (bytesPerS * CLAIMED_WAITS * this.#view.claimWaitMs) / 1000;
    return Math.min(CLAIMED_BYTES_MAX, Math.max(CLAIMED_BYTES_LEAST, bytes));
  }
}

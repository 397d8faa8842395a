/**
 * Claimed bytes: how much this host has claimed from each source and does not hold yet, and from whom it may claim more.
 *
 * What our own stores have all of comes over no link: it is counted apart, with a bound of its own, and takes nothing
 * from the budget of the links (claim-budget.ts).
 *
 * Driven by pursuing.ts.
 */
import { ClaimBudget } from './claim-budget.js';
import type { HostId } from './ids.js';
import type { Paces } from './paces.js';

/**
 * Bytes that are claimed to be copied from one of our stores to another: what disks give each other in some ten
 * seconds. The last claim may exceed it; what needs no bytes is claimed whatever there is.
 */
const CLAIMED_HERE_BYTES_MAX = 1024 * 1024 * 1024;

export interface ClaimedBytesContext {
  readonly self: HostId;
  readonly paces: Paces;
  readonly claimWaitMs: () => number;
}

export class ClaimedBytes {
  readonly #of: ClaimedBytesContext;
  /** From other hosts, by source: what the budget is computed from. */
  readonly #from = new Map<HostId, number>();
  #linkedBytes = 0;
  #hereBytes = 0;
  /** What may still be claimed; undefined when it must be counted again. */
  #budget: { readonly of: ClaimBudget; readonly pacesVersion: number } | undefined;

  constructor(context: ClaimedBytesContext) {
    this.#of = context;
  }

  /** From all other hosts together. */
  get linkedBytes(): number {
    return this.#linkedBytes;
  }

  /** Whether one more parcel may be claimed from the source, which may be this host itself. */
  allows(source: HostId): boolean {
    if (source === this.#of.self) return this.#hereBytes < CLAIMED_HERE_BYTES_MAX;
    return this.#budgetNow().allows(source);
  }

  /** A pursuit has begun. */
  add(source: HostId, bytes: number): void {
    if (source !== this.#of.self) this.#budget?.of.spend(source, bytes);
    this.#change(source, bytes);
  }

  /** A pursuit has ended. */
  remove(source: HostId, bytes: number): void {
    this.#change(source, -bytes);
    this.#budget = undefined;
  }

  #change(source: HostId, bytes: number): void {
    if (source === this.#of.self) {
      this.#hereBytes += bytes;
      return;
    }
    this.#linkedBytes += bytes;
    const fromThere = (this.#from.get(source) ?? 0) + bytes;
    if (fromThere > 0) this.#from.set(source, fromThere);
    else this.#from.delete(source);
  }

  #budgetNow(): ClaimBudget {
    const { paces, claimWaitMs } = this.#of;
    const pacesVersion = paces.version;
    if (this.#budget?.pacesVersion !== pacesVersion) {
      const of = new ClaimBudget({ claimed: this.#from, paces, claimWaitMs: claimWaitMs() });
      this.#budget = { of, pacesVersion };
    }
    return this.#budget.of;
  }
}

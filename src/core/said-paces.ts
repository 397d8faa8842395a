/**
 * Said paces: how fast the others say they take parcels in. What is made of that is for paces.ts.
 *
 * A word counts while its host is live. Sums are made anew only when some word may be another: they are asked for at every
 * look at what is short.
 *
 * Driven by hosts.ts.
 */
import type { HostView } from './host-view.js';

interface Sums {
  readonly fastest: number;
  readonly roomy: number;
}

export class SaidPaces {
  readonly #hosts: () => Iterable<HostView>;
  /** Undefined when they have to be made again. */
  #known: Sums | undefined;

  constructor(hosts: () => Iterable<HostView>) {
    this.#hosts = hosts;
  }

  /** Some host's word may be another, or count now, or no longer. */
  differ(): void {
    this.#known = undefined;
  }

  /** The greatest pace of any live host, in bytes a second; 0 when none knows its own. */
  get fastestBytesPerS(): number {
    return this.#sums.fastest;
  }

  /** What all live hosts that have any room take in together. */
  get roomyBytesPerS(): number {
    return this.#sums.roomy;
  }

  get #sums(): Sums {
    if (this.#known === undefined) {
      let [fastest, roomy] = [0, 0];
      for (const host of this.#hosts()) {
        const pace = saidPaceOf(host);
        fastest = Math.max(fastest, pace);
        if (host.freeBytes > 0) roomy += pace;
      }
      this.#known = { fastest, roomy };
    }
    return this.#known;
  }
}

/** A host's pace, as it says; 0 when it is not live or does not know. */
export const saidPaceOf = ({ liveness, heartbeat }: HostView): number =>
  liveness === 'live' ? (heartbeat?.paceBytesPerS ?? 0) : 0;

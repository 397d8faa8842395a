/**
 * Said paces: how fast the other hosts say they receive parcels. paces.ts draws the conclusions.
 *
 * A host's report counts while it is live. Sums are recomputed only when some report may have changed, because they are
 * asked for at every look at a short row.
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
  /** Undefined when they must be recomputed. */
  #known: Sums | undefined;

  constructor(hosts: () => Iterable<HostView>) {
    this.#hosts = hosts;
  }

  /** Some host's report may have changed, or may newly count, or no longer. */
  differ(): void {
    this.#known = undefined;
  }

  /** The greatest pace of any live host, in bytes a second; 0 when none is known. */
  get fastestBytesPerS(): number {
    return this.#sums.fastest;
  }

  /** The sum of the paces of all live hosts that have any room, in bytes a second. */
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

/** A host's own report of its pace; 0 when it is not live or does not know. */
export const saidPaceOf = ({ liveness, heartbeat }: HostView): number =>
  liveness === 'live' ? (heartbeat?.paceBytesPerS ?? 0) : 0;

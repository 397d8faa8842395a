/**
 * Serving: gives parcels to other hosts, from the stores or, at the origin, from the live files. core/serve.ts decides
 * whether to serve, from the fetchers that this host sees.
 */
import type { HostId, ParcelId } from '../src/core/ids.js';
import { decideServe } from '../src/core/serve.js';
import type { Origin } from './origin.js';
import type { OwnStores } from './own-stores.js';
import type { FetchAnswer } from './questions.js';
import type { Running } from './sim-host.js';
import type { Surroundings } from './surroundings.js';

/**
 * A host that has received all of a parcel counts as one of its fetchers for this long, in ms: its copy is heard of
 * sooner.
 */
const HEARD_MS = 10_000;

export class Serving {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #stores: OwnStores;
  readonly #origin: Origin;
  /** Which hosts are being served which parcels, and until when they count: Infinity while it goes on. */
  readonly #fetchers = new Map<ParcelId, Map<HostId, number>>();
  #served = 0;
  readonly #servedTo = new Map<HostId, number>();

  constructor({
    of,
    world,
    stores,
    origin,
  }: {
    readonly of: Running;
    readonly world: Surroundings;
    readonly stores: OwnStores;
    readonly origin: Origin;
  }) {
    this.#of = of;
    this.#world = world;
    this.#stores = stores;
    this.#origin = origin;
  }

  answer(parcel: ParcelId, purpose: 'grab' | 'repair', asker: HostId): FetchAnswer {
    const { machine } = this.#of;
    const verdict = decideServe({
      purpose,
      copiesWanted: machine.known.wantedCopies(parcel),
      copies: machine.known.copies(parcel),
      othersFetching: this.#othersFetching(parcel, asker),
      served: this.#served,
      servedToAsker: this.#servedTo.get(asker) ?? 0,
    });
    if (verdict === 'busy' && !this.#world.greedy) return { kind: 'busy' };
    const found = this.#find(parcel);
    if (found === undefined) return { kind: 'gone' };
    this.#serves(asker, 1);
    const fetchers = this.#fetchers.get(parcel) ?? new Map<HostId, number>();
    this.#fetchers.set(parcel, fetchers);
    fetchers.set(asker, Number.POSITIVE_INFINITY);
    let open = true;
    const ended = (whole: boolean): void => {
      if (!open) return;
      open = false;
      this.#serves(asker, -1);
      if (whole) fetchers.set(asker, this.#of.nowMs + HEARD_MS);
      else fetchers.delete(asker);
    };
    return { kind: 'bytes', ...found, ended };
  }

  #serves(asker: HostId, more: 1 | -1): void {
    this.#served += more;
    this.#servedTo.set(asker, (this.#servedTo.get(asker) ?? 0) + more);
  }

  #othersFetching(parcel: ParcelId, asker: HostId): number {
    const fetchers = this.#fetchers.get(parcel);
    if (fetchers === undefined) return 0;
    const holders = new Set(this.#of.machine.known.holders(parcel).map(({ host }) => host));
    let others = 0;
    for (const [host, untilMs] of fetchers) {
      if (untilMs <= this.#of.nowMs) fetchers.delete(host);
      else if (host !== asker && !holders.has(host)) others += 1;
    }
    return others;
  }

  #find(parcel: ParcelId): { readonly content: string; readonly bytes: number } | undefined {
    for (const store of this.#stores.stores()) {
      const file = store.files.get(parcel);
      if (file !== undefined && !store.failing) return file;
    }
    return this.#origin.liveFile(parcel);
  }
}

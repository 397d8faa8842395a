/**
 * Fetchers: checks that no more than N + 1 hosts receive one parcel at a time while gossip is in order (I11): claims,
 * and what each server sees of its own fetchers, keep other hosts from it. A fetch counts once its bytes have begun to
 * arrive.
 */
import type { ParcelId } from '../../src/core/ids.js';
import type { Happening } from '../happening.js';
import type { Running } from '../sim-host.js';
import { Violation } from '../violation.js';
import type { World } from '../world.js';
import type { Checker } from './checker.js';

export class FetcherChecker implements Checker {
  readonly #world: World;
  /** By run, the parcels being received, by fetch. */
  readonly #coming = new Map<Running, Map<number, ParcelId>>();

  constructor(world: World) {
    this.#world = world;
  }

  see(happening: Happening): void {
    switch (happening.is) {
      case 'taking-in':
        this.#began(happening);
        return;
      case 'told':
        if (happening.input.is === 'fetched' || happening.input.is === 'fetch-failed')
          this.#coming.get(happening.by)?.delete(happening.input.fetch);
        return;
      case 'stopped':
        this.#coming.delete(happening.by);
        return;
      default:
        return;
    }
  }

  #began({ by, fetch, parcel }: Extract<Happening, { is: 'taking-in' }>): void {
    const coming = this.#coming.get(by) ?? new Map<number, ParcelId>();
    this.#coming.set(by, coming);
    coming.set(fetch, parcel);
    const { inOrder, catalog, config } = this.#world;
    const source = catalog.parcel(parcel)?.source;
    const copies = config.sources.find(configured => configured.source === source)?.copies;
    if (!inOrder || copies === undefined) return;
    const hosts = new Set<number>();
    for (const [{ host }, parcels] of this.#coming)
      for (const other of parcels.values()) if (other === parcel) hosts.add(host.number);
    if (hosts.size > copies + 1)
      throw new Violation('I11', `${hosts.size} hosts take in ${parcel.slice(0, 8)}, and ${copies} copies are wanted`);
  }
}

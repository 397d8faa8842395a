/**
 * Copy watch: how many intact copies each parcel has, kept up to date with every event, so that asking costs nothing
 * however many parcels there are.
 *
 * It sees what is durable on all disks, which no host does. It counts like `World.copies`, by the newest configuration:
 * copies of active, trusted members, once per domain, and none at the origin.
 */
import type { HostId, ParcelId } from '../src/core/ids.js';
import type { ParcelModel } from './catalog-model.js';
import { countingDomains } from './counting-domains.js';
import type { Happening } from './happening.js';
import type { SimHost } from './sim-host.js';
import type { World } from './world.js';

interface Watched {
  readonly parcel: ParcelModel;
  readonly copiesWanted: number;
  readonly holders: Set<SimHost>;
  copies: number;
}

export class CopyWatch {
  /** Called when a parcel's copies have changed. */
  changed: ((parcel: ParcelModel, copies: number) => void) | undefined;
  readonly #world: World;
  readonly #watched = new Map<ParcelId, Watched>();
  /** How many parcels have 0, 1, 2 … copies. */
  readonly #withCopies: number[] = [];
  /** The domains of the hosts whose copies count. */
  #domains: ReadonlyMap<HostId, string> = new Map();
  #short = 0;
  #over = 0;

  constructor(world: World) {
    this.#world = world;
    world.witnesses.push(happening => this.#see(happening));
  }

  /** Parcels with fewer copies than wanted. */
  get short(): number {
    this.#keepUp();
    return this.#short;
  }

  /** Parcels with more copies than wanted. */
  get over(): number {
    this.#keepUp();
    return this.#over;
  }

  get size(): number {
    return this.#watched.size;
  }

  /** How many parcels have exactly this many copies. */
  withCopies(copies: number): number {
    this.#keepUp();
    return this.#withCopies[copies] ?? 0;
  }

  get least(): number {
    this.#keepUp();
    const least = this.#withCopies.findIndex(count => count > 0);
    return Math.max(0, least);
  }

  *watched(): IterableIterator<Readonly<Watched>> {
    this.#keepUp();
    yield* this.#watched.values();
  }

  want(parcel: ParcelModel, copiesWanted: number): void {
    const known = this.#watched.get(parcel.ref.id);
    if (known !== undefined) this.#count(known, -1);
    const watched = known ?? { parcel, copiesWanted, holders: new Set<SimHost>(), copies: 0 };
    const now = { ...watched, copiesWanted };
    this.#watched.set(parcel.ref.id, now);
    this.#count(now, 1);
  }

  #see(happening: Happening): void {
    if (happening.is === 'durable') {
      const { op, host } = happening;
      if (op.op === 'add') this.#move(op.parcel, host, true);
      else if (op.op === 'del' || op.op === 'corrupt') this.#move(op.parcel, host, false);
    } else if (happening.is === 'injected-loss') this.#move(happening.parcel, happening.host, false);
  }

  #move(id: ParcelId, host: SimHost, held: boolean): void {
    const watched = this.#watched.get(id);
    if (watched === undefined) return;
    this.#keepUp();
    const changed = held ? !watched.holders.has(host) : watched.holders.has(host);
    if (!changed) return;
    this.#count(watched, -1);
    if (held) watched.holders.add(host);
    else watched.holders.delete(host);
    watched.copies = this.#copiesOf(watched);
    this.#count(watched, 1);
    this.changed?.(watched.parcel, watched.copies);
  }

  /** A changed configuration is no happening, so the hosts that count may have changed since the last look. */
  #keepUp(): void {
    if (this.#world.hosts.length === 0) return;
    const domains = countingDomains(this.#world.config);
    if (domains === this.#domains) return;
    this.#domains = domains;
    const changed: Watched[] = [];
    for (const watched of this.#watched.values()) {
      const copies = this.#copiesOf(watched);
      if (copies === watched.copies) continue;
      this.#count(watched, -1);
      watched.copies = copies;
      this.#count(watched, 1);
      changed.push(watched);
    }
    // Reported only after all are counted: a mixture of before and after never existed.
    for (const { parcel, copies } of changed) this.changed?.(parcel, copies);
  }

  #copiesOf({ parcel, holders }: Watched): number {
    const domains = new Set<string>();
    for (const { id } of holders) {
      const domain = id === parcel.origin ? undefined : this.#domains.get(id);
      if (domain !== undefined) domains.add(domain);
    }
    return domains.size;
  }

  #count({ copies, copiesWanted }: Watched, by: 1 | -1): void {
    this.#withCopies[copies] = (this.#withCopies[copies] ?? 0) + by;
    for (let i = 0; i < copies; i += 1) this.#withCopies[i] ??= 0;
    if (copies < copiesWanted) this.#short += by;
    if (copies > copiesWanted) this.#over += by;
  }
}

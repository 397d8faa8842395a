/**
 * Givers: the hosts that could give this host a parcel (its origins and all that claim to hold it), and which of them
 * would now. If all of the parcel lies in this host's own stores, in one that is to be emptied or as the files of other
 * parcels, the best giver is this host itself.
 *
 * It only reads: the table, the holdings, which hosts are connected, and how fast each has given so far. Driven by
 * pursuing.ts.
 */
import { chooseSource, type SourceChoice } from './choose-source.js';
import type { Fitting } from './fitting.js';
import type { HeldHere } from './held-here.js';
import type { Holdings } from './holdings.js';
import type { Hosts } from './hosts.js';
import type { HostId } from './ids.js';
import type { Paces } from './paces.js';
import type { ParcelTable, Row, StoreSlot } from './parcel-table.js';
import type { Wanted } from './wanted.js';

const NOTHING_AVOIDED: ReadonlyMap<HostId, number> = new Map();
const NO_LOAD: ReadonlyMap<HostId, number> = new Map();

export interface GiversContext {
  readonly self: HostId;
  readonly here: Pick<HeldHere, 'isReadable'>;
  readonly fitting: Pick<Fitting, 'isAtHand'>;
  readonly table: ParcelTable;
  readonly holdings: Holdings;
  readonly hosts: Hosts;
  readonly wanted: Wanted;
  readonly paces: Pick<Paces, 'hopedOf'>;
  readonly nowMs: () => number;
}

export class Givers {
  readonly #of: GiversContext;
  /** Scratch space for the holders of one row, used again for the next. */
  readonly #slots: StoreSlot[] = [];

  constructor(context: GiversContext) {
    this.#of = context;
  }

  /** The host to fetch a row from now; undefined when no connected host could give it. */
  best(row: Row): HostId | undefined {
    return this.choose(row, NOTHING_AVOIDED, NO_LOAD).from;
  }

  /** The same, without hosts that are still avoided, and with this load of fetches on each. */
  choose(row: Row, avoidUntilMs: ReadonlyMap<HostId, number>, load: ReadonlyMap<HostId, number>): SourceChoice<HostId> {
    const { self, wanted, paces, nowMs } = this.#of;
    if ((avoidUntilMs.get(self) ?? Number.NEGATIVE_INFINITY) <= nowMs() && this.isHere(row)) return { from: self };
    return chooseSource({
      origins: wanted.originsOf(row),
      holders: this.#holdersOf(row),
      isConnected: host => this.isConnected(host),
      hopedOf: host => paces.hopedOf(host),
      load,
      avoidUntilMs,
      turn: row,
      nowMs: nowMs(),
    });
  }

  isConnected(host: HostId): boolean {
    return this.#of.hosts.get(host)?.connected === true;
  }

  /** This host's stores have all of it. */
  isHere(row: Row): boolean {
    return this.#of.here.isReadable(row) || this.#of.fitting.isAtHand(row);
  }

  /** Somebody who could give the row is connected, or it is here. */
  areThere(row: Row): boolean {
    const { table, holdings, wanted } = this.#of;
    return (
      this.isHere(row) ||
      wanted.originsOf(row).some(host => this.isConnected(host)) ||
      table.holders(row, this.#slots).some(slot => this.isConnected(holdings.hostOf(slot)))
    );
  }

  all(row: Row): readonly HostId[] {
    return [...this.#of.wanted.originsOf(row), ...this.#holdersOf(row)];
  }

  #holdersOf(row: Row): readonly HostId[] {
    const { table, holdings } = this.#of;
    return table.holders(row, this.#slots).map(slot => holdings.hostOf(slot));
  }
}

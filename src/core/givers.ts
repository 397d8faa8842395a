/**
 * Givers: who could give this host a parcel, its origins and all who say they hold it, and who of them would give it now.
 *
 * It only reads: the table, the holdings, who is connected, and how fast each has given so far. Driven by pursuing.ts.
 */
import { chooseSource, type SourceChoice } from './choose-source.js';
import type { Holdings } from './holdings.js';
import type { Hosts } from './hosts.js';
import type { HostId } from './ids.js';
import type { Paces } from './paces.js';
import type { ParcelTable, Row, StoreSlot } from './parcel-table.js';
import type { Wanted } from './wanted.js';

const NOTHING_AVOIDED: ReadonlyMap<HostId, number> = new Map();
const NO_LOAD: ReadonlyMap<HostId, number> = new Map();

export interface GiversContext {
  readonly table: ParcelTable;
  readonly holdings: Holdings;
  readonly hosts: Hosts;
  readonly wanted: Wanted;
  readonly paces: Pick<Paces, 'hopedOf'>;
  readonly nowMs: () => number;
}

export class Givers {
  readonly #of: GiversContext;
  /** Of the row that is looked at, used again for the next. */
  readonly #slots: StoreSlot[] = [];

  constructor(context: GiversContext) {
    this.#of = context;
  }

  /** Who would give a row now; undefined when nobody is connected who could. */
  best(row: Row): HostId | undefined {
    return this.choose(row, NOTHING_AVOIDED, NO_LOAD).from;
  }

  /** … of those that need not be avoided any more, with so many fetches from each. */
  choose(row: Row, avoidUntilMs: ReadonlyMap<HostId, number>, load: ReadonlyMap<HostId, number>): SourceChoice<HostId> {
    const { wanted, paces, nowMs } = this.#of;
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

  /** Somebody who could give the row is connected. */
  areThere(row: Row): boolean {
    const { table, holdings, wanted } = this.#of;
    return (
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

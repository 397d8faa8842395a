/**
 * Known: what a machine can answer from everything it was told: about a parcel, a source, a host, or itself. Nothing
 * here changes anything.
 */
import type { Auditing } from './auditing.js';
import type { Claims } from './claims.js';
import { type Member, mayHoldCopies, mayTakeCopies } from './cluster-config.js';
import type { Dropping } from './dropping.js';
import type { Boot } from './duplicate.js';
import { type ExplainContext, explain, type HostExplained } from './explain.js';
import type { Heeding } from './heeding.js';
import type { HeldHere } from './held-here.js';
import type { Holdings } from './holdings.js';
import type { LogPosition } from './holdings-log.js';
import type { HostView } from './host-view.js';
import type { Hosts } from './hosts.js';
import { type HostId, type ParcelId, type SourceId, type StoreId, splitSourceId } from './ids.js';
import type { Liveness } from './liveness.js';
import type { HeadHint } from './messages.js';
import type { ParcelRef } from './parcel.js';
import { FLAG, type ParcelTable, type Row } from './parcel-table.js';
import type { CopyCount, Placement } from './placement.js';
import type { Pursuing } from './pursuing.js';
import type { Relocating } from './relocating.js';
import type { Room } from './room.js';
import { type RoomWanted, type RoomWantedContext, roomWanted } from './room-wanted.js';
import type { LostParcel, TakingBack } from './taking-back.js';
import type { Wanted } from './wanted.js';

/**
 * What people are told about one source's parcels.
 *
 * Too few copies are reported only for what is listed. A parcel that only a hold keeps (hold.ts) is wanted by each host
 * for its own running time. A host that is on for two hours a day wants it for a year, although the others, rightly,
 * have let it go after a month; it would report the parcel as short all that time, though nobody can or should do
 * anything about it. While the others want the parcel too, they repair its copies like any other's.
 */
export interface SourceSummary {
  /** Listed or held. */
  readonly parcels: number;
  readonly bytes: number;
  /** Parcels with N copies or more. */
  readonly full: number;
  /** Listed, with fewer than N copies. */
  readonly under: number;
  readonly over: number;
  /** Listed parcels that have no copy at all. */
  readonly without: number;
  /** The least number of copies of any listed parcel; N when none is listed. */
  readonly haveMin: number;
}

export interface CopyReport {
  readonly host: HostId;
  readonly store: StoreId;
  readonly counts: boolean;
  readonly liveness: Liveness;
}

/** A parcel that is listed or held. */
export interface WantedParcel extends ParcelRef {
  /** By the newest head; false: its hold alone keeps it. */
  readonly listed: boolean;
  /** By the newest snapshot, which is of the origin's present files. The origin need no longer have those of older ones. */
  readonly newest: boolean;
}

/** Where the answers come from. */
export interface KnownContext extends RoomWantedContext, ExplainContext {
  readonly self: { readonly host: HostId; readonly member: () => Member | undefined };
  readonly table: ParcelTable;
  readonly holdings: Holdings;
  readonly hosts: Hosts;
  readonly placement: Placement;
  readonly wanted: Wanted;
  readonly claims: Claims;
  readonly room: Room;
  readonly takingBack: Pick<TakingBack, 'bytesIn' | 'has'>;
  readonly auditing: Pick<Auditing, 'distrustsOf'>;
  readonly dropping: Pick<Dropping, 'size'>;
  readonly heeding: Pick<Heeding, 'heardSeq'>;
  readonly pursuing: Pick<Pursuing, 'size' | 'fetches' | 'isAfter' | 'claims'>;
  readonly relocating: Pick<Relocating, 'size'>;
  readonly here: Pick<HeldHere, 'heldIn'>;
  readonly count: (row: Row, withHead?: { readonly source: SourceId; readonly seq: number }) => CopyCount;
}

export class Known {
  readonly #of: KnownContext;

  constructor(context: KnownContext) {
    this.#of = context;
  }

  /** Counted copies of a wanted parcel; with `headSeq`, only in stores that durably hold that head or a later one. */
  copies(parcel: ParcelId, headSeq?: number): number {
    const row = this.#of.table.find(parcel);
    const source = row === undefined ? undefined : this.#of.wanted.sourceOf(row);
    if (row === undefined || source === undefined) return 0;
    return this.#of.count(row, headSeq === undefined ? undefined : { source, seq: headSeq }).copies;
  }

  /** Some snapshot that is listed, or in its hold, lists the parcel, whether or not its source is configured now. */
  isListed(parcel: ParcelId): boolean {
    const row = this.#of.table.find(parcel);
    return row !== undefined && this.#of.table.has(row, FLAG.wanted);
  }

  /** N of a parcel that a listed snapshot wants; undefined for any other. */
  wantedCopies(parcel: ParcelId): number | undefined {
    const row = this.#of.table.find(parcel);
    return row === undefined ? undefined : this.#of.wanted.copiesWanted(row);
  }

  /**
   * False when a page gives the parcel another key or size than this: then its page and its record contradict each
   * other.
   */
  fits({ id, key, bytes }: ParcelRef): boolean {
    const row = this.#of.table.find(id);
    if (row === undefined || this.#of.table.source(row) < 0) return true;
    return this.#of.table.key(row) === key && this.#of.table.bytes(row) === bytes;
  }

  /** The store of ours that holds the parcel, by its log. */
  storeOf(parcel: ParcelId): StoreId | undefined {
    const row = this.#of.table.find(parcel);
    return row === undefined ? undefined : this.#of.here.heldIn(row);
  }

  /** The size by its page; undefined for a parcel that no page has described. */
  bytesOf(parcel: ParcelId): number | undefined {
    const row = this.#of.table.find(parcel);
    return row === undefined || this.#of.table.source(row) < 0 ? undefined : this.#of.table.bytes(row);
  }

  /** The room kept in a store of ours for parcels that are claimed, on their way, or about to be taken back. */
  reservedBytes(store: StoreId): number {
    for (const own of this.#of.room.stores()) if (own.store === store) return own.reservedBytes;
    return 0;
  }

  /**
   * The part of that for bytes that are not on the disk yet. The trash must not be emptied for what is being taken out
   * of it.
   */
  comingBytes(store: StoreId): number {
    return this.reservedBytes(store) - this.#of.takingBack.bytesIn(store);
  }

  /** True from `taking-back` on, if there was room. */
  keepsRoomFor(parcel: ParcelId): boolean {
    return this.#of.takingBack.has(parcel);
  }

  /**
   * Parcels without a copy whose origin is not connected: our disks are to be searched for them. None if no copy of
   * ours would count.
   */
  *lost(): IterableIterator<LostParcel> {
    const { self, hosts, wanted, table } = this.#of;
    if (!mayTakeCopies(self.member())) return;
    for (const { source } of wanted.heads()) {
      const { origin } = splitSourceId(source);
      if (origin === self.host || hosts.get(origin)?.connected === true) continue;
      for (const row of wanted.rowsOf(source)) {
        if (this.#of.count(row).copies > 0 || this.#of.here.heldIn(row) !== undefined) continue;
        yield { parcel: table.id(row), bytes: table.bytes(row) };
      }
    }
  }

  /** The origin of a parcel that the catalog has described. */
  originOf(parcel: ParcelId): HostId | undefined {
    const row = this.#of.table.find(parcel);
    return row === undefined ? undefined : this.#of.wanted.originOf(row);
  }

  /** What the snapshots of a source reference that are listed, or in their hold. */
  *wanted(source: SourceId): IterableIterator<WantedParcel> {
    const { table, wanted } = this.#of;
    for (const row of wanted.rowsOf(source))
      yield {
        id: table.id(row),
        key: table.key(row),
        bytes: table.bytes(row),
        listed: table.has(row, FLAG.listed),
        newest: table.has(row, FLAG.newest),
      };
  }

  /** The other parcels of its key, the most recently heard of first. */
  *family(parcel: ParcelId): IterableIterator<ParcelId> {
    const row = this.#of.table.find(parcel);
    if (row !== undefined) for (const other of this.#of.table.familyOf(row)) yield this.#of.table.id(other);
  }

  /**
   * Every store whose log has the parcel and which has not failed an audit of it since, and whether its copy counts.
   */
  holders(parcel: ParcelId): readonly CopyReport[] {
    const row = this.#of.table.find(parcel);
    if (row === undefined) return [];
    return this.#of.table.holders(row, []).map(slot => {
      const host = this.#of.holdings.hostOf(slot);
      return {
        host,
        store: this.#of.holdings.position(slot).store,
        counts: this.#of.placement.storeCounts(slot),
        liveness: this.#of.placement.livenessOf(host),
      };
    });
  }

  /** Why each member has a copy of the parcel, or has none; undefined for a parcel that is not wanted. */
  explain(parcel: ParcelId): readonly HostExplained[] | undefined {
    const row = this.#of.table.find(parcel);
    return row === undefined || this.#of.wanted.copiesWanted(row) === undefined ? undefined : explain(this.#of, row);
  }

  /** Some store's log names the parcel, whatever its audits: a failed audit reported by others ends no hold. */
  isClaimed(parcel: ParcelId): boolean {
    const row = this.#of.table.find(parcel);
    return row !== undefined && (this.#of.table.holderCount(row) > 0 || this.#of.auditing.distrustsOf(row));
  }

  /** Hosts that are live but not connected: other hosts, which may be connected to them, are asked for their logs. */
  outOfReach(): readonly HostId[] {
    return [...this.#of.hosts.others()].flatMap(({ id, member, liveness, connected }) =>
      liveness === 'live' && !connected && mayHoldCopies(member) ? [id] : [],
    );
  }

  /** How far every log has been read: from where to ask others. */
  positions(): IterableIterator<{ readonly host: HostId; readonly position: LogPosition }> {
    return this.#of.holdings.positions();
  }

  head(source: SourceId): HeadHint | undefined {
    return this.#of.wanted.head(source);
  }

  /** The highest head that a heeded host has named, also by its log; Infinity while a void one is in force here. */
  heardSeq(source: SourceId): number {
    return this.#of.heeding.heardSeq(source);
  }

  copiesWanted(source: SourceId): number | undefined {
    return this.#of.wanted.copiesOf(source);
  }

  /** The last known start of a host, however it was learned; undefined when none is known. */
  startOf(host: HostId): Boot | undefined {
    return this.#of.hosts.get(host)?.boots.at(-1);
  }

  host(host: HostId): Readonly<HostView> | undefined {
    return this.#of.hosts.get(host);
  }

  /** How many mounted stores of a host are being read again: what more may be in them no count here includes. */
  unreadStores(host: HostId): number {
    const { hosts, room, self } = this.#of;
    const stores = host === self.host ? room.stores() : (hosts.get(host)?.reports.values() ?? []);
    return [...stores].filter(({ unread }) => unread).length;
  }

  /**
   * Of the parcels that a host holds: how many would have too few copies without it, and how many of those would have
   * none. Not counted is what is in stores that are being read again.
   */
  without(host: HostId): { readonly under: number; readonly lost: number } {
    let under = 0;
    let lost = 0;
    for (const row of new Set(this.#of.holdings.slotsOf(host).flatMap(slot => [...this.#of.table.heldBy(slot)]))) {
      const copiesWanted = this.#of.wanted.copiesWanted(row);
      if (copiesWanted === undefined) continue;
      const domains = new Set<string | undefined>();
      for (const slot of this.#of.table.holders(row, [])) {
        const holder = this.#of.holdings.hostOf(slot);
        if (holder !== host && this.#of.placement.storeCounts(slot)) domains.add(this.#of.placement.domainOf(holder));
      }
      if (domains.size < copiesWanted) under += 1;
      if (domains.size === 0) lost += 1;
    }
    return { under, lost };
  }

  /**
   * How many wanted parcels a host has, in all of its stores. Undefined if that seems to be none but its logs have not
   * been read to the end, or one of its stores is being read again: a caller that took it for empty would let go of it.
   */
  left(host: HostId): number | undefined {
    const { holdings, hosts, self, table, wanted } = this.#of;
    let left = 0;
    for (const slot of holdings.slotsOf(host))
      for (const row of table.heldBy(slot)) if (wanted.copiesWanted(row) !== undefined) left += 1;
    if (left > 0) return left;
    if (this.unreadStores(host) > 0) return undefined;
    if (host === self.host) return 0;
    const view = hosts.get(host);
    const isRead = [...(view?.reports.values() ?? [])].every(({ position }) => holdings.hasReached(host, position));
    return view?.heartbeat !== undefined && isRead ? 0 : undefined;
  }

  summary(source: SourceId): SourceSummary {
    const copiesWanted = this.#of.wanted.copiesOf(source);
    const summary = { parcels: 0, bytes: 0, full: 0, under: 0, over: 0, without: 0, haveMin: copiesWanted ?? 0 };
    if (copiesWanted === undefined) return summary;
    for (const row of this.#of.wanted.rowsOf(source)) {
      const { copies } = this.#of.count(row);
      summary.parcels += 1;
      summary.bytes += this.#of.table.bytes(row);
      if (copies >= copiesWanted) summary.full += 1;
      if (copies > copiesWanted) summary.over += 1;
      if (!this.#of.table.has(row, FLAG.listed)) continue;
      if (copies < copiesWanted) summary.under += 1;
      if (copies === 0) summary.without += 1;
      summary.haveMin = Math.min(summary.haveMin, copies);
    }
    return summary;
  }

  /** What stays short of copies for want of room, by source; only sources of which something does. Looks in turns. */
  roomWanted(): Generator<void, ReadonlyMap<SourceId, RoomWanted>> {
    return roomWanted(this.#of);
  }

  /** This host's claims, fetches, attempts to drop and relocations, and live claims of others. */
  pending(): {
    readonly pursuits: number;
    readonly fetches: number;
    readonly othersClaims: number;
    readonly attempts: number;
    readonly relocations: number;
  } {
    return {
      pursuits: this.#of.pursuing.size,
      fetches: this.#of.pursuing.fetches,
      othersClaims: this.#of.claims.size,
      attempts: this.#of.dropping.size,
      relocations: this.#of.relocating.size,
    };
  }
}

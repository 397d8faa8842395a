/**
 * Other holders: the other hosts that have a parcel, lack it, or could take it over. Dropping and relocating ask this.
 *
 * It only reads, and is asked only about parcels that have surplus copies or fit nowhere; counting and ranking, which
 * every change needs, are in placement.ts.
 */
import { type Member, mayTakeCopies } from './cluster-config.js';
import type { Holdings } from './holdings.js';
import type { HostView } from './host-view.js';
import type { Hosts } from './hosts.js';
import { bytesOf, type HostId } from './ids.js';
import { FLAG, type ParcelTable, type Row, type StoreSlot } from './parcel-table.js';
import type { Placement } from './placement.js';
import type { Taker } from './relocate.js';
import { comesBefore, type IdWords, idWords, type Scored, scoreOf } from './rendezvous.js';

interface Ranked {
  readonly family: boolean;
  readonly score: Scored;
}

interface Candidate extends Ranked {
  /** In the origin's domain, or one roaming host too many: ranked after all others. */
  readonly late: boolean;
}

export class OtherHolders {
  readonly #table: ParcelTable;
  readonly #holdings: Pick<Holdings, 'hostOf'>;
  readonly #hosts: Hosts;
  readonly #placement: Pick<Placement, 'domainOf' | 'livenessOf' | 'storeCounts'>;
  readonly #self: { readonly host: HostId; member(): Member | undefined; readonly weightMiB: number };
  readonly #copiesWanted: (row: Row) => number | undefined;
  readonly #selfWords: IdWords;
  readonly #slots: StoreSlot[] = [];

  constructor({
    table,
    holdings,
    hosts,
    placement,
    self,
    copiesWanted,
  }: {
    readonly table: ParcelTable;
    readonly holdings: Pick<Holdings, 'hostOf'>;
    readonly hosts: Hosts;
    readonly placement: Pick<Placement, 'domainOf' | 'livenessOf' | 'storeCounts'>;
    readonly self: { readonly host: HostId; member(): Member | undefined; readonly weightMiB: number };
    readonly copiesWanted: (row: Row) => number | undefined;
  }) {
    this.#table = table;
    this.#holdings = holdings;
    this.#hosts = hosts;
    this.#placement = placement;
    this.#self = self;
    this.#copiesWanted = copiesWanted;
    this.#selfWords = idWords(bytesOf(self.host));
  }

  /** Other hosts that could grant a drop of the row: live, with a copy that counts. */
  grantersOf(row: Row, origins: readonly HostId[]): readonly HostId[] {
    const granters = new Set<HostId>();
    for (const slot of this.#table.holders(row, this.#slots)) {
      const host = this.#holdings.hostOf(slot);
      if (host === this.#self.host || origins.includes(host) || this.#placement.livenessOf(host) !== 'live') continue;
      if (this.#placement.storeCounts(slot)) granters.add(host);
    }
    return [...granters];
  }

  /**
   * True when `asker` has the higher priority to drop its copy of the row: a host that is being emptied first, then the
   * one that ranks last. Two hosts that disagree on this cost each other time, never a copy.
   */
  dropsBefore(row: Row, origin: HostId, asker: HostId, other: HostId): boolean {
    const draining = (host: HostId): boolean => this.#memberOf(host)?.state === 'draining';
    if (draining(asker) !== draining(other)) return draining(asker);
    const candidate = this.#candidates(row, origin);
    return isBefore(candidate(other), candidate(asker));
  }

  /** Hosts in the order in which they are to hold the row, all being fit to. */
  inOrder(row: Row, origin: HostId, hosts: readonly HostId[]): readonly HostId[] {
    const candidate = this.#candidates(row, origin);
    return hosts
      .map(host => ({ host, as: candidate(host) }))
      .sort((a, b) => (isBefore(a.as, b.as) ? -1 : 1))
      .map(({ host }) => host);
  }

  #candidates(row: Row, origin: HostId): (host: HostId) => Candidate {
    const key = this.#table.keyWords(row);
    const originDomain = this.#placement.domainOf(origin);
    const familyHosts = this.#familyHosts(row);
    const ranked = (host: HostId): Ranked => {
      const view = this.#hosts.get(host);
      const words = view?.words ?? this.#selfWords;
      const weightMiB = view?.weightMiB ?? this.#self.weightMiB;
      return { family: familyHosts.has(host), score: scoreOf(key, words, host, Math.max(1, weightMiB)) };
    };
    const inOriginDomain = (host: HostId): boolean => this.#placement.domainOf(host) === originDomain;
    const roams = (host: HostId): boolean => this.#memberOf(host)?.roaming === true;
    return host => {
      const own = ranked(host);
      if (inOriginDomain(host) || !roams(host)) return { ...own, late: inOriginDomain(host) };
      // As for grabbing (placement.ts): otherwise the surplus roaming host would expect the others, which may keep
      // theirs, to drop.
      const before = this.#holderHosts(row).filter(
        holder => holder !== host && roams(holder) && !inOriginDomain(holder) && comesFirst(ranked(holder), own),
      );
      return { ...own, late: before.length >= (this.#copiesWanted(row) ?? 1) - 1 };
    };
  }

  /**
   * Whether a live host that could hold the row and does not has room for it; if none has, how many of them rank before
   * this one.
   */
  lackers(row: Row, origins: readonly HostId[]): { readonly rank: number; readonly fitsElsewhere: boolean } {
    const bytes = this.#table.bytes(row);
    const taken = this.#holderDomains([row]);
    const lacks = (host: HostView): boolean => this.#mayTake(host, origins) && !taken.has(host.member.domain);
    for (const host of this.#hosts.others())
      if (host.freeBytes >= bytes && lacks(host)) return { rank: 0, fitsElsewhere: true };
    const key = this.#table.keyWords(row);
    const own = scoreOf(key, this.#selfWords, this.#self.host, Math.max(1, this.#self.weightMiB));
    let rank = 0;
    for (const host of this.#hosts.others()) {
      if (!lacks(host)) continue;
      if (comesBefore(scoreOf(key, host.words, host.id, Math.max(1, host.weightMiB)), own)) rank += 1;
    }
    return { rank, fitsElsewhere: false };
  }

  /** Hosts that could take this host's copies of a family of one source, so that this host may drop its own. */
  takersOf(rows: readonly Row[], origins: readonly HostId[]): readonly Taker<HostId>[] {
    const taken = this.#holderDomains(rows);
    const takers: Taker<HostId>[] = [];
    for (const host of this.#hosts.others()) {
      if (!host.connected || !this.#mayTake(host, origins) || taken.has(host.member.domain)) continue;
      takers.push({ host: host.id, freeBytes: host.freeBytes });
    }
    return takers;
  }

  /** Whether such a host is among those that could take a copy of the row. */
  hasTaker(row: Row, origins: readonly HostId[], isSuch: (host: HostView) => boolean): boolean {
    let taken: ReadonlySet<string> | undefined;
    for (const host of this.#hosts.others()) {
      if (!isSuch(host) || !host.connected || !this.#mayTake(host, origins)) continue;
      taken ??= this.#holderDomains([row]);
      if (!taken.has(host.member.domain)) return true;
    }
    return false;
  }

  #mayTake(host: HostView, origins: readonly HostId[]): boolean {
    const { member } = host;
    return (
      !origins.includes(member.host) &&
      mayTakeCopies(member) &&
      !member.roaming &&
      !host.isSetAside &&
      host.liveness === 'live'
    );
  }

  /**
   * Domains of other hosts with copies of any of the rows, as far as they count. A store that a host lost, or that is
   * away, must not keep that host from being given the same again: placement.ts, too, takes it for one that lacks it.
   */
  #holderDomains(rows: readonly Row[]): ReadonlySet<string> {
    const domains = new Set<string>();
    for (const row of rows) {
      for (const slot of this.#table.holders(row, this.#slots)) {
        if (!this.#placement.storeCounts(slot)) continue;
        const host = this.#holdings.hostOf(slot);
        const domain = this.#placement.domainOf(host);
        if (host !== this.#self.host && domain !== undefined) domains.add(domain);
      }
    }
    return domains;
  }

  #memberOf(host: HostId): Member | undefined {
    return host === this.#self.host ? this.#self.member() : this.#hosts.get(host)?.member;
  }

  /** Hosts with a copy that counts, including this one. */
  #holderHosts(row: Row): readonly HostId[] {
    const slots = this.#table.holders(row, this.#slots).filter(slot => this.#placement.storeCounts(slot));
    return [...new Set(slots.map(slot => this.#holdings.hostOf(slot)))];
  }

  /** Hosts that hold another wanted parcel of the row's family. */
  #familyHosts(row: Row): ReadonlySet<HostId> {
    const hosts = new Set<HostId>();
    for (const other of this.#table.familyOf(row)) {
      if (!this.#table.has(other, FLAG.wanted)) continue;
      for (const slot of this.#table.holders(other, this.#slots)) {
        if (this.#placement.storeCounts(slot)) hosts.add(this.#holdings.hostOf(slot));
      }
    }
    return hosts;
  }
}

function isBefore(a: Candidate, b: Candidate): boolean {
  return a.late === b.late ? comesFirst(a, b) : b.late;
}

function comesFirst(a: Ranked, b: Ranked): boolean {
  if (a.family !== b.family) return a.family;
  return comesBefore(a.score, b.score);
}

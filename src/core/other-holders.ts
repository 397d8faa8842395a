/**
 * Other holders: who else has a parcel, who lacks it, and who could take it over: what dropping and relocating ask.
 *
 * It only reads, and is asked only of parcels that are too many or fit nowhere; counting and ranking, which every change
 * asks, are in placement.ts.
 */
import type { Member } from './cluster-config.js';
import type { Holdings } from './holdings.js';
import type { HostView } from './host-view.js';
import type { Hosts } from './hosts.js';
import { bytesOf, type HostId } from './ids.js';
import { FLAG, type ParcelTable, type Row, type StoreSlot } from './parcel-table.js';
import type { Placement } from './placement.js';
import type { Taker } from './relocate.js';
import { comesBefore, type IdWords, idWords, type Scored, scoreOf } from './rendezvous.js';

interface Candidate {
  /** In the origin's domain. */
  readonly late: boolean;
  readonly family: boolean;
  readonly score: Scored;
}

export class OtherHolders {
  readonly #table: ParcelTable;
  readonly #holdings: Holdings;
  readonly #hosts: Hosts;
  readonly #placement: Placement;
  readonly #self: { readonly host: HostId; member(): Member | undefined; readonly weightMiB: number };
  readonly #selfWords: IdWords;
  readonly #slots: StoreSlot[] = [];

  constructor({
    table,
    holdings,
    hosts,
    placement,
    self,
  }: {
    readonly table: ParcelTable;
    readonly holdings: Holdings;
    readonly hosts: Hosts;
    readonly placement: Placement;
    readonly self: { readonly host: HostId; member(): Member | undefined; readonly weightMiB: number };
  }) {
    this.#table = table;
    this.#holdings = holdings;
    this.#hosts = hosts;
    this.#placement = placement;
    this.#self = self;
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
   * True when `asker` has the higher right to let its copy of the row go: the one that is being emptied, then the one that
   * ranks last. Two hosts that see it differently cost each other time, never a copy.
   */
  dropsBefore(row: Row, origin: HostId, asker: HostId, other: HostId): boolean {
    const draining = (host: HostId): boolean => this.#memberOf(host)?.state === 'draining';
    if (draining(asker) !== draining(other)) return draining(asker);
    const key = this.#table.keyWords(row);
    const originDomain = this.#placement.domainOf(origin);
    const familyHosts = this.#familyHosts(row);
    const candidate = (host: HostId): Candidate => {
      const view = this.#hosts.get(host);
      const words = view?.words ?? this.#selfWords;
      const weightMiB = view?.weightMiB ?? this.#self.weightMiB;
      return {
        late: this.#placement.domainOf(host) === originDomain,
        family: familyHosts.has(host),
        score: scoreOf(key, words, host, Math.max(1, weightMiB)),
      };
    };
    return isBefore(candidate(other), candidate(asker));
  }

  /** Whether one of the live hosts that could hold the row and do not has room for it; where none has: how many rank before this one. */
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

  /** Hosts that could take this host's copies of a family of one source, so that its own may go. */
  takersOf(rows: readonly Row[], origins: readonly HostId[]): readonly Taker<HostId>[] {
    const taken = this.#holderDomains(rows);
    const takers: Taker<HostId>[] = [];
    for (const host of this.#hosts.others()) {
      if (!host.connected || !this.#mayTake(host, origins) || taken.has(host.member.domain)) continue;
      takers.push({ host: host.id, freeBytes: host.freeBytes });
    }
    return takers;
  }

  #mayTake(host: HostView, origins: readonly HostId[]): boolean {
    const { member } = host;
    return (
      !origins.includes(member.host) &&
      member.state === 'active' &&
      member.trust === 'trusted' &&
      !member.roaming &&
      !host.isSetAside &&
      host.liveness === 'live'
    );
  }

  /** Domains of other hosts that hold any of the rows. */
  #holderDomains(rows: readonly Row[]): ReadonlySet<string> {
    const domains = new Set<string>();
    for (const row of rows) {
      for (const slot of this.#table.holders(row, this.#slots)) {
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
  if (a.late !== b.late) return b.late;
  if (a.family !== b.family) return a.family;
  return comesBefore(a.score, b.score);
}

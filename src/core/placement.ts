/**
 * Placement: how many copies of a parcel count, and where this host stands among those who could take one more.
 *
 * It only reads: the table, the holdings, the hosts. The machine turns what it says into a `GrabView`.
 */
import type { Member } from './cluster-config.js';
import type { Holdings } from './holdings.js';
import type { Hosts } from './hosts.js';
import { bytesOf, type HostId, type SourceId, type StoreId } from './ids.js';
import type { Liveness } from './liveness.js';
import type { ParcelTable, Row, StoreSlot } from './parcel-table.js';
import { FLAG } from './parcel-table.js';
import { comesBefore, type IdWords, idWords, type Scored, scoreOf } from './rendezvous.js';

export interface CopyCount {
  /** Copies that count, one a domain. */
  readonly copies: number;
  /** Copies on hosts that are live now, one a domain. */
  readonly liveCopies: number;
  /** A counted copy lies in this host's own domain. */
  readonly domainTaken: boolean;
  /** When a suspect's copy will stop to count because too little else is left; Infinity when no such time comes by itself. */
  readonly nextMs: number;
}

export interface Standing {
  /** How many candidates come before this host. */
  readonly rank: number;
  /** How many of `claimants` do. */
  readonly betterClaims: number;
}

/** What placement must know of this host itself. */
export interface SelfView {
  readonly host: HostId;
  member(): Member | undefined;
  /** Stores that are mounted and may count. */
  mounted(store: StoreId): boolean;
  readonly weightMiB: number;
}

interface Candidate {
  readonly host: HostId;
  /** Behind everybody else: in the origin's domain, or one roaming host too many. */
  readonly late: boolean;
  readonly family: boolean;
  readonly score: Scored;
}

export class Placement {
  readonly #table: ParcelTable;
  readonly #holdings: Holdings;
  readonly #hosts: Hosts;
  readonly #self: SelfView;
  readonly #selfWords: IdWords;
  readonly #slots: StoreSlot[] = [];
  readonly #familySlots: StoreSlot[] = [];

  constructor({
    table,
    holdings,
    hosts,
    self,
  }: { table: ParcelTable; holdings: Holdings; hosts: Hosts; self: SelfView }) {
    this.#table = table;
    this.#holdings = holdings;
    this.#hosts = hosts;
    this.#self = self;
    this.#selfWords = idWords(bytesOf(self.host));
  }

  domainOf(host: HostId): string | undefined {
    return host === this.#self.host ? this.#self.member()?.domain : this.#hosts.get(host)?.member.domain;
  }

  livenessOf(host: HostId): Liveness {
    return host === this.#self.host ? 'live' : (this.#hosts.get(host)?.liveness ?? 'dead');
  }

  /**
   * Whether what a store says it holds counts at all: its host is an active member that is not dead, and it is mounted.
   * Until a host's first heartbeat since our start its stores are taken as its log has them.
   */
  storeCounts(slot: StoreSlot): boolean {
    const host = this.#holdings.hostOf(slot);
    const store = this.#holdings.position(slot).store;
    if (host === this.#self.host) return this.#self.member()?.state === 'active' && this.#self.mounted(store);
    const view = this.#hosts.get(host);
    if (view === undefined || view.member.state !== 'active' || view.liveness === 'dead') return false;
    return view.heartbeat === undefined || view.reports.has(store);
  }

  /**
   * @param withHead count only stores that durably hold this head of the source, or a later one.
   */
  count(
    row: Row,
    origin: HostId,
    nowMs: number,
    { lastPlaceMs, withHead }: { lastPlaceMs: number; withHead?: { source: SourceId; seq: number } },
  ): CopyCount {
    const live = new Set<string>();
    const suspect = new Map<string, number>();
    for (const slot of this.#table.holders(row, this.#slots)) {
      if (!this.storeCounts(slot)) continue;
      const host = this.#holdings.hostOf(slot);
      if (host === origin) continue;
      if (withHead !== undefined && this.#holdings.headSeq(slot, withHead.source) < withHead.seq) continue;
      const domain = this.domainOf(host);
      if (domain === undefined) continue;
      if (this.livenessOf(host) === 'live') live.add(domain);
      else suspect.set(domain, Math.max(suspect.get(domain) ?? 0, this.#hosts.get(host)?.livenessSinceMs ?? 0));
    }
    for (const domain of live) suspect.delete(domain);

    // With one live place left, or none, an absent host's copies count only for a while longer.
    const places = live.size + (this.livenessOf(origin) === 'live' ? 1 : 0);
    let nextMs = Number.POSITIVE_INFINITY;
    let suspectCopies = suspect.size;
    const ownDomain = this.domainOf(this.#self.host);
    let domainTaken = ownDomain !== undefined && live.has(ownDomain);
    if (places <= 1) {
      for (const [domain, sinceMs] of suspect) {
        if (nowMs >= sinceMs + lastPlaceMs) {
          suspectCopies -= 1;
          suspect.delete(domain);
        } else nextMs = Math.min(nextMs, sinceMs + lastPlaceMs);
      }
    }
    domainTaken ||= ownDomain !== undefined && suspect.has(ownDomain);
    return { copies: live.size + suspectCopies, liveCopies: live.size, domainTaken, nextMs };
  }

  /** This host's place among the candidates for `row`, and how many of `claimants` come before it. */
  standing(row: Row, origin: HostId, copiesWanted: number, claimants: readonly HostId[]): Standing {
    const originDomain = this.domainOf(origin);
    const bytes = this.#table.bytes(row);
    const key = this.#table.keyWords(row);
    const self = this.#self.member();
    if (self === undefined) return { rank: Number.MAX_SAFE_INTEGER, betterClaims: 0 };

    const holderHosts = new Set<HostId>();
    for (const slot of this.#table.holders(row, this.#slots)) {
      if (this.storeCounts(slot)) holderHosts.add(this.#holdings.hostOf(slot));
    }
    const roamingHolders = [...holderHosts].filter(host => this.#hosts.get(host)?.member.roaming === true).length;
    const roamingFull = roamingHolders >= copiesWanted - 1;
    const familyHosts = this.#familyHosts(row);

    const candidate = (member: Member, words: IdWords, weightMiB: number): Candidate => ({
      host: member.host,
      late: member.domain === originDomain || (member.roaming && roamingFull && !holderHosts.has(member.host)),
      family: familyHosts.has(member.host),
      score: scoreOf(key, words, member.host, Math.max(1, weightMiB)),
    });
    const own = candidate(self, this.#selfWords, this.#self.weightMiB);

    let rank = 0;
    let betterClaims = 0;
    for (const host of this.#hosts.others()) {
      const { member } = host;
      if (member.host === origin || member.state !== 'active' || member.trust !== 'trusted') continue;
      if (host.liveness !== 'live' || host.weightMiB < 1) continue;
      const claims = claimants.includes(host.id);
      // A host that visibly has no room would only cost a turn; one that claims has reserved its room.
      if (!claims && !holderHosts.has(host.id) && host.freeBytes < bytes && !familyHosts.has(host.id)) continue;
      if (!isBefore(candidate(member, host.words, host.weightMiB), own)) continue;
      rank += 1;
      if (claims) betterClaims += 1;
    }
    return { rank, betterClaims };
  }

  /** Hosts that hold another wanted parcel of the row's family. */
  #familyHosts(row: Row): ReadonlySet<HostId> {
    const hosts = new Set<HostId>();
    for (const other of this.#table.familyOf(row)) {
      if (!this.#table.has(other, FLAG.wanted)) continue;
      for (const slot of this.#table.holders(other, this.#familySlots)) {
        if (this.storeCounts(slot)) hosts.add(this.#holdings.hostOf(slot));
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

/**
 * Placement: how many copies of a parcel count, and where this host stands among those who could take one more.
 *
 * It only reads: the table, the holdings, the hosts. The machine turns what it says into a `GrabView`.
 */
import type { Member } from './cluster-config.js';
import type { Holdings } from './holdings.js';
import type { Hosts, HostView } from './hosts.js';
import { bytesOf, type HostId, type SourceId, type StoreId } from './ids.js';
import type { Liveness } from './liveness.js';
import type { ParcelTable, Row, StoreSlot } from './parcel-table.js';
import { FLAG } from './parcel-table.js';
import type { Taker } from './relocate.js';
import { comesBefore, type IdWords, idWords, type Scored, scoreOf } from './rendezvous.js';
import type { Rules } from './rules.js';

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
  /** How many domains have a candidate that comes before this host; N more when its own is among them. */
  readonly rank: number;
  /** Live claims, one a domain, without the domains that have a copy already. */
  readonly claims: number;
  /** … of hosts that come before this one. */
  readonly betterClaims: number;
  /** Somebody in this host's own domain claims it; and comes before this host. */
  readonly ownDomainClaimed: boolean;
  readonly ownDomainBetterClaimed: boolean;
}

/** What placement must know of this host itself. */
export interface SelfView {
  readonly host: HostId;
  member(): Member | undefined;
  /** Stores that are mounted and may count. */
  mounted(store: StoreId): boolean;
  readonly weightMiB: number;
}

/** The standing of who does not stand at all. */
export const NO_STANDING: Standing = {
  rank: Number.MAX_SAFE_INTEGER,
  claims: 0,
  betterClaims: 0,
  ownDomainClaimed: false,
  ownDomainBetterClaimed: false,
};

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
  readonly #rules: Pick<Rules, 'countsForHead'>;
  readonly #selfWords: IdWords;
  readonly #slots: StoreSlot[] = [];
  readonly #familySlots: StoreSlot[] = [];

  constructor({
    table,
    holdings,
    hosts,
    self,
    rules,
  }: {
    readonly table: ParcelTable;
    readonly holdings: Holdings;
    readonly hosts: Hosts;
    readonly self: SelfView;
    readonly rules: Pick<Rules, 'countsForHead'>;
  }) {
    this.#table = table;
    this.#holdings = holdings;
    this.#hosts = hosts;
    this.#self = self;
    this.#rules = rules;
    this.#selfWords = idWords(bytesOf(self.host));
  }

  domainOf(host: HostId): string | undefined {
    return this.#memberOf(host)?.domain;
  }

  livenessOf(host: HostId): Liveness {
    return host === this.#self.host ? 'live' : (this.#hosts.get(host)?.liveness ?? 'dead');
  }

  /**
   * Whether what a store says it holds counts at all: its host is an active, trusted member that is not dead, and it is mounted.
   * Until a host's first heartbeat since our start its stores are taken as its log has them.
   */
  storeCounts(slot: StoreSlot): boolean {
    const host = this.#holdings.hostOf(slot);
    const store = this.#holdings.position(slot).store;
    if (host === this.#self.host) return this.#self.member()?.state === 'active' && this.#self.mounted(store);
    const view = this.#hosts.get(host);
    if (view === undefined || view.liveness === 'dead' || view.isSetAside) return false;
    if (view.member.state !== 'active' || view.member.trust !== 'trusted') return false;
    return view.heartbeat === undefined || view.reports.has(store);
  }

  /**
   * @param withHead count only stores that durably hold this head of the source, or a later one.
   */
  count(
    row: Row,
    origin: HostId,
    nowMs: number,
    withHead?: { readonly source: SourceId; readonly seq: number },
  ): CopyCount {
    const live = new Set<string>();
    const suspect = new Map<string, number>();
    for (const slot of this.#table.holders(row, this.#slots)) {
      if (!this.storeCounts(slot)) continue;
      const host = this.#holdings.hostOf(slot);
      if (host === origin) continue;
      if (
        withHead !== undefined &&
        !this.#rules.countsForHead(this.#holdings.headSeq(slot, withHead.source), withHead.seq)
      )
        continue;
      const domain = this.domainOf(host);
      if (domain === undefined) continue;
      if (this.livenessOf(host) === 'live') live.add(domain);
      else suspect.set(domain, Math.max(suspect.get(domain) ?? 0, this.#hosts.get(host)?.lastPlaceAtMs ?? 0));
    }
    for (const domain of live) suspect.delete(domain);

    // With one live place left, or none, an absent host's copies count only for a while longer.
    const places = live.size + (this.livenessOf(origin) === 'live' ? 1 : 0);
    let nextMs = Number.POSITIVE_INFINITY;
    let suspectCopies = suspect.size;
    const ownDomain = this.domainOf(this.#self.host);
    let domainTaken = ownDomain !== undefined && live.has(ownDomain);
    if (places <= 1) {
      for (const [domain, untilMs] of suspect) {
        if (nowMs >= untilMs) {
          suspectCopies -= 1;
          suspect.delete(domain);
        } else nextMs = Math.min(nextMs, untilMs);
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
    if (self === undefined) return NO_STANDING;

    const holderHosts = new Set<HostId>();
    const holderDomains = new Set<string>();
    for (const slot of this.#table.holders(row, this.#slots)) {
      if (!this.storeCounts(slot)) continue;
      const host = this.#holdings.hostOf(slot);
      holderHosts.add(host);
      holderDomains.add(this.domainOf(host) ?? host);
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

    const betterDomains = new Set<string>();
    const claimed = new Set<string>();
    const betterClaimed = new Set<string>();
    for (const host of this.#hosts.others()) {
      const { member } = host;
      if (member.host === origin || member.state !== 'active' || member.trust !== 'trusted') continue;
      if (host.liveness !== 'live') continue;
      const claims = claimants.includes(host.id) && !holderDomains.has(member.domain);
      if (claims) claimed.add(member.domain);
      if (host.weightMiB < 1 && !claims) continue;
      // A host that visibly has no room would only cost a turn; one that claims has reserved its room.
      if (!claims && !holderHosts.has(host.id) && host.freeBytes < bytes && !familyHosts.has(host.id)) continue;
      // Who claims lends room, though we may not have heard how much: taken for as much as ours, so that of two who do not
      // know of each other yet both see the same one first.
      const weightMiB = host.weightMiB < 1 ? this.#self.weightMiB : host.weightMiB;
      if (!isBefore(candidate(member, host.words, weightMiB), own)) continue;
      betterDomains.add(member.domain);
      if (claims) betterClaimed.add(member.domain);
    }
    return {
      rank: betterDomains.size + (betterDomains.has(self.domain) ? copiesWanted : 0),
      claims: claimed.size,
      betterClaims: betterClaimed.size,
      ownDomainClaimed: claimed.has(self.domain),
      ownDomainBetterClaimed: betterClaimed.has(self.domain),
    };
  }

  /** Other hosts that could grant a drop of the row: live, with a copy that counts. */
  grantersOf(row: Row, origin: HostId): readonly HostId[] {
    const granters = new Set<HostId>();
    for (const slot of this.#table.holders(row, this.#slots)) {
      const host = this.#holdings.hostOf(slot);
      if (host === this.#self.host || host === origin || this.livenessOf(host) !== 'live') continue;
      if (this.storeCounts(slot)) granters.add(host);
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
    const originDomain = this.domainOf(origin);
    const familyHosts = this.#familyHosts(row);
    const candidate = (host: HostId): Candidate => {
      const view = this.#hosts.get(host);
      const words = view?.words ?? this.#selfWords;
      const weightMiB = view?.weightMiB ?? this.#self.weightMiB;
      return {
        host,
        late: this.domainOf(host) === originDomain,
        family: familyHosts.has(host),
        score: scoreOf(key, words, host, Math.max(1, weightMiB)),
      };
    };
    return isBefore(candidate(other), candidate(asker));
  }

  /** Of the live hosts that could hold the row and do not: how many rank before this one, and whether one has room for it. */
  lackers(row: Row, origin: HostId): { readonly rank: number; readonly fitsElsewhere: boolean } {
    const key = this.#table.keyWords(row);
    const bytes = this.#table.bytes(row);
    const taken = this.#holderDomains([row]);
    const own = scoreOf(key, this.#selfWords, this.#self.host, Math.max(1, this.#self.weightMiB));
    let rank = 0;
    let fitsElsewhere = false;
    for (const host of this.#hosts.others()) {
      if (!this.#mayTake(host, origin) || taken.has(host.member.domain)) continue;
      if (host.freeBytes >= bytes) fitsElsewhere = true;
      if (comesBefore(scoreOf(key, host.words, host.id, Math.max(1, host.weightMiB)), own)) rank += 1;
    }
    return { rank, fitsElsewhere };
  }

  /** Hosts that could take this host's copies of a family of one origin, so that its own may go. */
  takersOf(rows: readonly Row[], origin: HostId): readonly Taker<HostId>[] {
    const taken = this.#holderDomains(rows);
    const takers: Taker<HostId>[] = [];
    for (const host of this.#hosts.others()) {
      if (!host.connected || !this.#mayTake(host, origin) || taken.has(host.member.domain)) continue;
      takers.push({ host: host.id, freeBytes: host.freeBytes });
    }
    return takers;
  }

  #mayTake(host: HostView, origin: HostId): boolean {
    const { member } = host;
    return (
      member.host !== origin &&
      member.state === 'active' &&
      member.trust === 'trusted' &&
      !member.roaming &&
      host.liveness === 'live'
    );
  }

  /** Domains of other hosts that hold any of the rows. */
  #holderDomains(rows: readonly Row[]): ReadonlySet<string> {
    const domains = new Set<string>();
    for (const row of rows) {
      for (const slot of this.#table.holders(row, this.#slots)) {
        const host = this.#holdings.hostOf(slot);
        const domain = this.domainOf(host);
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

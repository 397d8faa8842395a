/**
 * Placement: how many copies of a parcel count, and where this host stands among the candidates for another one.
 *
 * It only reads: the table, the holdings, the hosts. The machine turns its answers into a `GrabView`.
 */

import { Census, Marks, NOBODY, SELF, type SelfView } from './census.js';
import { mayTakeCopies } from './cluster-config.js';
import type { Holdings } from './holdings.js';
import type { Hosts } from './hosts.js';
import type { HostId, SourceId } from './ids.js';
import type { Liveness } from './liveness.js';
import type { ParcelTable, Row, StoreSlot } from './parcel-table.js';
import { FLAG } from './parcel-table.js';
import { comesBefore, type IdWords, negativeLog2, pairHash, type Scored } from './rendezvous.js';
import type { Rules } from './rules.js';

export interface CopyCount {
  /** Copies that count, one per domain. */
  readonly copies: number;
  /** Copies on hosts that are live now, one per domain. */
  readonly liveCopies: number;
  /** This host's own domain has a counted copy. */
  readonly domainTaken: boolean;
  /**
   * When a suspect host's copy will stop counting because too little else is left; Infinity when time alone changes
   * nothing.
   */
  readonly nextMs: number;
}

export interface Standing {
  /**
   * How many domains have a candidate that comes before this host; N more when this host's own domain is among them.
   */
  readonly rank: number;
  /** The same, without the domains that have a copy. */
  readonly lackersBefore: number;
  /** Live claims, one per domain, without the domains that already have a copy. */
  readonly claims: number;
  /** The part of `claims` that is by hosts which come before this one. */
  readonly betterClaims: number;
  /** A host in this host's own domain claims the row; and that host comes before this one. */
  readonly ownDomainClaimed: boolean;
  readonly ownDomainBetterClaimed: boolean;
  /**
   * This host holds nothing of the row's family, and at least as many domains as copies are missing have a candidate
   * that does and lacks the row.
   */
  readonly leftToFamily: boolean;
  /** This host is one roaming host too many, and a host that is always on could take the row. */
  readonly leftToSteady: boolean;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface RoamingCandidate extends Scored {
  readonly number: number;
  readonly family: boolean;
}

/** The standing of a host that is no candidate. */
export const NO_STANDING: Standing = {
  rank: Number.MAX_SAFE_INTEGER,
  lackersBefore: Number.MAX_SAFE_INTEGER,
  claims: 0,
  betterClaims: 0,
  ownDomainClaimed: false,
  ownDomainBetterClaimed: false,
  leftToFamily: false,
  leftToSteady: false,
};

export class Placement {
  readonly #table: ParcelTable;
  readonly #holdings: Holdings;
  readonly #hosts: Hosts;
  readonly #self: SelfView;
  readonly #rules: Pick<Rules, 'countsForHead'>;
  readonly #census: Census;
  // Scratch space: the answer to one question, reused for the next.
  #holders = new Int32Array(0);
  #suspects = new Int32Array(0);
  #untilMs = new Float64Array(0);
  readonly #liveDomains = new Marks();
  readonly #suspectDomains = new Marks();
  /** The hosts whose sources list the parcel. */
  readonly #origins = new Marks();
  readonly #holderHosts = new Marks();
  readonly #holderDomains = new Marks();
  readonly #familyHosts = new Marks();
  /** The numbers of the family hosts, `#familySize` of them. */
  #family = new Int32Array(0);
  #familySize = 0;
  readonly #familyDomains = new Marks();
  readonly #claimants = new Marks();
  readonly #betterDomains = new Marks();
  readonly #claimedDomains = new Marks();
  readonly #betterClaimed = new Marks();
  readonly #keyWords = new Int32Array(4);
  readonly #own: Mutable<Scored>;
  readonly #other: Mutable<Scored> = { log: 0, weightMiB: 1, host: '' };
  #originDomain = NOBODY;
  #roamingHolders = 0;
  /** Roaming hosts that may take one of the copies that such hosts may hold. */
  readonly #roamingFirst = new Marks();

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
    this.#census = new Census({ holdings, hosts, self });
    this.#own = { log: 0, weightMiB: 1, host: self.host };
  }

  domainOf(host: HostId): string | undefined {
    return host === this.#self.host ? this.#self.member()?.domain : this.#hosts.get(host)?.member.domain;
  }

  livenessOf(host: HostId): Liveness {
    return host === this.#self.host ? 'live' : (this.#hosts.get(host)?.liveness ?? 'dead');
  }

  /**
   * Whether what a store says it holds counts at all: its host must be an active, trusted member and not dead, and the
   * store mounted. Until a host's first heartbeat since our start, all stores with a log are taken as mounted.
   */
  storeCounts(slot: StoreSlot): boolean {
    const host = this.#holdings.hostOf(slot);
    const store = this.#holdings.position(slot).store;
    if (host === this.#self.host) return mayTakeCopies(this.#self.member()) && this.#self.mounted(store);
    const view = this.#hosts.get(host);
    if (view === undefined || view.liveness === 'dead' || view.isSetAside) return false;
    if (!mayTakeCopies(view.member)) return false;
    return view.heartbeat === undefined || view.reports.has(store);
  }

  /**
   * @param withHead count only stores that durably hold this head of the source, or a later one.
   */
  count(
    row: Row,
    origins: readonly HostId[],
    nowMs: number,
    withHead?: { readonly source: SourceId; readonly seq: number },
  ): CopyCount {
    const census = this.#census;
    this.#refresh();
    const isOriginLive = this.#markOrigins(origins);
    const holders = this.#table.putHolders(row, this.#holders);
    this.#liveDomains.clear(census.domains);
    this.#suspectDomains.clear(census.domains);
    let live = 0;
    let suspects = 0;
    for (let i = 0; i < holders; i += 1) {
      const slot = this.#holders[i] as StoreSlot;
      if (census.slotCounts[slot] === 0) continue;
      const host = census.hostOfSlot[slot] as number;
      if (this.#origins.has(host)) continue;
      if (
        withHead !== undefined &&
        !this.#rules.countsForHead(this.#holdings.headSeq(slot, withHead.source), withHead.seq)
      )
        continue;
      const domain = census.domain[host] as number;
      if (census.live[host] === 1) {
        if (this.#liveDomains.add(domain)) live += 1;
        continue;
      }
      const untilMs = census.lastPlaceAtMs[host] as number;
      if (!this.#suspectDomains.add(domain)) this.#untilMs[domain] = Math.max(this.#untilMs[domain] ?? 0, untilMs);
      else {
        this.#untilMs[domain] = untilMs;
        this.#suspects[suspects] = domain;
        suspects += 1;
      }
    }

    // With at most one live place left, an absent host's copies count only for a while longer. The origin's own file is
    // such a place only if its newest snapshot lists it: a file that only older ones list may be gone there.
    const isAtOrigin = isOriginLive && this.#table.has(row, FLAG.newest);
    const places = live + (isAtOrigin ? 1 : 0);
    const ownDomain = census.domain[SELF] as number;
    let nextMs = Number.POSITIVE_INFINITY;
    let copies = live;
    let domainTaken = ownDomain !== NOBODY && this.#liveDomains.has(ownDomain);
    for (let i = 0; i < suspects; i += 1) {
      const domain = this.#suspects[i] as number;
      if (this.#liveDomains.has(domain)) continue;
      if (places <= 1) {
        const untilMs = this.#untilMs[domain] as number;
        if (nowMs >= untilMs) continue;
        nextMs = Math.min(nextMs, untilMs);
      }
      copies += 1;
      if (domain === ownDomain) domainTaken = true;
    }
    return { copies, liveCopies: live, domainTaken, nextMs };
  }

  /**
   * This host's place among the candidates for `row`, and how many of `claimants` come before it. Counting stops at
   * `rankMax`: a host that far behind need not know how far until its turn comes. Ranks are not counted at all when
   * copies and claims are enough.
   */
  standing(
    row: Row,
    origins: readonly HostId[],
    copiesWanted: number,
    {
      claimants,
      copies,
      rankMax,
    }: { readonly claimants: readonly HostId[]; readonly copies: number; readonly rankMax: number },
  ): Standing {
    const self = this.#self.member();
    if (self === undefined) return NO_STANDING;
    const census = this.#census;
    this.#refresh();
    this.#markOrigins(origins);
    const [origin] = origins;
    const originNumber = origin === undefined ? NOBODY : census.numberOf(origin);
    const ownDomain = census.domain[SELF] as number;
    const bytes = this.#table.bytes(row);

    this.#markHolders(row);
    this.#markFamily(row);
    this.#originDomain = originNumber === NOBODY ? NOBODY : (census.domain[originNumber] as number);
    this.#table.keyWords(row, this.#keyWords);
    this.#own.log = logOf(this.#keyWords, census.words[SELF] as IdWords);
    this.#own.weightMiB = this.#weightOf(SELF);
    this.#chooseRoaming({ places: copiesWanted - 1 - this.#roamingHolders, bytes, claimants });
    const ownLate = this.#isLate(SELF);
    const ownFamily = this.#familyHosts.has(SELF);

    this.#betterDomains.clear(census.domains);
    this.#claimants.clear(census.hosts);
    let better = 0;
    let lackersBefore = 0;
    let claims = 0;
    let betterClaims = 0;
    let ownDomainClaimed = false;
    let ownDomainBetterClaimed = false;
    const comesBeforeUs = (host: number): boolean => {
      const late = this.#isLate(host);
      if (late !== ownLate) return ownLate;
      const family = this.#familyHosts.has(host);
      if (family !== ownFamily) return family;
      this.#other.log = logOf(this.#keyWords, census.words[host] as IdWords);
      this.#other.weightMiB = this.#weightOf(host);
      this.#other.host = census.ids[host] as HostId;
      return comesBefore(this.#other, this.#own);
    };

    if (claimants.length > 0) {
      this.#claimedDomains.clear(census.domains);
      this.#betterClaimed.clear(census.domains);
      for (const claimant of claimants) {
        const host = census.numberOf(claimant);
        if (host === NOBODY || this.#origins.has(host) || census.candidate[host] === 0) continue;
        const domain = census.domain[host] as number;
        if (this.#holderDomains.has(domain)) continue;
        this.#claimants.add(host);
        if (this.#claimedDomains.add(domain)) claims += 1;
        if (domain === ownDomain) ownDomainClaimed = true;
        // It has reserved its room, so its free room does not matter.
        if (!comesBeforeUs(host)) continue;
        if (this.#betterDomains.add(domain)) {
          better += 1;
          lackersBefore += 1;
        }
        if (this.#betterClaimed.add(domain)) betterClaims += 1;
        if (domain === ownDomain) ownDomainBetterClaimed = true;
      }
    }
    const ranksMatter = copies + claims < copiesWanted && !ownDomainClaimed;
    for (let host = SELF + 1; ranksMatter && host < census.hosts && better < rankMax; host += 1) {
      if (census.candidate[host] === 0 || this.#origins.has(host) || this.#claimants.has(host)) continue;
      if (!this.#mayHaveRoom(host, bytes)) continue;
      const domain = census.domain[host] as number;
      if (!comesBeforeUs(host) || !this.#betterDomains.add(domain)) continue;
      better += 1;
      if (!this.#holderDomains.has(domain)) lackersBefore += 1;
    }
    const behindOwnDomain = this.#betterDomains.has(ownDomain) ? copiesWanted : 0;
    return {
      rank: better + behindOwnDomain,
      lackersBefore: lackersBefore + behindOwnDomain,
      claims,
      betterClaims,
      ownDomainClaimed,
      ownDomainBetterClaimed,
      leftToFamily: !ownFamily && this.#familyDomainsFree() >= copiesWanted - copies,
      leftToSteady: this.#isRoamingTooMany(SELF) && this.#mayTakeSteady(bytes),
    };
  }

  /** Domains without the row that have a candidate which holds another parcel of its family. */
  #familyDomainsFree(): number {
    const census = this.#census;
    this.#familyDomains.clear(census.domains);
    let free = 0;
    for (let i = 0; i < this.#familySize; i += 1) {
      const host = this.#family[i] as number;
      if (this.#origins.has(host) || census.candidate[host] === 0 || this.#isRoamingTooMany(host)) continue;
      const domain = census.domain[host] as number;
      if (!this.#holderDomains.has(domain) && this.#familyDomains.add(domain)) free += 1;
    }
    return free;
  }

  /**
   * @returns whether the original files count as a place: nobody knows which origin has them, so all origins must be
   * live.
   */
  #markOrigins(origins: readonly HostId[]): boolean {
    const census = this.#census;
    this.#origins.clear(census.hosts);
    let live = 0;
    for (const origin of origins) {
      const host = census.numberOf(origin);
      if (host === NOBODY) continue;
      this.#origins.add(host);
      if (census.live[host] === 1) live += 1;
    }
    return live > 0 && live === origins.length;
  }

  #refresh(): void {
    if (!this.#census.refresh(slot => this.storeCounts(slot))) return;
    if (this.#holders.length < this.#holdings.size) this.#holders = new Int32Array(2 * this.#holdings.size);
    if (this.#suspects.length >= this.#census.domains) return;
    this.#suspects = new Int32Array(2 * this.#census.domains);
    this.#untilMs = new Float64Array(2 * this.#census.domains);
  }

  /** Ranked behind all others: in the origin's domain, or one roaming host too many. */
  #isLate(host: number): boolean {
    return this.#census.domain[host] === this.#originDomain || this.#isRoamingTooMany(host);
  }

  #isRoamingTooMany(host: number): boolean {
    return this.#census.roaming[host] === 1 && !this.#holderHosts.has(host) && !this.#roamingFirst.has(host);
  }

  /**
   * Chooses the best-ranked of the roaming hosts that could take the row, as many as there are places. The choice is
   * made in advance, as later-ranked ones may begin as soon as these do, before any of them holds the row.
   */
  #chooseRoaming({
    places,
    bytes,
    claimants,
  }: {
    readonly places: number;
    readonly bytes: number;
    readonly claimants: readonly HostId[];
  }): void {
    const census = this.#census;
    this.#roamingFirst.clear(census.hosts);
    if (places <= 0 || census.roamingHosts.length === 0) return;
    const first: RoamingCandidate[] = [];
    for (const number of census.roamingHosts) {
      const host = census.ids[number] as HostId;
      if (number !== SELF) {
        if (census.candidate[number] === 0 || this.#origins.has(number)) continue;
        if (!this.#mayHaveRoom(number, bytes) && !claimants.includes(host)) continue;
      }
      const domain = census.domain[number] as number;
      if (domain === this.#originDomain || this.#holderDomains.has(domain)) continue;
      const candidate = {
        number,
        family: this.#familyHosts.has(number),
        log: logOf(this.#keyWords, census.words[number] as IdWords),
        weightMiB: this.#weightOf(number),
        host,
      };
      const place = first.findIndex(other => isBefore(candidate, other));
      first.splice(place < 0 ? first.length : place, 0, candidate);
      if (first.length > places) first.pop();
    }
    for (const { number } of first) this.#roamingFirst.add(number);
  }

  /** Whether a host that is always on, outside the origin's domain, could take the row. */
  #mayTakeSteady(bytes: number): boolean {
    const census = this.#census;
    for (let host = SELF + 1; host < census.hosts; host += 1) {
      if (census.roaming[host] === 1 || census.candidate[host] === 0 || this.#origins.has(host)) continue;
      const domain = census.domain[host] as number;
      if (domain === this.#originDomain || this.#holderDomains.has(domain)) continue;
      if (this.#mayHaveRoom(host, bytes)) return true;
    }
    return false;
  }

  /** False for a host that visibly has no room: waiting for it would only cost a turn. */
  #mayHaveRoom(host: number, bytes: number): boolean {
    const census = this.#census;
    if ((census.weightMiB[host] as number) < 1) return false;
    return census.freeBytes(host) >= bytes || this.#holderHosts.has(host) || this.#familyHosts.has(host);
  }

  /**
   * A claimant lends room, though we may not have heard how much: then it is assumed to lend as much as we do, so that
   * two hosts that do not know of each other yet rank themselves in the same order.
   */
  #weightOf(host: number): number {
    const lentMiB = this.#census.weightMiB[host] as number;
    return Math.max(1, lentMiB < 1 ? this.#self.weightMiB : lentMiB);
  }

  /** Whether a store of the host has room for all of the row. Of our own stores others know (GrabView.hasRoom). */
  #mayHandOn(host: number, row: Row): boolean {
    const census = this.#census;
    if (host === NOBODY || (census.weightMiB[host] as number) < 1) return false;
    return host === SELF || census.freeBytes(host) >= this.#table.bytes(row);
  }

  #markHolders(row: Row): void {
    const census = this.#census;
    this.#holderHosts.clear(census.hosts);
    this.#holderDomains.clear(census.domains);
    this.#roamingHolders = 0;
    const holders = this.#table.putHolders(row, this.#holders);
    for (let i = 0; i < holders; i += 1) {
      const slot = this.#holders[i] as StoreSlot;
      if (census.slotCounts[slot] === 0) continue;
      const host = census.hostOfSlot[slot] as number;
      if (this.#holderHosts.add(host) && host !== SELF && census.roaming[host] === 1) this.#roamingHolders += 1;
      this.#holderDomains.add(census.domain[host] as number);
    }
  }

  /**
   * Hosts that hold another wanted parcel of the row's family, or the row itself in a store that does not count, beside
   * one that has room: a store that is to be emptied hands its copies to another one of its host, over no network.
   */
  #markFamily(row: Row): void {
    const census = this.#census;
    const table = this.#table;
    this.#familyHosts.clear(census.hosts);
    this.#familySize = 0;
    if (this.#family.length < census.hosts) this.#family = new Int32Array(2 * census.hosts);
    for (let other = table.firstOfFamily(row); other >= 0; other = table.nextOfFamily(other)) {
      if (!table.has(other, FLAG.wanted)) continue;
      const holders = table.putHolders(other, this.#holders);
      for (let i = 0; i < holders; i += 1) {
        const slot = this.#holders[i] as StoreSlot;
        const host = census.hostOfSlot[slot] as number;
        const counts = census.slotCounts[slot] === 1;
        const isFamily = other === row ? !counts && this.#mayHandOn(host, row) : counts;
        if (!isFamily || !this.#familyHosts.add(host)) continue;
        this.#family[this.#familySize] = host;
        this.#familySize += 1;
      }
    }
  }
}

const isBefore = (a: RoamingCandidate, b: RoamingCandidate): boolean =>
  a.family === b.family ? comesBefore(a, b) : a.family;

const logOf = (key: IdWords, host: IdWords): number => negativeLog2(pairHash(key, host));

/**
 * Census: hosts, domains and stores as small integers, with what counting and ranking need of each, in typed arrays.
 *
 * Every change of a parcel asks about its holders, and ranking asks about every host. With maps keyed by ids, and a set
 * per question, that was most of the time of a step; here each question is an array access. The census holds nothing of
 * its own: it is copied from hosts, holdings and this host itself, again whenever one of them has changed.
 *
 * Driven by placement.ts.
 */
import { type Member, mayTakeCopies } from './cluster-config.js';
import { grown } from './grown.js';
import type { Holdings } from './holdings.js';
import type { HostView } from './host-view.js';
import type { Hosts } from './hosts.js';
import { bytesOf, type HostId, type StoreId } from './ids.js';
import type { StoreSlot } from './parcel-table.js';
import { type IdWords, idWords } from './rendezvous.js';

/** What placement must know of this host itself. */
export interface SelfView {
  readonly host: HostId;
  member(): Member | undefined;
  /** Whether the store is mounted and may count. */
  mounted(store: StoreId): boolean;
  readonly weightMiB: number;
  /** Rises when any of the above has changed, except the member, whose changes come with the hosts. */
  readonly version: number;
}

/** The number of this host; the others follow in the configuration's order. */
export const SELF = 0;
/** The number of a host that is not a member. */
export const NOBODY = -1;

export class Census {
  readonly #holdings: Holdings;
  readonly #hosts: Hosts;
  readonly #self: SelfView;
  readonly #selfWords: IdWords;
  readonly #numbers = new Map<HostId, number>();
  readonly #domains = new Map<string, number>();
  /** In the order of their numbers. */
  #others: readonly HostView[] = [];
  #ofMembers = -1;
  #ofHosts = -1;
  #ofSelf = -1;
  #ofLogs = 0;
  #slots = 0;

  hosts = 0;
  ids: HostId[] = [];
  words: IdWords[] = [];
  /** By host: the number of its domain; NOBODY for this host while it is no member. */
  domain = new Int32Array(0);
  live = new Uint8Array(0);
  roaming = new Uint8Array(0);
  /** The numbers of the roaming hosts. */
  readonly roamingHosts: number[] = [];
  /** It is live, and its membership and identity allow it to take parcels. */
  candidate = new Uint8Array(0);
  /** As `HostView.lastPlaceAtMs`, which matters while the host is suspect. */
  lastPlaceAtMs = new Float64Array(0);
  weightMiB = new Float64Array(0);
  /** By store: the number of its host, and whether what it holds counts. */
  hostOfSlot = new Int32Array(0);
  slotCounts = new Uint8Array(0);

  constructor({ holdings, hosts, self }: { holdings: Holdings; hosts: Hosts; self: SelfView }) {
    this.#holdings = holdings;
    this.#hosts = hosts;
    this.#self = self;
    this.#selfWords = idWords(bytesOf(self.host));
  }

  /** The number of domains. */
  get domains(): number {
    return this.#domains.size;
  }

  numberOf(host: HostId): number {
    return this.#numbers.get(host) ?? NOBODY;
  }

  /** The free room in the roomiest store of another host. Looked up each time, because every heartbeat changes it. */
  freeBytes(host: number): number {
    return (this.#others[host - 1] as HostView).freeBytes;
  }

  /** Brings everything up to date; call it before reading anything. @returns whether something had changed. */
  refresh(storeCounts: (slot: StoreSlot) => boolean): boolean {
    const { version } = this.#hosts;
    const { size: slots, logsBegun } = this.#holdings;
    if (version === this.#ofHosts && this.#self.version === this.#ofSelf && logsBegun === this.#ofLogs) return false;
    this.#ofLogs = logsBegun;
    this.#ofHosts = version;
    this.#ofSelf = this.#self.version;
    const areOthers = this.#ofMembers !== this.#hosts.membersVersion;
    if (areOthers) this.#numberHosts();
    this.#ofMembers = this.#hosts.membersVersion;
    this.#countHosts();
    if (this.hostOfSlot.length < slots) {
      this.hostOfSlot = grown(this.hostOfSlot, slots, 0);
      this.slotCounts = grown(this.slotCounts, slots, 0);
    }
    for (let slot = areOthers ? 0 : this.#slots; slot < slots; slot += 1)
      this.hostOfSlot[slot] = this.numberOf(this.#holdings.hostOf(slot));
    for (let slot = 0; slot < slots; slot += 1) this.slotCounts[slot] = storeCounts(slot) ? 1 : 0;
    this.#slots = slots;
    return true;
  }

  /** Numbers the hosts and their domains: only a configuration changes these. */
  #numberHosts(): void {
    this.#numbers.clear();
    this.#domains.clear();
    this.ids = [this.#self.host];
    this.words = [this.#selfWords];
    this.#others = [...this.#hosts.others()];
    for (const { id, words } of this.#others) {
      this.ids.push(id);
      this.words.push(words);
    }
    this.hosts = this.ids.length;
    if (this.domain.length < this.hosts) this.#makeRoom(2 * this.hosts);
    const member = this.#self.member();
    this.#numbers.set(this.#self.host, SELF);
    this.domain[SELF] = member === undefined ? NOBODY : this.#domainNumber(member.domain);
    let number = SELF;
    for (const host of this.#others) {
      number += 1;
      this.#numbers.set(host.id, number);
      this.domain[number] = this.#domainNumber(host.member.domain);
    }
  }

  #countHosts(): void {
    this.live[SELF] = 1;
    this.candidate[SELF] = 0;
    this.roaming[SELF] = this.#self.member()?.roaming === true ? 1 : 0;
    this.weightMiB[SELF] = this.#self.weightMiB;
    this.roamingHosts.length = 0;
    if (this.roaming[SELF] === 1) this.roamingHosts.push(SELF);
    let number = SELF;
    for (const host of this.#others) {
      number += 1;
      const live = host.liveness === 'live';
      this.live[number] = live ? 1 : 0;
      const mayHold = mayTakeCopies(host.member) && !host.isSetAside;
      this.candidate[number] = live && mayHold ? 1 : 0;
      this.roaming[number] = host.member.roaming ? 1 : 0;
      if (host.member.roaming) this.roamingHosts.push(number);
      this.lastPlaceAtMs[number] = host.lastPlaceAtMs;
      this.weightMiB[number] = host.weightMiB;
    }
  }

  #domainNumber(domain: string): number {
    const known = this.#domains.get(domain);
    if (known !== undefined) return known;
    const number = this.#domains.size;
    this.#domains.set(domain, number);
    return number;
  }

  #makeRoom(capacity: number): void {
    this.domain = new Int32Array(capacity);
    this.live = new Uint8Array(capacity);
    this.roaming = new Uint8Array(capacity);
    this.candidate = new Uint8Array(capacity);
    this.lastPlaceAtMs = new Float64Array(capacity);
    this.weightMiB = new Float64Array(capacity);
  }
}

/** A set of small numbers for one question at a time; it is emptied by counting up instead of by writing. */
export class Marks {
  #of = new Uint32Array(0);
  #question = 0;

  /** Unmarks everything; from now on all numbers are below `length`. */
  clear(length: number): void {
    if (this.#of.length < length) {
      this.#of = new Uint32Array(2 * length);
      this.#question = 0;
    }
    this.#question += 1;
    if (this.#question === 2 ** 32) {
      this.#of.fill(0);
      this.#question = 1;
    }
  }

  has(number: number): boolean {
    return this.#of[number] === this.#question;
  }

  /** @returns false when it was marked already. */
  add(number: number): boolean {
    if (this.#of[number] === this.#question) return false;
    this.#of[number] = this.#question;
    return true;
  }
}

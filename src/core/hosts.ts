/**
 * Hosts: the other members as this host sees them: whether they are there, what they lend, whether we have read their logs.
 */
import { type Absence, decidePatience, longestAbsenceMs, type Patience, withAbsence } from './absence.js';
import { decideReturn } from './came-back.js';
import { type ClusterConfig, type Member, mayHoldCopies, type Timing } from './cluster-config.js';
import { BOOTS_KEPT, type Boot, type BootVerdict, decideBoot } from './duplicate.js';
import type { PastAbsence } from './effects.js';
import type { LogPosition } from './holdings-log.js';
import type { HostId, StoreId } from './ids.js';
import { bytesOf } from './ids.js';
import { decideLiveness, type Liveness, type LivenessVerdict, suspectAfterMs } from './liveness.js';
import type { Heartbeat, StoreReport } from './messages.js';
import { decideOutage, type OutageVerdict, vanishedInOutage } from './outage.js';
import { type IdWords, idWords, WEIGHT_MIB_MAX } from './rendezvous.js';

/** A log that its live writer does not let us read holds grabs up for this long at the most, in ms. */
const CATCH_UP_PATIENCE_MS = 30_000;
/** What a heartbeat is ahead of us is on its way in frames of its own, and is not asked for before this, in ms. */
const NEWS_MS = 1_000;
/** Between two questions to one host for what should have come by itself, in ms. */
const ASK_AGAIN_MS = 1_000;
const ASK_AGAIN_MS_MAX = 60_000;

/** As many stores as a policy may give a host: more that come and go are made up. */
const STORES_AWAY_MAX = 64;

export interface HostView {
  readonly id: HostId;
  readonly words: IdWords;
  member: Member;
  knownSinceMs: number;
  connected: boolean;
  disconnectedAtMs: number | undefined;
  lastHeardMs: number | undefined;
  risingHeartbeats: number;
  liveness: Liveness;
  livenessSinceMs: number;
  livenessNextMs: number;
  /** While it is suspect: from then on its copies do not count where only one live place is left. */
  lastPlaceAtMs: number;
  /** Its starts that we know of, the last one last. */
  readonly boots: Boot[];
  /** Two machines run with its identity: nothing that it says counts, until then at least. */
  isSetAside: boolean;
  setAsideUntilMs: number;
  /** When it last came back from the dead, or a store of it from wherever that was, by our time; its copies may be surplus since. */
  returnedAtMs: number | undefined;
  /** The absence that it is in, or has come back from, until that is judged. */
  away: Away | undefined;
  /** Good ones, of the last 14 days. */
  absences: readonly Absence[];
  /** It is away, and for longer than is usual of it. */
  missed: boolean;
  /** It vanished with so many others that it is waited for twice as long … */
  inOutage: boolean;
  /** … also before the last place is repaired. */
  inSuddenOutage: boolean;
  /** The last heartbeat; undefined before the first since our start. */
  heartbeat: Heartbeat | undefined;
  /** Stores of the last heartbeat, by id. */
  reports: ReadonlyMap<StoreId, StoreReport>;
  /** Stores that it had since its start and has no more. */
  readonly storesAway: Set<StoreId>;
  /** Sum of the stated weights of its mounted stores. */
  weightMiB: number;
  /** Most room in one of its stores. */
  freeBytes: number;
  /** Its logs were read to the end once since it was last away. */
  caughtUp: boolean;
  /** Since when we wait for that. */
  awaitedSinceMs: number;
  /** When what its heartbeat was ahead of us should have come; Infinity while nothing is expected. */
  newsDueMs: number;
  asking: boolean;
  askAgain: boolean;
  askNotBeforeMs: number;
  askBackOffMs: number;
}

/** An absence: what has to be known at its end to tell whether it was a good one. */
interface Away {
  /** The last sign before it. */
  readonly sinceMs: number;
  /** What the host listed then; undefined when we were not there to hear. */
  stores: readonly LogPosition[] | undefined;
  /** How long somebody was there, in all of our time, when it began. */
  readonly companyMs: number;
  wasDead: boolean;
  heartbeatHeard: boolean;
  back: { readonly atMs: number; readonly companyMs: number } | undefined;
}

export class Hosts {
  readonly #byId = new Map<HostId, HostView>();
  readonly #self: HostId;
  readonly #logsOf: (host: HostId) => readonly LogPosition[];
  /** As handed in at the start. */
  readonly #absences = new Map<HostId, readonly Absence[]>();
  #timing: Timing;
  #intervalMs: number;
  /** This host counts, too. */
  #activeMembers = 1;
  /** Time in which somebody else was there: up to when that last changed, and since when somebody is. */
  #companyMs = 0;
  #companySinceMs: number | undefined;
  /** The hosts that the last note of an outage named. */
  #inOutage: readonly HostId[] = [];
  #outageMayDiffer = false;
  #missedDiffer = false;
  /** Heard of, connected or changed since they were last judged. */
  readonly #touched = new Set<HostView>();
  /** Nobody but the touched is due before this. */
  #nextMs = Number.NEGATIVE_INFINITY;
  /** Until when the view may have holes, if that is still to come; undefined when it has to be looked up again. */
  #holesUntilMs: number | undefined;
  #membersVersion = 0;
  #version = 0;
  #relay = 0;
  #sourcesVersion = 0;
  /** Undefined when it has to be looked up again. */
  #knownPaces: { readonly fastest: number; readonly roomy: number } | undefined;

  constructor(
    self: HostId,
    timing: Timing,
    {
      logsOf,
      absences,
    }: {
      /** How far the logs of a host's stores have been read. */
      readonly logsOf: (host: HostId) => readonly LogPosition[];
      readonly absences: readonly (Absence & { readonly host: HostId })[];
    },
  ) {
    this.#self = self;
    this.#logsOf = logsOf;
    this.#timing = timing;
    this.#intervalMs = timing.heartbeatMs;
    const inOrder = [...absences].sort((a, b) => a.endedAtMs - b.endedAtMs);
    for (const { host, ...absence } of inOrder) {
      this.#absences.set(host, withAbsence(this.#absences.get(host) ?? [], absence));
    }
  }

  /** Rises when what a host is, lends, or how long its copies count has changed: what others derive from that is derived anew. */
  get version(): number {
    return this.#version;
  }

  /** Rises when a configuration is in force: who the others are, and what it says of them. `version` rises with it. */
  get membersVersion(): number {
    return this.#membersVersion;
  }

  /** Rises when a connection has come or gone, or the pace of any host may be another: who can give, and how much. */
  get sourcesVersion(): number {
    return this.#sourcesVersion;
  }

  #sourcesDiffer(): void {
    this.#sourcesVersion += 1;
    this.#knownPaces = undefined;
  }

  /** What heartbeats are stretched to, so that control traffic does not grow with the square of the hosts. */
  get heartbeatIntervalMs(): number {
    return this.#intervalMs;
  }

  /** The greatest pace that any live host says it has, in bytes a second; 0 when none does. */
  get fastestBytesPerS(): number {
    return this.#paces.fastest;
  }

  /** What all other live hosts that have any room take in together, as they say. */
  get roomyBytesPerS(): number {
    return this.#paces.roomy;
  }

  /** Asked at every look at what is short: made anew only when somebody's word has changed. */
  get #paces(): { readonly fastest: number; readonly roomy: number } {
    if (this.#knownPaces === undefined) {
      let [fastest, roomy] = [0, 0];
      for (const view of this.#byId.values()) {
        const pace = paceOf(view);
        fastest = Math.max(fastest, pace);
        if (view.freeBytes > 0) roomy += pace;
      }
      this.#knownPaces = { fastest, roomy };
    }
    return this.#knownPaces;
  }

  /** A host's pace, as it says; 0 when it is not live or does not know. */
  paceBytesPerS(host: HostId): number {
    const view = this.#byId.get(host);
    return view === undefined ? 0 : paceOf(view);
  }

  get(host: HostId): HostView | undefined {
    return this.#byId.get(host);
  }

  /** The member whose word counts; undefined for a stranger and for one that is set aside. */
  believed(host: HostId): Member | undefined {
    const view = this.#byId.get(host);
    return view?.isSetAside === true ? undefined : view?.member;
  }

  /** Every member but this host, in the configuration's order. */
  others(): IterableIterator<HostView> {
    return this.#byId.values();
  }

  /** A connected host that may have what others wrote: each time another, as far as there are any. */
  nextRelay(): HostView | undefined {
    const relays = [...this.#byId.values()].filter(({ connected, member }) => connected && mayHoldCopies(member));
    this.#relay += 1;
    return relays[this.#relay % relays.length];
  }

  configure(config: ClusterConfig, nowMs: number): void {
    this.#timing = config.timing;
    this.#membersVersion += 1;
    this.#version += 1;
    this.#sourcesDiffer();
    this.#holesUntilMs = undefined;
    this.#nextMs = nowMs;
    this.#missedDiffer = true;
    const present = config.members.filter(member => member.state !== 'revoked');
    this.#activeMembers = present.filter(member => member.state === 'active').length;
    this.#intervalMs = Math.max(config.timing.heartbeatMs, present.length * config.timing.heartbeatPerHostMs);
    const members = new Map(present.filter(({ host }) => host !== this.#self).map(member => [member.host, member]));
    for (const [id, host] of this.#byId) {
      if (members.has(id)) continue;
      this.#byId.delete(id);
      this.#touched.delete(host);
    }
    for (const [id, member] of members) {
      const known = this.#byId.get(id);
      if (known === undefined) this.#byId.set(id, this.#newHost(member, nowMs));
      else {
        known.member = member;
        // Shorter times hold at once.
        known.livenessNextMs = nowMs;
      }
    }
  }

  connected(host: HostView, nowMs: number): void {
    host.connected = true;
    host.disconnectedAtMs = undefined;
    host.lastHeardMs = nowMs;
    this.#sourcesDiffer();
    this.awaitLogs(host, nowMs);
  }

  #touch(host: HostView): void {
    this.#touched.add(host);
    this.#holesUntilMs = undefined;
  }

  /** Its logs must be read (again) before the view is whole. */
  awaitLogs(host: HostView, nowMs: number): void {
    host.caughtUp = false;
    host.awaitedSinceMs = nowMs;
    this.#touch(host);
  }

  disconnected(host: HostView, nowMs: number): void {
    host.connected = false;
    host.disconnectedAtMs = nowMs;
    this.#sourcesDiffer();
    // A broken connection may tell sooner than silence does.
    host.livenessNextMs = nowMs;
    this.#touch(host);
  }

  /** What a heartbeat says of its host's starts. A duplicate is set aside. */
  heardBoot(host: HostView, { boot, bootId }: Boot, nowMs: number): BootVerdict {
    const verdict = decideBoot(host.boots, { boot, bootId });
    if (verdict === 'duplicate') host.setAsideUntilMs = nowMs + this.#timing.deadMs;
    if (verdict === 'restarted' || verdict === 'duplicate') {
      // Of two machines the one that is left is the last one then, whichever that is; the other one would be a duplicate again.
      const known = host.boots.findIndex(other => other.bootId === bootId);
      if (known >= 0) host.boots.splice(known, 1);
      host.boots.push({ boot, bootId });
      if (host.boots.length > BOOTS_KEPT) host.boots.shift();
    }
    return verdict;
  }

  /** Nothing that it says counts any more, or all of it again. */
  setAside(host: HostView, isSetAside: boolean): void {
    host.isSetAside = isSetAside;
    this.#version += 1;
  }

  /** Takes a heartbeat in. @returns true when its stores, weights or room have changed. */
  heartbeat(host: HostView, heartbeat: Heartbeat, nowMs: number): boolean {
    this.#touch(host);
    host.lastHeardMs = nowMs;
    host.risingHeartbeats += 1;
    if (host.away !== undefined) host.away.heartbeatHeard = true;
    const before = host.heartbeat;
    host.heartbeat = heartbeat;
    if (before?.paceBytesPerS !== heartbeat.paceBytesPerS) this.#sourcesDiffer();
    const reports = new Map(heartbeat.stores.map(report => [report.position.store, report]));
    const changed =
      before === undefined ||
      before.stores.length !== heartbeat.stores.length ||
      before.stores.some(({ position, usedBytes, lentBytes, weightMiB }) => {
        const after = reports.get(position.store);
        return (
          after === undefined ||
          after.usedBytes !== usedBytes ||
          after.lentBytes !== lentBytes ||
          after.weightMiB !== weightMiB
        );
      });
    if (before?.bootId !== heartbeat.bootId) host.storesAway.clear();
    else
      for (const { position } of before.stores)
        if (!reports.has(position.store) && host.storesAway.size < STORES_AWAY_MAX) host.storesAway.add(position.store);
    // Else a store that comes and goes would have others copy, and drop, as often.
    for (const store of reports.keys()) if (host.storesAway.delete(store)) host.returnedAtMs = nowMs;
    host.reports = reports;
    host.weightMiB = Math.min(WEIGHT_MIB_MAX, sum(heartbeat.stores.map(({ weightMiB }) => weightMiB)));
    host.freeBytes = Math.max(0, ...heartbeat.stores.map(({ lentBytes, usedBytes }) => lentBytes - usedBytes));
    if (changed) {
      this.#version += 1;
      this.#sourcesDiffer();
    }
    return changed;
  }

  /** Judges a host's liveness anew. @returns true when it has changed. */
  judge(host: HostView, nowMs: number): boolean {
    const patience = this.#patience(host, nowMs);
    const deadAfterMs = this.#deadAfterMs(host, patience);
    const verdict = this.#decideLiveness(host, nowMs, deadAfterMs);
    const before = host.liveness;
    const changed = verdict.state !== before;
    host.liveness = verdict.state;
    host.livenessNextMs = verdict.nextMs;
    if (changed) {
      this.#version += 1;
      this.#sourcesDiffer();
      this.#touch(host);
      if (host.inOutage) this.#outageMayDiffer = true;
      host.livenessSinceMs = verdict.sinceMs;
      this.#keepCompany(nowMs);
      if (verdict.state === 'live') {
        host.awaitedSinceMs = nowMs;
        this.#isBack(host, nowMs);
        if (before === 'dead') host.returnedAtMs = nowMs;
      } else {
        host.risingHeartbeats = 0;
        host.caughtUp = false;
        if (before === 'live') host.away = this.#left(host, nowMs);
      }
    }
    if (verdict.state === 'dead' && host.away !== undefined) host.away.wasDead = true;
    if (verdict.state === 'suspect') {
      const usualEndMs = awaySinceMs(host) + patience.usualMs;
      const waits = host.inSuddenOutage ? 2 : 1;
      const lastPlaceAtMs = Math.max(host.livenessSinceMs + waits * this.#timing.lastPlaceMs, usualEndMs);
      if (lastPlaceAtMs !== host.lastPlaceAtMs) this.#version += 1;
      host.lastPlaceAtMs = lastPlaceAtMs;
    }
    this.#judgeMissed(host, nowMs, patience);
    return changed;
  }

  #judgeMissed(host: HostView, nowMs: number, patience: Patience): void {
    const missedAtMs = this.#missedAtMs(host, patience);
    const isAway = host.liveness !== 'live';
    const missed = isAway && nowMs >= missedAtMs;
    if (isAway && !missed) host.livenessNextMs = Math.min(host.livenessNextMs, missedAtMs);
    if (missed === host.missed) return;
    host.missed = missed;
    this.#missedDiffer = true;
    // How long it is waited for is decided when it is known who else is missed.
    host.livenessNextMs = nowMs;
  }

  #decideLiveness(host: HostView, nowMs: number, deadAfterMs: number): LivenessVerdict {
    return decideLiveness({
      nowMs,
      knownSinceMs: host.knownSinceMs,
      lastHeardMs: host.lastHeardMs,
      connected: host.connected,
      disconnectedAtMs: host.disconnectedAtMs,
      risingHeartbeats: host.risingHeartbeats,
      before: host.liveness,
      deadAfterMs,
      heartbeatIntervalMs: this.#intervalMs,
      timing: this.#timing,
    });
  }

  #patience({ absences, member }: HostView, nowMs: number): Patience {
    const longestMs = longestAbsenceMs(absences, nowMs);
    return decidePatience({ longestMs, roaming: member.roaming, timing: this.#timing });
  }

  /** Hosts about which something may have to be done: all, when the time of any has come, else those that have been touched. */
  due(nowMs: number): readonly HostView[] {
    if (nowMs >= this.#nextMs) {
      for (const host of this.#byId.values()) this.#touched.add(host);
      this.#nextMs = Number.POSITIVE_INFINITY;
      return [...this.#byId.values()];
    }
    return this.#touched.size === 0 ? NOBODY : [...this.#touched];
  }

  /** When somebody may be due by time alone; to be asked when those who are have been judged. Rather too early than too late. */
  settle(nowMs: number): number {
    // Emptying an empty set is not free: it makes a new table.
    if (this.#touched.size === 0) return this.#nextMs;
    for (const host of this.#touched) {
      // Else its old time would come, in vain, and with it everybody's.
      const leftMs = host.livenessNextMs - nowMs;
      if (host.liveness === 'live' && leftMs > 0 && leftMs < this.#doubtMs() / 2)
        host.livenessNextMs = this.#decideLiveness(host, nowMs, Number.POSITIVE_INFINITY).nextMs;
      this.#nextMs = Math.min(this.#nextMs, host.livenessNextMs);
      this.#nextMs = Math.min(this.#nextMs, host.newsDueMs);
      if (this.isToBeAsked(host)) this.#nextMs = Math.min(this.#nextMs, host.askNotBeforeMs);
    }
    this.#touched.clear();
    return this.#nextMs;
  }

  /** Nobody is dead before it is missed; in an outage it is then waited for once more. */
  #deadAfterMs({ missed, inOutage }: HostView, { deadAfterMs }: Patience): number {
    if (!missed) return Number.POSITIVE_INFINITY;
    return inOutage ? Math.max(deadAfterMs, Math.min(2 * deadAfterMs, this.#timing.deadMaxMs)) : deadAfterMs;
  }

  // ----------------------------------------------------------------------------------------------------------- absences

  /** When a host that is away begins to be missed: its absence is longer than usual, and we have listened long enough. */
  #missedAtMs(host: HostView, { usualMs }: Patience): number {
    return awaySinceMs(host) + (host.lastHeardMs === undefined ? Math.max(usualMs, this.#doubtMs()) : usualMs);
  }

  /** For so long after its last sign a host may count as live, or not have been heard yet. */
  #doubtMs(): number {
    return suspectAfterMs({ timing: this.#timing, heartbeatIntervalMs: this.#intervalMs });
  }

  #left(host: HostView, nowMs: number): Away {
    return {
      sinceMs: host.lastHeardMs ?? host.knownSinceMs,
      stores: host.heartbeat?.stores.map(({ position }) => position) ?? this.#logsOf(host.id),
      companyMs: this.#company(nowMs),
      wasDead: false,
      heartbeatHeard: false,
      back: undefined,
    };
  }

  #isBack(host: HostView, nowMs: number): void {
    const { away } = host;
    if (away === undefined) return;
    away.back = { atMs: nowMs, companyMs: this.#company(nowMs) };
    if (away.stores !== undefined) return;
    // It was away when we started: what it had is what we have read in an earlier life, if anything.
    const logs = this.#logsOf(host.id).filter(({ seq }) => seq > 0);
    if (logs.length > 0) away.stores = logs;
  }

  /** @returns the absence that a host turns out to have come back from with its copies; each once. */
  learnAbsence(host: HostView, nowMs: number): PastAbsence | undefined {
    const { away } = host;
    if (away?.back === undefined || !away.heartbeatHeard || host.heartbeat === undefined) return undefined;
    const verdict = decideReturn({
      before: away.stores,
      now: host.heartbeat.stores.map(({ position }) => position),
      companyMs: away.back.companyMs - away.companyMs,
      // Others that vanished with it may have been live for longest, and be back first.
      doubtMs: 2 * this.#doubtMs(),
    });
    if (verdict.act === 'wait') return undefined;
    host.away = undefined;
    if (verdict.act === 'forget') return undefined;
    const { wasDead } = away;
    const endedAtMs = away.back.atMs;
    const lengthMs = endedAtMs - away.sinceMs;
    host.absences = withAbsence(host.absences, { lengthMs, endedAtMs, wasDead });
    return { host: host.id, lengthMs, agoMs: nowMs - endedAtMs, wasDead };
  }

  #company(nowMs: number): number {
    return this.#companyMs + (this.#companySinceMs === undefined ? 0 : nowMs - this.#companySinceMs);
  }

  /** Somebody has come or gone. */
  #keepCompany(nowMs: number): void {
    this.#companyMs = this.#company(nowMs);
    this.#companySinceMs = this.#isSomebodyLive() ? nowMs : undefined;
  }

  #isSomebodyLive(): boolean {
    for (const { liveness } of this.#byId.values()) if (liveness === 'live') return true;
    return false;
  }

  /** Judges anew whether there is an outage, where one host more or less is missed. @returns those for which that has changed. */
  judgeOutage(nowMs: number): readonly HostView[] {
    if (!this.#missedDiffer) return NOBODY;
    this.#missedDiffer = false;
    const missed = new Map<HostView, number>();
    for (const host of this.#byId.values())
      if (host.missed && host.member.state === 'active') missed.set(host, awaySinceMs(host));
    const { deadMs, lastPlaceMs } = this.#timing;
    const outage = this.#decideOutage(missed, deadMs);
    const sudden = this.#decideOutage(missed, lastPlaceMs);
    const changed: HostView[] = [];
    for (const host of this.#byId.values()) {
      const sinceMs = missed.get(host);
      const inOutage = sinceMs !== undefined && vanishedInOutage(outage, sinceMs);
      const inSuddenOutage = sinceMs !== undefined && vanishedInOutage(sudden, sinceMs);
      if (host.inOutage === inOutage && host.inSuddenOutage === inSuddenOutage) continue;
      host.inOutage = inOutage;
      host.inSuddenOutage = inSuddenOutage;
      host.livenessNextMs = nowMs;
      this.#touch(host);
      this.#outageMayDiffer = true;
      changed.push(host);
    }
    return changed;
  }

  #decideOutage(missed: ReadonlyMap<HostView, number>, waitMs: number): OutageVerdict {
    return decideOutage({
      members: this.#activeMembers,
      vanishedAtMs: [...missed.values()],
      // The last sign of a host is up to a heartbeat older than its end.
      withinMs: waitMs + this.#intervalMs,
    });
  }

  /** @returns the hosts that are waited for because of an outage, when that has changed; none when it is over. */
  outageNews(): readonly HostId[] | undefined {
    if (!this.#outageMayDiffer) return undefined;
    this.#outageMayDiffer = false;
    const hosts: HostId[] = [];
    for (const { id, inOutage, liveness } of this.#byId.values())
      if (inOutage && liveness === 'suspect') hosts.push(id);
    if (hosts.join() === this.#inOutage.join()) return undefined;
    this.#inOutage = hosts;
    return hosts;
  }

  /**
   * Until when grabs should wait because the view has holes: a live host whose logs we have not read or whose room we do
   * not know yet, or one that we have not heard of since we started and that may well hold what looks short. −Infinity
   * when nothing is awaited.
   */
  viewCompleteAtMs(nowMs: number): number {
    this.#holesUntilMs ??= this.#lastHoleEndsMs();
    return this.#holesUntilMs > nowMs ? this.#holesUntilMs : Number.NEGATIVE_INFINITY;
  }

  #lastHoleEndsMs(): number {
    let untilMs = Number.NEGATIVE_INFINITY;
    for (const host of this.#byId.values()) {
      if (host.member.state !== 'active') continue;
      const awaitedUntilMs =
        host.lastHeardMs === undefined
          ? host.knownSinceMs + this.#timing.suspectMs
          : host.liveness === 'live' && (!host.caughtUp || host.heartbeat === undefined)
            ? host.awaitedSinceMs + CATCH_UP_PATIENCE_MS
            : Number.NEGATIVE_INFINITY;
      untilMs = Math.max(untilMs, awaitedUntilMs);
    }
    return untilMs;
  }

  /** The host has told others more than has reached us yet. */
  expectNews(host: HostView, nowMs: number): void {
    this.#touch(host);
    host.newsDueMs = Math.min(host.newsDueMs, nowMs + Math.min(NEWS_MS, this.#timing.heartbeatMs));
  }

  /** True for a host that is still to be asked. One that is away is asked when it connects. */
  isToBeAsked({ askAgain, asking, connected }: HostView): boolean {
    return askAgain && !asking && connected;
  }

  /** True when this host should be asked now; otherwise it is remembered that it must be. */
  mayAsk(host: HostView, nowMs: number): boolean {
    this.#touched.add(host);
    if (host.asking || nowMs < host.askNotBeforeMs) {
      host.askAgain = true;
      return false;
    }
    host.asking = true;
    host.askAgain = false;
    return true;
  }

  /** @returns true when its logs were not known to the end before, and are now. */
  answered(host: HostView, ok: boolean, nowMs: number): boolean {
    this.#touch(host);
    host.asking = false;
    host.askBackOffMs = ok ? ASK_AGAIN_MS : Math.min(ASK_AGAIN_MS_MAX, host.askBackOffMs * 2);
    host.askNotBeforeMs = nowMs + Math.min(host.askBackOffMs, this.#intervalMs);
    const caughtUp = ok && !host.caughtUp;
    if (ok) host.caughtUp = true;
    else host.askAgain = true;
    return caughtUp;
  }

  #newHost(member: Member, nowMs: number): HostView {
    const absences = this.#absences.get(member.host) ?? [];
    return {
      id: member.host,
      words: idWords(bytesOf(member.host)),
      member,
      knownSinceMs: nowMs,
      connected: false,
      disconnectedAtMs: undefined,
      lastHeardMs: undefined,
      risingHeartbeats: 0,
      liveness: 'suspect',
      livenessSinceMs: nowMs,
      livenessNextMs: nowMs,
      lastPlaceAtMs: nowMs,
      returnedAtMs: absences.findLast(({ wasDead }) => wasDead)?.endedAtMs,
      away: {
        sinceMs: nowMs,
        stores: undefined,
        companyMs: this.#company(nowMs),
        wasDead: false,
        heartbeatHeard: false,
        back: undefined,
      },
      absences,
      missed: false,
      inOutage: false,
      inSuddenOutage: false,
      heartbeat: undefined,
      reports: new Map(),
      storesAway: new Set(),
      weightMiB: 0,
      freeBytes: 0,
      caughtUp: false,
      awaitedSinceMs: nowMs,
      boots: [],
      isSetAside: false,
      setAsideUntilMs: Number.POSITIVE_INFINITY,
      newsDueMs: Number.POSITIVE_INFINITY,
      asking: false,
      askAgain: false,
      askNotBeforeMs: nowMs,
      askBackOffMs: ASK_AGAIN_MS,
    };
  }
}

const NOBODY: readonly HostView[] = [];

const paceOf = ({ liveness, heartbeat }: HostView): number =>
  liveness === 'live' ? (heartbeat?.paceBytesPerS ?? 0) : 0;

/** Since when a host that is away has been so, or would be. */
const awaySinceMs = ({ away, lastHeardMs, knownSinceMs }: HostView): number =>
  away !== undefined && away.back === undefined ? away.sinceMs : (lastHeardMs ?? knownSinceMs);

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/**
 * Hosts: the other members as this host sees them: whether they are there, what they lend, and whether we have read
 * their logs.
 *
 * It keeps a view of each (host-view.ts), says when one of them must be judged again, and judges it by what was heard
 * of it and of all. Values derived from all views are kept, so that callers need not look at each: version counters
 * rise when such a value may have changed.
 *
 * Driven by listening.ts and the machine.
 */
import { decidePatience, longestAbsenceMs, type Patience } from './absence.js';
import { AwayHosts, type PastOfHosts } from './away.js';
import { type ClusterConfig, type Member, mayHoldCopies, type Timing } from './cluster-config.js';
import { BOOTS_KEPT, type Boot, type BootVerdict, decideBoot } from './duplicate.js';
import type { PastAbsence } from './effects.js';
import { ASK_AGAIN_MS, awaySinceMs, type HostView, NOBODY, newHostView } from './host-view.js';
import type { HostId } from './ids.js';
import { decideLiveness, type LivenessVerdict, suspectAfterMs } from './liveness.js';
import type { Heartbeat } from './messages.js';
import { Outages } from './outages.js';
import { SaidPaces, saidPaceOf } from './said-paces.js';
import { takeHeartbeat } from './take-heartbeat.js';

/**
 * In ms: the longest that grabs wait for a log that its live writer does not let us read, and for a host that has not
 * been heard of since our start, however rare heartbeats are: a host that is there connects sooner.
 */
const CATCH_UP_PATIENCE_MS = 30_000;
/** News that a heartbeat announces is on its way in frames of its own, and is not asked for before this, in ms. */
const NEWS_MS = 1_000;
const ASK_AGAIN_MS_MAX = 60_000;

export class Hosts {
  readonly #byId = new Map<HostId, HostView>();
  readonly #self: HostId;
  readonly #away: AwayHosts;
  readonly #outages = new Outages(() => this.#byId.values());
  readonly #paces = new SaidPaces(() => this.#byId.values());
  #timing: Timing;
  #intervalMs: number;
  /** Including this host. */
  #activeMembers = 1;
  /** Hosts that were heard, connected or changed since they were last judged. */
  readonly #touched = new Set<HostView>();
  /** No host outside `#touched` is due before this. */
  #nextMs = Number.NEGATIVE_INFINITY;
  /** Until when the view may have holes, if that is in the future; undefined when it must be computed again. */
  #holesUntilMs: number | undefined;
  #membersVersion = 0;
  #version = 0;
  #relay = 0;
  #sourcesVersion = 0;

  constructor(self: HostId, timing: Timing, past: PastOfHosts) {
    this.#self = self;
    this.#away = new AwayHosts(past);
    this.#timing = timing;
    this.#intervalMs = timing.heartbeatMs;
  }

  /**
   * Rises when a host's state, its stores, their weight or how long its copies count has changed, so that derived
   * values must be derived again.
   */
  get version(): number {
    return this.#version;
  }

  /** Rises with each configuration in force, which may change who the others are. `version` rises with it. */
  get membersVersion(): number {
    return this.#membersVersion;
  }

  /**
   * Rises when a connection has come or gone, or a host's pace may have changed: which hosts can give, and how fast.
   */
  get sourcesVersion(): number {
    return this.#sourcesVersion;
  }

  #sourcesDiffer(): void {
    this.#sourcesVersion += 1;
    this.#paces.differ();
  }

  /** The stretched interval, so that control traffic does not grow with the square of the hosts. */
  get heartbeatIntervalMs(): number {
    return this.#intervalMs;
  }

  /** The greatest pace that any live host reports, in bytes a second; 0 when none does. */
  get fastestBytesPerS(): number {
    return this.#paces.fastestBytesPerS;
  }

  /** The sum of the paces that all other live hosts with any room report, in bytes a second. */
  get roomyBytesPerS(): number {
    return this.#paces.roomyBytesPerS;
  }

  /** A host's reported pace; 0 when it is not live or does not know. */
  paceBytesPerS(host: HostId): number {
    const view = this.#byId.get(host);
    return view === undefined ? 0 : saidPaceOf(view);
  }

  get(host: HostId): HostView | undefined {
    return this.#byId.get(host);
  }

  /** The member whose messages count; undefined for a stranger and for one that is set aside. */
  believed(host: HostId): Member | undefined {
    const view = this.#byId.get(host);
    return view?.isSetAside === true ? undefined : view?.member;
  }

  /** Every member but this host, in the configuration's order. */
  others(): IterableIterator<HostView> {
    return this.#byId.values();
  }

  /** A connected host that may have the logs of others: a different one each time, as far as there are any. */
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
    this.#outages.missedDiffer();
    const present = config.members.filter(member => member.state !== 'revoked');
    this.#activeMembers = present.filter(member => member.state === 'active').length;
    this.#intervalMs = Math.max(config.timing.heartbeatMs, present.length * config.timing.heartbeatPerHostMs);
    const members = new Map(present.filter(({ host }) => host !== this.#self).map(member => [member.host, member]));
    for (const [id, host] of this.#byId) {
      if (members.has(id)) continue;
      this.#byId.delete(id);
      this.#touched.delete(host);
      if (host.inOutage) this.#outages.newsMayDiffer();
    }
    // Members that were just removed are not judged again.
    this.#away.keepCompany(this.#isSomebodyLive(), nowMs);
    for (const [id, member] of members) {
      const known = this.#byId.get(id);
      if (known === undefined) this.#byId.set(id, this.#newView(member, nowMs));
      else {
        known.member = member;
        // Shorter times take effect at once.
        known.livenessNextMs = nowMs;
      }
    }
  }

  #newView(member: Member, nowMs: number): HostView {
    const absences = this.#away.pastOf(member.host);
    return newHostView(member, { nowMs, absences, companyMs: this.#away.companyMs(nowMs) });
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
    // A host that comes and goes and is never read to the end must not be waited for afresh each time.
    if (host.caughtUp) host.awaitedSinceMs = nowMs;
    host.caughtUp = false;
    this.#touch(host);
  }

  disconnected(host: HostView, nowMs: number): void {
    host.connected = false;
    host.disconnectedAtMs = nowMs;
    this.#sourcesDiffer();
    // A broken connection may show its absence sooner than silence does.
    host.livenessNextMs = nowMs;
    this.#touch(host);
  }

  /** Judges a host's start by its heartbeat. A duplicate is set aside. */
  heardBoot(host: HostView, { boot, bootId }: Boot, nowMs: number): BootVerdict {
    const verdict = decideBoot(host.boots, { boot, bootId });
    if (verdict === 'duplicate') host.setAsideUntilMs = nowMs + this.#timing.deadMs;
    else if (verdict !== 'older') host.startTurns.heardLast();
    if (verdict === 'restarted' || verdict === 'duplicate') {
      // Of two machines, the one that remains becomes the last start, whichever it is; the other would be a duplicate
      // again.
      const known = host.boots.findIndex(other => other.bootId === bootId);
      if (known >= 0) host.boots.splice(known, 1);
      host.boots.push({ boot, bootId });
      if (host.boots.length > BOOTS_KEPT) host.boots.shift();
    }
    return verdict;
  }

  /** An earlier start than its last one goes on speaking. @returns whether two machines run with its identity */
  heardEarlierStart(host: HostView, nowMs: number): boolean {
    const { deadMs } = this.#timing;
    const areTwo = host.startTurns.heardEarlier(nowMs, deadMs);
    if (areTwo) host.setAsideUntilMs = nowMs + deadMs;
    return areTwo;
  }

  /** Ignores everything that it says, or believes it again. */
  setAside(host: HostView, isSetAside: boolean): void {
    host.isSetAside = isSetAside;
    this.#version += 1;
  }

  /** Takes in a heartbeat. Its free room changes all the time while copies are made: that alone raises no version. */
  heartbeat(host: HostView, heartbeat: Heartbeat, nowMs: number): void {
    this.#touch(host);
    const paceBefore = host.heartbeat?.paceBytesPerS;
    const hadRoom = host.freeBytes > 0;
    if (takeHeartbeat(host, heartbeat, nowMs)) this.#version += 1;
    if (heartbeat.paceBytesPerS !== paceBefore) this.#sourcesDiffer();
    else if (host.freeBytes > 0 !== hadRoom) this.#paces.differ();
  }

  /** Judges a host's liveness again. @returns true when it has changed. */
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
      if (host.inOutage) this.#outages.newsMayDiffer();
      host.livenessSinceMs = verdict.sinceMs;
      this.#away.keepCompany(this.#isSomebodyLive(), nowMs);
      if (verdict.state === 'live') {
        host.awaitedSinceMs = nowMs;
        this.#away.isBack(host, nowMs);
        if (before === 'dead') host.returnedAtMs = nowMs;
      } else {
        host.risingHeartbeats = 0;
        host.caughtUp = false;
        if (before === 'live') this.#away.left(host, nowMs);
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
    this.#outages.missedDiffer();
    // How long it is waited for is decided once it is known which other hosts are missed.
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

  /** Hosts that may need something: all of them once the time of any has come, otherwise the touched ones. */
  due(nowMs: number): readonly HostView[] {
    if (nowMs >= this.#nextMs) {
      for (const host of this.#byId.values()) this.#touched.add(host);
      this.#nextMs = Number.POSITIVE_INFINITY;
      return [...this.#byId.values()];
    }
    return this.#touched.size === 0 ? NOBODY : [...this.#touched];
  }

  /**
   * When a host may next be due by time alone; call it after those due have been judged. Rather too early than too
   * late.
   */
  settle(nowMs: number): number {
    // Emptying an empty set is not free: it makes a new table.
    if (this.#touched.size === 0) return this.#nextMs;
    for (const host of this.#touched) {
      // Otherwise its old time would come for nothing, and with it a look at all hosts.
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

  /** No host is dead before it is missed; in an outage it is then waited for once more. */
  #deadAfterMs({ missed, inOutage }: HostView, { deadAfterMs }: Patience): number {
    if (!missed) return Number.POSITIVE_INFINITY;
    return inOutage ? Math.max(deadAfterMs, Math.min(2 * deadAfterMs, this.#timing.deadMaxMs)) : deadAfterMs;
  }

  /** When an absent host begins to be missed: its absence is longer than usual, and we have listened long enough. */
  #missedAtMs(host: HostView, { usualMs }: Patience): number {
    return awaySinceMs(host) + (host.lastHeardMs === undefined ? Math.max(usualMs, this.#doubtMs()) : usualMs);
  }

  /** How long after its last sign of life a host may count as live, or may not have been heard yet. */
  #doubtMs(): number {
    return suspectAfterMs({ timing: this.#timing, heartbeatIntervalMs: this.#intervalMs });
  }

  /** @returns the absence from which the host turns out to have returned with its copies; each absence once. */
  learnAbsence(host: HostView, nowMs: number): PastAbsence | undefined {
    return this.#away.learn(host, { nowMs, doubtMs: this.#doubtMs() });
  }

  #isSomebodyLive(): boolean {
    for (const { liveness } of this.#byId.values()) if (liveness === 'live') return true;
    return false;
  }

  /**
   * Judges whether there is an outage, if the set of missed hosts has changed. @returns hosts for which that has
   * changed.
   */
  judgeOutage(nowMs: number): readonly HostView[] {
    const changed = this.#outages.judge({
      members: this.#activeMembers,
      heartbeatIntervalMs: this.#intervalMs,
      timing: this.#timing,
    });
    for (const host of changed) {
      host.livenessNextMs = nowMs;
      this.#touch(host);
    }
    return changed;
  }

  /** @returns the hosts that are waited for because of an outage, if they have changed; empty when it is over. */
  outageNews(): readonly HostId[] | undefined {
    return this.#outages.news();
  }

  /**
   * Until when grabs should wait because the view has holes: a live host whose logs we have not read or whose room we
   * do not know yet, or a host not heard of since our start which may well hold what looks short. −Infinity when
   * nothing is awaited.
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
          ? host.knownSinceMs + Math.min(this.#timing.suspectMs, CATCH_UP_PATIENCE_MS)
          : host.liveness === 'live' && (!host.caughtUp || host.heartbeat === undefined)
            ? host.awaitedSinceMs + CATCH_UP_PATIENCE_MS
            : Number.NEGATIVE_INFINITY;
      untilMs = Math.max(untilMs, awaitedUntilMs);
    }
    return untilMs;
  }

  /** The host has told others more than has reached us. */
  expectNews(host: HostView, nowMs: number): void {
    this.#touch(host);
    host.newsDueMs = Math.min(host.newsDueMs, nowMs + Math.min(NEWS_MS, this.#timing.heartbeatMs));
  }

  /** True for a connected host that is still to be asked. An absent one is asked when it connects. */
  isToBeAsked({ askAgain, asking, connected }: HostView): boolean {
    return askAgain && !asking && connected;
  }

  /** True when the host should be asked now; otherwise the question is kept for later. */
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

  /**
   * @param differs where the host's positions and ours still differ after its answer. If that repeats the difference
   * after one of the two answers before, our disk or its disk takes nothing, and the next answer would be the same. So it
   * is with a host that is set aside: whichever of its machines answers, nothing that it says counts
   * @returns true when its logs have now been read to the end, and had not been before.
   */
  answered(
    host: HostView,
    { ok, differs, nowMs }: { readonly ok: boolean; readonly differs: string | undefined; readonly nowMs: number },
  ): boolean {
    this.#touch(host);
    host.asking = false;
    const isInVain = host.isSetAside || (differs !== undefined && host.differed.includes(differs));
    host.differed = [differs, ...host.differed].slice(0, 2);
    host.spokeAsOlder = false;
    const mostMs = isInVain ? Math.max(ASK_AGAIN_MS_MAX, this.#intervalMs) : ASK_AGAIN_MS_MAX;
    host.askBackOffMs = ok && !isInVain ? ASK_AGAIN_MS : Math.min(mostMs, host.askBackOffMs * 2);
    host.askNotBeforeMs = nowMs + Math.min(host.askBackOffMs, this.#intervalMs);
    const caughtUp = ok && !host.caughtUp;
    if (ok) host.caughtUp = true;
    else host.askAgain = true;
    return caughtUp;
  }
}

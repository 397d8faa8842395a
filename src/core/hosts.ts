/**
 * Hosts: the other members as this host sees them: whether they are there, what they lend, whether we have read their logs.
 *
 * It keeps a view of each (host-view.ts), says when one of them is due to be judged anew, and judges it by what has been
 * heard of it and of all. Who asks for something that all views make together gets it without looking at each: versions rise
 * when it may be another.
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
 * A log that its live writer does not let us read holds grabs up for this long at the most, in ms; and so does a host that has not
 * been heard of since the start, however rare heartbeats are: who is there connects sooner.
 */
const CATCH_UP_PATIENCE_MS = 30_000;
/** What a heartbeat is ahead of us is on its way in frames of its own, and is not asked for before this, in ms. */
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
  /** This host counts, too. */
  #activeMembers = 1;
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

  constructor(self: HostId, timing: Timing, past: PastOfHosts) {
    this.#self = self;
    this.#away = new AwayHosts(past);
    this.#timing = timing;
    this.#intervalMs = timing.heartbeatMs;
  }

  /** Rises when what a host is, which stores it has, their weight, or how long its copies count has changed: what others derive from that is derived anew. */
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
    this.#paces.differ();
  }

  /** What heartbeats are stretched to, so that control traffic does not grow with the square of the hosts. */
  get heartbeatIntervalMs(): number {
    return this.#intervalMs;
  }

  /** The greatest pace that any live host says it has, in bytes a second; 0 when none does. */
  get fastestBytesPerS(): number {
    return this.#paces.fastestBytesPerS;
  }

  /** What all other live hosts that have any room take in together, as they say. */
  get roomyBytesPerS(): number {
    return this.#paces.roomyBytesPerS;
  }

  /** A host's pace, as it says; 0 when it is not live or does not know. */
  paceBytesPerS(host: HostId): number {
    const view = this.#byId.get(host);
    return view === undefined ? 0 : saidPaceOf(view);
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
    // Whoever goes so is judged no more.
    this.#away.keepCompany(this.#isSomebodyLive(), nowMs);
    for (const [id, member] of members) {
      const known = this.#byId.get(id);
      if (known === undefined) this.#byId.set(id, this.#newView(member, nowMs));
      else {
        known.member = member;
        // Shorter times hold at once.
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
    // Who comes and goes and is never read to its end must not be waited for anew each time.
    if (host.caughtUp) host.awaitedSinceMs = nowMs;
    host.caughtUp = false;
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
    else if (verdict !== 'older') host.startTurns.heardLast();
    if (verdict === 'restarted' || verdict === 'duplicate') {
      // Of two machines the one that is left is the last one then, whichever that is; the other one would be a duplicate again.
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

  /** Nothing that it says counts any more, or all of it again. */
  setAside(host: HostView, isSetAside: boolean): void {
    host.isSetAside = isSetAside;
    this.#version += 1;
  }

  /** Takes a heartbeat in. How much room it has left is another with each while copies are made: that alone is no new version. */
  heartbeat(host: HostView, heartbeat: Heartbeat, nowMs: number): void {
    this.#touch(host);
    const paceBefore = host.heartbeat?.paceBytesPerS;
    const hadRoom = host.freeBytes > 0;
    if (takeHeartbeat(host, heartbeat, nowMs)) this.#version += 1;
    if (heartbeat.paceBytesPerS !== paceBefore) this.#sourcesDiffer();
    else if (host.freeBytes > 0 !== hadRoom) this.#paces.differ();
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

  /** When a host that is away begins to be missed: its absence is longer than usual, and we have listened long enough. */
  #missedAtMs(host: HostView, { usualMs }: Patience): number {
    return awaySinceMs(host) + (host.lastHeardMs === undefined ? Math.max(usualMs, this.#doubtMs()) : usualMs);
  }

  /** For so long after its last sign a host may count as live, or not have been heard yet. */
  #doubtMs(): number {
    return suspectAfterMs({ timing: this.#timing, heartbeatIntervalMs: this.#intervalMs });
  }

  /** @returns the absence that a host turns out to have come back from with its copies; each once. */
  learnAbsence(host: HostView, nowMs: number): PastAbsence | undefined {
    return this.#away.learn(host, { nowMs, doubtMs: this.#doubtMs() });
  }

  #isSomebodyLive(): boolean {
    for (const { liveness } of this.#byId.values()) if (liveness === 'live') return true;
    return false;
  }

  /** Judges anew whether there is an outage, where one host more or less is missed. @returns those for which that has changed. */
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

  /** @returns the hosts that are waited for because of an outage, when that has changed; none when it is over. */
  outageNews(): readonly HostId[] | undefined {
    return this.#outages.news();
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
          ? host.knownSinceMs + Math.min(this.#timing.suspectMs, CATCH_UP_PATIENCE_MS)
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

  /**
   * @param differs what it says and what we have, where they differ after its answer too. When they do as after one of the
   * two answers before, our disk takes nothing, or its own does not, and the next answer will be like this one
   * @returns true when its logs were not known to the end before, and are now.
   */
  answered(
    host: HostView,
    { ok, differs, nowMs }: { readonly ok: boolean; readonly differs: string | undefined; readonly nowMs: number },
  ): boolean {
    this.#touch(host);
    host.asking = false;
    const isInVain = differs !== undefined && host.differed.includes(differs);
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

/**
 * Hosts: the other members as this host sees them: whether they are there, what they lend, whether we have read their logs.
 */
import type { ClusterConfig, Member, Timing } from './cluster-config.js';
import type { HostId, StoreId } from './ids.js';
import { bytesOf } from './ids.js';
import { decideLiveness, type Liveness } from './liveness.js';
import type { Heartbeat, StoreReport } from './messages.js';
import { type IdWords, idWords, WEIGHT_MIB_MAX } from './rendezvous.js';

/** A log that its live writer does not let us read holds grabs up for this long at the most, in ms. */
const CATCH_UP_PATIENCE_MS = 30_000;
/** Between two questions to one host for what should have come by itself, in ms. */
const ASK_AGAIN_MS = 1_000;
const ASK_AGAIN_MS_MAX = 60_000;

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
  /** The last heartbeat; undefined before the first since our start. */
  heartbeat: Heartbeat | undefined;
  /** Stores of the last heartbeat, by id. */
  reports: ReadonlyMap<StoreId, StoreReport>;
  /** Sum of the stated weights of its mounted stores. */
  weightMiB: number;
  /** Most room in one of its stores. */
  freeBytes: number;
  /** Its logs were read to the end once since it was last away. */
  caughtUp: boolean;
  /** Since when we wait for that. */
  awaitedSinceMs: number;
  /** When it came back after it had been taken for dead; undefined when it never was. */
  returnedAtMs: number | undefined;
  asking: boolean;
  askAgain: boolean;
  askNotBeforeMs: number;
  askBackOffMs: number;
}

export class Hosts {
  readonly #byId = new Map<HostId, HostView>();
  readonly #self: HostId;
  #timing: Timing;
  #intervalMs: number;

  constructor(self: HostId, timing: Timing) {
    this.#self = self;
    this.#timing = timing;
    this.#intervalMs = timing.heartbeatMs;
  }

  /** What heartbeats are stretched to, so that control traffic does not grow with the square of the hosts. */
  get heartbeatIntervalMs(): number {
    return this.#intervalMs;
  }

  get(host: HostId): HostView | undefined {
    return this.#byId.get(host);
  }

  /** Every member but this host, in the configuration's order. */
  others(): IterableIterator<HostView> {
    return this.#byId.values();
  }

  configure(config: ClusterConfig, nowMs: number): void {
    this.#timing = config.timing;
    const present = config.members.filter(member => member.state !== 'revoked');
    this.#intervalMs = Math.max(config.timing.heartbeatMs, present.length * config.timing.heartbeatPerHostMs);
    const members = new Map(present.filter(({ host }) => host !== this.#self).map(member => [member.host, member]));
    for (const id of [...this.#byId.keys()]) if (!members.has(id)) this.#byId.delete(id);
    for (const [id, member] of members) {
      const known = this.#byId.get(id);
      if (known === undefined) this.#byId.set(id, newHost(member, nowMs));
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
    this.awaitLogs(host, nowMs);
  }

  /** Its logs must be read (again) before the view is whole. */
  awaitLogs(host: HostView, nowMs: number): void {
    host.caughtUp = false;
    host.awaitedSinceMs = nowMs;
  }

  disconnected(host: HostView, nowMs: number): void {
    host.connected = false;
    host.disconnectedAtMs = nowMs;
    // A broken connection may tell sooner than silence does.
    host.livenessNextMs = nowMs;
  }

  /** Takes a heartbeat in. @returns true when its stores, weights or room have changed. */
  heartbeat(host: HostView, heartbeat: Heartbeat, nowMs: number): boolean {
    host.lastHeardMs = nowMs;
    host.risingHeartbeats += 1;
    const before = host.heartbeat;
    host.heartbeat = heartbeat;
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
    host.reports = reports;
    host.weightMiB = Math.min(WEIGHT_MIB_MAX, sum(heartbeat.stores.map(({ weightMiB }) => weightMiB)));
    host.freeBytes = Math.max(0, ...heartbeat.stores.map(({ lentBytes, usedBytes }) => lentBytes - usedBytes));
    return changed;
  }

  /** Judges a host's liveness anew. @returns true when it has changed. */
  judge(host: HostView, nowMs: number): boolean {
    const verdict = decideLiveness({
      nowMs,
      knownSinceMs: host.knownSinceMs,
      lastHeardMs: host.lastHeardMs,
      connected: host.connected,
      disconnectedAtMs: host.disconnectedAtMs,
      risingHeartbeats: host.risingHeartbeats,
      before: host.liveness,
      heartbeatIntervalMs: this.#intervalMs,
      timing: this.#timing,
    });
    const changed = verdict.state !== host.liveness;
    if (changed) {
      if (host.liveness === 'dead') host.returnedAtMs = nowMs;
      host.livenessSinceMs = verdict.sinceMs;
      if (verdict.state === 'live') host.awaitedSinceMs = nowMs;
      else {
        host.risingHeartbeats = 0;
        host.caughtUp = false;
      }
    }
    host.liveness = verdict.state;
    host.livenessNextMs = verdict.nextMs;
    return changed;
  }

  /**
   * Until when grabs should wait because the view has holes: a live host whose logs we have not read or whose room we do
   * not know yet, or one that we have not heard of since we started and that may well hold what looks short. −Infinity
   * when nothing is awaited.
   */
  viewCompleteAtMs(nowMs: number): number {
    let untilMs = Number.NEGATIVE_INFINITY;
    for (const host of this.#byId.values()) {
      if (host.member.state !== 'active') continue;
      const awaitedUntilMs =
        host.lastHeardMs === undefined
          ? host.knownSinceMs + this.#timing.suspectMs
          : host.liveness === 'live' && (!host.caughtUp || host.heartbeat === undefined)
            ? host.awaitedSinceMs + CATCH_UP_PATIENCE_MS
            : Number.NEGATIVE_INFINITY;
      if (awaitedUntilMs > nowMs) untilMs = Math.max(untilMs, awaitedUntilMs);
    }
    return untilMs;
  }

  /** True for a host that is still to be asked. One that is away is asked when it connects. */
  isToBeAsked({ askAgain, asking, connected }: HostView): boolean {
    return askAgain && !asking && connected;
  }

  /** True when this host should be asked now; otherwise it is remembered that it must be. */
  mayAsk(host: HostView, nowMs: number): boolean {
    if (host.asking || nowMs < host.askNotBeforeMs) {
      host.askAgain = true;
      return false;
    }
    host.asking = true;
    host.askAgain = false;
    return true;
  }

  answered(host: HostView, ok: boolean, nowMs: number): void {
    host.asking = false;
    host.askBackOffMs = ok ? ASK_AGAIN_MS : Math.min(ASK_AGAIN_MS_MAX, host.askBackOffMs * 2);
    host.askNotBeforeMs = nowMs + Math.min(host.askBackOffMs, this.#intervalMs);
    if (ok) host.caughtUp = true;
    else host.askAgain = true;
  }
}

function newHost(member: Member, nowMs: number): HostView {
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
    heartbeat: undefined,
    reports: new Map(),
    weightMiB: 0,
    freeBytes: 0,
    caughtUp: false,
    awaitedSinceMs: nowMs,
    returnedAtMs: undefined,
    asking: false,
    askAgain: false,
    askNotBeforeMs: nowMs,
    askBackOffMs: ASK_AGAIN_MS,
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

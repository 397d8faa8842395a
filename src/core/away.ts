/**
 * Away: the running absences of other hosts, and what each teaches when the host is back.
 *
 * When an absence starts, what the host had then is written down; when it ends, that is compared with what the host has
 * now (came-back.ts). During the absence, the time in which some other host was there is counted: without company, it
 * may be this host that was cut off.
 *
 * Driven by hosts.ts.
 */
import { type Absence, withAbsence } from './absence.js';
import { decideReturn } from './came-back.js';
import type { PastAbsence } from './effects.js';
import type { LogPosition } from './holdings-log.js';
import type { HostView } from './host-view.js';
import type { HostId } from './ids.js';

export interface PastOfHosts {
  /** How far the logs of a host's stores have been read. */
  readonly logsOf: (host: HostId) => readonly LogPosition[];
  /** Good absences of all hosts from before our start, by our clock. In any order. */
  readonly absences: readonly (Absence & { readonly host: HostId })[];
}

export class AwayHosts {
  readonly #logsOf: (host: HostId) => readonly LogPosition[];
  readonly #past = new Map<HostId, readonly Absence[]>();
  /** Time in which some other host was there: the sum up to the last change, and since when somebody is there now. */
  #companyMs = 0;
  #companySinceMs: number | undefined;

  constructor({ logsOf, absences }: PastOfHosts) {
    this.#logsOf = logsOf;
    const inOrder = [...absences].sort((a, b) => a.endedAtMs - b.endedAtMs);
    for (const { host, ...absence } of inOrder) this.#past.set(host, withAbsence(this.pastOf(host), absence));
  }

  /** Absences from before our start. */
  pastOf(host: HostId): readonly Absence[] {
    return this.#past.get(host) ?? [];
  }

  /** How much of our time some other host was there, up to now. */
  companyMs(nowMs: number): number {
    return this.#companyMs + (this.#companySinceMs === undefined ? 0 : nowMs - this.#companySinceMs);
  }

  /** Another host has come or gone. `isSomebodyThere`: whether any is there now. */
  keepCompany(isSomebodyThere: boolean, nowMs: number): void {
    this.#companyMs = this.companyMs(nowMs);
    this.#companySinceMs = isSomebodyThere ? nowMs : undefined;
  }

  left(host: HostView, nowMs: number): void {
    host.away = {
      sinceMs: host.lastHeardMs ?? host.knownSinceMs,
      stores: host.heartbeat?.stores.map(({ position }) => position) ?? this.#logsOf(host.id),
      companyMs: this.companyMs(nowMs),
      wasDead: false,
      heartbeatHeard: false,
      back: undefined,
    };
  }

  isBack({ id, away }: HostView, nowMs: number): void {
    if (away === undefined) return;
    away.back = { atMs: nowMs, companyMs: this.companyMs(nowMs) };
    if (away.stores !== undefined) return;
    // It was already away when we started: what it had is what we had read of its logs in an earlier run, if anything.
    const logs = this.#logsOf(id).filter(({ seq }) => seq > 0);
    if (logs.length > 0) away.stores = logs;
  }

  /**
   * `doubtMs`: how long after its last sign of life a host may still count as live.
   * @returns the absence from which the host turns out to have returned with its copies; each absence once.
   */
  learn(
    host: HostView,
    { nowMs, doubtMs }: { readonly nowMs: number; readonly doubtMs: number },
  ): PastAbsence | undefined {
    const { away } = host;
    if (away?.back === undefined || !away.heartbeatHeard || host.heartbeat === undefined) return undefined;
    const verdict = decideReturn({
      before: away.stores,
      now: host.heartbeat.stores.map(({ position }) => position),
      companyMs: away.back.companyMs - away.companyMs,
      // Other hosts that vanished with it may have counted as live longest, and be back first.
      doubtMs: 2 * doubtMs,
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
}

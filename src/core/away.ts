/**
 * Away: the absences of the others while they run, and what is learned from each when its host is back.
 *
 * At the start of an absence it is written down what the host had then; at its end that is compared with what it has
 * (came-back.ts). Of the time between it counts how much somebody else was there: without company it may be we who were
 * cut off.
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
  /** Good absences of all, by our time, from before our start. In any order. */
  readonly absences: readonly (Absence & { readonly host: HostId })[];
}

export class AwayHosts {
  readonly #logsOf: (host: HostId) => readonly LogPosition[];
  readonly #past = new Map<HostId, readonly Absence[]>();
  /** Time in which somebody else was there: up to when that last changed, and since when somebody is. */
  #companyMs = 0;
  #companySinceMs: number | undefined;

  constructor({ logsOf, absences }: PastOfHosts) {
    this.#logsOf = logsOf;
    const inOrder = [...absences].sort((a, b) => a.endedAtMs - b.endedAtMs);
    for (const { host, ...absence } of inOrder) this.#past.set(host, withAbsence(this.pastOf(host), absence));
  }

  /** Those from before our start. */
  pastOf(host: HostId): readonly Absence[] {
    return this.#past.get(host) ?? [];
  }

  /** In how much of our time somebody was there, up to now. */
  companyMs(nowMs: number): number {
    return this.#companyMs + (this.#companySinceMs === undefined ? 0 : nowMs - this.#companySinceMs);
  }

  /** Somebody has come or gone. `isSomebodyThere`: now. */
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
    // It was away when we started: what it had is what we have read in an earlier life, if anything.
    const logs = this.#logsOf(id).filter(({ seq }) => seq > 0);
    if (logs.length > 0) away.stores = logs;
  }

  /**
   * `doubtMs`: for so long after its last sign a host may count as live.
   * @returns the absence that a host turns out to have come back from with its copies; each once.
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
      // Others that vanished with it may have been live for longest, and be back first.
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

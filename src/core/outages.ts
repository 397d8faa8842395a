/**
 * Outages: which missed hosts vanished in an outage (outage.ts), and what is reported of it.
 *
 * Judged only when the set of missed hosts changes, because only then can the answer change.
 *
 * Driven by hosts.ts.
 */
import type { Timing } from './cluster-config.js';
import { awaySinceMs, type HostView, NOBODY } from './host-view.js';
import type { HostId } from './ids.js';
import { decideOutage, type OutageVerdict, vanishedInOutage } from './outage.js';

/** What they are judged by, besides the absences. */
export interface OutagesView {
  /** Active members, including this host. */
  readonly members: number;
  readonly heartbeatIntervalMs: number;
  readonly timing: Pick<Timing, 'deadMs' | 'lastPlaceMs'>;
}

export class Outages {
  readonly #hosts: () => Iterable<HostView>;
  /** The hosts named by the last news. */
  #named: readonly HostId[] = [];
  #newsMayDiffer = false;
  #missedDiffer = false;

  constructor(hosts: () => Iterable<HostView>) {
    this.#hosts = hosts;
  }

  /** The set of missed hosts, or of hosts that count, has changed. */
  missedDiffer(): void {
    this.#missedDiffer = true;
  }

  /** A host of an outage has come back, is no longer waited for, or is no longer a member. */
  newsMayDiffer(): void {
    this.#newsMayDiffer = true;
  }

  /** @returns the hosts that are newly in an outage, or no longer in one. */
  judge({ members, heartbeatIntervalMs, timing: { deadMs, lastPlaceMs } }: OutagesView): readonly HostView[] {
    if (!this.#missedDiffer) return NOBODY;
    this.#missedDiffer = false;
    const missed = new Map<HostView, number>();
    for (const host of this.#hosts())
      if (host.missed && host.member.state === 'active') missed.set(host, awaySinceMs(host));
    const verdictWithin = (waitMs: number): OutageVerdict =>
      decideOutage({
        members,
        vanishedAtMs: [...missed.values()],
        // The last sign of a host is up to one heartbeat older than its disappearance.
        withinMs: waitMs + heartbeatIntervalMs,
      });
    const outage = verdictWithin(deadMs);
    const sudden = verdictWithin(lastPlaceMs);
    const changed: HostView[] = [];
    for (const host of this.#hosts()) {
      const sinceMs = missed.get(host);
      const inOutage = sinceMs !== undefined && vanishedInOutage(outage, sinceMs);
      const inSuddenOutage = sinceMs !== undefined && vanishedInOutage(sudden, sinceMs);
      if (host.inOutage === inOutage && host.inSuddenOutage === inSuddenOutage) continue;
      host.inOutage = inOutage;
      host.inSuddenOutage = inSuddenOutage;
      this.#newsMayDiffer = true;
      changed.push(host);
    }
    return changed;
  }

  /** @returns the hosts that are waited for because of an outage, if they have changed; empty when it is over. */
  news(): readonly HostId[] | undefined {
    if (!this.#newsMayDiffer) return undefined;
    this.#newsMayDiffer = false;
    const named: HostId[] = [];
    for (const { id, inOutage, liveness } of this.#hosts()) if (inOutage && liveness === 'suspect') named.push(id);
    if (named.join() === this.#named.join()) return undefined;
    this.#named = named;
    return named;
  }
}

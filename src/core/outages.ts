/**
 * Outages: which of the hosts that are missed vanished in one (outage.ts), and what is to be told of that.
 *
 * Judged only when one host more or less is missed, for then alone it can have changed.
 *
 * Driven by hosts.ts.
 */
import type { Timing } from './cluster-config.js';
import { awaySinceMs, type HostView, NOBODY } from './host-view.js';
import type { HostId } from './ids.js';
import { decideOutage, type OutageVerdict, vanishedInOutage } from './outage.js';

/** By what they are judged, beside their absences. */
export interface OutagesView {
  /** Active ones, this host among them. */
  readonly members: number;
  readonly heartbeatIntervalMs: number;
  readonly timing: Pick<Timing, 'deadMs' | 'lastPlaceMs'>;
}

export class Outages {
  readonly #hosts: () => Iterable<HostView>;
  /** The hosts that the last news named. */
  #named: readonly HostId[] = [];
  #newsMayDiffer = false;
  #missedDiffer = false;

  constructor(hosts: () => Iterable<HostView>) {
    this.#hosts = hosts;
  }

  /** One host more or less is missed, or who counts is another. */
  missedDiffer(): void {
    this.#missedDiffer = true;
  }

  /** One of those that are in an outage has come, is waited for no longer, or is no member any more. */
  newsMayDiffer(): void {
    this.#newsMayDiffer = true;
  }

  /** @returns the hosts that are in an outage since now, or no longer. */
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
        // The last sign of a host is up to a heartbeat older than its end.
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

  /** @returns the hosts that are waited for because of an outage, when that has changed; none when it is over. */
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

/**
 * Take heartbeat: replaces what a host last said of itself.
 *
 * It also concludes which of the host's stores have gone since its start, and whether one of those is back, so that the
 * copies in it may be surplus.
 *
 * Driven by hosts.ts.
 */
import type { HostView } from './host-view.js';
import type { Heartbeat } from './messages.js';
import { WEIGHT_MIB_MAX } from './rendezvous.js';

/** As many stores as a policy may give a host: a host that lists more different ones makes them up. */
const STORES_AWAY_MAX = 64;

/** @returns true when the host's stores, or their weights, have changed. */
export function takeHeartbeat(host: HostView, heartbeat: Heartbeat, nowMs: number): boolean {
  host.lastHeardMs = nowMs;
  host.risingHeartbeats += 1;
  if (host.away !== undefined) host.away.heartbeatHeard = true;
  const before = host.heartbeat;
  host.heartbeat = heartbeat;
  const reports = new Map(heartbeat.stores.map(report => [report.position.store, report]));
  const changed =
    before === undefined ||
    before.stores.length !== heartbeat.stores.length ||
    before.stores.some(({ position, weightMiB }) => reports.get(position.store)?.weightMiB !== weightMiB);
  if (before?.bootId !== heartbeat.bootId) host.storesAway.clear();
  else
    for (const { position } of before.stores)
      if (!reports.has(position.store) && host.storesAway.size < STORES_AWAY_MAX) host.storesAway.add(position.store);
  // Otherwise a store that comes and goes would make others copy, and drop, each time.
  for (const store of reports.keys()) if (host.storesAway.delete(store)) host.returnedAtMs = nowMs;
  host.reports = reports;
  host.weightMiB = Math.min(WEIGHT_MIB_MAX, sum(heartbeat.stores.map(({ weightMiB }) => weightMiB)));
  host.freeBytes = Math.max(0, ...heartbeat.stores.map(({ lentBytes, usedBytes }) => lentBytes - usedBytes));
  return changed;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

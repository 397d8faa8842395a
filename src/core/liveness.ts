/**
 * Liveness: is a host there, absent for now, or gone for good?
 *
 * *Live*: heard of lately. *Suspect*: silent for a while; its copies still count, but repair begins if only one other
 * place is left. *Dead*: absent so long that its copies no longer count. A host that was away counts as live again
 * after a direct connection or two rising heartbeats: a single heartbeat may have been on its way for long.
 *
 * Pure. Driven by the machine, which asks again at `nextMs`.
 */
import type { Timing } from './cluster-config.js';

export type Liveness = 'live' | 'suspect' | 'dead';

export interface LivenessView {
  readonly nowMs: number;
  /** When this service learned of the host, or started: no host is dead because *we* were away. */
  readonly knownSinceMs: number;
  /** The last heartbeat or connection; undefined before the first. */
  readonly lastHeardMs: number | undefined;
  readonly connected: boolean;
  /** When the last connection broke; undefined while connected or before the first. */
  readonly disconnectedAtMs: number | undefined;
  /** Rising heartbeats since the host was last away. */
  readonly risingHeartbeats: number;
  readonly before: Liveness;
  /** After this long the host is taken for dead: `dead`, or longer by its habit, or twice that in an outage. */
  readonly deadAfterMs: number;
  /** The stretched interval of heartbeats in a cluster of this size. */
  readonly heartbeatIntervalMs: number;
  readonly timing: Timing;
}

export interface LivenessVerdict {
  readonly state: Liveness;
  /** When it entered this state. */
  readonly sinceMs: number;
  /** When silence alone will change the verdict. */
  readonly nextMs: number;
}

export function decideLiveness(view: LivenessView): LivenessVerdict {
  const { nowMs, before } = view;
  const lastSignMs = view.lastHeardMs ?? view.knownSinceMs;
  const suspectAtMs = Math.min(lastSignMs + suspectAfterMs(view), brokenAtMs(view));
  const deadAtMs = lastSignMs + Math.max(view.deadAfterMs, suspectAfterMs(view));

  if (nowMs >= deadAtMs) return { state: 'dead', sinceMs: deadAtMs, nextMs: Number.POSITIVE_INFINITY };
  if (before === 'dead' && !view.connected && view.risingHeartbeats < 2) {
    return { state: 'dead', sinceMs: nowMs, nextMs: deadAtMs };
  }
  if (nowMs >= suspectAtMs || view.lastHeardMs === undefined) {
    return { state: 'suspect', sinceMs: Math.min(suspectAtMs, nowMs), nextMs: deadAtMs };
  }
  if (before === 'suspect' && !view.connected && view.risingHeartbeats < 2) {
    return { state: 'suspect', sinceMs: nowMs, nextMs: suspectAtMs };
  }
  return { state: 'live', sinceMs: lastSignMs, nextMs: suspectAtMs };
}

/** `suspect` is configured for the configured heartbeat; where heartbeats are stretched, so is patience. */
export function suspectAfterMs({
  timing,
  heartbeatIntervalMs,
}: Pick<LivenessView, 'timing' | 'heartbeatIntervalMs'>): number {
  return timing.suspectMs * Math.max(1, heartbeatIntervalMs / timing.heartbeatMs);
}

/**
 * A connection that broke and was not restored in time is a sign of absence, unless heartbeats still arrive another
 * way.
 */
function brokenAtMs({ connected, disconnectedAtMs, lastHeardMs, timing }: LivenessView): number {
  if (connected || disconnectedAtMs === undefined) return Number.POSITIVE_INFINITY;
  if (lastHeardMs !== undefined && lastHeardMs > disconnectedAtMs) return Number.POSITIVE_INFINITY;
  return disconnectedAtMs + timing.redialMs;
}

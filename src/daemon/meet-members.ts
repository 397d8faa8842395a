/**
 * Meet members: waits, once after a start, until every member is connected, before this host signs its first head: the
 * heads that members remember may be above what this disk has. A member that is off is not waited for.
 */
import type { PeerName } from '../core/ids.js';
import type { Clock } from './clock.js';
import { pause } from './pause.js';
import type { Roster } from './roster.js';

/** In ms. In a house, connections are made within a second. */
const MEET_MS_MAX = 5_000;
const MEET_LOOK_MS = 100;

export async function meetMembers({
  connected,
  roster,
  clock,
  signal,
}: {
  readonly connected: () => readonly PeerName[];
  readonly roster: Roster;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<void> {
  const untilMs = clock.nowMs() + MEET_MS_MAX;
  const isOneAbsent = (): boolean => {
    const here = new Set(connected());
    return [...roster.members()].some(
      ({ host, state, peer }) => host !== roster.self && state !== 'revoked' && !here.has(peer),
    );
  };
  while (isOneAbsent() && clock.nowMs() < untilMs) await pause(MEET_LOOK_MS, signal);
}

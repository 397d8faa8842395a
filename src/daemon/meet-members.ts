/**
 * Meet members: waits until the other members are connected, before this host signs what depends on which heads are known:
 * those that members remember may be above what this disk has. A member that is off is not waited for.
 */
import type { Member } from '../core/cluster-config.js';
import type { PeerName } from '../core/ids.js';
import type { Clock } from './clock.js';
import { pause } from './pause.js';
import type { Roster } from './roster.js';

/** In ms. In a house, connections are made within a second. */
const MEET_MS_MAX = 5_000;
const MEET_LOOK_MS = 100;

export interface MeetMembersOptions {
  readonly connected: () => readonly PeerName[];
  readonly roster: Pick<Roster, 'members' | 'self'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly signal: AbortSignal;
  /** Default: every other member. */
  readonly isAwaited?: (member: Member) => boolean;
}

export async function meetMembers({
  connected,
  roster,
  clock,
  signal,
  isAwaited = ({ host, state }) => host !== roster.self && state !== 'revoked',
}: MeetMembersOptions): Promise<void> {
  const untilMs = clock.nowMs() + MEET_MS_MAX;
  const isOneAbsent = (): boolean => {
    const here = new Set(connected());
    return [...roster.members()].some(member => isAwaited(member) && !here.has(member.peer));
  };
  while (isOneAbsent() && clock.nowMs() < untilMs) await pause(MEET_LOOK_MS, signal);
}

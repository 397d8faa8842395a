/** Service checks: what the service that runs says of the other members, and what wants a person. */
import type { Alarm, HostReport, StatusReport } from '../daemon/service.js';
import { type Check, failed, ok, warning } from './check.js';
import { countText, spanText } from './text.js';

export type MemberSeen = Pick<HostReport, 'name' | 'state' | 'seenMs' | 'roaming'>;

/** @param others the members but this one and the revoked ones */
export function decideMembers({
  others,
  nowMs,
}: {
  readonly others: readonly MemberSeen[];
  readonly nowMs: number;
}): Check {
  if (others.length === 0)
    return warning(
      'members',
      "this host is the only member, so nothing of it has a copy: 'cluster invite' lets others join",
    );
  const unseen = others.filter(other => !isSeen(other));
  if (unseen.length === 0) return ok('members', `all of the other ${others.length} members are heard of`);
  const who = unseen.map(
    ({ name, state, seenMs, roaming }) =>
      `${name} (${seenMs === undefined ? 'not since the start' : `${state}, ${spanText(nowMs - seenMs)} ago`}${roaming ? ', roaming' : ''})`,
  );
  const what = `of ${countText(others.length, 'other member')} not heard of: ${who.join(', ')}`;
  const remedy = 'switch them on, or look at the network between';
  if (unseen.length < others.length) return warning('members', `${what}: ${remedy}`);
  if (others.every(({ roaming }) => roaming)) return warning('members', `${what}: ${remedy}`);
  return failed('members', `${what}: no copies are made now. If they run, look at this host's network and firewall`);
}

const isSeen = ({ state, seenMs }: MemberSeen): boolean =>
  seenMs !== undefined && state !== 'suspect' && state !== 'dead';

export function decideAlarms({
  alarms,
  nowMs,
}: {
  readonly alarms: readonly Alarm[];
  readonly nowMs: number;
}): readonly Check[] {
  if (alarms.length === 0) return [ok('alarm', 'there is none')];
  return alarms.map(({ code, text, sinceMs }) => failed('alarm', `for ${spanText(nowMs - sinceMs)}: ${text}`, code));
}

export function checkService({ hosts, alarms }: StatusReport): readonly Check[] {
  const nowMs = Date.now();
  const others = hosts.filter(({ self, state }) => !self && state !== 'revoked');
  return [decideMembers({ others, nowMs }), ...decideAlarms({ alarms, nowMs })];
}

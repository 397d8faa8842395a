/**
 * Ask members: what all others know is asked for before an admin's host signs which heads of a host are the last ones. What
 * they know and this host does not would count no more. Whoever does not answer is named.
 */
import type { Member } from '../core/cluster-config.js';
import type { HostId, PeerName } from '../core/ids.js';
import { type MeetMembersOptions, meetMembers } from './meet-members.js';

/** How long members are asked, in ms. The host may be stolen, so this is no longer than a person waits. */
const ASK_MS_MAX = 10_000;

export interface AskMembersOptions extends Omit<MeetMembersOptions, 'isAwaited'> {
  /** Default: `ASK_MS_MAX`. */
  readonly askMsMax?: number;
  /** Reads a host's state. @returns false when it could not */
  readonly ask: (host: HostId) => Promise<boolean>;
}

/**
 * @param without is not asked: it may be stolen
 * @returns the trusted members that have not told what they know. An untrusted one knows of no source but its own
 */
export async function askMembers(
  { askMsMax = ASK_MS_MAX, ask, ...meeting }: AskMembersOptions,
  without: HostId,
): Promise<readonly Member[]> {
  const { connected, roster } = meeting;
  const others = (): Member[] =>
    [...roster.members()].filter(({ host, state }) => host !== roster.self && host !== without && state !== 'revoked');
  const trusted = others().filter(({ trust }) => trust === 'trusted');
  const awaited = new Set<PeerName>(trusted.map(({ peer }) => peer));
  await meetMembers({ ...meeting, isAwaited: ({ peer }) => awaited.has(peer) });
  const here = new Set(connected());
  const answered = new Set<HostId>();
  const asked = others().filter(({ peer }) => here.has(peer));
  const all = Promise.all(
    asked.map(async ({ host }) => {
      if (await ask(host)) answered.add(host);
    }),
  );
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>(resolve => {
    timer = setTimeout(resolve, askMsMax);
  });
  await Promise.race([all, late]);
  clearTimeout(timer);
  return trusted.filter(({ host }) => !answered.has(host));
}

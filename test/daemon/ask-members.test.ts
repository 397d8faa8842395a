import test from 'ava';
import type { Member } from '../../src/core/cluster-config.js';
import { type HostId, type PeerName, parseHostId } from '../../src/core/ids.js';
import { type AskMembersOptions, askMembers } from '../../src/daemon/ask-members.js';

const hostIdOf = (digit: string): HostId => parseHostId(digit.repeat(32));
const memberOf = (name: string, digit: string, fields: Partial<Member> = {}): Member =>
  ({
    host: hostIdOf(digit),
    name,
    peer: `peer ${name}` as PeerName,
    state: 'active',
    trust: 'trusted',
    ...fields,
  }) as Member;
const [admin, pi, nas, attic, pupil, gone] = [
  memberOf('admin', 'a'),
  memberOf('pi', 'b'),
  memberOf('nas', 'c'),
  memberOf('attic', 'd'),
  memberOf('pupil', 'e', { trust: 'untrusted' }),
  memberOf('gone', 'f', { state: 'revoked' }),
] as const;

/** A house in which no time passes but by looking. */
function house({ here, ...changed }: Partial<AskMembersOptions> & { here: Set<Member> }) {
  const asked: string[] = [];
  let nowMs = 0;
  const options: AskMembersOptions = {
    connected: () => [...here].map(({ peer }) => peer),
    roster: { self: admin.host, members: () => [admin, pi, nas, attic, pupil, gone].values() },
    clock: {
      nowMs: () => {
        nowMs += 1_000;
        return nowMs;
      },
    },
    signal: new AbortController().signal,
    ask: async host => {
      asked.push([pi, nas, attic, pupil].find(member => member.host === host)?.name ?? '?');
      return true;
    },
    ...changed,
  };
  const ask = async () => (await askMembers(options, pi.host)).map(({ name }) => name);
  return { ask, asked };
}

test('all are asked but the host itself, also those that come only now, and whoever is trusted and does not come is named', async t => {
  const here = new Set([pi, pupil]);
  const { ask, asked } = house({ here });
  setTimeout(() => here.add(nas), 20);
  t.deepEqual(await ask(), ['attic']);
  t.deepEqual(asked.sort(), ['nas', 'pupil']);
});

test('whoever is there and cannot be read, or does not answer in time, is named', async t => {
  const here = new Set([nas, attic]);
  t.deepEqual(await house({ here }).ask(), []);
  t.deepEqual(await house({ here, ask: async host => host === nas.host }).ask(), ['attic']);
  const never = new Promise<boolean>(() => {});
  const ask = (host: HostId) => (host === attic.host ? Promise.resolve(true) : never);
  t.deepEqual(await house({ here, ask, askMsMax: 1 }).ask(), ['nas']);
});

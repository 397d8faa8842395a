import test from 'ava';
import { pino } from 'pino';
import { ClusterError } from '../../src/core/fault.js';
import type { HostId, PeerName } from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { hearPeers, type PeerEventsOptions } from '../../src/daemon/peer-events.js';
import type { OffenceListener } from '../../src/net/net.js';
import { until } from '../helpers/until.js';

const MEMBER = 'member' as PeerName;
const HOST = 'ab'.repeat(16) as HostId;
const broken = new ClusterError('MALFORMED_MESSAGE', 'a message that no honest build sends', { blame: 'peer' });

test('a ban of a member is an alarm until it ends, and one of a stranger is none', async t => {
  const alarms = new Alarms({ log: pino({ level: 'silent' }), wallMs: () => 0 });
  let offends: OffenceListener = () => {};
  const silent = () => () => {};
  const net = {
    onConnect: silent,
    onDisconnect: silent,
    onGossip: silent,
    onOlderStart: silent,
    onOffence: (listener: OffenceListener) => {
      offends = listener;
      return () => {};
    },
  };
  const roster = { hostOf: (peer: PeerName) => (peer === MEMBER ? HOST : undefined), nameOf: () => 'mini', self: HOST };
  hearPeers({ net, roster, alarms, banMs: 20, tell: () => {} } as unknown as PeerEventsOptions);

  offends('stranger' as PeerName, broken, true);
  offends(MEMBER, broken, false);
  t.deepEqual(alarms.list(), []);
  offends(MEMBER, broken, true);
  t.deepEqual(
    alarms.list().map(({ code }) => code),
    ['PEER_BANNED'],
  );
  t.regex(alarms.list()[0]?.text ?? '', /^mini broke the protocol/);
  await t.notThrowsAsync(until('the alarm to end with the ban', () => alarms.list().length === 0));
});

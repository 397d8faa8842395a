import test from 'ava';
import { pino } from 'pino';
import type { Member } from '../../src/core/cluster-config.js';
import { type HostId, type PeerName, sourceIdOf } from '../../src/core/ids.js';
import { Orders } from '../../src/daemon/orders.js';
import type { Origin } from '../../src/daemon/origin.js';
import { Roster } from '../../src/daemon/roster.js';
import type { Net } from '../../src/net/net.js';

const SELF = 'ab'.repeat(16) as HostId;
const OTHER = 'cd'.repeat(16) as HostId;

test('a host that knows that it was revoked takes no snapshot, and asks for none', async t => {
  const roster = new Roster({ self: SELF, publicKeyOf: () => new Uint8Array(32) });
  const memberOf = (host: HostId, state: Member['state']): Member => ({
    host,
    state,
    name: host,
    peer: host as string as PeerName,
    trust: 'trusted',
    domain: host,
    roaming: false,
  });
  let taken = 0;
  const orders = new Orders({
    roster,
    net: { connected: () => [] } as unknown as Net,
    origin: {
      backup: async () => {
        taken += 1;
        return { unread: [] };
      },
    } as unknown as Origin,
    names: { nameOf: source => source },
    log: pino({ level: 'silent' }),
  });
  const backup = (host: HostId) =>
    orders.backup(
      sourceIdOf(host, 'docs'),
      { acceptChanges: false, acceptMissing: false },
      AbortSignal.timeout(10_000),
    );
  roster.update([memberOf(SELF, 'active'), memberOf(OTHER, 'active')]);
  await backup(SELF);
  await t.throwsAsync(backup(OTHER), { code: 'ORIGIN_AWAY' });
  roster.update([memberOf(SELF, 'revoked'), memberOf(OTHER, 'active')]);
  for (const host of [SELF, OTHER]) await t.throwsAsync(backup(host), { code: 'NOT_A_MEMBER' });
  t.is(taken, 1);
});

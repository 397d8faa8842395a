/** Status reports: what is told of the stores of other hosts. */
import test from 'ava';
import { parseHostId, parseStoreId } from '../../src/core/ids.js';
import { StatusReports, type StatusReportsOptions } from '../../src/daemon/status-reports.js';

const HOST = parseHostId('1'.repeat(32));

/** Of a host with one store in the policy, which says this of it. */
function storesTold(unread: boolean) {
  const report = {
    position: { store: parseStoreId('2'.repeat(32)) },
    lentBytes: 9,
    usedBytes: 1,
    weightMiB: 1,
    unread,
  };
  const reports = new StatusReports({
    roster: {
      self: '0'.repeat(32),
      members: () => [{ host: HOST }],
      member: () => ({ state: 'active' }),
      nameOf: () => 'pi',
    },
    known: { host: () => ({ heartbeat: {}, reports: new Map([[report.position.store, report]]), liveness: 'live' }) },
    membership: { configuration: { policy: { hosts: new Map([['pi', { stores: [{ path: '/hoard' }] }]]) } } },
    alarmsOf: () => undefined,
    // Nothing else is asked of.
  } as unknown as StatusReportsOptions);
  return reports.hosts()[0]?.stores;
}

test('a store of another host that is being read again is told as one', t => {
  t.deepEqual(storesTold(true), [
    { id: parseStoreId('2'.repeat(32)), lentBytes: 9, usedBytes: 1, mounted: true, path: '/hoard', unread: true },
  ]);
  t.is(storesTold(false)?.[0]?.unread, undefined);
});

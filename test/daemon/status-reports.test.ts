/** Status reports: what is told of the stores of other hosts. */
import test from 'ava';
import { parseHostId, parseStoreId } from '../../src/core/ids.js';
import { StatusReports, type StatusReportsOptions } from '../../src/daemon/status-reports.js';

const HOST = parseHostId('1'.repeat(32));

/** Of a host that reports one store, when the policy has these for it. */
function storesTold({
  unread = false,
  paths = ['/hoard'],
}: {
  readonly unread?: boolean;
  readonly paths?: readonly string[];
}) {
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
    membership: { configuration: { policy: { hosts: new Map([['pi', { stores: paths.map(path => ({ path })) }]]) } } },
    alarmsOf: () => undefined,
    // Nothing else is asked of.
  } as unknown as StatusReportsOptions);
  return reports.hosts()[0]?.stores;
}

test('a store of another host that is being read again is told as one', t => {
  t.deepEqual(storesTold({ unread: true }), [
    { id: parseStoreId('2'.repeat(32)), lentBytes: 9, usedBytes: 1, mounted: true, path: '/hoard', unread: true },
  ]);
  t.is(storesTold({})?.[0]?.unread, undefined);
});

test('a store of another host that is not seen is told with the paths that it may have, beside one that is seen', t => {
  const [seen, unseen, ...more] = storesTold({ paths: ['/hoard', '/usb'] }) ?? [];
  t.like(seen, { mounted: true, path: undefined });
  t.like(unseen, { mounted: false, path: undefined, pathOneOf: ['/hoard', '/usb'] });
  t.deepEqual(more, []);
});

/** Leaving: when a host may leave without a loss, and what is told while it may not. */
import test from 'ava';
import { leaveReport } from '../../src/daemon/leaving.js';
import type { HostReport, SourceReport } from '../../src/daemon/service.js';
import { HOST, hostOf, snapshotOf, sourceOf, statusOf } from '../cli/cli-fixture.js';

const STORE = { path: '/srv', lentBytes: 9, usedBytes: 1, mounted: true };

/** Of imac, which has a store and the source photos. */
function reportOf({
  self: changes = {},
  source = {},
  left = 0,
  beside = [],
}: {
  readonly beside?: readonly HostReport[];
  readonly self?: Partial<HostReport>;
  readonly source?: Partial<SourceReport>;
  readonly left?: number;
} = {}) {
  const self = hostOf({ state: 'draining', stores: [STORE], ...changes });
  const others = [
    sourceOf({
      source: 'docs',
      sourceId: `${'9'.repeat(32)}/docs` as never,
      parcels: { wanted: 9, haveMin: 0, under: 9, over: 0 },
    }),
  ];
  return leaveReport({
    status: statusOf({ hosts: [self, ...beside], sources: [sourceOf(source), ...others] }),
    configuring: { homeless: name => [`what only ${name} has`] },
    membership: {
      admin: { isAdmin: false },
      configuration: { admins: [{ key: 'k', host: HOST }], members: [{ host: HOST, name: 'imac' }] },
    } as never,
    left,
  });
}

test('a drained host of which nothing is left, and whose own snapshots are copied, may leave; others’ sources do not matter', t => {
  t.like(reportOf(), { host: 'imac', isReady: true, isDrained: true, parcelsLeft: 0, uncopied: [], atStake: [] });
  t.deepEqual(reportOf().adminHosts, ['imac']);
});

test('each of these keeps it: copies, an own snapshot, a store that nobody can see', t => {
  t.like(reportOf({ left: 1 }), { isReady: false, parcelsLeft: 1 });
  const unprotected = reportOf({ source: { lastSnapshot: snapshotOf({ protected: false }) } });
  t.like(unprotected, { isReady: false, uncopied: ['photos'] });
  t.regex(unprotected.atStake.join(), /source photos: its holders have yet to hear of the last snapshot/);
  const older = reportOf({ source: { parcels: { wanted: 9, haveMin: 1, under: 3, over: 0 } } });
  t.like(older, { isReady: false, uncopied: ['photos'] });
  t.regex(older.atStake.join(), /source photos: 3 parcels have too few copies/);
  const none = reportOf({ source: { lastSnapshot: undefined } as never });
  t.false(none.isReady);
  t.regex(none.atStake.join(), /source photos has no snapshot: nothing of it is copied/);
  const away = reportOf({
    self: { stores: [STORE, { ...STORE, path: '/usb', mounted: false, because: 'is not there' }] },
  });
  t.false(away.isReady);
  t.regex(away.atStake.join(), /the store \/usb is not there: nobody can see what is on it/);
  const unread = reportOf({ self: { stores: [{ ...STORE, unread: true }] } });
  t.false(unread.isReady);
  t.regex(unread.atStake.join(), /the store \/srv is being read again: what is on it does not count before/);
});

test('of each own source it is told when its last snapshot is of, and one that left the policy without any keeps nobody', t => {
  const partial = reportOf({ source: { lastSnapshot: snapshotOf({ partial: true }) } });
  t.deepEqual(partial.asOf, [{ source: 'photos', timeMs: snapshotOf().timeMs, partial: true }]);
  t.like(reportOf({ source: { archived: true } }), { isReady: true, asOf: [] });
  const gone = reportOf({ source: { archived: true, lastSnapshot: undefined } as never });
  t.like(gone, { isReady: true, uncopied: [], atStake: [], asOf: [] });
});

test('a host that hears of no other one is told so: it would not hear of its revocation either', t => {
  const other = (state: HostReport['state']) =>
    hostOf({ name: 'mini', id: '9'.repeat(32) as never, self: false, state });
  t.false(reportOf({ beside: [other('dead'), other('active')] }).isAlone);
  t.true(reportOf({ beside: [other('dead'), other('suspect'), other('revoked')] }).isAlone);
});

test('a host that lends is to be drained first, and is told what only it has; one that lends nothing is not', t => {
  const active = reportOf({ self: { state: 'active' } });
  t.like(active, { isReady: false, isDrained: false, atStake: ['what only imac has'] });
  t.like(reportOf({ self: { state: 'active', stores: [] } }), { isReady: true, isDrained: true, atStake: [] });
  t.like(reportOf({ self: { state: 'active', trust: 'untrusted' } }), { isDrained: true });
});

/** `cluster leave`: what this host does, what it waits for, and whom it names for the rest. */
import test, { type ExecutionContext } from 'ava';
import type { LeaveReport, Service } from '../../src/daemon/service.js';
import { cluster, eachThenSilence, recordsOf, serve, statusOf } from './cli-fixture.js';

const READY: LeaveReport = {
  host: 'pi',
  state: 'draining',
  trust: 'trusted',
  parcelsLeft: 0,
  uncopied: [],
  isDrained: true,
  isReady: true,
  isAlone: false,
  atStake: [],
  asOf: [{ source: 'own', timeMs: Date.UTC(2026, 6, 1), partial: false }],
  adminHosts: ['imac'],
  isAdmin: false,
};
const ACTIVE: LeaveReport = {
  ...READY,
  state: 'active',
  parcelsLeft: 7,
  isDrained: false,
  isReady: false,
  atStake: ['only pi has 3 parcels'],
};

/** `leave` on a host that reports these, one after the other, the last again and again. */
async function leave(
  t: ExecutionContext,
  reports: readonly LeaveReport[],
  { words = [], given = {} }: { readonly words?: readonly string[]; readonly given?: Partial<Service> } = {},
) {
  let at = 0;
  const stateDir = await serve(t, {
    leaving: async () => reports[Math.min(at++, reports.length - 1)] as LeaveReport,
    statusChanges: signal => eachThenSilence(signal, ...reports.map(() => statusOf())),
    ...given,
  });
  return cluster(['--state', stateDir, 'leave', ...words]);
}

test('a host that is ready says who lets it go, and one that has left that it has', async t => {
  const ready = await leave(t, [READY]);
  t.deepEqual(
    [ready.code, ready.out],
    [
      0,
      "pi may leave: all that it has backed up or holds is elsewhere\n  the last snapshot of own, of 2026-07-01 00:00:00, has nothing that was changed since\nend its membership: 'cluster revoke pi' on imac\nthen stop the service of pi, which goes on by itself until then\n",
    ],
  );
  const gone = await leave(t, [{ ...ACTIVE, state: 'revoked' }]);
  t.is(gone.code, 0);
  t.regex(gone.out, /^pi has left: it is a member no more\n/);
  const [record] = recordsOf((await leave(t, [READY], { words: ['--json'] })).out);
  t.deepEqual(record, {
    message_type: 'leave',
    host: 'pi',
    state: 'draining',
    ready: true,
    parcels_left: 0,
    uncopied: [],
    at_stake: [],
    as_of: [{ source: 'own', time: '2026-07-01T00:00:00.000Z', partial: false }],
    admins: ['imac'],
    paused_until: null,
    next: [
      "end its membership: 'cluster revoke pi' on imac",
      'then stop the service of pi, which goes on by itself until then',
    ],
  });
});

test('a host that is not drained is refused with 12 where it has no key, and told what is at stake', async t => {
  const { code, err, out } = await leave(t, [ACTIVE]);
  t.deepEqual([code, out], [12, '']);
  t.regex(err, /'cluster drain pi' on imac, then this again\. Nothing was changed\n {2}only pi has 3 parcels\n/);
});

test('a host with the key drains itself, and waits until it is ready', async t => {
  const drained: unknown[] = [];
  const admin = { ...READY, isAdmin: true, adminHosts: ['pi'] };
  const { code, out, err } = await leave(
    t,
    [
      { ...ACTIVE, isAdmin: true, adminHosts: ['pi'] },
      { ...admin, isReady: false, parcelsLeft: 2, uncopied: ['photos'] },
      { ...admin, isReady: false, parcelsLeft: 2, uncopied: ['photos'] },
      admin,
    ],
    {
      given: {
        drain: async request => {
          drained.push(request);
          return { text: '', version: 8, hash: 'h', warnings: ['mind this'] };
        },
      },
    },
  );
  t.is(code, 0);
  t.deepEqual(drained, [{ host: 'pi', undo: false }]);
  t.is(err, 'mind this\npi: 2 parcels left; not all copied of photos\n');
  t.regex(
    out,
    /^pi may leave: .*\n {2}the last .*\nput its admin key on another member first: .*\nend its .* on another member that has/,
  );
});

test('waiting ends with 20 when the time is up, and with 1 when the draining was undone', async t => {
  const waits = { ...READY, isReady: false, parcelsLeft: 2, atStake: ['the store /usb is away'] };
  const late = await leave(t, [waits], { words: ['--timeout', '1s'] });
  t.is(late.code, 20);
  t.regex(late.err, /pi: 2 parcels left, after 1 s; it goes on draining.*\n {2}the store \/usb is away\n$/s);
  const alone = await leave(t, [{ ...waits, isAlone: true }], { words: ['--timeout', '1s'] });
  t.regex(alone.err, /^pi: 2 parcels left \(no other host is heard of: they are off, or have revoked this one, .*\)\n/);
  const undone = await leave(t, [waits, ACTIVE]);
  t.is(undone.code, 1);
  t.regex(undone.err, /draining no more/);
});

test('--dry-run changes nothing and waits for nothing', async t => {
  const { code, out } = await leave(t, [ACTIVE], { words: ['--dry-run'] });
  t.is(code, 0);
  t.deepEqual(out.split('\n'), [
    'pi may not leave yet (pi: 7 parcels left):',
    '  only pi has 3 parcels',
    "empty it first: 'cluster drain pi' on imac",
    "then end its membership: 'cluster revoke pi' on imac",
    'then stop the service of pi, which goes on by itself until then',
    '',
  ]);
});

test('the name of a store paints nothing', async t => {
  const { out } = await leave(t, [{ ...ACTIVE, atStake: ['the store /a\u001b[31m\nb is away'] }], {
    words: ['--dry-run'],
  });
  t.regex(out, /\n {2}the store \/a\\x1b\[31m b is away\n/);
});

test('a paused host drops nothing, and an untrusted one sees nothing: both are told what to do', async t => {
  const paused = await leave(t, [{ ...READY, isReady: false, pausedUntilMs: Date.UTC(2026, 6, 1) }]);
  t.is(paused.code, 1);
  t.regex(paused.err, /paused until 2026-07-01 00:00:00, and drops nothing: 'cluster resume' first/);
  const untrusted = await leave(t, [{ ...READY, trust: 'untrusted' }]);
  t.is(untrusted.code, 1);
  t.regex(untrusted.err, /on imac, 'cluster status' tells it, and 'cluster revoke pi' lets it go/);
});

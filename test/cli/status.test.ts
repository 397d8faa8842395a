import test from 'ava';
import type { Context } from '../../src/cli/context.js';
import { statusCommand } from '../../src/cli/status.js';
import { ClusterError } from '../../src/core/fault.js';
import type { StatusReport } from '../../src/daemon/service.js';
import {
  cluster,
  eachThenSilence,
  hostOf,
  recordsOf,
  serve,
  serviceOf,
  snapshotOf,
  sourceOf,
  statusOf,
} from './cli-fixture.js';

const under = () => sourceOf({ parcels: { wanted: 10, haveMin: 1, under: 3, over: 0 } });

test('status prints the record that scripts rely on, and exits 0', async t => {
  const stateDir = await serve(t, { status: async () => statusOf() });
  const { code, out } = await cluster(['--state', stateDir, '--json', 'status']);
  t.is(code, 0);
  const [status] = recordsOf(out);
  t.like(status, { message_type: 'status', cluster: 'home', protected: true, settled: true, alarms: [] });
  t.deepEqual(status?.process, { hasher: 'wasm', loop_delay_ms: { p99: 3, max: 40 } });
  const { sources, hosts } = status as unknown as { readonly sources: object[]; readonly hosts: object[] };
  t.like(sources[0], {
    source: 'photos',
    copies: 2,
    wanted: 10,
    have_min: 2,
    under: 0,
    over: 0,
    fresh: true,
  });
  t.like(hosts[1], { name: 'mini', state: 'suspect' });
});

test('status exits 20 while something has too few copies, and shows alarms and missing sources', async t => {
  const stateDir = await serve(t, {
    status: async () =>
      statusOf({
        sources: [under(), sourceOf({ source: 'music', missing: 'its folder is gone' })],
        alarms: [{ code: 'ONE_ADMIN', text: 'there is one admin key', sinceMs: Date.now() - 65_000 }],
      }),
  });
  const { code, out } = await cluster(['--state', stateDir, 'status']);
  t.is(code, 20);
  t.regex(out, /photos\timac\t1\/2\t10\t3\t0/);
  t.regex(out, /missing source music: its folder is gone/);
  t.regex(out, /alarm ONE_ADMIN, for 1 min: there is one admin key/);
});

test('what a hook has printed paints no false line, neither in an alarm nor in an error', async t => {
  const printed = 'the hook said: no\nalarm FAKE, for 1 s: all is lost\ncluster: give up';
  const stateDir = await serve(t, {
    status: async () =>
      statusOf({
        sources: [sourceOf({ missing: printed, lastSnapshot: snapshotOf({ unreadable: printed }) })],
        alarms: [{ code: 'HOOK_FAILED', text: printed, sinceMs: Date.now() }],
      }),
    backup: () => Promise.reject(new ClusterError('HOOK_FAILED', printed, { blame: 'operator' })),
  });
  const { out } = await cluster(['--state', stateDir, 'status']);
  t.is(out.split('\n').filter(line => line.includes('all is lost')).length, 3);
  t.notRegex(out, /^\s*(alarm FAKE|cluster:)/m);
  const { err } = await cluster(['--state', stateDir, 'backup', 'photos']);
  t.is(err, `cluster: ${printed.replaceAll('\n', '\n  ')}\n`);
});

test('status exits 21 when everything has its copies but a source is stale, missing or never backed up; --wait does not', async t => {
  const { lastSnapshot: _, ...never } = sourceOf({ fresh: false });
  for (const source of [sourceOf({ fresh: false }), sourceOf({ missing: 'its folder is gone' }), never]) {
    const status = statusOf({ sources: [sourceOf(), source] });
    const stateDir = await serve(t, {
      status: async () => status,
      statusChanges: signal => eachThenSilence(signal, status),
    });
    t.is((await cluster(['--state', stateDir, 'status'])).code, 21);
    t.is((await cluster(['--state', stateDir, 'status', '--wait', 'protected'])).code, 0);
  }
  const both = await serve(t, { status: async () => statusOf({ sources: [under(), sourceOf({ fresh: false })] }) });
  t.is((await cluster(['--state', both, 'status'])).code, 20);
});

test('status --check exits 1 while there is an alarm, unless the exit code is already 20 or 21', async t => {
  const alarms = [{ code: 'MASS_CHANGE', text: 'much left', sinceMs: Date.now() }];
  const codes = async (report: Partial<StatusReport>): Promise<(number | null)[]> => {
    const stateDir = await serve(t, { status: async () => statusOf(report) });
    const runs = [['--check'], []].map(options => cluster(['--state', stateDir, 'status', ...options]));
    return (await Promise.all(runs)).map(({ code }) => code);
  };
  t.deepEqual(await codes({ alarms }), [1, 0]);
  t.deepEqual(await codes({}), [0, 0]);
  t.deepEqual(await codes({ alarms, sources: [under()] }), [20, 20]);
  t.deepEqual(await codes({ alarms, sources: [sourceOf({ fresh: false })] }), [21, 21]);
  const stateDir = await serve(t, {});
  t.is((await cluster(['--state', stateDir, 'status', '--check', '--wait', 'settled'])).code, 2);
});

test('status says what is pending while it is not settled', async t => {
  const lineOf = async (pending: StatusReport['pending'], settled = false): Promise<string | undefined> => {
    const stateDir = await serve(t, { status: async () => statusOf({ pending, settled }) });
    return (await cluster(['--state', stateDir, 'status'])).out.split('\n')[0]?.split(' · ').at(-1);
  };
  t.is(await lineOf({ claims: 0, fetches: 0, drops: 0, relocations: 0 }, true), 'settled');
  t.is(await lineOf({ claims: 1, fetches: 2, drops: 0, relocations: 0 }), '2 fetches here, 1 claim');
  t.is(await lineOf({ claims: 0, fetches: 1, drops: 3, relocations: 0 }), '1 fetch here, 0 claims, 3 drops');
  t.is(
    await lineOf({ claims: 2, fetches: 0, drops: 1, relocations: 2 }),
    '0 fetches here, 2 claims, 1 drop, 2 relocations',
  );
});

test('status says until when the host is paused', async t => {
  const stateDir = await serve(t, { status: async () => statusOf({ pausedUntilMs: Date.UTC(2026, 6, 1, 14, 30) }) });
  const { out } = await cluster(['--state', stateDir, 'status']);
  t.regex(out, /^cluster home · host imac · paused until 2026-07-01 14:30:00 · /);
  const json = await cluster(['--state', stateDir, 'status', '--json']);
  t.like(recordsOf(json.out), [{ paused_until: '2026-07-01T14:30:00.000Z' }]);
  const unpaused = await serve(t, { status: async () => statusOf() });
  t.like(recordsOf((await cluster(['--state', unpaused, 'status', '--json'])).out), [{ paused_until: null }]);
});

test('status --wait ends when the state is reached, not before, and shows the status of that moment', async t => {
  const stateDir = await serve(t, {
    status: async () => statusOf({ configVersion: 8 }),
    statusChanges: signal =>
      eachThenSilence(
        signal,
        statusOf({ protected: false, sources: [under()] }),
        statusOf({ protected: true, settled: false }),
        statusOf(),
      ),
  });
  for (const wait of ['protected', 'settled']) {
    const { code, out } = await cluster(['--state', stateDir, 'status', '--wait', wait, '--json']);
    t.is(code, 0);
    t.like(recordsOf(out), [{ [wait]: true, config_version: 8 }]);
  }
});

test('the state that status --wait waited for may be over at the last look: then the report that had it is shown', async t => {
  const stateDir = await serve(t, {
    status: async () => statusOf({ settled: false }),
    statusChanges: signal => eachThenSilence(signal, statusOf()),
  });
  const { code, out } = await cluster(['--state', stateDir, 'status', '--wait', 'settled', '--json']);
  t.is(code, 0);
  t.like(recordsOf(out), [{ settled: true }]);
});

// Serial, so that the other tests' processes do not eat up the time in which the first report must arrive.
test.serial('status --wait exits 20 when the time is up, and shows the status of that moment', async t => {
  const short = { protected: false, sources: [under()] };
  const stateDir = await serve(t, {
    status: async () => statusOf({ ...short, configVersion: 8 }),
    statusChanges: signal => eachThenSilence(signal, statusOf(short)),
  });
  const wait = ['--state', stateDir, 'status', '--wait', 'protected', '--timeout', '3s', '--json'];
  const { code, out, err } = await cluster(wait);
  t.is(code, 20);
  t.like(recordsOf(out), [{ message_type: 'status', protected: false, config_version: 8 }]);
  t.like(recordsOf(err), [{ message_type: 'error', code: 'WAIT_TIMEOUT' }]);
});

test('status --watch on a terminal is redrawn even while nothing changes, because the ages in it grow', async t => {
  const interrupt = new AbortController();
  const printed: string[] = [];
  let looks = 0;
  const status = async (): Promise<StatusReport> => {
    looks += 1;
    if (looks === 3) interrupt.abort(new Error('interrupted'));
    return statusOf({ configVersion: looks });
  };
  const context = {
    json: false,
    isTerminal: true,
    signal: interrupt.signal,
    print: async (line: string) => printed.push(line),
    printText: async (line: string) => printed.push(line),
    service: () => serviceOf({ status }),
  } as unknown as Context;
  const command = statusCommand(
    work =>
      async (...args) =>
        void (await work(context, ...args)),
  );
  await t.throwsAsync(command.parseAsync(['--watch'], { from: 'user' }), { name: 'AbortError' });
  t.deepEqual(printed.join().match(/configuration \d/g), ['configuration 1', 'configuration 2', 'configuration 3']);
});

test('a --timeout longer than any Node timer is waited for', async t => {
  const stateDir = await serve(t, {
    status: async () => statusOf(),
    statusChanges: signal => eachThenSilence(signal, statusOf({ protected: false }), statusOf()),
  });
  const { code, err } = await cluster(['--state', stateDir, 'status', '--wait', 'protected', '--timeout', '25d']);
  t.deepEqual([code, err], [0, '']);
});

test('status --watch prints every change until it is interrupted, which exits 130', async t => {
  const stateDir = await serve(t, {
    statusChanges: signal => eachThenSilence(signal, statusOf({ configVersion: 1 }), statusOf({ configVersion: 2 })),
  });
  const { code, out, err } = await cluster(['--state', stateDir, 'status', '--watch', '--json'], {
    kill: { signal: 'SIGINT', when: /"config_version":2/ },
  });
  t.deepEqual([code, recordsOf(out).length], [130, 2]);
  t.like(recordsOf(err), [{ message_type: 'error', code: 'INTERRUPTED', message: 'interrupted' }]);
});

test('for a source without any snapshot status shows no number of copies', async t => {
  const { lastSnapshot: _, ...never } = sourceOf({
    fresh: false,
    parcels: { wanted: 0, haveMin: 2, under: 0, over: 0 },
  });
  const stateDir = await serve(t, { status: async () => statusOf({ sources: [never] }) });
  t.regex((await cluster(['--state', stateDir, 'status'])).out, /^photos\timac\t-\/2\t0\t0\t0\tnone, stale$/m);
  const { sources } = recordsOf((await cluster(['--state', stateDir, '--json', 'status'])).out)[0] ?? {};
  t.like((sources as object[])[0], { have_min: null });
});

test('hosts prints one record per host, and in a pipe a table with a header', async t => {
  const hosts = [hostOf(), hostOf({ name: 'pi', self: false, state: 'dead' })];
  const { seenMs: _, ...unseen } = hostOf({ name: 'new', self: false });
  const stateDir = await serve(t, { hosts: async () => [...hosts, unseen] });
  const json = await cluster(['--state', stateDir, 'hosts', '--json']);
  const records = recordsOf(json.out);
  t.like(records[1], {
    message_type: 'host',
    name: 'pi',
    state: 'dead',
    lent: 300_000_000_000,
    used: 1_000_000_000,
    free: 299_000_000_000,
    seen: '2026-07-01T00:00:00.000Z',
  });
  t.is(records[2]?.seen, null);
  const [head, first, ...rest] = (await cluster(['--state', stateDir, 'hosts'])).out.split('\n');
  t.is(head, 'host\tstate\tlent\tused\tfree\tseen\tstores');
  t.is(first, 'imac (here)\tactive\t300 GB\t1 GB\t299 GB\tnow\t0');
  t.regex(rest.join('\n'), /^new\t.*\tnot since start\t0$/m);
});

test('hosts tells which stores are being read again, and takes none of them for empty', async t => {
  const store = { lentBytes: 9, usedBytes: 1, mounted: true, unread: true } as const;
  const [self, other] = [
    hostOf({ stores: [{ ...store, path: '/usb', parcels: 0, draining: true }] }),
    hostOf({ name: 'pi', self: false, stores: [store] }),
  ];
  const stateDir = await serve(t, { hosts: async () => [self, other] });
  const [, first = '', second = ''] = (await cluster(['--state', stateDir, 'hosts'])).out.split('\n');
  t.regex(first, /\t1; \/usb is being read again; \/usb is draining$/);
  t.regex(second, /\t1; a store is being read again$/);
  const { stores } = recordsOf((await cluster(['--state', stateDir, 'hosts', '--json'])).out)[0] ?? {};
  t.like((stores as object[])[0], { unread: true, draining: true });
});

test('hosts names the stores that are not mounted in a few words, or the ones that they are among', async t => {
  const absent = { lentBytes: 0, usedBytes: 0, mounted: false } as const;
  const there = { ...absent, mounted: true } as const;
  const because = `/usb is not a folder: ${'make it, or mount its disk first; '.repeat(10)}`;
  const among = (paths: readonly string[]) => ({ ...absent, pathOneOf: paths, because: 'is not seen mounted' });
  const five = ['/a', '/b', '/c', '/d', '/e'];
  const hosts = [
    hostOf({
      stores: [
        { ...there, path: '/hoard' },
        { ...absent, path: '/usb', because },
      ],
    }),
    hostOf({ name: 'mini', self: false, stores: [{ ...absent, path: '/usb' }] }),
    hostOf({ name: 'nas', self: false, stores: [there, among(five.slice(1)), among(five.slice(1))] }),
    hostOf({ name: 'pi', self: false, stores: [there, there, there, there, among(five)] }),
  ];
  const stateDir = await serve(t, { hosts: async () => hosts });
  const [, ...lines] = (await cluster(['--state', stateDir, 'hosts'])).out.trimEnd().split('\n');
  t.deepEqual(
    lines.map(line => line.split('\t').at(-1)),
    [
      '1; /usb: not mounted',
      '0; /usb: not seen mounted',
      '1; 2 of /b, /c, /d, /e: not seen mounted',
      '4; 1 of its 5 stores: not seen mounted',
    ],
  );
  const records = recordsOf((await cluster(['--state', stateDir, 'hosts', '--json'])).out);
  const stores = records.flatMap(({ stores: some }) => some as object[]);
  t.like(stores[1], { path: '/usb', path_one_of: null, because });
  t.like(stores.at(-1), { path: null, path_one_of: five });
});

test('a snapshot that cannot be read is reported by status, with 20, and by snapshots, with 3', async t => {
  const lost = snapshotOf({ files: 0, bytes: 0, protected: false, unreadable: 'nobody gives it' });
  const stateDir = await serve(t, {
    status: async () => statusOf({ sources: [sourceOf({ lastSnapshot: lost }), sourceOf({ source: 'music' })] }),
    snapshots: async () => [lost, snapshotOf({ source: 'music' })],
  });
  const status = await cluster(['--state', stateDir, 'status']);
  t.is(status.code, 20);
  t.regex(status.out, /the last snapshot of photos cannot be read: nobody gives it/);
  t.regex(status.out, /music\timac\t2\/2/);
  const { code, out, err } = await cluster(['--state', stateDir, 'snapshots']);
  t.is(code, 3);
  t.regex(out, /photos\timac\t\t\tcannot be read\n.*music\timac\t3\t4.1 kB\tprotected/);
  t.is(err, 'photos@abababab cannot be read: nobody gives it\n');
  const json = await cluster(['--state', stateDir, 'snapshots', '--json']);
  t.is(json.code, 3);
  t.like(recordsOf(json.out)[0], { files: null, bytes: null, unreadable: 'nobody gives it' });
});

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ContentFrame, ContentRequest, LackingEntries, PlacedEntry } from '../../src/catalog/restore-content.js';
import { ClusterError } from '../../src/core/fault.js';
import type { ObjectId } from '../../src/core/ids.js';
import type {
  ConfigApply,
  LiveDiffReport,
  ReplicaReport,
  Service,
  SnapshotTaken,
  StatusReport,
} from '../../src/daemon/service.js';
import { Blobs, entryOf, fileOf, parcelNumber, placed } from '../catalog/restore-fixture.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';
import {
  cluster,
  each,
  eachThenSilence,
  hostOf,
  recordsOf,
  SOURCE_ID,
  serve,
  snapshotOf,
  sourceOf,
  statusOf,
} from './cli-fixture.js';

const under = () => sourceOf({ parcels: { wanted: 10, haveMin: 1, under: 3, over: 0 } });

// ── What is wrong, said clearly ──

test('without a state folder a command exits 10, and names the places it looked at', async t => {
  const { code, err, out } = await cluster(['status']);
  t.is(code, 10);
  t.regex(err, /no cluster here.*\/var\/lib\/scatterhoard.*init/);
  t.is(out, '');
});

test('a state folder without a cluster exits 10', async t => {
  t.is((await cluster(['hosts', '--state', temporaryFolder(t)])).code, 10);
});

test('a service that is not running exits 11 and says how to start it', async t => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'config'));
  const { code, err } = await cluster(['--state', folder, 'status']);
  t.is(code, 11);
  t.regex(err, /not running.*cluster up/);
});

test('a socket path that is too long exits 2', async t => {
  const folder = join(temporaryFolder(t), 'x'.repeat(100));
  mkdirSync(join(folder, 'config'), { recursive: true });
  const { code, err } = await cluster(['--state', folder, 'hosts', '--json']);
  t.is(code, 2);
  t.like(recordsOf(err)[0], { message_type: 'error', code: 'CONTROL_PATH_TOO_LONG' });
});

test('wrong usage exits 2, with a JSON error where one was asked for', async t => {
  t.is((await cluster([])).code, 2);
  t.is((await cluster(['restor'])).code, 2);
  t.regex((await cluster(['statu'])).err, /Did you mean status/);
  t.is((await cluster(['restore', 'photos'])).code, 2);
  t.is((await cluster(['invite', '--uses', '0'])).code, 2);
  t.is((await cluster(['invite', '--expires', '24'])).code, 2);
  t.is((await cluster(['config', 'add-store', 'imac', 'relative/path'])).code, 2);
  t.is((await cluster(['status', '--wait', 'something'])).code, 2);
  t.is((await cluster(['status', '--timeout', '1s'])).code, 2);
  t.like(recordsOf((await cluster(['status', '--bogus', '--json'])).err)[0], { message_type: 'error', code: 'USAGE' });
});

test('help and version exit 0', async t => {
  const help = await cluster(['--help']);
  t.is(help.code, 0);
  for (const word of ['init', 'join', 'whereis', 'restore']) t.regex(help.out, new RegExp(word));
  const version = await cluster(['--version']);
  t.is(version.out.trim(), (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version);
});

test('what the service refuses is printed with its message, and its code becomes the exit code', async t => {
  const stateDir = await serve(t, {
    snapshots: () =>
      Promise.reject(new ClusterError('SOURCE_UNKNOWN', 'no source "x"; there are: photos', { blame: 'operator' })),
    invite: () => Promise.reject(new ClusterError('NO_ADMIN_KEY', 'the admin key is on imac', { blame: 'operator' })),
    configApply: ({ fileName }) =>
      Promise.reject(
        new ClusterError('POLICY_INVALID', `${fileName}:3:5: copies: 0 is too few`, { blame: 'operator' }),
      ),
  });
  const unknown = await cluster(['--state', stateDir, 'snapshots', 'x']);
  t.deepEqual([unknown.code, unknown.err], [1, 'cluster: no source "x"; there are: photos\n']);
  t.is((await cluster(['--state', stateDir, 'invite'])).code, 12);
  const file = join(temporaryFolder(t), 'policy.yaml');
  writeFileSync(file, 'cluster: home\n');
  const policy = await cluster(['--state', stateDir, 'config', 'apply', file]);
  t.is(policy.code, 2);
  t.true(policy.err.includes(`${file}:3:5: copies`));
});

test('control characters from elsewhere never reach the terminal', async t => {
  const stateDir = await serve(t, {
    snapshots: () => Promise.reject(new ClusterError('X', 'a\u001b[2Jb\u202ec', { blame: 'operator' })),
    hosts: async () => [
      hostOf({
        domain: 'x',
        stores: [{ path: '/a\u001b[2J', lentBytes: 0, usedBytes: 0, mounted: false, because: 'gone' }],
      }),
    ],
  });
  const { err } = await cluster(['--state', stateDir, 'snapshots']);
  t.is(err, 'cluster: a\\x1b[2Jb\\u{202e}c\n');
  t.false((await cluster(['--state', stateDir, 'hosts'])).out.includes('\u001b'));
});

// ── State folder ──

test('the state folder is --state, then $CLUSTER_STATE, then the one in $XDG_STATE_HOME', async t => {
  const named = (name: string): Partial<Service> => ({ status: async () => statusOf({ host: name }) });
  const [one, two] = [await serve(t, named('one')), await serve(t, named('two'))];
  const hostSeen = async (args: string[], env: Record<string, string>) =>
    recordsOf((await cluster([...args, 'status', '--json'], { env })).out)[0]?.host;
  t.is(await hostSeen(['--state', one], { CLUSTER_STATE: two }), 'one');
  t.is(await hostSeen([], { CLUSTER_STATE: two }), 'two');
  const home = temporaryFolder(t);
  mkdirSync(join(home, 'scatterhoard/config'), { recursive: true });
  t.regex(
    (await cluster(['status'], { env: { XDG_STATE_HOME: home } })).err,
    new RegExp(`${home}/scatterhoard/control.sock`),
  );
});

// ── status, hosts, snapshots ──

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

test('status exits 21 when all has its copies and a source is stale, missing or never backed up; --wait does not', async t => {
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

test('a snapshot that cannot be read is told as that by status, with 20, and by snapshots, with 3', async t => {
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

test('status --wait ends when it is so, and not before', async t => {
  const stateDir = await serve(t, {
    statusChanges: signal =>
      eachThenSilence(
        signal,
        statusOf({ protected: false, sources: [under()] }),
        statusOf({ protected: true, settled: false }),
        statusOf(),
      ),
  });
  const isProtected = await cluster(['--state', stateDir, 'status', '--wait', 'protected', '--json']);
  t.is(isProtected.code, 0);
  t.like(recordsOf(isProtected.out), [{ protected: true, settled: false }]);
  t.like(recordsOf((await cluster(['--state', stateDir, 'status', '--wait', 'settled', '--json'])).out), [
    { settled: true },
  ]);
});

// Serial, so that the other tests' processes do not eat up the time in which the first report must arrive.
test.serial('status --wait exits 20 when the time is up, with the last status', async t => {
  const stateDir = await serve(t, {
    statusChanges: signal => eachThenSilence(signal, statusOf({ protected: false, sources: [under()] })),
  });
  const { code, out, err } = await cluster([
    '--state',
    stateDir,
    'status',
    '--wait',
    'protected',
    '--timeout',
    '3s',
    '--json',
  ]);
  t.is(code, 20);
  t.like(recordsOf(out), [{ message_type: 'status', protected: false }]);
  t.like(recordsOf(err), [{ message_type: 'error', code: 'WAIT_TIMEOUT' }]);
});

test('a --timeout that is longer than a timer of Node can be is waited for', async t => {
  const stateDir = await serve(t, {
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
  t.deepEqual([code, recordsOf(out).length, err], [130, 2, 'interrupted\n']);
});

test('hosts prints a record each, and a table with a head in a pipe', async t => {
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
  const [head, first] = (await cluster(['--state', stateDir, 'hosts'])).out.split('\n');
  t.is(head, 'host\tstate\tlent\tused\tfree\tseen\tstores');
  t.is(first, 'imac (here)\tactive\t300 GB\t1 GB\t299 GB\tnow\t0');
});

test('snapshots prints the fields that scripts rely on', async t => {
  const stateDir = await serve(t, { snapshots: async ({ source }) => [snapshotOf({ source: source ?? 'all' })] });
  const { out } = await cluster(['--state', stateDir, 'snapshots', 'photos', '--json']);
  t.deepEqual(recordsOf(out), [
    {
      message_type: 'snapshot',
      id: 'ab'.repeat(32),
      source: 'photos',
      origin: 'imac',
      time: '2026-07-01T12:30:15.000Z',
      files: 3,
      bytes: 4096,
      partial: false,
      protected: true,
      held: false,
    },
  ]);
  t.regex(
    (await cluster(['--state', stateDir, 'snapshots'])).out,
    /abababab\t2026-07-01 12:30:15\tall\timac\t3\t4.1 kB\tprotected/,
  );
});

test('forget says which snapshots stay and why, and which do not', async t => {
  const asked: unknown[] = [];
  const stateDir = await serve(t, {
    forget: async request => {
      asked.push(request);
      return {
        source: 'photos',
        snapshots: [
          { snapshot: snapshotOf({ id: 'cd'.repeat(32) as ObjectId, partial: true }), reasons: [] },
          { snapshot: snapshotOf(), reasons: ['daily', 'newest'] },
        ],
        released: [],
        graceMs: 1,
        stopped: 'much has changed',
      };
    },
  });
  const { out, err } = await cluster(['--state', stateDir, 'forget', 'photos', '--dry-run']);
  t.deepEqual(out.split('\n'), [
    '1 snapshot of photos kept',
    'id\ttime\tsize\tstate\tkept as',
    'abababab\t2026-07-01 12:30:15\t4.1 kB\tprotected\tdaily, newest',
    '1 snapshot would be unlisted',
    'id\ttime\tsize\tstate\tkept as',
    'cdcdcdcd\t2026-07-01 12:30:15\t4.1 kB\tpartial\t',
    '',
  ]);
  t.is(err, 'nothing is unlisted at present: much has changed\n');
  const json = await cluster([
    '--state',
    stateDir,
    'forget',
    'photos',
    '--keep-daily',
    '7',
    '--keep-last',
    '0',
    '--yes',
    '--json',
  ]);
  t.deepEqual(
    recordsOf(json.out).map(({ message_type: type, id, keep, reasons }) => ({ type, id, keep, reasons })),
    [
      { type: 'forget', id: 'cd'.repeat(32), keep: false, reasons: [] },
      { type: 'forget', id: 'ab'.repeat(32), keep: true, reasons: ['daily', 'newest'] },
    ],
  );
  t.deepEqual(asked, [
    { source: 'photos', now: false, dryRun: true, yes: false },
    {
      source: 'photos',
      now: false,
      dryRun: false,
      yes: true,
      keep: { last: 0, hourly: 0, daily: 7, weekly: 0, monthly: 0, yearly: 0 },
    },
  ]);
  t.is((await cluster(['--state', stateDir, 'forget', 'photos', '--keep-daily', 'x'])).code, 2);
  t.is((await cluster(['--state', stateDir, 'forget', 'photos', '--keep-daily', '99999'])).code, 2);
});

test('forget --future unlists by no rule', async t => {
  const asked: unknown[] = [];
  const snapshots = [{ snapshot: snapshotOf(), reasons: [] }];
  const stateDir = await serve(t, {
    forgetFuture: async request => {
      asked.push(request);
      return { source: 'photos', snapshots, released: [], graceMs: 1000 };
    },
  });
  const forget = (...args: string[]) => cluster(['--state', stateDir, 'forget', 'photos', '--future', ...args]);
  t.regex((await forget('--yes')).out, /^0 snapshots of photos kept\n1 snapshot unlisted\n/);
  t.deepEqual(asked, [{ source: 'photos', dryRun: false, yes: true }]);
  for (const other of [['--now'], ['--archived'], ['--keep-last', '1']]) t.is((await forget(...other)).code, 2);
});

test('forget --now and --archived say what is held no longer, and when its copies go', async t => {
  const asked: unknown[] = [];
  const released = [snapshotOf({ id: 'ef'.repeat(32) as ObjectId, held: true })];
  const stateDir = await serve(t, {
    forget: async request => {
      asked.push(request);
      return { source: 'photos', snapshots: [], released, graceMs: 7 * 86_400_000 };
    },
    forgetArchived: async request => {
      asked.push(request);
      return { source: 'photos', snapshots: [{ snapshot: snapshotOf(), reasons: [] }], released, graceMs: 1000 };
    },
  });
  const forget = (...args: string[]) => cluster(['--state', stateDir, 'forget', 'photos', ...args]);
  t.deepEqual((await forget('--now', '--yes')).out.split('\n'), [
    '0 snapshots of photos kept',
    '1 unlisted snapshot held no longer',
    'id\ttime\tsize\tstate\tkept as',
    'efefefef\t2026-07-01 12:30:15\t4.1 kB\tprotected\t',
    "what nothing else wants goes after 7 d of each holder's running time",
    '',
  ]);
  t.deepEqual(
    recordsOf((await forget('--archived', '--yes', '--json')).out).map(({ id, keep, held }) => [id, keep, held]),
    [
      ['ab'.repeat(32), false, false],
      ['ef'.repeat(32), false, true],
    ],
  );
  t.deepEqual(asked, [
    { source: 'photos', now: true, dryRun: false, yes: true },
    { source: 'photos', dryRun: false, yes: true },
  ]);
  t.is((await forget('--archived', '--now')).code, 2);
  t.is((await forget('--archived', '--keep-last', '1')).code, 2);
});

// ── invite, config ──

test('invite prints the token on stdout and nothing else there', async t => {
  const stateDir = await serve(t, {
    invite: async ({ uses, expiresMs, trust }) => ({
      token: `scatterhoard1-${uses}-${expiresMs}-${trust}`,
      untilMs: 0,
    }),
  });
  t.is((await cluster(['--state', stateDir, 'invite'])).out, 'scatterhoard1-1-86400000-trusted\n');
  const { out } = await cluster([
    '--state',
    stateDir,
    'invite',
    '--uses',
    '30',
    '--expires',
    '1h30m',
    '--trust',
    'untrusted',
  ]);
  t.is(out, 'scatterhoard1-30-5400000-untrusted\n');
});

test('config show prints the policy as it is, and config apply takes it back from a file or stdin', async t => {
  const text = '# mine\ncluster: home\n';
  const asked: ConfigApply[] = [];
  const stateDir = await serve(t, {
    configShow: async () => ({ text, version: 7, hash: 'h' }),
    configApply: async request => {
      asked.push(request);
      return { text: request.text, version: 8, hash: 'h', warnings: ['domains: there is one'] };
    },
  });
  const shown = await cluster(['--state', stateDir, 'config', 'show']);
  t.is(shown.out, text);
  const file = join(temporaryFolder(t), 'p.yaml');
  writeFileSync(file, text);
  const applied = await cluster(['--state', stateDir, 'config', 'apply', file]);
  t.deepEqual(
    [applied.code, applied.out, applied.err],
    [0, 'configuration 8 is in force\n', 'domains: there is one\n'],
  );
  await cluster(['--state', stateDir, 'config', 'apply', '-', '--yes'], { input: text });
  t.deepEqual(asked, [
    { text, fileName: file, yes: false },
    { text, fileName: 'stdin', yes: true },
  ]);
  const absent = await cluster(['--state', stateDir, 'config', 'apply', `${file}x`]);
  t.is(absent.code, 2);
  t.regex(absent.err, /cannot read the policy: ENOENT/);
});

test('config add-store and add-source pass on what was said and nothing else', async t => {
  const asked: unknown[] = [];
  const answer = async (request: unknown) => {
    asked.push(request);
    return { text: '', version: 2, hash: 'h' };
  };
  const stateDir = await serve(t, { configAddStore: answer, configAddSource: answer });
  const run = (...args: string[]) => cluster(['--state', stateDir, 'config', ...args]);
  await run('add-store', 'mini', '/tank/hoard');
  await run('add-store', 'mini', '/tank/hoard', '--limit', '300 GB');
  await run('add-source', 'imac', 'photos', '/Users/ann/Pictures', '--copies', '3', '--every', '1h');
  await run('add-source', 'imac', 'notes', '/Users/ann/Notes', '--watch');
  t.deepEqual(asked, [
    { host: 'mini', path: '/tank/hoard' },
    { host: 'mini', path: '/tank/hoard', limit: '300 GB' },
    { host: 'imac', name: 'photos', path: '/Users/ann/Pictures', copies: 3, every: '1h' },
    { host: 'imac', name: 'notes', path: '/Users/ann/Notes', watch: true },
  ]);
  t.is((await run('add-store', 'mini', '/x', '--limit', '1 GB', '--reserve', '1 GB')).code, 2);
});

// ── backup ──

const taken = (changes: Partial<SnapshotTaken> = {}): SnapshotTaken => ({
  ...snapshotOf({ protected: false }),
  unchanged: false,
  stale: 0,
  missed: 0,
  unread: [],
  ...changes,
});

test('backup prints the snapshot', async t => {
  const asked: unknown[] = [];
  const stateDir = await serve(t, {
    backup: async request => {
      asked.push(request);
      return taken();
    },
  });
  const { code, out } = await cluster(['--state', stateDir, 'backup', 'photos', '--accept-changes', '--json']);
  t.is(code, 0);
  t.like(recordsOf(out), [{ message_type: 'snapshot', source: 'photos', partial: false }]);
  t.deepEqual(asked, [{ source: 'photos', acceptChanges: true }]);
  t.is(
    (await cluster(['--state', stateDir, 'backup', 'photos'])).out,
    'snapshot abababab of photos: 3 files, 4.1 kB\n',
  );
});

test('drill exits 22 when nothing could be tried by its name, and says how much that was', async t => {
  const failure = { because: 'nobody gives the record that names what is in it', hosts: ['mini'] };
  const report = { source: 'photos', snapshot: 'ab'.repeat(32) as ObjectId, bytes: 3000, failure };
  const stateDir = await serve(t, { drill: () => each(report) });
  const { code, out, err } = await cluster(['--state', stateDir, 'drill']);
  t.is(code, 22);
  t.regex(err, /^photos, 3 kB: nobody gives the record .*; held by mini$/m);
  t.regex(out, /0 files.*; 1 did not come/);
  const json = await cluster(['--state', stateDir, 'drill', '--json']);
  t.is(json.code, 22);
  t.like(recordsOf(json.out)[0], { message_type: 'drill', path: undefined, restored: false, hosts: ['mini'] });
});

test('drill exits 22 when it tried nothing, unless there is no source, and names a source without a snapshot', async t => {
  const run = async (given: Partial<Service>) => cluster(['--state', await serve(t, given), 'drill']);
  const nothing = await run({ drill: () => each(), status: async () => statusOf() });
  t.deepEqual([nothing.code, nothing.out], [22, '']);
  t.regex(nothing.err, /no file was tried/);
  t.is((await run({ drill: () => each(), status: async () => statusOf({ sources: [] }) })).code, 0);
  const failure = { because: 'no snapshot of it is known here', hosts: [] };
  const never = await run({ drill: () => each({ source: 'photos', bytes: 0, failure }) });
  t.deepEqual([never.code, never.err], [22, 'photos: no snapshot of it is known here\n']);
});

test('backup exits 3 and names what could not be read', async t => {
  const unread = [{ path: Buffer.from([0x61, 0xff]), because: 'EACCES' }];
  const stateDir = await serve(t, { backup: async () => taken({ partial: true, stale: 1, missed: 2, unread }) });
  const { code, err } = await cluster(['--state', stateDir, 'backup', 'photos']);
  t.is(code, 3);
  t.regex(err, /not read: a\\xff: EACCES\n… and 2 more/);
});

test('backup --wait follows re-cuts until the snapshot is protected', async t => {
  const recut = snapshotOf({ id: 'cd'.repeat(32) as ObjectId, partial: true, protected: true });
  const stateDir = await serve(t, {
    backup: async () => taken({ stale: 1, missed: 2 }),
    protection: (_, signal) =>
      eachThenSilence(
        signal,
        { snapshot: taken(), copies: 2, parcels: { wanted: 4, haveMin: 0, under: 4 }, missingBytes: 100 },
        { snapshot: recut, copies: 2, parcels: { wanted: 4, haveMin: 2, under: 0 }, missingBytes: 0 },
      ),
  });
  const { code, out, err } = await cluster(['--state', stateDir, 'backup', 'photos', '--wait']);
  t.is(code, 3, 'it has become partial on the way');
  t.regex(out, /protected: cdcdcdcd of photos/);
  t.regex(err, /cdcdcdcd takes the snapshot's place/);
  const json = recordsOf((await cluster(['--state', stateDir, 'backup', 'photos', '--wait', '--json'])).out);
  t.like(
    json.filter(({ message_type }) => message_type === 'snapshot'),
    [{ id: 'cd'.repeat(32), protected: true, unchanged: false, stale: 1, missed: 2 }],
  );
});

// Serial, so that the other tests' processes do not eat up the time in which the first report must arrive.
test.serial('backup --wait exits 20 when the time is up, and still prints the snapshot', async t => {
  const stateDir = await serve(t, {
    backup: async () => taken(),
    protection: (_, signal) =>
      eachThenSilence(signal, {
        snapshot: taken(),
        copies: 2,
        parcels: { wanted: 4, haveMin: 1, under: 4 },
        missingBytes: 100,
      }),
  });
  const { code, out, err } = await cluster([
    '--state',
    stateDir,
    'backup',
    'photos',
    '--wait',
    '--timeout',
    '3s',
    '--json',
  ]);
  t.is(code, 20);
  t.like(recordsOf(out).at(-1), { message_type: 'snapshot', protected: false });
  t.regex(err, /4 parcels of 4 short of 2 copies/);
});

// ── ls, ls-replicas ──

const resolved = (changes: Partial<Awaited<ReturnType<Service['resolve']>>> = {}) => ({
  source: 'photos',
  sourceId: SOURCE_ID,
  snapshot: snapshotOf(),
  under: Buffer.alloc(0),
  ...changes,
});

test('ls prints paths, or modes and owners too, or records', async t => {
  const entries = [
    entryOf('', { kind: 'directory' }),
    entryOf('d', { kind: 'directory', mode: 0o1777, user: 'ann', group: 'staff' }),
    fileOf(Buffer.from([0x64, 0x2f, 0xff, 0x0a]), 'four', { mode: 0o4755 }),
    entryOf('l', { kind: 'symlink', target: Buffer.from('a\u001b'), mode: 0o777 }),
  ];
  const stateDir = await serve(t, { resolve: async () => resolved(), entries: () => each(...placed(entries)) });
  const run = async (...args: string[]) => (await cluster(['--state', stateDir, 'ls', 'photos', ...args])).out;
  t.is(await run(), 'd\nd/\\xff\\x0a\nl\n');
  const [folder, file, symlink] = (await run('-l')).split('\n');
  t.regex(folder ?? '', /^drwxrwxrwt ann {6}staff/);
  t.regex(file ?? '', /^-rwsr-xr-x .* 4 2020-09-13 12:26:40 d\/\\xff\\x0a$/);
  t.regex(symlink ?? '', /^lrwxrwxrwx .* l -> a\\x1b$/);
  t.like(recordsOf(await run('--json'))[2], {
    message_type: 'entry',
    path: 'd/\\xff\\x0a',
    kind: 'file',
    size: 4,
    mode: '4755',
  });
});

test('ls and find tell what nobody can give, and exit 3; diff and dump compare and print nothing then', async t => {
  const [a, z] = placed([fileOf('a', 'four'), fileOf('z', 'five!')]) as [PlacedEntry, PlacedEntry];
  const stateDir = await serve(t, {
    resolve: async ({ spec }) => resolved({ under: Buffer.from(spec.split(':')[1] ?? '') }),
    snapshots: async () => [snapshotOf()],
    entries: () => each<PlacedEntry | LackingEntries>(a, { after: Buffer.from('a'), lacking: '1 parcel (9 B)' }, z),
    content: (request, signal) => new Blobs().add('four').frames(request, signal),
  });
  const run = (...args: string[]) => cluster(['--state', stateDir, ...args]);
  const note = 'not listed: after a: 1 parcel (9 B)\n';
  t.deepEqual(await run('ls', 'photos'), { code: 3, out: 'a\nz\n', err: note });
  t.deepEqual(await run('find', 'z'), { code: 3, out: 'photos@abababab:z\n', err: note });
  const diff = await run('diff', 'photos@abababab', 'photos');
  t.deepEqual([diff.code, diff.err], [1, 'cluster: after a: 1 parcel (9 B)\n']);
  t.deepEqual(await run('dump', 'photos:a'), { code: 0, out: 'four', err: '' });
  const lacking = await run('dump', 'photos:m');
  t.deepEqual([lacking.code, lacking.out], [1, '']);
  t.regex(lacking.err, /photos:m may be in 1 parcel/);
});

test('a time is of the time zone of whoever types it, and dump says which snapshot that is', async t => {
  const asked: string[] = [];
  const note = ({ spec = '' }: { readonly spec?: string }): void => void asked.push(spec);
  const stateDir = await serve(t, {
    resolve: async request => {
      note(request);
      return resolved({ under: Buffer.from('a') });
    },
    entries: () => each(...placed([fileOf('a', '')])),
    replicas: request => {
      note(request);
      return each();
    },
    liveDiff: request => {
      note(request);
      return each();
    },
    makeTrees: async request => {
      note(request);
      return [];
    },
    removeTrees: async request => {
      note(request);
      return [];
    },
  });
  const spec = 'photos@2026-05-01T10:30:a';
  const run = (...args: string[]) => cluster(['--state', stateDir, ...args], { env: { TZ: 'Asia/Kolkata' } });
  const dumped = await run('dump', spec);
  t.deepEqual([dumped.code, dumped.err], [0, 'photos@abababab of 2026-07-01 18:00:15\n']);
  for (const args of [
    ['ls', spec],
    ['restore', spec, '--target', join(temporaryFolder(t), 'out'), '--dry-run'],
    ['ls-replicas', spec],
    ['diff', spec],
    ['tree', 'photos@2026-05-01T10:30'],
    ['tree', 'photos@2026-05-01T10:30', '--remove'],
  ])
    await run(...args);
  t.deepEqual(
    asked.map(text => text.replace(/:a$/, '')),
    asked.map(() => 'photos@2026-05-01T05:00:59Z'),
  );
  t.is(asked.length, 7);
  const bad = await run('ls', 'photos@2026-13-01');
  t.is(bad.code, 2);
  t.regex(bad.err, /after @ stands a snapshot/);
});

test('ls names a newer snapshot that cannot be reached, and which hosts to switch on', async t => {
  const newer = {
    snapshot: snapshotOf({ id: 'ef'.repeat(32) as ObjectId }),
    unreachable: { parcels: 2, bytes: 1000, hosts: ['pi', 'nas'] },
  };
  const stateDir = await serve(t, { resolve: async () => resolved({ newer }), entries: () => each() });
  t.regex(
    (await cluster(['--state', stateDir, 'ls', 'photos'])).err,
    /newer snapshot efefefef .* 2 parcels \(1 kB\) cannot be reached: switch on pi or nas/,
  );
});

test('find names the files of a pattern so that they can be restored by that name', async t => {
  const [old, now] = ['ab'.repeat(32), 'cd'.repeat(32)] as [ObjectId, ObjectId];
  const mail = 'ef'.repeat(32) as ObjectId;
  const trees = new Map([
    [old, [fileOf('a.jpg', 'x'), fileOf('d/b.jpg', 'x')]],
    [
      now,
      [
        entryOf('', { kind: 'directory' }),
        fileOf('.a.jpg', 'x'),
        fileOf('d/b.JPG', 'x'),
        fileOf('d/ü\n.jpg', 'x'),
        fileOf('jpg', 'x'),
      ],
    ],
    [mail, [fileOf('d/c.jpg', 'x')]],
  ]);
  const mailId = SOURCE_ID.replace(/[^/]+$/, 'mail') as typeof SOURCE_ID;
  const stateDir = await serve(t, {
    snapshots: async ({ source }) =>
      [
        snapshotOf({ id: old, timeMs: 1 }),
        snapshotOf({ id: mail, timeMs: 2, source: 'mail', sourceId: mailId }),
        snapshotOf({ id: now, timeMs: 3 }),
      ].filter(snapshot => source === undefined || snapshot.source === source),
    entries: ({ snapshot }) => each(...placed(trees.get(snapshot) ?? [])),
  });
  const run = (...args: string[]) => cluster(['--state', stateDir, 'find', ...args]);
  t.is((await run('*.jpg')).out, 'photos@cdcdcdcd:.a.jpg\nphotos@cdcdcdcd:d/ü\\x0a.jpg\nmail@efefefef:d/c.jpg\n');
  t.is((await run('*.jpg', '--all', '--source', 'photos')).out.split('\n').length, 5);
  t.is(
    (await run('D/*.jpg', '-i', '--source', 'photos')).out,
    'photos@cdcdcdcd:d/b.JPG\nphotos@cdcdcdcd:d/ü\\x0a.jpg\n',
  );
  t.is((await run('/d/ü*')).out, 'photos@cdcdcdcd:d/ü\\x0a.jpg\n');
  const nothing = await run('*.png');
  t.deepEqual([nothing.code, nothing.out, nothing.err], [0, '', 'nothing found\n']);
  t.like(recordsOf((await run('c.jpg', '--json')).out)[0], {
    message_type: 'match',
    source: 'mail',
    snapshot: mail,
    path: 'd/c.jpg',
  });
});

test('diff says what changed between two snapshots, as restic does', async t => {
  const later = 'cd'.repeat(32) as ObjectId;
  const [old, now] = [
    [fileOf('a', 'four'), fileOf('b', 'x'), fileOf('m', 'x', { mode: 0o600 })],
    [fileOf('b', 'five!'), entryOf('d', { kind: 'directory' }), fileOf('m', 'x')],
  ];
  const stateDir = await serve(t, {
    resolve: async ({ spec }) =>
      resolved({
        snapshot: snapshotOf(spec.includes('@cd') ? { id: later } : {}),
        under: Buffer.from(spec.split(':')[1] ?? ''),
      }),
    entries: ({ snapshot }) => each(...placed(snapshot === later ? now : old)),
  });
  const run = (...args: string[]) => cluster(['--state', stateDir, 'diff', ...args]);
  const { out, err, code } = await run('photos@abababab', 'photos@cdcdcdcd');
  t.is(out, '-    a\nM    b\n+    d/\n');
  t.is(err, '1 entry new, 1 gone, 1 changed; 5 B new, 5 B gone\n');
  t.is(code, 0);
  t.is((await run('photos@abababab', 'photos@cdcdcdcd', '--metadata')).out, '-    a\nM    b\n+    d/\nU    m\n');
  t.deepEqual(recordsOf((await run('photos@abababab', 'photos@cdcdcdcd', '--json')).out), [
    { message_type: 'change', path: 'a', modifier: '-' },
    { message_type: 'change', path: 'b', modifier: 'M' },
    { message_type: 'change', path: 'd/', modifier: '+' },
    {
      message_type: 'statistics',
      added: 1,
      removed: 1,
      type: 0,
      content: 1,
      metadata: 0,
      added_bytes: 5,
      removed_bytes: 5,
    },
  ]);
  const elsewhere = await run('photos@abababab:x', 'photos@cdcdcdcd:y');
  t.is(elsewhere.code, 2);
  t.regex(elsewhere.err, /x and y are compared path by path/);
});

test('diff of one snapshot is with the folder: it says what waits, and exits 3 when something could not be read', async t => {
  const asked: unknown[] = [];
  const stateDir = await serve(t, {
    liveDiff: request => {
      asked.push(request);
      return each<LiveDiffReport>(
        { kind: 'waits' },
        { kind: 'against', snapshot: snapshotOf() },
        { kind: 'removed', before: fileOf('d/a', 'four') },
        { kind: 'unread', path: Buffer.from('d/\x1b'), because: 'EACCES' },
        { kind: 'more-unread', count: 7 },
      );
    },
  });
  const run = (...args: string[]) => cluster(['--state', stateDir, ...args, 'diff', 'photos@abababab:d']);
  const { out, err, code } = await run();
  t.deepEqual(asked, [{ spec: 'photos@abababab:d' }]);
  t.is(out, '-    d/a\n');
  t.deepEqual(err.split('\n'), [
    'a backup of it, or another diff, is under way: the folder is looked at after that',
    'snapshot abababab of photos, 2026-07-01 12:30:15, and the folder as it is now',
    'not read, so not compared: d/\\x1b: EACCES',
    '… and 7 more in this source not read',
    '0 entries new, 1 gone, 0 changed; 0 B new, 4 B gone',
    '',
  ]);
  t.is(code, 3);
  t.like(recordsOf((await run('--json')).out).at(-1), { snapshot: snapshotOf().id, removed: 1, unread: 8 });
});

test('dump prints a file and nothing else, and says when its bytes are wrong or cannot be had', async t => {
  const large = randomBytes(3_000_000);
  const list = [
    fileOf('a', 'four'),
    fileOf('bad', 'right'),
    fileOf('empty', ''),
    fileOf('gone', 'gone'),
    fileOf('large', large),
  ];
  const blobs = new Blobs().add('four').corrupt('right', 'wrong').add(large);
  const stateDir = await serve(t, {
    resolve: async ({ spec }) => resolved({ under: Buffer.from(spec.split(':')[1] ?? '') }),
    entries: ({ under }) =>
      each(
        ...(under.length === 0
          ? placed([entryOf('', { kind: 'directory' })])
          : placed(list.filter(({ path }) => path.equals(under)))),
      ),
    async *content(request: ContentRequest, signal: AbortSignal): AsyncGenerator<ContentFrame> {
      // Its first holder goes away after some bytes, and the next one begins anew.
      const [blob] = request.blobs;
      if (blob !== undefined && blob === list.at(-1)?.blob) {
        yield { kind: 'start', blob, bytes: large.length };
        yield { kind: 'data', data: large.subarray(0, 700_000) };
      }
      yield* blobs.frames(request, signal);
    },
  });
  const run = (path: string) => cluster(['--state', stateDir, 'dump', `photos:${path}`]);
  t.deepEqual(await run('a'), { code: 0, out: 'four', err: '' });
  t.deepEqual(await run('empty'), { code: 0, out: '', err: '' });
  const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
  const child = spawn(process.execPath, [main, '--state', stateDir, 'dump', 'photos:large'], { timeout: 20_000 });
  t.true(Buffer.concat(await child.stdout.toArray()).equals(large));
  const bad = await run('bad');
  t.is(bad.code, 1);
  t.regex(bad.err, /photos:bad: what was printed is not what was backed up; 5 bytes were printed: throw them away/);
  const gone = await run('gone');
  t.is(gone.code, 1);
  t.regex(gone.err, /photos:gone: no host that is up holds it; switch on: attic/);
  const folder = await run('');
  t.is(folder.code, 2);
  t.regex(folder.err, /photos: is a directory: name one file/);
});

test('ls-replicas and whereis print the record that scripts rely on', async t => {
  const report: ReplicaReport = {
    source: 'photos',
    path: Buffer.from('a\tb'),
    sizeBytes: 5,
    want: 2,
    have: 1,
    holders: [
      { host: 'mini', counts: true, verifiedMs: Date.UTC(2026, 6, 2) },
      { host: 'pi', counts: false, verifiedMs: Date.UTC(2026, 6, 1) },
    ],
  };
  const asked: unknown[] = [];
  const stateDir = await serve(t, {
    replicas: request => {
      asked.push(request);
      return each(report);
    },
  });
  const { out } = await cluster([
    '--state',
    stateDir,
    'whereis',
    'photos:a',
    '--under',
    '--missing',
    '--host',
    'mini',
    '--json',
  ]);
  t.like(recordsOf(out), [
    {
      message_type: 'replica',
      source: 'photos',
      path: 'a\\x09b',
      size: 5,
      want: 2,
      have: 1,
      hosts: ['mini', 'pi'],
      verified: '2026-07-01T00:00:00.000Z',
    },
  ]);
  t.is((await cluster(['--state', stateDir, 'ls-replicas'])).out, '1\t2\tphotos\ta\\x09b\tmini,pi\n');
  t.deepEqual(asked, [{ spec: 'photos:a', only: ['under', 'missing'], host: 'mini' }, { only: [] }]);
});

test('SIGTERM ends a command with 130', async t => {
  const stateDir = await serve(t, { statusChanges: signal => eachThenSilence(signal, statusOf()) });
  const kill = { signal: 'SIGTERM', when: /status/ } as const;
  t.is((await cluster(['--state', stateDir, 'status', '--watch', '--json'], { kill })).code, 130);
});

test('a service that was stopped and did not end cleanly exits 1 and says why, in its log too', async t => {
  const state = join(temporaryFolder(t), 'state');
  await cluster(['--state', state, 'init', '--name', 'home', '--host', 'imac']);
  const ready = until('the service answers', () => existsSync(join(state, 'control.sock'))).then(() => {
    rmSync(join(state, 'lock'));
    mkdirSync(join(state, 'lock'));
  });
  const { code, err } = await cluster(['--state', state, 'up', '--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns'], {
    kill: { signal: 'SIGTERM', when: ready },
  });
  t.is(code, 1);
  t.regex(err, /"code":"TEARDOWN_FAILED".*EISDIR/);
  t.regex(err, /^cluster: the service did not end cleanly: EISDIR/m);
  t.notRegex(err, /^interrupted$/m);
});

test('a reader that closes the pipe ends the command quietly', async t => {
  const stateDir = await serve(t, {
    resolve: async () => resolved(),
    async *entries() {
      for (let index = 0; ; index += 1)
        yield { entry: fileOf(`file ${String(index).padStart(9, '0')}`, 'x'), parcel: parcelNumber(index) };
    },
  });
  const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
  const script = '{ "$@"; echo "exit $?" >&2; } | head -n 1';
  const child = spawn('sh', ['-c', script, 'sh', process.execPath, main, '--state', stateDir, 'ls', 'photos'], {
    timeout: 20_000,
  });
  const [out, err] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
  t.deepEqual([out.join(''), err.join('')], ['file 000000000\n', 'exit 0\n']);
});

// ── restore ──

function served(list: ReturnType<typeof placed>, blobs: Blobs): Partial<Service> {
  return {
    resolve: async () => resolved({ snapshot: snapshotOf({ files: 2, bytes: 9 }) }),
    entries: () => each(...list),
    content: (request, signal) => blobs.frames(request, signal),
  };
}

const tree = [entryOf('', { kind: 'directory', mode: 0o750 }), fileOf('a', 'four'), fileOf('b', 'five!')];

test('restore writes the files and prints a record', async t => {
  const stateDir = await serve(t, served(placed(tree), new Blobs().add('four').add('five!')));
  const target = join(temporaryFolder(t), 'out');
  const { code, out, err } = await cluster([
    '--state',
    stateDir,
    'restore',
    'photos',
    '--target',
    target,
    '--verify',
    '--json',
  ]);
  t.deepEqual([code, err], [0, '']);
  t.like(recordsOf(out).at(-1), { message_type: 'restore', restored: 2, bytes: 9, failed: 0, verified: 2, target });
  t.is(readFileSync(join(target, 'b'), 'utf8'), 'five!');
  t.is(statSync(target).mode & 0o777, 0o750);
});

test('restore into a folder that is not empty exits 2; --dry-run too; --overwrite and --keep-existing go on', async t => {
  const stateDir = await serve(t, served(placed(tree), new Blobs().add('four').add('five!')));
  const target = temporaryFolder(t);
  writeFileSync(join(target, 'a'), 'mine');
  const run = (...args: string[]) => cluster(['--state', stateDir, 'restore', 'photos', '--target', target, ...args]);
  const refused = await run();
  t.is(refused.code, 2);
  t.regex(refused.err, /is not empty: it holds a\. Nothing was changed.*--overwrite/);
  t.is((await run('--dry-run')).code, 2);
  t.is((await run('--overwrite', '--keep-existing')).code, 2);
  const noFolder = await cluster(['--state', stateDir, 'restore', 'photos', '--target', join(target, 'a')]);
  t.is(noFolder.code, 2);
  t.regex(noFolder.err, /is not a folder/);
  t.is((await run('--keep-existing')).code, 0);
  t.is(readFileSync(join(target, 'a'), 'utf8'), 'mine');
  t.is((await run('--overwrite')).code, 0);
  t.is(readFileSync(join(target, 'a'), 'utf8'), 'four');
});

test('restore --dry-run writes nothing', async t => {
  const stateDir = await serve(t, served(placed(tree), new Blobs()));
  const target = join(temporaryFolder(t), 'out');
  const { code, out } = await cluster(['--state', stateDir, 'restore', 'photos', '--target', target, '--dry-run']);
  t.is(code, 0);
  t.regex(out, /^would restore photos@abababab .*: 2 files \(9 B\), 0 folders/);
  t.false(existsSync(target));
});

test('restore exits 3 when something is unavailable, says which hosts to switch on, and goes on when run again', async t => {
  const blobs = new Blobs().add('four');
  const stateDir = await serve(t, served(placed(tree), blobs));
  const target = join(temporaryFolder(t), 'out');
  const args = ['--state', stateDir, 'restore', 'photos', '--target', target];
  const first = await cluster(args);
  t.is(first.code, 3);
  t.regex(first.err, /not restored: b: no host that is up holds it \(switch on attic\)/);
  blobs.add('five!');
  const again = await cluster([...args, '--json']);
  t.is(again.code, 0);
  t.like(recordsOf(again.out).at(-1), { restored: 1, kept: 1 });
  t.deepEqual(readdirSync(target).sort(), ['a', 'b']);
});

test('restore without a snapshot goes on with the one that it began with, though there is a newer one', async t => {
  const blobs = new Blobs().add('four');
  const [old, newer] = ['ab', 'cd'].map(digits => digits.repeat(32) as ObjectId) as [ObjectId, ObjectId];
  let newest = old;
  const stateDir = await serve(t, {
    ...served(placed(tree), blobs),
    resolve: async ({ spec }) => {
      const [, name, path = ''] = /^photos(?:@(\w+))?(?::(.*))?$/.exec(spec) ?? [];
      const id = [old, newer].find(one => name !== undefined && one.startsWith(name)) ?? newest;
      return resolved({ snapshot: snapshotOf({ id }), under: Buffer.from(path) });
    },
  });
  const target = join(temporaryFolder(t), 'out');
  const run = (spec: string) => cluster(['--state', stateDir, 'restore', spec, '--target', target]);
  t.is((await run('photos')).code, 3);
  newest = newer;
  blobs.add('five!');
  for (const spec of ['photos@latest', 'photos:b', 'photos@cdcdcdcd']) {
    const refused = await run(spec);
    t.is(refused.code, 2, spec);
    t.regex(refused.err, /^cluster: .* unfinished restore of photos@abababab, which goes on when you name that/);
  }
  const { code, out, err } = await run('photos');
  t.deepEqual(
    [code, err],
    [
      0,
      'going on with photos@abababab of 2026-07-01 12:30:15, which was begun here; the newest snapshot is photos@latest\n',
    ],
  );
  t.regex(out, /^restored photos@abababab .*: 1 file .*kept 1 file/);
});

test('restore is refused by the mark of one whose snapshot nobody keeps any more', async t => {
  let isKept = true;
  const stateDir = await serve(t, {
    ...served(placed(tree), new Blobs().add('four')),
    resolve: async ({ spec }) => {
      if (isKept) return resolved();
      if (spec.includes('@')) throw new ClusterError('SNAPSHOT_UNKNOWN', 'no such snapshot', { blame: 'operator' });
      return resolved({ snapshot: snapshotOf({ id: 'cd'.repeat(32) as ObjectId }) });
    },
  });
  const args = ['--state', stateDir, 'restore', 'photos', '--target', join(temporaryFolder(t), 'out')];
  t.is((await cluster(args)).code, 3);
  isKept = false;
  const { code, err } = await cluster(args);
  t.is(code, 2);
  t.regex(err, /^cluster: the target .* unfinished restore of photos@abababab/);
});

test('restore names what nobody can list and writes the rest, and goes on when run again', async t => {
  const all = placed(tree);
  let lacking = true;
  const stateDir = await serve(t, {
    ...served(all, new Blobs().add('four').add('five!')),
    entries: () =>
      lacking
        ? each<PlacedEntry | LackingEntries>(
            ...all.slice(0, 1),
            { after: Buffer.alloc(0), lacking: '1 parcel (4 B)' },
            ...all.slice(2),
          )
        : each(...all),
  });
  const target = join(temporaryFolder(t), 'out');
  const args = ['--state', stateDir, 'restore', 'photos', '--target', target];
  const first = await cluster(args);
  t.is(first.code, 3);
  t.regex(first.err, /not restored: after the beginning: 1 parcel \(4 B\)/);
  t.deepEqual(readdirSync(target).sort(), ['.scatterhoard-restore', 'b']);
  lacking = false;
  t.is((await cluster(args)).code, 0);
  t.deepEqual(readdirSync(target).sort(), ['a', 'b']);
});

test('restore that is interrupted exits 130 and leaves no half file', async t => {
  const blobs = new Blobs().add('four');
  const midway = new EventEmitter();
  const stateDir = await serve(t, {
    ...served(placed(tree, 1), blobs),
    async *content(request: ContentRequest, signal: AbortSignal): AsyncGenerator<ContentFrame> {
      yield* blobs.frames({ ...request, blobs: request.blobs.filter(blob => blob === tree[1]?.blob) }, signal);
      if (!request.blobs.includes(tree[2]?.blob as never)) return;
      yield { kind: 'start', blob: tree[2]?.blob as never, bytes: 5 };
      yield { kind: 'data', data: Buffer.from('fi') };
      midway.emit('reached');
      await eachThenSilence(signal)[Symbol.asyncIterator]().next();
    },
  });
  const target = join(temporaryFolder(t), 'out');
  const { code, err } = await cluster(['--state', stateDir, 'restore', 'photos', '--target', target, '--json'], {
    kill: { signal: 'SIGINT', when: once(midway, 'reached') },
  });
  t.deepEqual([code, err], [130, 'interrupted\n']);
  t.deepEqual(
    readdirSync(target).filter(name => name === 'b'),
    [],
  );
});

// ── init, join, up: the real thing, as far as one machine goes ──

test('init founds a cluster in a folder of its own, once', async t => {
  const state = join(temporaryFolder(t), 'new/state');
  const { code, out } = await cluster(['--state', state, 'init', '--name', 'home', '--host', 'imac', '--json']);
  t.is(code, 0);
  t.like(recordsOf(out), [{ message_type: 'init', cluster: 'home', host: 'imac', state, config_version: 1 }]);
  t.is(statSync(state).mode & 0o777, 0o700);
  const again = await cluster(['--state', state, 'init', '--name', 'other', '--json']);
  t.is(again.code, 1);
  t.like(recordsOf(again.err), [{ code: 'ALREADY_IN_CLUSTER' }]);
  t.is((await cluster(['--state', state, 'status'])).code, 11, 'a cluster, but no service yet');
});

test('init refuses a bad name with 2 and leaves nothing', async t => {
  const state = join(temporaryFolder(t), 'state');
  const { code, err } = await cluster(['--state', state, 'init', '--name', 'Ann & Co']);
  t.is(code, 2);
  t.regex(err, /Ann & Co/);
  t.false(existsSync(join(state, 'config')));
});

test('join refuses a damaged token with 2', async t => {
  const state = join(temporaryFolder(t), 'state');
  for (const token of ['hello', 'scatterhoard1abc']) {
    const { code, err } = await cluster(['--state', state, 'join', token]);
    t.is(code, 2);
    t.regex(err, /no whole token/);
  }
  t.is((await cluster(['--state', state, 'join', '-'], { input: 'hello\n' })).code, 2);
});

test('up without a cluster exits 10', async t => {
  t.is((await cluster(['up', '--state', join(temporaryFolder(t), 'absent')])).code, 10);
});

// ── drain, revoke ──

test('drain and revoke say what is in force then, and pass on what the service refuses', async t => {
  const asked: unknown[] = [];
  const report = { text: '', version: 7, hash: 'c'.repeat(64) };
  const stateDir = await serve(t, {
    drain: async request => {
      asked.push(request);
      return report;
    },
    revoke: async ({ yes }) => {
      if (!yes) throw new ClusterError('NEEDS_YES', 'without mini, 3 parcels …', { blame: 'operator' });
      return report;
    },
  });
  t.regex((await cluster(['--state', stateDir, 'drain', 'mini'])).out, /mini is draining.*configuration 7/);
  t.is((await cluster(['--state', stateDir, 'drain', 'mini', '--undo'])).code, 0);
  t.deepEqual(asked, [
    { host: 'mini', undo: false },
    { host: 'mini', undo: true },
  ]);
  const refused = await cluster(['--state', stateDir, 'revoke', 'mini']);
  t.is(refused.code, 2);
  t.regex(refused.err, /without mini, 3 parcels/);
  const { out } = await cluster(['--state', stateDir, '--json', 'revoke', 'mini', '--yes']);
  t.like(JSON.parse(out), { message_type: 'config', version: 7 });
});

test('tree prints where it is, and says what is not in it', async t => {
  const asked: unknown[] = [];
  const { id: snapshot, source, timeMs } = snapshotOf();
  const report = { path: '/srv/hoard/imac/photos@x', source, snapshot, timeMs, left: 0 };
  const stateDir = await serve(t, {
    makeTrees: async request => {
      asked.push(request);
      return [{ ...report, files: 9, placed: 6, unplaced: 1, left: 2 }];
    },
    removeTrees: async request => {
      asked.push(request);
      return [report];
    },
  });
  const run = (...args: string[]) => cluster(['--state', stateDir, ...args]);
  const made = await run('tree', 'photos@abababab', '--store', '/srv/hoard', '/mnt/hoard');
  t.is(made.out, '/srv/hoard/imac/photos@x\n');
  t.deepEqual(made.err.split('\n'), [
    'snapshot abababab of photos, 2026-07-01 12:30:15: 6 of 9 files',
    '2 files not held in this store',
    '1 file held without a place in it; see /srv/hoard/imac/photos@x.unplaced',
    '2 things in /srv/hoard/imac/photos@x not of this program, and left there',
    '',
  ]);
  t.is(made.code, 0);
  t.is((await run('tree', 'photos', '--remove')).out, 'removed: /srv/hoard/imac/photos@x\n');
  t.deepEqual(asked, [
    { spec: 'photos@abababab', stores: ['/srv/hoard', '/mnt/hoard'] },
    { spec: 'photos', stores: [] },
  ]);
  const fields = { message_type: 'tree', path: report.path, source, snapshot, time: '2026-07-01T12:30:15.000Z' };
  t.deepEqual(recordsOf((await run('--json', 'tree', 'photos')).out), [
    { ...fields, left: 2, removed: false, files: 9, placed: 6, unplaced: 1, not_held: 2 },
  ]);
  t.deepEqual(recordsOf((await run('--json', 'tree', 'photos', '--remove')).out), [
    { ...fields, left: 0, removed: true },
  ]);
});

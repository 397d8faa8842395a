import test from 'ava';
import type { ObjectId } from '../../src/core/ids.js';
import type { Service, SnapshotTaken } from '../../src/daemon/service.js';
import { SomethingMissing } from '../../src/daemon/something-missing.js';
import { cluster, each, eachThenSilence, recordsOf, serve, snapshotOf } from './cli-fixture.js';

const taken = (changes: Partial<SnapshotTaken> = {}): SnapshotTaken => ({
  ...snapshotOf({ protected: false }),
  unchanged: false,
  stale: 0,
  missed: 0,
  unread: [],
  unentered: { count: 0, paths: [] },
  braked: false,
  letGo: { count: 0, parts: [] },
  ...changes,
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
      stale: 0,
      missed: 0,
      protected: true,
      held: false,
    },
  ]);
  t.regex(
    (await cluster(['--state', stateDir, 'snapshots'])).out,
    /abababab\t2026-07-01 12:30:15\tall\timac\t3\t4.1 kB\tprotected/,
  );
});

test('snapshots says how much a partial one lacks', async t => {
  const lacking = [
    { stale: 1, missed: 4 },
    { stale: 0, missed: 2 },
  ].map(counts => snapshotOf({ partial: true, ...counts }));
  const unreadable = snapshotOf({ partial: true, unreadable: 'lost', protected: false });
  const stateDir = await serve(t, { snapshots: async () => [...lacking, unreadable] });
  const { out } = await cluster(['--state', stateDir, 'snapshots']);
  t.deepEqual(
    out.match(/\t[^\t\n]*$/gm)?.slice(1),
    ['partial (4 missed, 1 stale), protected', 'partial (2 missed), protected', 'partial, cannot be read'].map(
      state => `\t${state}`,
    ),
  );
  const records = recordsOf((await cluster(['--state', stateDir, 'snapshots', '--json'])).out);
  t.like(records, [{ stale: 1, missed: 4 }, { missed: 2 }, { stale: null, missed: null }]);
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

test('forget --future applies no rule', async t => {
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

test('forget --now says when it has to be run again', async t => {
  const released = [snapshotOf({ held: true })];
  const stateDir = await serve(t, {
    forget: async () => ({ source: 'photos', snapshots: [], released, heldStill: 7, graceMs: 1000 }),
  });
  const forget = (how: string) => cluster(['--state', stateDir, 'forget', 'photos', '--now', how]);
  t.regex((await forget('--yes')).err, /7 unlisted snapshots more are held still: .*run the same again/);
  t.regex((await forget('--dry-run')).err, /7 unlisted snapshots more would be held still/);
});

test('forget --now of a source whose rules do not apply here says that what is listed stays', async t => {
  let unjudged = 1;
  const stateDir = await serve(t, {
    forget: async () => ({ source: 'old', snapshots: [], released: [], unjudged, graceMs: 1000 }),
  });
  const forget = async () => (await cluster(['--state', stateDir, 'forget', 'old', '--now', '--dry-run'])).out;
  const rest = 'so: no rules are applied here\nnone is held that is unlisted\n';
  t.is(await forget(), `1 snapshot of old listed, which stays ${rest}`);
  unjudged = 2;
  t.is(await forget(), `2 snapshots of old listed, which stay ${rest}`);
});

test('forget --now and --archived say what is no longer held, and when its copies are removed', async t => {
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
    "what nothing else needs is removed after 7 d of each holder's running time",
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
  t.deepEqual(asked, [{ source: 'photos', acceptChanges: true, acceptMissing: false }]);
  t.is(
    (await cluster(['--state', stateDir, 'backup', 'photos'])).out,
    'snapshot abababab of photos: 3 files, 4.1 kB\n',
  );
});

test('backup lets go of what is missing only with --yes beside --accept-changes, and says what that was', async t => {
  const asked: unknown[] = [];
  const parts = [
    { path: Buffer.from('usb'), because: 'NOT_MOUNTED' },
    { path: Buffer.alloc(0), because: 'EMPTY' },
  ];
  const stateDir = await serve(t, {
    backup: async request => {
      asked.push(request);
      if (request.acceptMissing !== true) throw new SomethingMissing('photos', { count: 2, parts });
      return taken({ letGo: { count: 9, parts } });
    },
  });
  const backup = (...words: readonly string[]) => cluster(['--state', stateDir, 'backup', 'photos', ...words]);
  const alone = await backup('--yes');
  t.is(alone.code, 2);
  t.regex(alone.err, /--accept-changes/);
  t.deepEqual(asked, []);

  const refused = await backup('--accept-changes');
  t.is(refused.code, 2);
  t.regex(
    refused.err.replaceAll(/\s+/g, ' '),
    /nothing was accepted.*usb \(what was mounted there is away\), the source's folder \(it is empty, and was not\)\. .*'cluster backup photos --accept-changes --yes'/,
  );

  const { code, err } = await backup('--accept-changes', '--yes');
  t.is(code, 0);
  t.regex(err, /^let go of: usb \(what was mounted there is away\)\nlet go of: the source's folder \(it is empty/m);
  t.regex(err, /^… and of 7 more$/m);
  const json = await backup('--accept-changes', '--yes', '--json');
  t.like(recordsOf(json.out), [
    { message_type: 'snapshot', let_go: 9 },
    { message_type: 'problem', kind: 'let-go', path: 'usb', because: 'NOT_MOUNTED' },
    { message_type: 'problem', kind: 'let-go', path: '', because: 'EMPTY' },
  ]);
});

test('drill exits 22 when no file could be tried because its name was unavailable, and says how many bytes that was', async t => {
  const failure = { because: 'no host gives the record that names the files in it', hosts: ['mini'] };
  const report = { source: 'photos', snapshot: 'ab'.repeat(32) as ObjectId, bytes: 3000, failure };
  const stateDir = await serve(t, { drill: () => each(report) });
  const { code, out, err } = await cluster(['--state', stateDir, 'drill']);
  t.is(code, 22);
  t.regex(err, /^photos, 3 kB: no host gives the record .*; held by mini$/m);
  t.regex(out, /0 files.*; 1 could not be restored/);
  const json = await cluster(['--state', stateDir, 'drill', '--json']);
  t.is(json.code, 22);
  t.like(recordsOf(json.out), [
    { message_type: 'drill', path: undefined, restored: false, because: failure.because, hosts: ['mini'] },
    { message_type: 'drill_summary', tried: 1, failed: 1, bytes: 0 },
  ]);
});

test('backup tells a file that lacks attributes from one that was not read, and names the source’s own folder', async t => {
  const unread = [
    { path: Buffer.alloc(0), because: 'NO_XATTR_CALLS' },
    { path: Buffer.alloc(0), because: 'XATTRS_TOO_LARGE' },
    { path: Buffer.from('a'), because: 'XATTRS_TOO_LARGE' },
    { path: Buffer.alloc(0), because: 'EIO' },
  ];
  const stateDir = await serve(t, { backup: async () => taken({ partial: true, missed: unread.length, unread }) });
  const { code, err } = await cluster(['--state', stateDir, 'backup', 'photos']);
  t.is(code, 3);
  t.deepEqual(err.split('\n').slice(0, unread.length), [
    "read without attributes: the source's folder and all in it: NO_XATTR_CALLS",
    "read without all of its attributes: the source's folder: XATTRS_TOO_LARGE",
    'read without all of its attributes: a: XATTRS_TOO_LARGE',
    "not read: the source's folder: EIO",
  ]);
});

test('backup exits 3 and names what could not be read', async t => {
  const unread = [{ path: Buffer.from([0x61, 0xff]), because: 'EACCES' }];
  const stateDir = await serve(t, { backup: async () => taken({ partial: true, stale: 1, missed: 2, unread }) });
  const { code, err } = await cluster(['--state', stateDir, 'backup', 'photos']);
  t.is(code, 3);
  t.regex(err, /not read: a\\xff: EACCES\n… and 2 more/);
  const json = await cluster(['--state', stateDir, 'backup', 'photos', '--json']);
  t.deepEqual([json.code, json.err], [3, '']);
  t.like(recordsOf(json.out), [
    { message_type: 'snapshot', partial: true, stale: 1, missed: 2 },
    { message_type: 'problem', kind: 'unread', source: 'photos', path: 'a\\xff', because: 'EACCES' },
  ]);
});

test('backup names the folders that it did not enter, which does not make the snapshot partial', async t => {
  const unentered = { count: 3, paths: [Buffer.from([0x61, 0xff]), Buffer.from('disk')] };
  const stateDir = await serve(t, { backup: async () => taken({ unentered }) });
  const { code, err } = await cluster(['--state', stateDir, 'backup', 'photos']);
  t.is(code, 0);
  t.regex(err, /on another file system: a\\xff\n.*on another file system: disk\n… and 1 more/);
  const json = await cluster(['--state', stateDir, 'backup', 'photos', '--json']);
  t.like(recordsOf(json.out), [
    { message_type: 'snapshot', partial: false, unentered: 3 },
    { message_type: 'problem', kind: 'unentered', path: 'a\\xff', because: 'it is on another file system' },
    { message_type: 'problem', kind: 'unentered', path: 'disk' },
  ]);
});

test('backup --wait follows re-cuts until the snapshot is protected', async t => {
  const recut = snapshotOf({ id: 'cd'.repeat(32) as ObjectId, partial: true, stale: 1, missed: 3, protected: true });
  const stateDir = await serve(t, {
    backup: async () => taken({ stale: 1, missed: 2 }),
    protection: (_, signal) =>
      eachThenSilence(
        signal,
        { snapshot: taken(), copies: 2, parcels: { wanted: 4, haveMin: 0, under: 4, toCopy: 4 }, missingBytes: 100 },
        { snapshot: recut, copies: 2, parcels: { wanted: 4, haveMin: 2, under: 0, toCopy: 0 }, missingBytes: 0 },
      ),
  });
  const { code, out, err } = await cluster(['--state', stateDir, 'backup', 'photos', '--wait']);
  t.is(code, 3, 'it has become partial on the way');
  t.regex(out, /protected: cdcdcdcd of photos/);
  t.regex(err, /cdcdcdcd takes the snapshot's place/);
  const json = recordsOf((await cluster(['--state', stateDir, 'backup', 'photos', '--wait', '--json'])).out);
  t.like(
    json.filter(({ message_type }) => message_type === 'snapshot'),
    [{ id: 'cd'.repeat(32), protected: true, unchanged: false, stale: 1, missed: 3 }],
  );
});

test('backup says what is to be copied, and when all is copied that the holders have yet to take note of the snapshot', async t => {
  const report = (under: number, toCopy: number) => ({
    snapshot: taken({ partial: true, unchanged: true, protected: under === 0 }),
    copies: 2,
    parcels: { wanted: 9, haveMin: 0, under, toCopy },
    missingBytes: toCopy * 100,
  });
  const run = async (...reports: readonly ReturnType<typeof report>[]) => {
    const stateDir = await serve(t, {
      backup: async () => taken({ unchanged: true, partial: true, stale: 1 }),
      protection: () => each(...reports),
    });
    return cluster(['--state', stateDir, 'backup', 'photos', '--wait']);
  };
  const unchanged = await run(report(9, 0), report(4, 0), report(0, 0));
  t.is(unchanged.code, 3);
  t.regex(unchanged.out, /^snapshot abababab of photos: 3 files, 4\.1 kB, unchanged, partial$/m);
  t.regex(unchanged.err, /nothing to copy; the hosts that have the copies have yet to take note of this snapshot\n$/);
  t.notRegex(unchanged.err, /parcels|note.*note/s);
  t.regex((await run(report(9, 1), report(8, 0), report(0, 0))).err, /^1 parcel of 9 to copy, 100 B\nnothing to copy/m);
});

// Serial, so that the other tests' processes do not eat up the time in which the first report must arrive.
test.serial('backup --wait exits 20 when the time is up, and still prints the snapshot', async t => {
  const stateDir = await serve(t, {
    backup: async () => taken(),
    protection: (_, signal) =>
      eachThenSilence(signal, {
        snapshot: taken(),
        copies: 2,
        parcels: { wanted: 4, haveMin: 1, under: 4, toCopy: 4 },
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

test('drill exits 22 when it tried nothing, even without any source, and names a source without a snapshot', async t => {
  const run = async (given: Partial<Service>) => cluster(['--state', await serve(t, given), 'drill']);
  const nothing = await run({ drill: () => each() });
  t.deepEqual([nothing.code, nothing.out], [22, '']);
  t.regex(nothing.err, /no file was tried/);
  const failure = { because: 'no snapshot of it is known here', hosts: [] };
  const never = await run({ drill: () => each({ source: 'photos', bytes: 0, failure }) });
  t.deepEqual([never.code, never.err], [22, 'photos: no snapshot of it is known here\n']);
});

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ContentFrame, ContentRequest, LackingEntries, PlacedEntry } from '../../src/catalog/restore-content.js';
import { FILE_BYTES_MIN } from '../../src/cli/held-back.js';
import { ClusterError } from '../../src/core/fault.js';
import type { ObjectId } from '../../src/core/ids.js';
import type { LiveDiffReport, ReplicaReport } from '../../src/daemon/service.js';
import { Blobs, entryOf, fileOf, placed } from '../catalog/restore-fixture.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { cluster, each, recordsOf, resolved, SOURCE_ID, serve, snapshotOf } from './cli-fixture.js';

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

test('ls -l prints one line per entry, whatever name its origin gives the owner', async t => {
  const named = { user: 'ann\n-rwxr-xr-x root', group: '\tstaff\u001b[2J\u200f' };
  const entries = [fileOf('a', 'x', named)];
  const stateDir = await serve(t, { resolve: async () => resolved(), entries: () => each(...placed(entries)) });
  const { out } = await cluster(['--state', stateDir, 'ls', 'photos', '-l']);
  t.is(out.indexOf('\n'), out.length - 1, out);
  t.true(out.includes(' ann\\x0a-rwxr-xr-x root \\x09staff\\x1b[2J\\xe2\\x80\\x8f '), out);
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

test('find prints matching files by names with which they can be restored', async t => {
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
  const nothing = await run('*.png', '--all');
  t.deepEqual([nothing.code, nothing.out, nothing.err], [0, '', 'nothing found\n']);
  t.like(recordsOf((await run('c.jpg', '--json')).out)[0], {
    message_type: 'match',
    source: 'mail',
    snapshot: mail,
    path: 'd/c.jpg',
  });
});

test('find that finds nothing says that there are held snapshots which it did not look into; --held looks', async t => {
  const gone = snapshotOf({ id: 'cd'.repeat(32) as ObjectId, timeMs: 1, held: true });
  const held = [gone, snapshotOf({ id: 'ef'.repeat(32) as ObjectId, timeMs: 2, held: true })];
  const stateDir = await serve(t, {
    snapshots: async request => [...(request.held ? held : []), snapshotOf()],
    entries: ({ snapshot }) => each(...placed([fileOf(snapshot === gone.id ? 'zero' : 'one', 'x')])),
  });
  const run = (...args: string[]) => cluster(['--state', stateDir, 'find', ...args]);
  for (const args of [['zero'], ['zero', '--all', '--source', 'photos']])
    t.deepEqual(await run(...args), {
      code: 0,
      out: '',
      err: 'nothing found\nnot looked at: 2 snapshots no longer listed but still held here; --held searches these too\n',
    });
  t.deepEqual(await run('zero', '--held'), { code: 0, out: 'photos@cdcdcdcd:zero\n', err: '' });
  t.is((await run('one', '--held')).out, 'photos@abababab:one\nphotos@efefefef:one\n');
  t.is((await run('two', '--held')).err, 'nothing found\n');
});

test('find that finds nothing says that there are older snapshots which it did not look into; --all looks', async t => {
  const old = snapshotOf({ id: 'cd'.repeat(32) as ObjectId, timeMs: 1 });
  const held = snapshotOf({ id: 'ef'.repeat(32) as ObjectId, timeMs: 0, held: true });
  const stateDir = await serve(t, {
    snapshots: async request => [...(request.held ? [held] : []), old, snapshotOf()],
    entries: ({ snapshot }) => each(...placed([fileOf(snapshot === old.id ? 'deleted' : 'one', 'x')])),
  });
  const run = (...args: string[]) => cluster(['--state', stateDir, 'find', ...args]);
  const [older, unlisted] = ['older snapshot; --all', 'snapshot no longer listed but still held here; --held'].map(
    what => `not looked at: 1 ${what} searches these too\n`,
  );
  t.deepEqual(await run('deleted'), { code: 0, out: '', err: `nothing found\n${older}${unlisted}` });
  t.deepEqual(await run('deleted', '--all'), { code: 0, out: 'photos@cdcdcdcd:deleted\n', err: '' });
  t.is((await run('two', '--all')).err, `nothing found\n${unlisted}`);
  const record = { message_type: 'nothing_found', older: 1, held: 1 };
  t.deepEqual(recordsOf((await run('deleted', '--json')).out), [record]);
  t.deepEqual(recordsOf((await run('two', '--json', '--held')).out), [{ ...record, older: 0, held: 0 }]);
});

test('find of an empty pattern is wrong usage', async t => {
  const stateDir = await serve(t, {});
  for (const pattern of ['', '/', '//']) {
    const { code, out, err } = await cluster(['--state', stateDir, 'find', pattern]);
    t.deepEqual([code, out], [2, '']);
    t.regex(err, /^cluster: the pattern "\/*" names nothing: .*\n$/);
  }
});

test('find takes parentheses, bars and any character after a backslash literally', async t => {
  const names = ['+(a)', 'IMG (1).jpg', 'IMG (1) b.jpg', 'IMG 1.jpg', 'a', 'a*', 'ab', 'a|b', 'b', 'd (2)/x (3).jpg'];
  const stateDir = await serve(t, {
    snapshots: async () => [snapshotOf()],
    entries: () => each(...placed(names.map(name => fileOf(name, 'x')))),
  });
  const found = async (pattern: string): Promise<string[]> => {
    const { out } = await cluster(['--state', stateDir, 'find', pattern]);
    return out
      .split('\n')
      .slice(0, -1)
      .map(line => line.replace('photos@abababab:', ''));
  };
  t.deepEqual(await found('IMG (1)*.jpg'), ['IMG (1).jpg', 'IMG (1) b.jpg']);
  t.deepEqual(await found('d (?)/*(3).jpg'), ['d (2)/x (3).jpg']);
  t.deepEqual(await found('a|b'), ['a|b']);
  t.deepEqual(await found('+(a)'), ['+(a)']);
  t.deepEqual(await found('a\\*'), ['a*']);
  t.deepEqual(await found('{a,[b]}'), ['a', 'b']);
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
  t.regex(elsewhere.err, /x and y cannot be compared, because diff goes path by path/);
});

test('diff of one snapshot compares it with the folder: it says what it waits for, and exits 3 when something could not be read', async t => {
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
    'a backup or another diff of this source is running: the folder is looked at after that',
    'snapshot abababab of photos, 2026-07-01 12:30:15, and the folder as it is now',
    'not read, so not compared: d/\\x1b: EACCES',
    '… and 7 more in this source not read',
    '0 entries new, 1 gone, 0 changed; 0 B new, 4 B gone',
    '',
  ]);
  t.is(code, 3);
  t.like(recordsOf((await run('--json')).out).at(-1), { snapshot: snapshotOf().id, removed: 1, unread: 8 });
});

test('dump prints a file and nothing else, and says when its bytes are wrong or unavailable', async t => {
  const large = randomBytes(3_000_000);
  const larger = randomBytes(FILE_BYTES_MIN);
  const list = [
    fileOf('a', 'four'),
    fileOf('bad', 'right'),
    fileOf('empty', ''),
    fileOf('gone', 'gone'),
    fileOf('second', 'second is right'),
    fileOf('stale', 'four', { stale: true }),
    fileOf('stale-empty', '', { stale: true }),
    fileOf('large', large),
    fileOf('larger', larger),
  ];
  const blobs = new Blobs().add('four').corrupt('right', 'wrong').add('second is right').add(large).add(larger);
  const stateDir = await serve(t, {
    resolve: async ({ spec }) => resolved({ under: Buffer.from(spec.split(':')[1] ?? '') }),
    entries: ({ under }) =>
      each(
        ...(under.length === 0
          ? placed([entryOf('', { kind: 'directory' })])
          : placed(list.filter(({ path }) => path.equals(under)))),
      ),
    async *content(request: ContentRequest, signal: AbortSignal): AsyncGenerator<ContentFrame> {
      // Its first holder gives other bytes and goes away after some, and the next one begins anew.
      const [blob] = request.blobs;
      const file = list.find(({ path, blob: its }) => its === blob && /large|second/.test(path.toString()));
      if (blob !== undefined && file !== undefined) {
        yield { kind: 'start', blob, bytes: file.size };
        yield { kind: 'data', data: Buffer.alloc(Math.min(file.size, 700_000), 'wrong') };
      }
      yield* blobs.frames(request, signal);
    },
  });
  const run = (path: string) => cluster(['--state', stateDir, 'dump', `photos:${path}`]);
  t.deepEqual(await run('a'), { code: 0, out: 'four', err: '' });
  t.deepEqual(await run('empty'), { code: 0, out: '', err: '' });
  const note = (name: string) =>
    `photos:${name} is older than the snapshot: it could not be read when that was taken\n`;
  t.deepEqual(await run('stale'), { code: 0, out: 'four', err: note('stale') });
  t.deepEqual(await run('stale-empty'), { code: 0, out: '', err: note('stale-empty') });
  const main = fileURLToPath(new URL('../../src/cli/cluster.cjs', import.meta.url));
  for (const [path, content] of [
    ['large', large],
    ['larger', larger],
  ] as const) {
    const child = spawn(process.execPath, [main, '--state', stateDir, 'dump', `photos:${path}`], { timeout: 20_000 });
    t.true(Buffer.concat(await child.stdout.toArray()).equals(content), path);
  }
  const bad = await run('bad');
  t.like(bad, { code: 1, out: '' });
  t.regex(bad.err, /photos:bad: the bytes that came are not those that were backed up\. Nothing was printed/);
  t.deepEqual(await run('second'), { code: 0, out: 'second is right', err: '' });
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
      { host: 'mini', counts: true },
      { host: 'pi', counts: false },
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
      verified: null,
    },
  ]);
  t.is((await cluster(['--state', stateDir, 'ls-replicas'])).out, '1\t2\tphotos\ta\\x09b\tmini,(pi)\n');
  t.deepEqual(asked, [{ spec: 'photos:a', only: ['under', 'missing'], host: 'mini' }, { only: [] }]);
});

test('tree prints where the tree is, and says what is not in it', async t => {
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
    '2 files not held by this store',
    '1 file held, but without a place in the tree; see /srv/hoard/imac/photos@x.unplaced',
    '2 things in /srv/hoard/imac/photos@x not made by this program, and left in place',
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

test('find goes on after a snapshot that cannot be read, and exits 3', async t => {
  const [a] = placed([fileOf('a', 'four')]) as [PlacedEntry];
  const lost = snapshotOf({ id: '11'.repeat(32) as ObjectId, source: 'music', sourceId: SOURCE_ID });
  const stateDir = await serve(t, {
    snapshots: async () => [snapshotOf({ sourceId: `${'ee'.repeat(16)}/music` as never }), lost],
    async *entries({ snapshot }) {
      if (snapshot === lost.id)
        throw new ClusterError('OBJECT_MISSING', 'the snapshot is not here', { blame: 'passing' });
      yield a;
    },
  });
  t.deepEqual(await cluster(['--state', stateDir, 'find', 'a']), {
    code: 3,
    out: 'photos@abababab:a\n',
    err: 'not searched: music@11111111: the snapshot is not here\n',
  });
});

test('ls, find and ls-replicas report what no host can give, and exit 3; diff and dump then compare and print nothing', async t => {
  const [a, z] = placed([fileOf('a', 'four'), fileOf('z', 'five!')]) as [PlacedEntry, PlacedEntry];
  const stateDir = await serve(t, {
    resolve: async ({ spec }) => resolved({ under: Buffer.from(spec.split(':')[1] ?? '') }),
    snapshots: async () => [snapshotOf()],
    entries: () => each<PlacedEntry | LackingEntries>(a, { after: Buffer.from('a'), lacking: '1 parcel (9 B)' }, z),
    replicas: () =>
      each<ReplicaReport | LackingEntries>(
        { after: Buffer.from('a'), lacking: '1 parcel (9 B)' },
        {
          source: 'photos',
          path: Buffer.from('z'),
          sizeBytes: 5,
          want: 2,
          have: 2,
          holders: [{ host: 'mini', counts: true }],
        },
      ),
    content: (request, signal) => new Blobs().add('four').frames(request, signal),
  });
  const run = (...args: string[]) => cluster(['--state', stateDir, ...args]);
  const note = 'not listed: after a: 1 parcel (9 B)\n';
  t.deepEqual(await run('ls', 'photos'), { code: 3, out: 'a\nz\n', err: note });
  t.deepEqual(await run('find', 'z'), { code: 3, out: 'photos@abababab:z\n', err: note });
  t.deepEqual(await run('ls-replicas'), { code: 3, out: '2\t2\tphotos\tz\tmini\n', err: note });
  const diff = await run('diff', 'photos@abababab', 'photos');
  t.deepEqual([diff.code, diff.err], [1, 'cluster: after a: 1 parcel (9 B)\n']);
  t.deepEqual(await run('dump', 'photos:a'), { code: 0, out: 'four', err: '' });
  const lacking = await run('dump', 'photos:m');
  t.deepEqual([lacking.code, lacking.out], [1, '']);
  t.regex(lacking.err, /photos:m may be in 1 parcel/);
});

test('a time is in the time zone of the user who types it, and dump says which snapshot it means', async t => {
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
  t.regex(bad.err, /a snapshot must follow the @/);
});

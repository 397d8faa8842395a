import { EventEmitter, once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Entry } from '../../src/catalog/entry.js';
import type { ContentFrame, ContentRequest, LackingEntries, PlacedEntry } from '../../src/catalog/restore-content.js';
import { ClusterError } from '../../src/core/fault.js';
import type { ObjectId } from '../../src/core/ids.js';
import type { Service } from '../../src/daemon/service.js';
import { Blobs, entryOf, fileOf, placed } from '../catalog/restore-fixture.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { cluster, each, eachThenSilence, recordsOf, resolved, serve, snapshotOf } from './cli-fixture.js';

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

test('restore into a folder that is not empty exits 2, also with --dry-run; with --overwrite or --keep-existing it goes on', async t => {
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

test('control characters in the name of the target never reach the terminal', async t => {
  const stateDir = await serve(t, served(placed(tree), new Blobs().add('four').add('five!')));
  const target = join(temporaryFolder(t), 'out\u001b[31m\n\u009b2J\u202e');
  const run = async (...args: string[]) => {
    const ended = await cluster(['--state', stateDir, 'restore', 'photos', '--target', target, ...args]);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    t.notRegex(ended.out + ended.err, /[\u001b\u009b\u202e]/);
    return ended;
  };
  const shown = 'out\\x1b[31m\\x0a\\xc2\\x9b2J\\xe2\\x80\\xae';
  for (const args of [['--dry-run'], []]) {
    const { code, out } = await run(...args);
    t.is(code, 0);
    t.true(out.includes(`/${shown}: 2 files`), out);
    t.is(out.split('\n').length, 2, 'one line');
  }
  t.is((await run()).code, 2, 'refused, as it is not empty');
  t.is(readFileSync(join(target, 'b'), 'utf8'), 'five!');
});

test('restore exits 3 when something is unavailable, says which hosts to switch on, and goes on when run again', async t => {
  const blobs = new Blobs().add('four');
  const stateDir = await serve(t, served(placed(tree), blobs));
  const target = join(temporaryFolder(t), 'out');
  const args = ['--state', stateDir, 'restore', 'photos', '--target', target];
  const first = await cluster(args);
  t.is(first.code, 3);
  t.regex(first.err, /not restored: b: no host that is up holds it \(switch on attic\)/);
  const scripted = await cluster([...args, '--json']);
  t.deepEqual(
    recordsOf(scripted.out).filter(({ message_type }) => message_type === 'problem'),
    [{ message_type: 'problem', kind: 'failed', path: 'b', because: 'no host that is up holds it (switch on attic)' }],
  );
  blobs.add('five!');
  const again = await cluster([...args, '--json']);
  t.is(again.code, 0);
  t.like(recordsOf(again.out).at(-1), { restored: 1, kept: 1 });
  t.deepEqual(readdirSync(target).sort(), ['a', 'b']);
});

test('of many files that could not be restored 20 have a line, and in JSON each has a record', async t => {
  const files = Array.from({ length: 23 }, (_, n) => fileOf(`file ${n}`, `content ${n}`));
  const stateDir = await serve(t, served(placed([entryOf('', { kind: 'directory' }), ...files]), new Blobs()));
  const args = ['--state', stateDir, 'restore', 'photos', '--target', join(temporaryFolder(t), 'out')];
  const { code, err } = await cluster(args);
  t.is(code, 3);
  t.is(err.match(/^not restored: file \d+: /gm)?.length, 20);
  t.regex(err, /^… and 3 more \(--json shows all\)$/m);
  const scripted = await cluster([...args, '--json']);
  t.is(recordsOf(scripted.out).filter(({ message_type }) => message_type === 'problem').length, 23);
});

test('restore says once which hosts it waits for', async t => {
  const blobs = new Blobs().add('four').add('five!');
  const stateDir = await serve(t, {
    ...served(placed(tree), blobs),
    async *content(request: ContentRequest, signal: AbortSignal): AsyncGenerator<ContentFrame> {
      for (const kind of ['waiting', 'waiting'] as const) yield { kind, hosts: ['attic', 'cellar'] };
      yield* blobs.frames(request, signal);
    },
  });
  const args = ['--state', stateDir, 'restore', 'photos', '--target'];
  const { code, err } = await cluster([...args, join(temporaryFolder(t), 'out')]);
  t.is(code, 0);
  t.deepEqual(err.match(/^waiting.*$/gm), ['waiting for attic or cellar, gone just now']);
  const { out } = await cluster([...args, join(temporaryFolder(t), 'out'), '--json']);
  const told = recordsOf(out).filter(({ message_type }) => message_type === 'waiting');
  t.deepEqual(told, [{ message_type: 'waiting', hosts: ['attic', 'cellar'] }]);
});

test('a restore that is interrupted exits 130 and leaves no partial file', async t => {
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
  t.is(code, 130);
  t.like(recordsOf(err), [{ message_type: 'error', code: 'INTERRUPTED' }]);
  t.deepEqual(
    readdirSync(target).filter(name => name === 'b'),
    [],
  );
});

test('a restore that names no snapshot goes on with the one that it began with, even when there is a newer one', async t => {
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
  const run = (...args: string[]) => cluster(['--state', stateDir, 'restore', ...args, '--target', target]);
  t.is((await run('photos')).code, 3);
  newest = newer;
  blobs.add('five!');
  for (const spec of ['photos@latest', 'photos:b', 'photos@cdcdcdcd']) {
    const refused = await run(spec);
    t.is(refused.code, 2, spec);
    t.regex(refused.err, /^cluster: .* unfinished restore of photos@abababab, which continues when you name that one/);
  }
  const over = await run('photos', '--overwrite', '--dry-run');
  t.deepEqual([over.code, over.err], [0, '']);
  const kept = await run('photos', '--keep-existing', '--dry-run');
  t.regex(kept.err, /^going on with photos@abababab/);
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

test('a restore is refused for the mark of an earlier one whose snapshot no host keeps any longer', async t => {
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

test('restore names what no host can list and writes the rest, and goes on when run again', async t => {
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
  t.deepEqual(
    recordsOf((await cluster([...args, '--json'])).out).filter(({ message_type }) => message_type === 'problem'),
    [{ message_type: 'problem', kind: 'lacking', path: '', because: '1 parcel (4 B)' }],
  );
  lacking = false;
  t.is((await cluster(args)).code, 0);
  t.deepEqual(readdirSync(target).sort(), ['a', 'b']);
});

test('a dry run exits 3 when not everything is available now, as the restore does', async t => {
  const unreachable = { parcels: 1, bytes: 5, hosts: ['attic'] };
  const stateDir = await serve(t, {
    ...served(placed(tree), new Blobs().add('four')),
    resolve: async () => resolved({ unreachable }),
  });
  const run = (...args: string[]) =>
    cluster(['--state', stateDir, 'restore', 'photos@abababab', '--target', target, ...args]);
  const target = join(temporaryFolder(t), 'out');
  const dry = await run('--dry-run');
  t.is(dry.code, 3);
  t.regex(dry.err, /cannot be reached: switch on attic/);
  t.is((await run()).code, 3);
});

test('a partial snapshot is reported as one, and restoring all of it exits 0', async t => {
  const snapshot = snapshotOf({ files: 2, bytes: 9, partial: true, stale: 1, missed: 4 });
  const [root, a, b] = tree as [Entry, Entry, Entry];
  const stateDir = await serve(t, {
    ...served(placed([root, a, { ...b, stale: true }]), new Blobs().add('four').add('five!')),
    resolve: async () => resolved({ snapshot }),
  });
  const run = (...args: string[]) =>
    cluster(['--state', stateDir, 'restore', 'photos', '--target', join(temporaryFolder(t), 'out'), ...args]);
  const { code, err } = await run();
  t.is(code, 0);
  t.regex(
    err,
    /^snapshot abababab is partial: 5 entries could not be read when it was taken: 4 not in it \(missed\), 1 in it as before \(stale\)\..*\n1 entry of the snapshot is older than it/,
  );
  for (const args of [[], ['--dry-run']])
    t.like(recordsOf((await run('--json', ...args)).out).at(-1), { partial: true, stale: 1, missed: 4, failed: 0 });
});

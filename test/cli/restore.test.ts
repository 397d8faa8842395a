import { EventEmitter, once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ContentFrame, ContentRequest } from '../../src/catalog/restore-content.js';
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

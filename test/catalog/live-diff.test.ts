import { chmodSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import test from 'ava';
import { unseen } from '../../src/catalog/forbidden-folder.js';
import { diffLive, type LiveDifference, type LiveDiffOrder, type LiveRefusal } from '../../src/catalog/live-diff.js';
import { escapePath } from '../../src/catalog/path-text.js';
import { anyTimeMs, aSource, ScratchSource, settle } from './scratch-source.js';

function orderOf(source: ScratchSource, change: Partial<LiveDiffOrder> = {}): LiveDiffOrder {
  if (source.last === undefined) throw new Error('no snapshot yet');
  return {
    path: source.root,
    source: aSource,
    snapshot: source.last,
    under: Buffer.alloc(0),
    objects: source.objects,
    cache: source.cache,
    exclude: [],
    crossMounts: false,
    forbidden: [],
    nowMs: anyTimeMs,
    signal: AbortSignal.timeout(60_000),
    ...change,
  };
}

function textOf(found: LiveDifference | LiveRefusal): string {
  switch (found.kind) {
    case 'refused':
      return `refused ${found.because}`;
    case 'more-unread':
      return `more-unread ${found.count}`;
    case 'unread':
      return `unread ${escapePath(found.path)} ${found.because}`;
    default:
      return `${found.kind} ${escapePath(('after' in found ? found.after : found.before).path)}`;
  }
}

/** What differs, but for folders of which only the time is another. */
async function told(source: ScratchSource, change: Partial<LiveDiffOrder> = {}): Promise<string[]> {
  const all: string[] = [];
  for await (const found of diffLive(orderOf(source, change)))
    if (found.kind !== 'metadata' || found.after.kind !== 'directory') all.push(textOf(found));
  return all;
}

test('what came, went and changed since a snapshot, of the newest and of an older one', async t => {
  const source = new ScratchSource(t);
  source.write({ 'd/gone': '1', 'd/same': 'same', 'd.txt': 'old', f: 'x', mode: 'x', 'way/x': '1', 'way/y/z': '2' });
  const first = await source.take();
  t.deepEqual(await told(source), []);

  rmSync(source.path('d/gone'));
  rmSync(source.path('way'), { recursive: true });
  source.write({ 'd/new': '1', 'd.txt': 'new' });
  rmSync(source.path('f'));
  mkdirSync(source.path('f'));
  chmodSync(source.path('mode'), 0o600);
  symlinkSync('d.txt', source.path('z'));
  const changes = [
    'removed d/gone',
    'added d/new',
    'content d.txt',
    'type f',
    'metadata mode',
    'removed way',
    'removed way/x',
    'removed way/y',
    'removed way/y/z',
    'added z',
  ];
  t.deepEqual(await told(source), changes);

  await source.take();
  t.deepEqual(await told(source), []);
  t.deepEqual(await told(source, { snapshot: first.snapshot }), changes);
});

test('only what lies at the path asked for is told; a path that neither side has is an error', async t => {
  const source = new ScratchSource(t);
  source.write({ 'a/1': '1', 'a/2': '2', 'ab/1': '1', b: 'b' });
  await source.take();
  source.write({ 'a/1': 'x', 'ab/1': 'x', b: 'x', 'new/1': '1' });
  rmSync(source.path('a/2'));
  t.deepEqual(await told(source, { under: Buffer.from('a') }), ['content a/1', 'removed a/2']);
  t.deepEqual(await told(source, { under: Buffer.from('a/2') }), ['removed a/2']);
  t.deepEqual(await told(source, { under: Buffer.from('new') }), ['added new', 'added new/1']);
  await t.throwsAsync(told(source, { under: Buffer.from('nowhere') }), {
    code: 'PATH_UNKNOWN',
    message: /the folder has such a path: nowhere$/,
  });
});

test('what is excluded, and a store in the source, are as little there as for a backup', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'a' });
  const exclude = ['*.tmp'];
  const forbidden = [unseen(source.path('store'))];
  await source.take({ exclude, forbidden });
  source.write({ 'b.tmp': 'b', 'store/blob': 'x', c: 'c' });
  t.deepEqual(await told(source, { exclude, forbidden }), ['added c']);
});

test('a source that is missing, or empty when it was not, is refused and not told as deleted', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'a', 'b/c': 'c' });
  await source.take();
  renameSync(source.root, `${source.root}.away`);
  t.deepEqual(await told(source), ['refused missing-source']);
  mkdirSync(source.root);
  t.deepEqual((await told(source)).at(-1), 'refused empty-source');
  t.deepEqual((await told(source, { under: Buffer.from('b') })).at(-1), 'refused empty-source');
});

test('it puts nothing, and the next backup reads nothing again and is the same', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'a', 'm/b': 'b' });
  await settle(source);
  await source.take();
  source.write({ 'm/c': 'new' });
  renameSync(source.path('m'), source.path('n'));
  await settle(source);
  source.objects.forgetFresh();
  t.deepEqual(await told(source), ['removed m', 'removed m/b', 'added n', 'added n/b', 'added n/c']);
  t.deepEqual(source.objects.fresh, []);

  let readBytes = -1;
  await source.take({
    onProgress: progress => {
      readBytes = progress.readBytes;
    },
  });
  t.is(readBytes, 0);
  t.deepEqual(await source.paths(), ['a', 'n', 'n/b', 'n/c']);
  t.is((await source.entry('n/c')).mtimeNs, statSync(source.path('n/c'), { bigint: true }).mtimeNs);
});

test('it ends when it is called off', async t => {
  const source = new ScratchSource(t);
  source.write({ a: 'a' });
  await source.take();
  const calledOff = new AbortController();
  source.write({ b: 'b', c: 'c' });
  await t.throwsAsync(
    async () => {
      for await (const _found of diffLive(orderOf(source, { signal: calledOff.signal })))
        calledOff.abort(new Error('enough'));
    },
    { message: 'enough' },
  );
});

/** A scan that two threads divide gives what one gives, whatever is there where their parts meet, and whatever moves meanwhile. */
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import test from 'ava';
import { unseen } from '../../src/catalog/forbidden-folder.js';
import { comparePaths } from '../../src/catalog/path-order.js';
import { type ScanOptions, scan } from '../../src/catalog/scan.js';
import type { ScanItem } from '../../src/catalog/scan-items.js';
import { anyTimeMs, aSource, ScratchSource, settle } from './scratch-source.js';

const FILES = 300;
/** More than the thread whose part is taken first may be ahead of who takes it. */
const HELD_FILES = 3000;
const WALKED_FILES = 5000;
const HANG_MS = 60_000;

const pathOf = (n: number): string => `folder${n % 5}/part${n % 3}/file${n}`;

async function aTree(t: { teardown(end: () => Promise<void>): void }): Promise<ScratchSource> {
  const source = new ScratchSource(t);
  for (let n = 0; n < FILES; n += 1) source.write({ [pathOf(n)]: `content ${n}` });
  source.write({ first: '', 'folder2.x': 'right behind a folder', 'a/b/c/d/deep': 'deep' });
  mkdirSync(source.path('folder2/empty'));
  await settle(source);
  return source;
}

/** An item without what tells when it was looked at. */
function told(item: ScanItem): unknown {
  switch (item.kind) {
    case 'entry':
      return [item.entry, item.mark, item.hidden];
    case 'same':
      return [item.section.opening.toString(), item.section.entries];
    case 'unread':
      return [item.path.toString(), item.scope, item.because];
  }
}

async function itemsOf(source: ScratchSource, change: Partial<ScanOptions> = {}): Promise<ScanItem[]> {
  const items: ScanItem[] = [];
  const { path: cachePath, settleMs } = source.cache;
  const options = { path: source.root, source: aSource, cachePath, settleMs, nowMs: anyTimeMs, ...change };
  for await (const event of scan(options)) {
    if (event.kind === 'refused') throw new Error(event.because);
    if (event.kind === 'items') items.push(...event.items);
  }
  return items;
}

test('wherever it is divided, the items are those of one thread, in their order', async t => {
  const source = await aTree(t);
  const whole = (await itemsOf(source)).map(told);
  const odd = [
    '',
    'zzz',
    'folder2/empty/x',
    'folder1/part1',
    'folder1/part9/x',
    'first/x',
    'folder2/part0.x',
    'a/b/c/d/e',
  ];
  const paths = [...odd, pathOf(0), pathOf(7), pathOf(150), pathOf(298), 'a/b/c/d/deep', 'a/b', 'folder2.x', 'no/such'];
  for (const path of paths) t.deepEqual((await itemsOf(source, { divide: Buffer.from(path) })).map(told), whole, path);
});

test('what is excluded, not readable or not a folder on the way is told once', async t => {
  const source = await aTree(t);
  symlinkSync('folder1', source.path('link'));
  const cases = [
    { divide: 'folder1/part1/file1', exclude: ['folder1'] },
    { divide: 'folder1/part1/file1', exclude: ['part1'] },
    { divide: 'link/part1/file1' },
    { divide: 'folder1/part1/file1', forbidden: [unseen(source.path('folder1'))] },
  ];
  for (const { divide, ...change } of cases) {
    const divided = await itemsOf(source, { ...change, divide: Buffer.from(divide) });
    t.deepEqual(divided.map(told), (await itemsOf(source, change)).map(told));
  }
});

test('sections on both sides of where it is divided are told as a whole', async t => {
  const source = new ScratchSource(t);
  for (let n = 0; n < 3000; n += 1) source.write({ [pathOf(n)]: `content ${n}` });
  await settle(source);
  const { snapshot } = await source.take();
  const whole = await itemsOf(source, { previous: snapshot });
  const divided = await itemsOf(source, { previous: snapshot, divide: Buffer.from(pathOf(1502)) });
  const entries = (items: readonly ScanItem[]): number =>
    items.reduce((sum, item) => sum + (item.kind === 'same' ? item.section.entries : 1), 0);
  t.is(entries(divided), entries(whole));
  t.true(divided.length < entries(whole) / 4);
});

for (const [what, from, to] of [
  ['from before where it is divided to behind it', 'm/aaa', 'm/zzz'],
  ['from behind where it is divided to before it', 'm/zzy', 'm/aab'],
] as const) {
  test(`a file that is moved ${what} while both threads are at it is there once`, async t => {
    const source = new ScratchSource(t);
    for (let n = 0; n < HELD_FILES; n += 1) source.write({ [`a/file${n}`]: '' });
    for (let n = 0; n < WALKED_FILES; n += 1) source.write({ [`m/n${n}`]: '' });
    source.write({ 'm/aaa': 'a', 'm/zzy': 'z' });
    await settle(source);
    let walked = (): void => {};
    const isWalked = new Promise<void>((resolve, reject) => {
      walked = resolve;
      AbortSignal.timeout(HANG_MS).addEventListener('abort', () =>
        reject(new Error('the second thread does not walk')),
      );
    });
    const events = scan({
      path: source.root,
      source: aSource,
      cachePath: undefined,
      nowMs: anyTimeMs,
      divide: Buffer.from('m/n'),
      onProgress: ({ files }) => files > WALKED_FILES && walked(),
    });
    const paths: string[] = [];
    for await (const event of events) {
      if (event.kind !== 'items') continue;
      if (paths.length === 0) {
        await isWalked;
        renameSync(source.path(from), source.path(to));
      }
      for (const item of event.items) if (item.kind === 'entry') paths.push(item.entry.path.toString());
    }
    t.is(new Set(paths).size, paths.length);
    t.true(paths.includes(to));
    t.false(paths.includes(from));
    t.is(paths.length, 3 + HELD_FILES + WALKED_FILES + 2);
  });
}

test('a second thread that the first one asks for changes nothing in what is told', async t => {
  const source = new ScratchSource(t);
  for (let n = 0; n < 5000; n += 1) source.write({ [`${n % 50}/part${n % 3}/${n}`]: '' });
  await settle(source);
  const whole = (await itemsOf(source)).map(told);
  t.deepEqual((await itemsOf(source, { divide: { afterMs: 0, busyMin: 0 } })).map(told), whole);
});

test('a scan that is given up ends both threads', async t => {
  const source = await aTree(t);
  const abort = new AbortController();
  const run = async (): Promise<void> => {
    const options = {
      path: source.root,
      source: aSource,
      cachePath: undefined,
      nowMs: anyTimeMs,
      signal: abort.signal,
    };
    for await (const _ of scan({ ...options, divide: Buffer.from(pathOf(150)) })) abort.abort(new Error('enough'));
  };
  await t.throwsAsync(run(), { message: 'enough' });
  t.true((await itemsOf(source)).length > FILES);
});

test('a large source is divided, and a snapshot of it has what a scan by one thread has', async t => {
  const source = new ScratchSource(t);
  for (let n = 0; n < 20_000; n += 1) source.write({ [`${n % 7}/${n}`]: '' });
  await settle(source);
  const first = await source.take();
  rmSync(source.path('3/3'));
  source.write({ '5/new': 'new', '1/1': 'changed', '0/x': 'x' });
  renameSync(source.path('2'), source.path('8'));
  const { filesGone, filesChanged } = await source.take();
  const before = (await source.paths(first.snapshot)).filter(path => path !== '3/3');
  const now = [...before.map(path => path.replace(/^2(?=\/|$)/, '8')), '0/x', '5/new'];
  t.deepEqual(
    await source.paths(),
    now.sort((a, b) => comparePaths(Buffer.from(a), Buffer.from(b))),
  );
  const inFolder2 = before.filter(path => path.startsWith('2/')).length;
  t.deepEqual([filesGone, filesChanged], [1 + inFolder2, 1]);
});

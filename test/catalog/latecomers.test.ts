/** What is moved while a source is scanned, from where the scan has not been to where it has: the snapshot that lacks it says so. */
import { lstatSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Latecomers } from '../../src/catalog/latecomers.js';
import { type ScanOptions, scan } from '../../src/catalog/scan.js';
import { isPartial } from '../../src/catalog/snapshot.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { anyTimeMs, aSource, ScratchSource, settle } from './scratch-source.js';

/** More than a thread may be ahead of who takes them, and than is on its way. */
const WALKED_FILES = 2500;
/** As many of a part that is taken last. */
const HELD_FILES = 20_000;

/** Folders at the beginning, in the midst and at the end of the walk. */
async function aTree(t: { teardown(end: () => Promise<void>): void }): Promise<ScratchSource> {
  const source = new ScratchSource(t);
  source.write({ 'a/there.txt': 'there', 'z/file.txt': 'file', 'z/folder/deep/inner.txt': 'inner' });
  mkdirSync(source.path('m'));
  for (let n = 0; n < WALKED_FILES; n += 1) writeFileSync(source.path('m', `${n}`), '');
  await settle(source);
  return source;
}

/** Of a scan in which `move` is done amid the names of `m`: `a` was left, and `z` was not come to. */
async function latecomersOf(
  source: ScratchSource,
  move: () => void,
  { amid = 1, ...change }: Partial<ScanOptions> & { readonly amid?: number } = {},
): Promise<readonly string[]> {
  const options = { path: source.root, source: aSource, cachePath: undefined, nowMs: anyTimeMs, ...change };
  const latecomers: string[] = [];
  let met = 0;
  let hasMoved = false;
  for await (const event of scan(options)) {
    if (event.kind === 'latecomers') latecomers.push(...event.paths.map(path => path.toString()));
    if (event.kind !== 'items') continue;
    for (const item of event.items) if (item.kind === 'entry' && item.entry.path.toString().startsWith('m/')) met += 1;
    if (hasMoved || met < amid) continue;
    hasMoved = true;
    move();
  }
  return latecomers;
}

const cases: readonly {
  readonly title: string;
  readonly move: (source: ScratchSource) => void;
  readonly latecomers: readonly string[];
}[] = [
  {
    title: 'a file that is moved to where the scan has been is told of',
    move: source => renameSync(source.path('z/file.txt'), source.path('a/file.txt')),
    latecomers: ['a/file.txt'],
  },
  {
    title: 'a folder that is moved to where the scan has been is told of',
    move: source => renameSync(source.path('z/folder'), source.path('a/folder')),
    latecomers: ['a/folder'],
  },
  {
    title: 'what is moved into a folder that was made meanwhile is told of',
    move: source => {
      mkdirSync(source.path('a/new/newer'), { recursive: true });
      renameSync(source.path('z/file.txt'), source.path('a/new/newer/file.txt'));
    },
    latecomers: ['a/new/newer/file.txt'],
  },
  {
    title: 'what takes the place of a file is told of',
    move: source => renameSync(source.path('z/file.txt'), source.path('a/there.txt')),
    latecomers: ['a/there.txt'],
  },
  {
    title: 'what the scan has met under another name is not told of',
    move: source => {
      renameSync(source.path('a/there.txt'), source.path('a/then.txt'));
      renameSync(source.path('a'), source.path('z/a'));
    },
    latecomers: [],
  },
  {
    title: 'what is made during the scan is not told of',
    move: source => {
      source.write({ 'a/new/file.txt': 'new', 'a/there.txt': 'written anew' });
      writeFileSync(source.path('a/there.txt.tmp'), 'written beside');
      renameSync(source.path('a/there.txt.tmp'), source.path('a/there.txt'));
    },
    latecomers: [],
  },
  {
    title: 'what is moved to where the scan will be is met there',
    move: source => renameSync(source.path('z/file.txt'), source.path('z/folder/file.txt')),
    latecomers: [],
  },
  {
    title: 'what is excluded is not told of',
    move: source => renameSync(source.path('z/file.txt'), source.path('a/file.skip')),
    latecomers: [],
  },
];

for (const { title, move, latecomers } of cases)
  test(title, async t => {
    const source = await aTree(t);
    const exclude = ['*.skip'];
    t.deepEqual(await latecomersOf(source, () => move(source), { exclude }), latecomers);
  });

test('what was made as the scan began is not told of, though its birth is dated by a clock that is a little late', t => {
  const root = temporaryFolder(t);
  const toldFrom = (startNs: bigint): readonly string[] => {
    const latecomers = new Latecomers({ startNs, nowNs: () => startNs });
    latecomers.listed(Buffer.alloc(0), { ...lstatSync(root, { bigint: true }), ctimeNs: 1n } as never);
    const look = { root: Buffer.from(root), isElsewhere: () => false, isLeftOut: () => false };
    return latecomers.find(look).map(path => path.toString());
  };
  writeFileSync(join(root, 'new'), '');
  const { birthtimeNs, mtimeNs } = lstatSync(join(root, 'new'), { bigint: true });
  const bornNs = birthtimeNs === 0n ? mtimeNs : birthtimeNs;
  t.deepEqual(toldFrom(bornNs + 20_000_000n), []);
  t.deepEqual(toldFrom(bornNs + 60_000_000n), ['new']);
});

test('of a divided scan nothing is told of that either thread was to meet', async t => {
  const source = await aTree(t);
  for (const divideAt of ['a/there.txt', 'm/100', 'm/9', 'n'])
    for (const move of [() => undefined, () => writeFileSync(source.path(`beside ${divideAt.replace('/', ' ')}`), '')])
      t.deepEqual(await latecomersOf(source, move, { divide: Buffer.from(divideAt) }), [], divideAt);
});

test('a thread that has walked its part looks when the other has listed its last folder', async t => {
  const source = await aTree(t);
  // So many that the other thread waits amid them for who takes them: it has not come to `z`.
  for (let n = WALKED_FILES; n < HELD_FILES; n += 1) writeFileSync(source.path('m', `${n}`), '');
  const move = () => renameSync(source.path('z/file.txt'), source.path('a/file.txt'));
  const divided = { divide: Buffer.from('m'), amid: 2000 };
  t.deepEqual(await latecomersOf(source, move, divided), ['a/file.txt']);
});

test('a snapshot that lacks what was moved meanwhile is partial and names it; the next one has it', async t => {
  const source = await aTree(t);
  const put = source.objects.put.bind(source.objects);
  let hasMoved = false;
  source.objects.put = bytes => {
    if (!hasMoved) renameSync(source.path('z/file.txt'), source.path('a/file.txt'));
    hasMoved = true;
    return put(bytes);
  };
  const taken = await source.take();
  t.true(isPartial(taken));
  t.is(taken.missed, 1);
  t.deepEqual(
    taken.unread.map(({ path, because }) => [path.toString(), because]),
    [['a/file.txt', 'MOVED']],
  );
  const next = await source.take();
  t.false(isPartial(next));
  t.true((await source.paths()).includes('a/file.txt'));
});

import test, { type ExecutionContext } from 'ava';
import { ClusterError } from '../../src/core/fault.js';
import { type ObjectId, parseStoreId, splitSourceId } from '../../src/core/ids.js';
import { DatedTrees } from '../../src/daemon/dated-trees.js';
import type { DatedTree } from '../../src/store/dated-trees.js';
import type { TreeReport } from '../../src/store/tree-view.js';
import { anyTimeMs, aSource, ScratchSource } from '../catalog/scratch-source.js';

const { source: name } = splitSourceId(aSource);
const PLACED: TreeReport = { placed: 2, unplaced: 0, absent: 0, left: 0 };
const [ONE, TWO, AWAY] = ['/one', '/two', '/away'];

/** A host with two stores that are there and one that is not, and what a tree of each becomes. */
async function houseOf(t: ExecutionContext, makes: Readonly<Record<string, TreeReport | ClusterError | undefined>>) {
  const source = new ScratchSource(t);
  source.write({ a: 'a', b: 'b' });
  const { snapshot } = await source.take();
  const trees = new Map<string, DatedTree[]>([
    [ONE, []],
    [TWO, []],
  ]);
  const stores = [...trees.keys()].map((path, n) => ({
    id: parseStoreId(`0${n + 1}`.repeat(16)),
    path,
    datedTrees: async () => trees.get(path) ?? [],
  }));
  const dated = new DatedTrees({
    names: { named: () => aSource, nameOf: () => name },
    snapshots: { newest: () => ({ id: snapshot, timeMs: anyTimeMs }) },
    objects: source.objects,
    roster: { self: 'self', nameOf: () => 'imac' },
    stores: {
      reports: () => [...stores, { path: AWAY, id: undefined, because: 'its disk is not there' }],
      stores: () => stores,
      mounted: (id: string) => stores.find(store => store.id === id),
    },
    trees: {
      makeDated: async ({ store: { path } }: { readonly store: { readonly path: string } }) => {
        const made = makes[path];
        if (made instanceof ClusterError) throw made;
        return made;
      },
      removeDated: async ({ store: { path }, tree }: { store: { path: string }; tree: DatedTree }) => {
        trees.set(path, trees.get(path)?.filter(one => one !== tree) ?? []);
        return 0;
      },
    },
  } as unknown as ConstructorParameters<typeof DatedTrees>[0]);
  const make = (...paths: string[]) => dated.make({ spec: name, stores: paths }, AbortSignal.timeout(60_000));
  const remove = async (spec: string, ...paths: string[]): Promise<string[]> => {
    const removed = await dated.remove({ spec, stores: paths });
    return removed.map(report => `${report.path.split('/')[1]} ${report.snapshot.slice(0, 2)}`);
  };
  return { make, remove, trees, snapshot };
}

const noLinks = new ClusterError('NO_HARD_LINKS', 'no hard links', { blame: 'operator' });

test('a tree is made in each store that holds something and can have one', async t => {
  const { make, snapshot } = await houseOf(t, { [ONE]: noLinks, [TWO]: PLACED });
  const reports = await make();
  t.is(reports.length, 1);
  t.like(reports[0], {
    path: '/two/imac/photos@2027-01-15T08-00-00Z',
    snapshot,
    files: 2,
    placed: 2,
    timeMs: anyTimeMs,
  });
  await t.throwsAsync(make(ONE), { code: 'NO_HARD_LINKS' });
  await t.throwsAsync(make(TWO, ONE), { code: 'NO_HARD_LINKS' });
});

test('where none can have one, or none holds anything, that is said', async t => {
  await t.throwsAsync((await houseOf(t, { [ONE]: noLinks })).make(), { code: 'NO_HARD_LINKS' });
  const { make } = await houseOf(t, {});
  const refusal = await t.throwsAsync(make(), { code: 'NOTHING_HELD' });
  t.regex(refusal?.message ?? '', /'cluster ls-replicas photos@[0-9a-f]{8}' names the hosts that do/);
});

test('a store that is not mounted is told with the reason', async t => {
  const { make, remove } = await houseOf(t, { [ONE]: PLACED });
  for (const work of [make(AWAY), remove(name, AWAY)]) {
    const refusal = await t.throwsAsync(work, { code: 'STORE_MISSING' });
    t.regex(refusal?.message ?? '', /\/away is not mounted: its disk is not there\. Nothing was done/);
  }
});

test('removed are those of one snapshot in all stores, or all of the source; other sources keep theirs', async t => {
  const { remove, trees } = await houseOf(t, {});
  const tree = (id: string, day: number, source = name): DatedTree => ({
    originName: 'imac',
    source,
    datedMs: Date.UTC(2026, 0, day, 12),
    snapshot: id.repeat(16) as ObjectId,
  });
  const other = tree('0a0b', 2, 'music');
  trees.set(ONE, [tree('0a0b', 2), tree('0c0d', 3), other]);
  trees.set(TWO, [tree('0a0b', 2), tree('0e0f', 4)]);
  await t.throwsAsync(remove(`${name}@ffffffff`), { code: 'TREE_UNKNOWN' });
  t.deepEqual(await remove(`${name}@2026-01-02T12:00:00Z`), ['one 0a', 'two 0a']);
  t.deepEqual(await remove(`${name}@latest`), ['two 0e']);
  trees.set(TWO, [{ ...tree('0c0d', 5), snapshot: `0c0d0c0d${'0'.repeat(56)}` as ObjectId }]);
  await t.throwsAsync(remove(`${name}@0c0d0c0d`), { code: 'SNAPSHOT_AMBIGUOUS' });
  t.deepEqual(await remove(name), ['one 0c', 'two 0c']);
  t.deepEqual([...trees.values()], [[other], []]);
  await t.throwsAsync(remove(name), { code: 'TREE_UNKNOWN' });
});

import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import type { ListedSnapshot } from '../../src/catalog/head.js';
import { walkParcels } from '../../src/catalog/walk.js';
import { type ObjectId, type ParcelId, parseStoreId, splitSourceId } from '../../src/core/ids.js';
import { TreeKeeper } from '../../src/daemon/tree-keeper.js';
import type { DatedTree } from '../../src/store/dated-trees.js';
import type { Store } from '../../src/store/store.js';
import type { TreeReport, TreeView } from '../../src/store/tree-view.js';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';
import { until } from '../helpers/until.js';

const STORE = parseStoreId('57'.repeat(16));
const { origin, source: name } = splitSourceId(aSource);

/** A store that holds the parcels of one snapshot and has a dated tree of it, and all that a keeper looks at. */
class House {
  readonly source: ScratchSource;
  readonly tree: DatedTree;
  readonly keeper: TreeKeeper;
  readonly held = new Set<ParcelId>();
  readonly dated: DatedTree[] = [];
  /** Paths of each update. */
  readonly written: string[][] = [];
  wanted: readonly ObjectId[];
  isUnsettled = false;
  isHeadKnown = true;
  /** Protected, but for those that are short. */
  listed: readonly ListedSnapshot[] = [];
  readonly short = new Set<ObjectId>();
  /** The snapshot of the tree that is found at the start, if it was left halfway. */
  unfinished: ObjectId | undefined;
  /** From here on nobody has accepted the snapshots. */
  unacceptedSinceMs: number | undefined;
  /** Snapshots of which an update fails halfway. */
  readonly failing = new Set<ObjectId>();
  /** What an update of a tree says besides. */
  told: Partial<TreeReport> = {};
  readonly logged: string[] = [];
  /** Mounted before it. */
  others: Store[] = [];
  seq = 1;
  losses = 0;
  looks = 0;

  private constructor(t: ExecutionContext, source: ScratchSource, snapshot: ObjectId) {
    this.source = source;
    this.wanted = [snapshot];
    this.tree = { originName: 'imac', source: name, datedMs: 0, snapshot };
    const ended = new AbortController();
    this.keeper = new TreeKeeper({
      stores: { stores: () => [...this.others, this.store] },
      catalog: this.#catalog(),
      objects: source.objects,
      known: { holders: (id: ParcelId) => (this.held.has(id) ? [{ store: STORE }] : []) },
      protections: {
        of: async (_: string, { id }: ListedSnapshot) => ({ copiesWanted: 1, under: this.short.has(id) ? 1 : 0 }),
      },
      roster: { named: (host: string) => (host === 'imac' ? { host: origin } : undefined), nameOf: () => 'imac' },
      clock: { nowMs: () => 0 },
      timing: () => ({ treeQuietMs: 0, treeEveryMs: 0 }),
      log: pino({ level: 'warn' }, { write: (line: string) => void this.logged.push(JSON.parse(line).code) }),
      signal: ended.signal,
    } as unknown as ConstructorParameters<typeof TreeKeeper>[0]);
    t.teardown(async () => {
      ended.abort();
      await this.keeper.stop();
    });
  }

  static async begin(t: ExecutionContext): Promise<House> {
    const source = new ScratchSource(t);
    source.write({ a: 'a', 'b/c': 'c' });
    const { snapshot } = await source.take();
    const house = new House(t, source, snapshot);
    for await (const { id } of walkParcels(source.objects, snapshot)) house.held.add(id);
    return house;
  }

  get store(): Store {
    return {
      id: STORE,
      losses: this.losses,
      position: () => {
        this.looks += 1;
        return { epoch: { random: 'e' }, seq: this.seq };
      },
      datedTrees: async () => [...this.dated],
      unfinishedTree: async () => this.unfinished,
      updateTree: async ({ files, signal, ...tree }: TreeView) => {
        const isNew = !this.dated.some(({ snapshot }) => snapshot === tree.snapshot);
        if (isNew && 'datedMs' in tree) this.dated.push(tree as DatedTree);
        const paths: string[] = [];
        for await (const { path, kind } of files) if (kind === 'file') paths.push(path.toString());
        this.written.push(paths);
        signal?.throwIfAborted();
        if (this.failing.has(tree.snapshot)) throw new Error('the disk is full');
        return { placed: paths.length, unplaced: 0, absent: 0, left: 0, ...this.told };
      },
      removeTree: async ({ snapshot }: DatedTree) => {
        this.dated.splice(0, this.dated.length, ...this.dated.filter(tree => tree.snapshot !== snapshot));
        return 0;
      },
    } as unknown as Store;
  }

  #catalog(): object {
    const house = this;
    return {
      sources: () => [aSource],
      forgottenSources: () => new Set(),
      get: () => (house.isHeadKnown ? { hash: `head ${house.wanted}`, head: house.#head } : undefined),
      wantedSnapshots: () => house.wanted,
      get isUnsettled() {
        return house.isUnsettled;
      },
    };
  }

  get #head(): object {
    const { listed: snapshots, unacceptedSinceMs } = this;
    return { snapshots, ...(unacceptedSinceMs !== undefined && { unacceptedSinceMs }) };
  }

  make(signal: AbortSignal = AbortSignal.timeout(60_000)): Promise<unknown> {
    return this.keeper.makeDated({ store: this.store, tree: this.tree }, signal);
  }

  async looksAgain(): Promise<void> {
    const from = this.looks;
    await until('some more looks', () => this.looks >= from + 3);
  }
}

test('a dated tree is written again when what is held of it has changed, and not before', async t => {
  const house = await House.begin(t);
  await house.make();
  t.deepEqual(house.written, [['a', 'b/c']]);
  house.keeper.start();
  house.seq += 1;
  await house.looksAgain();
  t.is(house.written.length, 1);
  house.held.clear();
  house.seq += 1;
  await until('it is gone with the last of it', () => house.dated.length === 0);
  t.deepEqual(house.written, [['a', 'b/c'], []]);
});

test('one that is found at the start is written once', async t => {
  const house = await House.begin(t);
  house.dated.push(house.tree);
  house.keeper.start();
  await until('it is written', () => house.written.length > 0);
  await house.looksAgain();
  t.deepEqual(house.written, [['a', 'b/c']]);
});

test('a store that hangs keeps no tree of another from being written', async t => {
  const house = await House.begin(t);
  let answer = (_: DatedTree[]): void => {};
  const hangs = new Promise<DatedTree[]>(resolve => {
    answer = resolve;
  });
  const hanging = { ...house.store, id: parseStoreId('58'.repeat(16)), datedTrees: () => hangs };
  house.others = [hanging as unknown as Store];
  house.dated.push(house.tree);
  house.keeper.start();
  await until('it is written', () => house.written.length > 0);
  house.held.clear();
  house.seq += 1;
  await until('… and again', () => house.written.length > 1);
  t.deepEqual(house.written, [['a', 'b/c'], []]);
  answer([]);
});

test('it goes when nobody keeps its snapshot any more, and not while that is not known', async t => {
  const house = await House.begin(t);
  await house.make();
  house.wanted = [];
  house.isUnsettled = true;
  house.keeper.start();
  await house.looksAgain();
  t.is(house.dated.length, 1, 'a head is on its way');
  house.isHeadKnown = false;
  house.isUnsettled = false;
  await house.looksAgain();
  t.is(house.dated.length, 1, 'no head is known');
  house.isHeadKnown = true;
  await until('it is gone', () => house.dated.length === 0);
});

test('one of a host that is no member stays', async t => {
  const house = await House.begin(t);
  house.dated.push({ ...house.tree, originName: 'gone' });
  house.wanted = [];
  house.keeper.start();
  await house.looksAgain();
  t.is(house.dated.length, 1);
});

test('what is called off while it is made is taken away, unless it was there before', async t => {
  const house = await House.begin(t);
  const calledOff = AbortSignal.abort(new Error('enough'));
  const late = new AbortController();
  await t.throwsAsync(house.make(calledOff), { message: 'enough' });
  t.deepEqual(house.written, []);
  const making = house.make(late.signal);
  late.abort(new Error('enough'));
  await t.throwsAsync(making, { message: 'enough' });
  t.deepEqual(house.dated, []);

  await house.make();
  const again = new AbortController();
  const updating = house.make(again.signal);
  again.abort(new Error('enough'));
  await t.throwsAsync(updating, { message: 'enough' });
  t.deepEqual(house.dated, [house.tree]);
});

test('of nothing that is held no tree is made', async t => {
  const house = await House.begin(t);
  house.held.clear();
  t.is(await house.make(), undefined);
  t.deepEqual(house.dated, []);
});

test('of two snapshots of one second the one that has the tree keeps it, unless nobody keeps that one', async t => {
  const house = await House.begin(t);
  const other = { ...house.tree, snapshot: 'ee'.repeat(32) as ObjectId };
  house.dated.push(other);
  house.wanted = [...house.wanted, other.snapshot];
  const refusal = await t.throwsAsync(house.make(), { code: 'TREE_TAKEN' });
  t.regex(refusal?.message ?? '', /tree of snapshot eeeeeeee.*tree photos@eeeeeeee --remove/);
  t.deepEqual(house.written, []);
  house.wanted = [house.tree.snapshot];
  await house.make();
  t.deepEqual(house.written, [['a', 'b/c']]);
});

test('a store has a hundred dated trees at the most', async t => {
  const house = await House.begin(t);
  const other = 'ee'.repeat(32) as ObjectId;
  for (let n = 1; n < 100; n += 1) house.dated.push({ ...house.tree, datedMs: n * 1000, snapshot: other });
  await house.make();
  t.is(house.dated.length, 100);
  await house.make();
  house.dated.pop();
  house.dated.push({ ...house.tree, datedMs: 100_000, snapshot: other });
  await t.throwsAsync(house.make(), { code: 'TREES_TOO_MANY' });
  t.is(house.dated.length, 100);
});

test('that a store can have no files in its trees, for want of hard links, is told once', async t => {
  const house = await House.begin(t);
  house.listed = [{ id: house.tree.snapshot, timeMs: 0, complete: true, firstSeq: 1 }];
  house.keeper.start();
  await until('the tree is written', () => house.written.length > 0);
  t.deepEqual(house.logged, []);
  house.told = { placed: 0, unplaced: 2, noHardLinks: true };
  for (let times = 0; times < 3; times += 1) {
    const from = house.written.length;
    house.seq += 1;
    await until('it is written again', () => house.written.length > from);
    await house.looksAgain();
  }
  t.deepEqual(house.logged, ['TREE_WITHOUT_LINKS']);
});

/** A house whose newer snapshot is short of copies. */
async function withShortNewer(t: ExecutionContext) {
  const house = await House.begin(t);
  house.source.write({ d: 'd' });
  const { snapshot: newer } = await house.source.take();
  house.listed = [house.tree.snapshot, newer].map((id, n) => ({ id, timeMs: n, complete: true, firstSeq: n + 1 }));
  house.short.add(newer);
  return { house, newer };
}

test('while the newest snapshot is short of copies an older one is shown, and written once', async t => {
  const { house } = await withShortNewer(t);
  house.keeper.start();
  await until('the older one is written', () => house.written.length > 0);
  await house.looksAgain();
  t.deepEqual(house.written, [['a', 'b/c']]);
  house.seq += 1;
  await until('what is held has changed', () => house.written.length === 2);
  house.short.clear();
  await until('the newer one is written', () => house.written.length === 3);
  await house.looksAgain();
  t.is(house.written.length, 3);
});

test('a tree that is half at the newest snapshot goes back to the older one, when that is shown again', async t => {
  const { house, newer } = await withShortNewer(t);
  house.failing.add(newer);
  house.keeper.start();
  await until('the older one is written', () => house.written.length > 0);
  house.short.clear();
  await until('the newer one is begun', () => house.logged.length > 0);
  house.short.add(newer);
  const begun = house.written.length;
  await until('the older one is written again', () => house.written.length > begun);
  t.deepEqual(house.written.at(-1), ['a', 'b/c']);
});

const OLDER = ['a', 'b/c'];
const NEWER = ['a', 'b/c', 'd'];

test('a tree that was left halfway is written again after a start, though nothing is protected then, and once', async t => {
  for (const [of, written] of [
    ['the older', OLDER],
    ['the newer', NEWER],
    ['one that is listed no more', NEWER],
  ] as const) {
    const { house, newer } = await withShortNewer(t);
    const older = house.tree.snapshot;
    house.short.add(older);
    house.unfinished = of === 'the older' ? older : of === 'the newer' ? newer : ('ee'.repeat(32) as ObjectId);
    for await (const { id } of walkParcels(house.source.objects, newer)) house.held.add(id);
    house.keeper.start();
    await until('it is written', () => house.written.length > 0);
    house.seq += 1;
    await house.looksAgain();
    t.deepEqual(house.written, [written], of);
  }
});

test('… not at a snapshot that nobody has accepted, and not if its last update came to its end', async t => {
  const { house, newer } = await withShortNewer(t);
  house.short.add(house.tree.snapshot);
  house.keeper.start();
  await house.looksAgain();
  t.deepEqual(house.written, []);

  const { house: braked } = await withShortNewer(t);
  braked.short.add(braked.tree.snapshot);
  braked.unfinished = newer;
  braked.unacceptedSinceMs = 1;
  braked.keeper.start();
  await until('it is written', () => braked.written.length > 0);
  t.deepEqual(braked.written, [OLDER]);
});

test('a tree whose update fails is written again, though nothing is protected by then', async t => {
  const { house, newer } = await withShortNewer(t);
  for await (const { id } of walkParcels(house.source.objects, newer)) house.held.add(id);
  house.short.clear();
  house.failing.add(newer);
  house.keeper.start();
  await until('it fails', () => house.logged.length > 0);
  house.short.add(newer).add(house.tree.snapshot);
  house.failing.clear();
  const begun = house.written.length;
  await until('it is written', () => house.written.length > begun);
  await house.looksAgain();
  t.deepEqual(house.written.slice(begun), [NEWER]);
});

test('a tree of whose store a file was found wrong is written again, though nothing is protected then, and when it is back', async t => {
  const { house } = await withShortNewer(t);
  house.keeper.start();
  await until('the older one is written', () => house.written.length > 0);
  house.short.add(house.tree.snapshot);
  house.seq += 1;
  await house.looksAgain();
  t.is(house.written.length, 1);
  const [lost] = house.held;
  t.not(lost, undefined);
  house.held.clear();
  house.losses += 1;
  house.seq += 1;
  await until('it is written without the file', () => house.written.length === 2);
  t.deepEqual(house.written[1], []);
  await house.looksAgain();
  t.is(house.written.length, 2);
  house.held.add(lost as ParcelId);
  house.seq += 1;
  await until('it is written with the file that has come', () => house.written.length === 3);
  t.deepEqual(house.written[2], OLDER);
  house.short.clear();
  await until('one is protected', () => house.written.length === 4);
  house.short.add(house.listed.at(-1)?.id as ObjectId).add(house.tree.snapshot);
  house.seq += 1;
  await house.looksAgain();
  t.is(house.written.length, 4);
});

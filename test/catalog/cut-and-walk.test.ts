import test from 'ava';
import fc from 'fast-check';
import { changedParcels } from '../../src/catalog/changed-parcels.js';
import { Cutter, cutMarkOf, endsRun, PARCEL_FILE_BYTES, RUN_BYTES_MAX, RUN_SPAN_MAX } from '../../src/catalog/cut.js';
import { type Entry, encodeEntry } from '../../src/catalog/entry.js';
import { inheritKeys, openingKey } from '../../src/catalog/inherit-keys.js';
import type { MergedEntry } from '../../src/catalog/merge-scan.js';
import { comparePaths, isAtOrUnder } from '../../src/catalog/path-order.js';
import { ObjectMissing, readRecord, readSnapshot } from '../../src/catalog/read-object.js';
import { RECORD_BYTES_MAX } from '../../src/catalog/record.js';
import type { SnapshotId } from '../../src/catalog/snapshot.js';
import { SnapshotParcels } from '../../src/catalog/snapshot-parcels.js';
import { findEntry, walkEntries, walkParcels } from '../../src/catalog/walk.js';
import { walkReadable } from '../../src/catalog/walk-readable.js';
import type { Key } from '../../src/core/ids.js';
import type { ParcelRef } from '../../src/core/parcel.js';
import { arbitraryPath } from './arbitraries.js';
import { KeptObjects } from './kept-objects.js';
import { aFile, photos, snapshotOf } from './made-snapshots.js';
import { aSource } from './scratch-source.js';

/** Node 20 has no Array.fromAsync. */
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function refsOf(objects: KeptObjects, snapshot: SnapshotId): Promise<ParcelRef[]> {
  return all(walkParcels(objects, snapshot));
}

const cut = (entries: readonly Entry[]): Entry[][] => {
  const cutter = new Cutter<MergedEntry>();
  const parcels = entries.flatMap(entry => [...cutter.push({ entry, mark: cutMarkOf(entry), before: undefined })]);
  return [...parcels, ...cutter.end()].map(parcel => parcel.map(({ entry }) => entry));
};

test('a run ends with probability 1/64, or in proportion to a larger size', t => {
  t.true(endsRun({ mark: 2 ** 26 - 1, sizeBytes: 0 }));
  t.false(endsRun({ mark: 2 ** 26, sizeBytes: 0 }));
  // 4 MiB of 16: a quarter.
  t.true(endsRun({ mark: 2 ** 30 - 1, sizeBytes: 4 * 1024 * 1024 }));
  t.false(endsRun({ mark: 2 ** 30, sizeBytes: 4 * 1024 * 1024 }));
});

test('a file of 8 MiB is its own parcel and does not end the run around it, one byte less is in the run', t => {
  const entries = ['a', 'b', 'c'].map(name => aFile(name, { size: name === 'b' ? PARCEL_FILE_BYTES : 1 }));
  t.deepEqual(
    cut(entries).map(parcel => parcel.map(({ path }) => path.toString())),
    [['a', 'c'], ['b']],
  );
  const [small] = cut([aFile('a', { size: 1 }), aFile('b', { size: PARCEL_FILE_BYTES - 1 })]);
  t.is(small?.length, 2);
});

test('runs keep to 512 entries, 64 MiB and a record’s limit, whatever comes', t => {
  const shape = fc.record({
    size: fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 20 * 1024 * 1024 })),
    long: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(shape, { maxLength: 700, size: 'max' }), shapes => {
      const entries = shapes.map(({ size, long }, index) =>
        aFile(`${String(index).padStart(6, '0')}${long ? 'x'.repeat(4000) : ''}`, { size: size + 1 }),
      );
      const parcels = cut(entries);
      for (const parcel of parcels) {
        const bytes = parcel.reduce((sum, { size }) => sum + size, 0);
        t.true(parcel.length === 1 || bytes <= RUN_BYTES_MAX);
        t.true(parcel.length <= RUN_SPAN_MAX);
        t.true(parcel.reduce((sum, entry) => sum + encodeEntry(entry).length, 160) <= RECORD_BYTES_MAX);
      }
      // Nothing is lost, and parcels stand in the order of their first paths.
      t.is(parcels.flat().length, entries.length);
      const openings = parcels.map(([first]) => first?.path ?? Buffer.alloc(0));
      t.deepEqual(openings, [...openings].sort(comparePaths));
    }),
    { numRuns: 30 },
  );
});

test('a run without any end of its own closes at 512 entries, large files inside it counted', t => {
  const never = (count: number, size: number): number[] => {
    const cutter = new Cutter<MergedEntry>();
    const lengths: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const entry = aFile(String(index).padStart(6, '0'), { size: index === 0 ? 1 : size });
      for (const parcel of cutter.push({ entry, mark: 2 ** 32 - 1, before: undefined })) lengths.push(parcel.length);
    }
    return lengths;
  };
  t.deepEqual(never(RUN_SPAN_MAX - 1, 1), []);
  t.deepEqual(never(RUN_SPAN_MAX, 1), [RUN_SPAN_MAX]);
  t.is(never(RUN_SPAN_MAX, PARCEL_FILE_BYTES).length, RUN_SPAN_MAX);
});

test('an insertion changes one to three parcels of ten thousand files, and 1.5 on average at most', async t => {
  const objects = new KeptObjects();
  const entries = photos(10_000);
  const before = await snapshotOf(objects, entries);
  const parcels = (await refsOf(objects, before)).length;
  t.true(parcels > 100 && parcels < 250, `${parcels} parcels`);
  let total = 0;
  const tries = 25;
  for (let index = 0; index < tries; index += 1) {
    const after = await snapshotOf(
      objects,
      [...entries, aFile(`year${index % 10}/month${index}/new${index}.jpg`, { size: 3_000 })],
      before,
    );
    const changes = await all(changedParcels(objects, before, after));
    const added = changes.filter(({ change }) => change === 'added').length;
    t.true(added >= 1 && added <= 3, `${added} parcels`);
    total += added;
  }
  t.true(total / tries <= 1.5, `${total / tries} on average`);
});

test('a changed file keeps its parcel’s key, and all other parcels and most pages stay', async t => {
  const objects = new KeptObjects();
  const before = await snapshotOf(objects, photos(3000));
  const after = await snapshotOf(
    objects,
    photos(3000, (name, index) => aFile(name, { size: 3_000, content: index === 1500 ? 'edited' : name })),
    before,
  );
  const [removed, added] = await all(changedParcels(objects, before, after));
  t.is(removed?.change, 'removed');
  t.is(added?.change, 'added');
  t.is(added?.ref.key, removed?.ref.key);
  const [a, b] = [await readSnapshot(objects, before), await readSnapshot(objects, after)];
  t.is(b.pages.filter(page => !a.pages.includes(page)).length, 1);
});

test('a large file that is rewritten keeps its key, also after it was renamed', async t => {
  const objects = new KeptObjects();
  const large = (path: string, content: string): Entry => aFile(path, { size: PARCEL_FILE_BYTES, content });
  const first = await snapshotOf(objects, [large('disk.img', 'one')]);
  const second = await snapshotOf(objects, [large('renamed.img', 'one')], first);
  const third = await snapshotOf(objects, [large('renamed.img', 'two')], second);
  const keys = [first, second, third].map(async snapshot => (await refsOf(objects, snapshot))[0]?.key);
  t.is(new Set(await Promise.all(keys)).size, 1);
});

test('a new file at a path whose key went elsewhere with its old content gets a key of its own', async t => {
  const objects = new KeptObjects();
  const large = (path: string, content: string): Entry => aFile(path, { size: PARCEL_FILE_BYTES, content });
  const first = await snapshotOf(objects, [large('a', 'one')]);
  const second = await snapshotOf(objects, [large('b', 'one')], first);
  const third = await snapshotOf(objects, [large('a', 'two'), large('b', 'one')], second);
  const [atA, atB] = await refsOf(objects, third);
  t.is(String(atB?.key), String((await refsOf(objects, first))[0]?.key));
  t.not(String(atA?.key), String(atB?.key));
});

test('a renamed folder’s parcels keep the keys of those whose bytes they have', async t => {
  const objects = new KeptObjects();
  const before = await snapshotOf(objects, photos(4000));
  const after = await snapshotOf(
    objects,
    photos(4000, name => aFile(name.replace(/^year3\//, 'zzz-renamed/'), { size: 3_000, content: name })),
    before,
  );
  const [old, now] = [await refsOf(objects, before), await refsOf(objects, after)];
  const oldKeys = new Map<string, ParcelRef>(old.map(ref => [ref.key, ref]));
  t.is(new Set(now.map(({ key }) => key)).size, now.length, 'each key once');
  // Bytes that stay with the key, and so with the hosts, that they had.
  let stayed = 0;
  let moved = 0;
  for (const ref of now) {
    const entries = await readRecord(objects, ref);
    if (!entries[0]?.path.toString().startsWith('zzz')) continue;
    const predecessor = oldKeys.get(ref.key);
    const had = new Set(
      predecessor === undefined ? [] : (await readRecord(objects, predecessor)).map(({ blob }) => blob),
    );
    for (const { blob, size } of entries)
      if (had.has(blob)) stayed += size;
      else moved += size;
  }
  t.true(stayed > moved, `${stayed} bytes stayed, ${moved} moved`);
});

test('keys go to those who share the most bytes, then the most paths, each once', t => {
  const [k1, k2] = ['11'.repeat(16) as Key, '22'.repeat(16) as Key];
  const overlap = (ordinal: number, bytes: number, paths = 0) => ({
    ordinal,
    key: ordinal === 1 ? k1 : k2,
    bytes,
    paths,
  });
  t.deepEqual(inheritKeys([[overlap(1, 5)], [overlap(1, 6)]]), [undefined, k1]);
  t.deepEqual(inheritKeys([[overlap(1, 6), overlap(2, 5)], [overlap(1, 7)]]), [k2, k1]);
  t.deepEqual(inheritKeys([[overlap(1, 0, 1)], [overlap(1, 0, 2)]]), [undefined, k1]);
  t.deepEqual(inheritKeys([[overlap(1, 3)], [overlap(1, 3)]]), [k1, undefined]);
  t.deepEqual(inheritKeys([[]]), [undefined]);
});

test('an opening key hangs on the origin, the source and the path', t => {
  const keys = [
    openingKey(aSource, Buffer.from('a')),
    openingKey(aSource, Buffer.from('b')),
    openingKey(aSource, Buffer.from('a'), 1),
    openingKey(`${'cd'.repeat(16)}/photos` as typeof aSource, Buffer.from('a')),
    openingKey(`${'ab'.repeat(16)}/music` as typeof aSource, Buffer.from('a')),
  ];
  t.is(new Set(keys).size, keys.length);
  t.is(String(openingKey(aSource, Buffer.from('a'))), String(keys[0]));
});

const sizes = fc.oneof(
  { weight: 4, arbitrary: fc.nat({ max: 1000 }) },
  { weight: 1, arbitrary: fc.constant(PARCEL_FILE_BYTES) },
);
const trees = fc.uniqueArray(fc.tuple(arbitraryPath, sizes), {
  maxLength: 300,
  size: 'max',
  selector: ([path]) => path.toString('latin1'),
});

test('a walk gives every entry once and in path order, whatever the cuts', async t => {
  await fc.assert(
    fc.asyncProperty(trees, async list => {
      const entries = list.map(([path, size]) => aFile(path, { size: size + 1, content: path.toString('latin1') }));
      if (entries.length === 0) return;
      const objects = new KeptObjects();
      const snapshot = await snapshotOf(objects, entries);
      const walked = await all(walkEntries(objects, snapshot));
      t.deepEqual(
        walked.map(({ entry }) => entry.path.toString('latin1')),
        [...entries].sort((a, b) => comparePaths(a.path, b.path)).map(({ path }) => path.toString('latin1')),
      );
    }),
    { numRuns: 30 },
  );
});

test('a walk below a path gives what is there and nothing else, and finds single paths', async t => {
  await fc.assert(
    fc.asyncProperty(trees, fc.nat(), fc.nat(), async (list, pick, depth) => {
      const entries = list.map(([path, size]) => aFile(path, { size: size + 1, content: path.toString('latin1') }));
      const picked = entries[pick % Math.max(entries.length, 1)];
      if (picked === undefined) return;
      const parts = picked.path.toString('latin1').split('/');
      const under = Buffer.from(parts.slice(0, 1 + (depth % parts.length)).join('/'), 'latin1');
      const objects = new KeptObjects();
      const snapshot = await snapshotOf(objects, entries);
      const walked = await all(walkEntries(objects, snapshot, { under }));
      const expected = entries
        .filter(({ path }) => isAtOrUnder(path, under))
        .sort((a, b) => comparePaths(a.path, b.path));
      t.deepEqual(
        walked.map(({ entry }) => entry.path.toString('latin1')),
        expected.map(({ path }) => path.toString('latin1')),
      );
      t.deepEqual((await findEntry(objects, snapshot, picked.path))?.entry, picked);
      t.is(await findEntry(objects, snapshot, Buffer.concat([picked.path, Buffer.from('/no/such/path')])), undefined);
    }),
    { numRuns: 60 },
  );
});

test('a path is found among ten thousand files by reading a few records', async t => {
  const objects = new KeptObjects();
  const snapshot = await snapshotOf(objects, photos(10_000));
  objects.reads = 0;
  t.truthy(await findEntry(objects, snapshot, Buffer.from('year5/month65/img9065.jpg')));
  t.true(objects.reads < 40, `${objects.reads} objects read`);
});

test('what two snapshots have in common is not given, and equal pages are not read', async t => {
  const objects = new KeptObjects();
  const before = await snapshotOf(objects, photos(5000));
  t.deepEqual(await all(changedParcels(objects, before, before)), []);
  const refs = await refsOf(objects, before);
  const fromNothing = await all(changedParcels(objects, undefined, before));
  t.deepEqual(
    fromNothing.map(({ ref }) => ref),
    refs,
  );
  const after = await snapshotOf(objects, [...photos(5000), aFile('year0/month0/x.jpg')], before);
  objects.reads = 0;
  await all(changedParcels(objects, before, after));
  t.true(objects.reads <= 6, `${objects.reads} objects read`);
});

test('an object that is missing is named', async t => {
  const objects = new KeptObjects();
  const snapshot = await snapshotOf(objects, photos(500));
  const [ref] = await refsOf(objects, snapshot);
  if (ref === undefined) throw new Error('no parcels');
  objects.lose(ref.id);
  const error = await t.throwsAsync(all(walkEntries(objects, snapshot)), { instanceOf: ObjectMissing });
  t.is((error as ObjectMissing).id, ref.id);
});

/** Files, and the folders that they lie in. */
const wholeTrees = trees.map(list => {
  const folders = new Set<string>(['']);
  for (const [path] of list) {
    const parts = path.toString('latin1').split('/');
    for (let depth = 1; depth < parts.length; depth += 1) folders.add(parts.slice(0, depth).join('/'));
  }
  const files = list.filter(([path]) => !folders.has(path.toString('latin1')));
  return [
    ...files.map(([path, size]) => aFile(path, { size: size + 1, content: path.toString('latin1') })),
    ...Array.from(folders, path => aFolder(Buffer.from(path, 'latin1'))),
  ];
});

const aFolder = (path: Buffer): Entry => ({ ...aFile(path), kind: 'directory', size: 0, blob: undefined });

test('a walk over what is left gives all of it in order, below folders that stand in, and gaps around all that is lost', async t => {
  await fc.assert(
    fc.asyncProperty(wholeTrees, fc.infiniteStream(fc.nat({ max: 2 })), fc.nat(), async (entries, lots, pick) => {
      const objects = new KeptObjects();
      const snapshot = await snapshotOf(objects, entries);
      const parcels = await all((await SnapshotParcels.open(objects, snapshot)).records());
      const lost = parcels.filter(() => lots.next().value === 0);
      for (const { ref } of lost) objects.lose(ref.id);
      const isLost = new Set(lost.flatMap(parcel => parcel.entries.map(({ path }) => path.toString('latin1'))));
      const under = pick % 3 === 0 ? Buffer.alloc(0) : (entries[pick % entries.length]?.path ?? Buffer.alloc(0));
      const inside = entries
        .filter(({ path }) => isAtOrUnder(path, under))
        .sort((a, b) => comparePaths(a.path, b.path));

      const items = await all(walkReadable(objects, snapshot, { under }));
      const given = items.flatMap(item => (item.is === 'entry' ? [item.entry] : []));
      const gaps = items.flatMap(item => (item.is === 'gap' ? [item.gap] : []));
      t.deepEqual(
        given,
        inside.filter(({ path }) => !isLost.has(path.toString('latin1'))),
      );
      for (const { path } of inside.filter(entry => isLost.has(entry.path.toString('latin1')))) {
        const around = gaps.filter(
          ({ after, before }) =>
            (after === undefined || comparePaths(after, path) < 0) &&
            (before === undefined || comparePaths(before, path) > 0),
        );
        t.true(around.length > 0, `nothing is told of ${path.toString('latin1')}`);
      }
      if (under.length === 0) {
        t.is(
          gaps.reduce((sum, { parcels: count }) => sum + count, 0),
          lost.length,
        );
      }

      // Whoever restores it finds every folder before what is in it.
      const came = items.flatMap(item => (item.is === 'gap' ? [] : [item.entry]));
      const folders = new Set<string>();
      for (const [index, { path, kind }] of came.entries()) {
        const last = came[index - 1];
        t.true(last === undefined || comparePaths(last.path, path) < 0);
        const parent = path.subarray(0, Math.max(0, path.lastIndexOf('/'))).toString('latin1');
        t.true(path.equals(under) || folders.has(parent), `${parent} did not come before ${path.toString('latin1')}`);
        if (kind === 'directory') folders.add(path.toString('latin1'));
      }
    }),
    { numRuns: 60 },
  );
});

test('a page that is lost is a gap of parcels that nobody can count', async t => {
  const objects = new KeptObjects();
  const snapshot = await snapshotOf(objects, photos(10_000));
  const { pages } = await readSnapshot(objects, snapshot);
  const [, lost] = pages;
  t.true(pages.length > 2 && lost !== undefined);
  if (lost !== undefined) objects.lose(lost);
  const items = await all(walkReadable(objects, snapshot));
  const gaps = items.flatMap(item => (item.is === 'gap' ? [item.gap] : []));
  t.deepEqual(
    gaps.map(({ parcels, pages: count }) => [parcels, count]),
    [[0, 1]],
  );
  t.true(items.length > 1000);
});

test('a page that says something else about a record than the record itself is found out', async t => {
  const objects = new KeptObjects();
  const snapshot = await snapshotOf(objects, photos(200));
  const [ref] = await refsOf(objects, snapshot);
  if (ref === undefined) throw new Error('no parcels');
  await t.throwsAsync(readRecord(objects, { ...ref, bytes: ref.bytes + 1 }), { message: /bytes/ });
  await t.throwsAsync(readRecord(objects, { ...ref, key: 'ff'.repeat(16) as Key }), { message: /key/ });
});

test('a walk that is aborted throws the signal’s reason', async t => {
  const objects = new KeptObjects();
  const snapshot = await snapshotOf(objects, photos(500));
  const reason = new Error('enough');
  await t.throwsAsync(all(walkEntries(objects, snapshot, { signal: AbortSignal.abort(reason) })), {
    is: reason,
  });
});

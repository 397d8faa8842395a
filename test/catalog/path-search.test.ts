import test from 'ava';
import fc from 'fast-check';
import { PARCEL_FILE_BYTES } from '../../src/catalog/cut.js';
import type { Entry } from '../../src/catalog/entry.js';
import { PathSearch } from '../../src/catalog/path-search.js';
import { ObjectMissing, readSnapshot } from '../../src/catalog/read-object.js';
import type { SnapshotId } from '../../src/catalog/snapshot.js';
import { findEntry } from '../../src/catalog/walk.js';
import { arbitraryPath } from './arbitraries.js';
import { KeptObjects } from './kept-objects.js';
import { aFile, photos, snapshotOf } from './made-snapshots.js';

const PHOTOS = 10_000;

/** A snapshot of many photos, and later ones in each of which one more of them was edited. */
async function edited(later: number) {
  const objects = new KeptObjects();
  const snapshots: SnapshotId[] = [];
  for (let number = 0; number <= later; number += 1) {
    const isEdited = (index: number) => index % 997 === 0 && index / 997 < number;
    const entries = photos(PHOTOS, (name, index) =>
      aFile(name, { size: 3_000, content: isEdited(index) ? 'edited' : name }),
    );
    snapshots.push(await snapshotOf(objects, entries, snapshots.at(-1)));
  }
  objects.reads = 0;
  return { objects, snapshots, everyNth: (n: number) => photos(PHOTOS).filter((_, index) => index % n === 0) };
}

const pathsOf = (entries: readonly Entry[]): Buffer[] => entries.map(({ path }) => path);

test('in each snapshot everything is found that is at the paths, but for what was found before', async t => {
  const trees = fc.uniqueArray(
    fc.record({ path: arbitraryPath, isLarge: fc.nat(4), change: fc.nat(5), isSought: fc.nat(6) }),
    { maxLength: 200, size: 'max', selector: ({ path }) => path.toString('latin1') },
  );
  await fc.assert(
    fc.asyncProperty(trees, async tree => {
      const objects = new KeptObjects();
      const sought = tree.filter(({ isSought }) => isSought === 0).map(({ path }) => path);
      const search = new PathSearch(objects, sought);
      const known = new Set<string>();
      let last: SnapshotId | undefined;
      for (const number of [0, 1, 2]) {
        // 1: changed in the second, 2: gone from the second on, 3: only in the last.
        const entries = tree
          .filter(({ change }) => (change !== 2 || number === 0) && (change !== 3 || number === 2))
          .map(({ path, isLarge, change }) =>
            aFile(path, { size: isLarge === 0 ? PARCEL_FILE_BYTES : 5, content: `${change === 1 && number > 0}` }),
          );
        // A snapshot has one entry at the least.
        entries.push(aFile('always there'));
        last = await snapshotOf(objects, entries, last);
        const found = await search.look(last);
        t.is(
          new Set(found.map(({ parcel, entry }) => `${parcel} ${entry.path.toString('latin1')}`)).size,
          found.length,
          'each once',
        );
        for (const { parcel, entry } of found) known.add(`${parcel} ${entry.path.toString('latin1')} ${entry.blob}`);
        for (const path of sought) {
          const there = await findEntry(objects, last, path);
          if (there === undefined) continue;
          t.true(known.has(`${there.parcel} ${path.toString('latin1')} ${there.entry.blob}`));
        }
      }
    }),
    { numRuns: 40 },
  );
});

test('many paths cost what all records cost that are read once, and each further snapshot what changed', async t => {
  const { objects, snapshots, everyNth } = await edited(9);
  const [first, ...later] = snapshots as [SnapshotId, ...SnapshotId[]];
  const search = new PathSearch(objects, pathsOf(everyNth(5)));
  t.is((await search.look(first)).length, PHOTOS / 5);
  t.true(objects.reads < 300, `${objects.reads} objects read`);
  objects.reads = 0;
  for (const snapshot of later)
    t.is((await search.look(snapshot)).filter(({ entry }) => entry.size !== 3_000).length, 0);
  // A snapshot, a page and a record each; where the photo ends a page, another page.
  t.true(objects.reads <= 4 * later.length, `${objects.reads} objects read`);
});

test('a few paths are found by reading a few records', async t => {
  const { objects, snapshots, everyNth } = await edited(0);
  const search = new PathSearch(objects, pathsOf(everyNth(PHOTOS / 2)));
  t.is((await search.look(snapshots[0] as SnapshotId)).length, 2);
  t.true(objects.reads < 50, `${objects.reads} objects read`);
});

test('where a path takes many reads to find, as among large files, all records are read instead', async t => {
  const objects = new KeptObjects();
  const entries = Array.from({ length: 2_000 }, (_, n) => aFile(`video${n}`, { size: PARCEL_FILE_BYTES }));
  const snapshot = await snapshotOf(objects, entries);
  const search = new PathSearch(objects, pathsOf(entries.filter((_, n) => n % 25 === 0)));
  objects.reads = 0;
  t.is((await search.look(snapshot)).length, 80);
  t.true(objects.reads < 5_000, `${objects.reads} objects read`);
});

test('a search gives others their turn, and ends when it is told to', async t => {
  const { objects, snapshots, everyNth } = await edited(0);
  const ended = new AbortController();
  const { signal } = ended;
  let turns = 0;
  const turn = (): void => {
    turns += 1;
    if (turns === 5) ended.abort(new Error('enough'));
    else if (turns < 5) setImmediate(turn);
  };
  setImmediate(turn);
  const search = new PathSearch(objects, pathsOf(everyNth(5)), { signal });
  await t.throwsAsync(search.look(snapshots[0] as SnapshotId), { message: 'enough' });
  t.true(objects.reads < 150, `${objects.reads} objects read`);
});

test('a snapshot of which a part is lost is not said to lack anything', async t => {
  const { objects, snapshots, everyNth } = await edited(0);
  const [snapshot] = snapshots as [SnapshotId];
  objects.lose((await readSnapshot(objects, snapshot)).pages.at(-1) as never);
  const search = new PathSearch(objects, pathsOf(everyNth(PHOTOS)));
  await t.throwsAsync(search.look(snapshot), { instanceOf: ObjectMissing });
});

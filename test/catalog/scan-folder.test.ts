import test from 'ava';
import { ScanFolder } from '../../src/catalog/scan-folder.js';

/** A folder of the scan whose next listings are these; none: it can no longer be listed. */
function aFolder(...listings: readonly (readonly string[] | undefined)[]) {
  let lists = 0;
  const list = (): readonly string[] => {
    const names = listings[Math.min(lists, listings.length - 1)];
    lists += 1;
    if (names === undefined) throw new Error('EIO');
    return names;
  };
  const folder = new ScanFolder({ list } as never, {} as never, { names: ['a', 'b', 'c'] } as never);
  return { folder, lists: () => lists };
}

test('a name is gone only when the folder, listed again, does not have it', t => {
  const { folder } = aFolder(['a', 'c'], ['c']);
  t.true(folder.isGone('b'));
  t.true(folder.isGone('a'), 'it went after the first look');
  t.false(folder.isGone('c'));
});

test('what one listing did not have is not looked for again', t => {
  const { folder, lists } = aFolder(['a']);
  for (const name of ['b', 'c', 'b']) t.true(folder.isGone(name));
  t.is(lists(), 1);
});

test('of a folder that can no longer be listed no name is gone', t => {
  const { folder } = aFolder(undefined);
  t.false(folder.isGone('a'));
});

test('a folder is listed 64 times again at the most, and then no further name is gone', t => {
  const { folder, lists } = aFolder(['a', 'b'], ...Array.from({ length: 63 }, () => ['a', 'b']), ['a']);
  for (let looks = 0; looks < 64; looks += 1) t.false(folder.isGone('b'));
  t.false(folder.isGone('b'));
  t.is(lists(), 64);
});

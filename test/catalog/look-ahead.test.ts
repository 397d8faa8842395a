/** Look ahead: the middle of a tree by a look at few of its folders. */
import test from 'ava';
import fc from 'fast-check';
import { type AheadFolder, middleOf } from '../../src/catalog/look-ahead.js';
import { comparePaths } from '../../src/catalog/path-order.js';
import type { NameStat } from '../../src/platform/stat-calls.js';

const MIB = 1024 * 1024;

/** Bytes of a file; what is in a folder. */
type Node = number | { readonly [name: string]: Node };

/** The middle, and how many folders were entered and names looked at. */
function look(rest: readonly (readonly [string, Node, readonly string[]])[]) {
  const counts = { folders: 0, names: 0 };
  const folderOf = (path: string, node: Node, names: readonly string[] = namesOf(node)): AheadFolder<Node> => ({
    path: Buffer.from(path),
    place: node,
    names,
  });
  const at = middleOf(
    rest.map(([path, node, names]) => folderOf(path, node, names)),
    {
      stat: ({ place }, name) => {
        counts.names += 1;
        const node = (place as Record<string, Node>)[name] as Node;
        return {
          isDirectory: () => typeof node === 'object',
          size: BigInt(typeof node === 'number' ? node : 0),
        } as NameStat;
      },
      enter: ({ path, place }, name) => {
        counts.folders += 1;
        return folderOf(
          [path.toString(), name].filter(part => part !== '').join('/'),
          (place as Record<string, Node>)[name] as Node,
        );
      },
    },
  );
  return { ...counts, at: at?.toString() };
}

const namesOf = (node: Node): string[] => Object.keys(node).sort();
const all = (node: Node): readonly [string, Node, readonly string[]] => ['', node, namesOf(node)];
const filled = (count: number, of: (n: number) => Node): Node =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [String(n).padStart(6, '0'), of(n)]));

test('what is before and behind it weighs alike', t => {
  t.is(look([all({ a: 100 * MIB, b: 100 * MIB, c: 100 * MIB, d: 100 * MIB })]).at, 'c');
  t.is(look([all({ a: { x: 200 * MIB, y: 200 * MIB }, b: 50 * MIB, c: 100 * MIB })]).at, 'a/y');
  t.regex(String(look([all(filled(10_000, () => 0))]).at), /^00(49|50)/);
});

test('what is left of the folders that the walk is in comes before what is behind them', t => {
  const whole = { a: { x: 1, y: 100 * MIB, z: 100 * MIB }, b: 100 * MIB, c: 300 * MIB };
  t.is(
    look([
      ['a', whole.a, ['y', 'z']],
      ['', whole, ['b', 'c']],
    ]).at,
    'c',
  );
});

test('where little is left, and where all is one file, there is no middle', t => {
  t.is(look([all({ a: 100 * MIB, b: 100 * MIB })]).at, undefined);
  t.is(look([all({ a: 10_000 * MIB })]).at, undefined);
  t.is(look([all({})]).at, undefined);
});

test('a file that is more than half of all is followed by the middle, or is it', t => {
  t.is(look([all({ a: 1000 * MIB, b: 10 * MIB, c: 10 * MIB })]).at, 'b');
  t.is(look([all({ a: 10 * MIB, b: 1000 * MIB, c: 10 * MIB })]).at, 'b');
});

test('of a large tree few folders are listed, and few names of each are looked at', t => {
  const full = filled(1000, () => MIB);
  const { at, folders, names } = look([all(filled(1000, () => full))]);
  t.true(folders < 64);
  t.true(names <= 64 * 256);
  t.regex(String(at), /^000[45]/);
});

test('any middle is a path of the tree behind its first one', t => {
  const { node } = fc.letrec<{ node: Node; folder: Node }>(tie => ({
    node: fc.oneof({ maxDepth: 4 }, fc.integer({ min: 0, max: 300 * MIB }), tie('folder')),
    folder: fc.dictionary(fc.stringMatching(/^[a-d]{1,2}$/), tie('node'), { maxKeys: 6 }),
  }));
  const pathsIn = (tree: Node, path = ''): string[] =>
    namesOf(tree).flatMap(name => {
      const one = (tree as Record<string, Node>)[name] as Node;
      const below = path === '' ? name : `${path}/${name}`;
      return [below, ...(typeof one === 'object' ? pathsIn(one, below) : [])];
    });
  fc.assert(
    fc.property(node, tree => {
      const { at } = look([all(tree)]);
      if (at === undefined) return;
      const paths = pathsIn(tree);
      t.true(paths.includes(at));
      t.true(comparePaths(Buffer.from(at), Buffer.from(paths[0] as string)) > 0);
    }),
  );
});

import test from 'ava';
import fc from 'fast-check';
import { type Difference, diffEntries } from '../../src/catalog/diff.js';
import type { Entry } from '../../src/catalog/entry.js';
import { comparePaths } from '../../src/catalog/path-order.js';
import { arbitraryEntry } from './arbitraries.js';
import { entryOf, fileOf } from './restore-fixture.js';

async function* each(entries: readonly Entry[]): AsyncGenerator<Entry> {
  yield* entries;
}

async function differences(before: readonly Entry[], after: readonly Entry[]): Promise<Difference[]> {
  const all: Difference[] = [];
  for await (const difference of diffEntries(each(before), each(after))) all.push(difference);
  return all;
}

const told = (all: readonly Difference[]): string[] =>
  all.map(difference => `${difference.kind} ${('after' in difference ? difference.after : difference.before).path}`);

test('what came, what went, and what changed in what way', async t => {
  const folder = entryOf('', { kind: 'directory' });
  const before = [
    folder,
    entryOf('d', { kind: 'directory' }),
    fileOf('d/gone', '1'),
    fileOf('d.txt', 'same'),
    fileOf('e', 'old'),
    fileOf('f', 'x'),
    entryOf('l', { kind: 'symlink', target: Buffer.from('a') }),
    fileOf('m', 'x', { mode: 0o600 }),
    fileOf('s', 'x', { stale: true }),
  ];
  const after = [
    folder,
    entryOf('d', { kind: 'directory' }),
    fileOf('d/new', '1'),
    fileOf('d.txt', 'same'),
    fileOf('e', 'new'),
    entryOf('f', { kind: 'directory' }),
    fileOf('f/in', 'x'),
    entryOf('l', { kind: 'symlink', target: Buffer.from('b') }),
    fileOf('m', 'x', { mode: 0o644 }),
    fileOf('s', 'x'),
  ];
  t.deepEqual(told(await differences(before, after)), [
    'removed d/gone',
    'added d/new',
    'content e',
    'type f',
    'added f/in',
    'content l',
    'metadata m',
  ]);
  t.deepEqual(await differences(before, before), []);
});

test('law: what is taken out of one and put into the other makes the other', async t => {
  const arbitraryTree = fc
    .uniqueArray(arbitraryEntry, { maxLength: 12, selector: ({ path }) => path.toString('latin1') })
    .map(entries => entries.sort((a, b) => comparePaths(a.path, b.path)));
  await t.notThrowsAsync(
    fc.assert(
      fc.asyncProperty(arbitraryTree, arbitraryTree, fc.nat(), async (one, other, shared) => {
        const merged = [
          ...other.filter(entry => !one.some(({ path }) => path.equals(entry.path))),
          ...one.slice(0, shared % 5),
        ];
        const after = merged.sort((a, b) => comparePaths(a.path, b.path));
        const now = new Map(one.map(entry => [entry.path.toString('latin1'), entry]));
        for (const difference of await differences(one, after)) {
          if ('before' in difference) now.delete(difference.before.path.toString('latin1'));
          if ('after' in difference) now.set(difference.after.path.toString('latin1'), difference.after);
        }
        t.deepEqual(
          [...now.values()].sort((a, b) => comparePaths(a.path, b.path)),
          after,
        );
      }),
    ),
  );
});

/** What becomes of a tree whose file system takes names for one that differ by case: on a real one, or on one that is played. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { EMPTY_BLOB, hashHex } from '../../src/core/hash.js';
import { parseObjectId } from '../../src/core/ids.js';
import type { TreeEntry, TreeReport } from '../../src/store/tree-view.js';

const SNAPSHOT = parseObjectId('5a'.repeat(32));
const folder = (path: string): TreeEntry => ({ kind: 'directory', path: Buffer.from(path) });

/** In an empty folder; each step is of a source of its own. */
export async function updateAll(
  t: ExecutionContext,
  root: string,
  { hasLinks }: { readonly hasLinks: boolean },
): Promise<void> {
  // Only now: whoever plays a file system has to do so before the calls are looked up.
  const { updateTree } = await import('../../src/store/tree-view.js');
  const { Turns } = await import('../../src/store/turns.js');
  const [blobs, incoming] = [join(root, '.blobs'), join(root, '.incoming')];
  for (const path of [blobs, incoming]) mkdirSync(path);
  const blobPathOf = (blob: string): string | undefined =>
    existsSync(join(blobs, blob)) ? join(blobs, blob) : undefined;
  const place = { storePath: root, linksPath: incoming, blobPathOf, inodes: new Turns<number>() };
  const file = (path: string, content: string): TreeEntry => {
    const blob = content === '' ? EMPTY_BLOB : hashHex(Buffer.from(content));
    if (content !== '') writeFileSync(join(blobs, blob), content);
    return { kind: 'file', path: Buffer.from(path), blob, bytes: content.length };
  };
  const update = (source: string, entries: Iterable<TreeEntry>): Promise<TreeReport> => {
    const files = async function* () {
      yield* entries;
    };
    return updateTree({ originName: 'imac', source, snapshot: SNAPSHOT, files: files() }, place);
  };
  const there = (source: string): string[] =>
    readdirSync(join(root, 'imac', source), { recursive: true, encoding: 'utf8' }).sort();
  const listed = (source: string): string[] =>
    readFileSync(join(root, 'imac', `${source}.b3`), 'utf8')
      .split('\n')
      .map(line => line.slice(66));

  const renamed = (name: string) => [
    folder(name),
    file(`${name}/empty`, ''),
    folder(`${name}/in`),
    file(`${name}/in/one`, 'one'),
    file(`${name}/two`, 'two'),
  ];
  for (const name of ['photos', 'Photos', 'PHOTOS', 'photos']) {
    const files = hasLinks ? ['empty', 'in/one', 'two'] : ['empty'];
    const report = await update('renamed', renamed(name));
    t.like(report, { placed: files.length, unplaced: 3 - files.length, left: 0 }, name);
    t.is(report.noHardLinks, hasLinks ? undefined : true);
    t.deepEqual(there('renamed'), [name, ...new Set([...files, 'in'].sort().map(file => `${name}/${file}`))].sort());
    t.deepEqual(
      listed('renamed').filter(path => path !== ''),
      files.map(file => `renamed/${name}/${file}`),
    );
  }

  for (const name of ['a.txt', 'A.txt', 'a.txt']) {
    t.like(await update('file', [file(name, '')]), { placed: 1, unplaced: 0, left: 0 });
    t.deepEqual(there('file'), [name]);
  }

  // A source that tells them apart: the first has the name.
  const both = [folder('Photos'), file('Photos/1', ''), folder('photos'), file('photos/2', '')];
  await update('both', both.slice(2));
  for (let times = 0; times < 2; times += 1) {
    t.like(await update('both', both), { placed: 1, unplaced: 1, left: 0 });
    t.deepEqual(there('both'), ['Photos', 'Photos/1']);
    t.regex(readFileSync(join(root, 'imac', 'both.unplaced'), 'utf8'), /name-taken {2}photos\/2/);
  }

  if (hasLinks) return;
  // No file can be linked, so nothing changes, and the list goes on telling which blob is which file.
  const list = join(root, 'imac', 'listed.unplaced');
  await update('listed', [file('empty', ''), file('x', 'x'), file('y', 'y')]);
  const before = statSync(list);
  await t.throwsAsync(update('listed', brokenOff([file('empty', ''), file('x', 'other'), file('z', 'z')])));
  t.is(statSync(list).ino, before.ino);
}

function* brokenOff(entries: readonly TreeEntry[]): Generator<TreeEntry> {
  yield* entries;
  throw new Error('enough');
}

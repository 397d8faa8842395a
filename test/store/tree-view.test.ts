import { spawnSync } from 'node:child_process';
import { access, link, lstat, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { EMPTY_BLOB, hashHex } from '../../src/core/hash.js';
import { parseObjectId } from '../../src/core/ids.js';
import type { Store } from '../../src/store/store.js';
import { removeFromTrees } from '../../src/store/tree-prune.js';
import type { TreeEntry, TreeReport } from '../../src/store/tree-view.js';
import { skip } from '../helpers/skip.js';
import { blobOf, contentOf, grab, parcelOf, proofFor } from '../helpers/test-parcels.js';
import { until } from '../helpers/until.js';
import { TestHost } from './real-store.js';

const SNAPSHOT = parseObjectId('5a'.repeat(32));

class TreeHost {
  readonly host: TestHost;
  readonly store: Store;
  readonly path: string;
  readonly tree: string;

  private constructor(host: TestHost, store: Store) {
    this.host = host;
    this.store = store;
    this.path = join(host.storePath, 'imac');
    this.tree = join(this.path, 'photos');
  }

  static async begin(t: ExecutionContext, ...contents: string[]): Promise<TreeHost> {
    const host = await TestHost.begin(t);
    const store = await host.mount();
    if (contents.length > 0) await grab(store, parcelOf(...contents));
    return new TreeHost(host, store);
  }

  update(entries: readonly TreeEntry[]): Promise<TreeReport> {
    async function* files() {
      yield* entries;
    }
    return this.store.updateTree({ originName: 'imac', source: 'photos', snapshot: SNAPSHOT, files: files() });
  }

  /** Every path below the tree in latin1, a character a byte, with its content; folders end in a slash. */
  async content(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    const walk = async (path: Buffer, below: string) => {
      for (const entry of await readdir(path, { withFileTypes: true, encoding: 'buffer' })) {
        const inside = Buffer.concat([path, Buffer.from('/'), entry.name]);
        const name = `${below}${entry.name.toString('latin1')}`;
        if (entry.isDirectory()) {
          found[`${name}/`] = '';
          await walk(inside, `${name}/`);
        } else found[name] = await readFile(inside, 'utf8');
      }
    };
    await walk(Buffer.from(this.tree), '');
    return found;
  }

  list(ending: 'b3' | 'unplaced' | 'snapshot'): Promise<string | undefined> {
    return readFile(`${this.tree}.${ending}`, 'utf8').catch(() => undefined);
  }
}

function file(path: string | Buffer, content: string): TreeEntry {
  const { blob, bytes } = blobOf(content);
  return { kind: 'file', path: Buffer.from(path), blob: bytes === 0 ? EMPTY_BLOB : blob, bytes };
}
const folder = (path: string): TreeEntry => ({ kind: 'directory', path: Buffer.from(path) });

test('the tree has the folders and files of the snapshot, as names of the blobs', async t => {
  const host = await TreeHost.begin(t, 'one', 'two');
  const report = await host.update([
    folder(''),
    file('a.txt', 'one'),
    folder('b'),
    file('b/deep/er.txt', 'two'),
    file('b/empty', ''),
    folder('c'),
    file('z', 'one'),
  ]);
  t.deepEqual(report, { placed: 4, unplaced: 0, absent: 0, left: 0 });
  t.deepEqual(await host.content(), {
    'a.txt': 'one',
    'b/': '',
    'b/deep/': '',
    'b/deep/er.txt': 'two',
    'b/empty': '',
    'c/': '',
    z: 'one',
  });
  t.is((await lstat(join(host.tree, 'z'))).nlink, 3);
  t.is(await host.list('snapshot'), `${SNAPSHOT}\n`);
  t.is(await host.list('unplaced'), undefined);
  t.is(
    await host.list('b3'),
    [
      `${hashHex(Buffer.from('one'))}  photos/a.txt`,
      `${hashHex(Buffer.from('two'))}  photos/b/deep/er.txt`,
      `${EMPTY_BLOB}  photos/b/empty`,
      `${hashHex(Buffer.from('one'))}  photos/z\n`,
    ].join('\n'),
  );
});

test('an update changes what changed, removes what left, and leaves the rest as it is', async t => {
  const host = await TreeHost.begin(t, '1', '2', '3');
  await host.update([
    file('changed', '1'),
    file('folder/gone', '2'),
    file('kept', '3'),
    file('to-empty', '1'),
    file('to-folder', '1'),
  ]);
  const kept = await lstat(join(host.tree, 'kept'));
  const report = await host.update([
    file('changed', '2'),
    file('kept', '3'),
    file('to-empty', ''),
    folder('to-folder'),
    file('to-folder/x', '1'),
  ]);
  t.is(report.placed, 4);
  t.deepEqual(await host.content(), { changed: '2', kept: '3', 'to-empty': '', 'to-folder/': '', 'to-folder/x': '1' });
  t.is((await lstat(join(host.tree, 'kept'))).ctimeMs, kept.ctimeMs);
  await host.update([file('to-folder', '3')]);
  t.deepEqual(await host.content(), { 'to-folder': '3' });
  await host.update([]);
  t.deepEqual(await host.content(), {});
  t.is(await host.list('b3'), '');
});

test('files whose blobs are not held have no place, and an older version of them does not stay', async t => {
  const host = await TreeHost.begin(t, 'old');
  await host.update([file('a', 'old'), file('b', 'old')]);
  t.deepEqual(await host.update([file('a', 'newer than what is held'), file('b', 'old')]), {
    placed: 1,
    unplaced: 0,
    absent: 1,
    left: 0,
  });
  t.deepEqual(await host.content(), { b: 'old' });
});

for (const path of [
  '../escape',
  '/etc/escape',
  'a/../../escape',
  'a/./b',
  'a//b',
  'a/',
  '..',
  '.',
  'nul\0byte',
  `${'x/'.repeat(2048)}y`,
  'n'.repeat(256),
]) {
  test(`the path ${JSON.stringify(path.slice(0, 20))}${path.length > 20 ? '…' : ''} goes to .unplaced, and nothing else happens`, async t => {
    const host = await TreeHost.begin(t, 'x');
    const report = await host.update([file(path, 'x'), file('zz', 'x')]);
    t.deepEqual(report, { placed: 1, unplaced: 1, absent: 0, left: 0 });
    t.deepEqual(await host.content(), { zz: 'x' });
    t.regex((await host.list('unplaced')) ?? '', /^[0-9a-f]{64} {2}(unsafe-path|path-too-long) {2}\S/);
    t.deepEqual((await readdir(host.path)).sort(), ['photos', 'photos.b3', 'photos.snapshot', 'photos.unplaced']);
    await t.throwsAsync(access(join(host.host.storePath, 'escape')));
  });
}

test('a name of 255 bytes has a place', async t => {
  const host = await TreeHost.begin(t, 'x');
  t.is((await host.update([file('n'.repeat(255), 'x')])).placed, 1);
});

test('paths that come twice or out of order go to .unplaced', async t => {
  const host = await TreeHost.begin(t, '1', '2');
  const report = await host.update([file('b', '1'), file('b', '2'), file('a', '1'), file('b/c', '1'), file('c', '1')]);
  t.deepEqual(report, { placed: 2, unplaced: 3, absent: 0, left: 0 });
  t.deepEqual(await host.content(), { b: '1', c: '1' });
});

test('a symlink in the tree is never followed, and stays', async t => {
  const host = await TreeHost.begin(t, 'x', 'y');
  const outside = join(host.host.folder, 'outside');
  await mkdir(outside);
  await host.update([file('dir/x', 'x'), file('file', 'y')]);
  await rm(join(host.tree, 'dir'), { recursive: true });
  await symlink(outside, join(host.tree, 'dir'));
  await rm(join(host.tree, 'file'));
  await symlink(join(outside, 'target'), join(host.tree, 'file'));
  const report = await host.update([file('dir/x', 'x'), file('dir/y/z', 'x'), file('file', 'y')]);
  t.is(report.unplaced, 3);
  t.deepEqual(await readdir(outside), []);
  t.true((await lstat(join(host.tree, 'dir'))).isSymbolicLink());
  await host.update([]);
  t.deepEqual(await readdir(outside), []);
});

for (const where of ['imac', 'imac/photos']) {
  test(`a symlink in the place of ${where} stops the update`, async t => {
    const host = await TreeHost.begin(t, 'x');
    const outside = join(host.host.folder, 'outside');
    await mkdir(outside);
    if (where === 'imac/photos') await mkdir(host.path);
    await symlink(outside, join(host.host.storePath, where));
    t.like(await t.throwsAsync(host.update([file('x', 'x')])), { code: 'STORE_TAMPERED' });
    t.deepEqual(await readdir(outside), []);
  });
}

test('what somebody else put into the tree stays, and is in the way of nothing but its own name', async t => {
  const host = await TreeHost.begin(t, 'x');
  await host.update([file('folder/x', 'x'), file('y', 'x')]);
  await writeFile(join(host.tree, 'folder/mine'), 'only here');
  await rm(join(host.tree, 'y'));
  await writeFile(join(host.tree, 'y'), 'edited here');
  const report = await host.update([file('y', 'x'), file('z', 'x')]);
  t.deepEqual(report, { placed: 1, unplaced: 1, absent: 0, left: 2 });
  t.deepEqual(await host.content(), { 'folder/': '', 'folder/mine': 'only here', y: 'edited here', z: 'x' });
  t.regex((await host.list('unplaced')) ?? '', / in-the-way {2}y\n$/);
  await link(join(host.tree, 'z'), join(host.tree, 'another name of a blob'));
  await host.update([file('z', 'x')]);
  t.false((await readdir(host.tree)).includes('another name of a blob'));
});

test('names that are not UTF-8 are in the tree and not in .b3', async t => {
  const host = await TreeHost.begin(t, 'x');
  const name = Buffer.from([0x62, 0xff, 0xfe]);
  t.is((await host.update([file('a', 'x'), file(name, 'x'), file('c\r', 'x'), file('d\ufffd', 'x')])).placed, 4);
  t.deepEqual(await readFile(Buffer.concat([Buffer.from(`${host.tree}/`), name]), 'utf8'), 'x');
  t.is(await host.list('b3'), `${hashHex(Buffer.from('x'))}  photos/a\n`);
});

test('backslashes and newlines are escaped in .b3 as b3sum does', async t => {
  const host = await TreeHost.begin(t, 'x');
  await host.update([file('a\nb', 'x'), file('a\\b', 'x')]);
  const hash = hashHex(Buffer.from('x'));
  t.is(await host.list('b3'), `\\${hash}  photos/a\\nb\n\\${hash}  photos/a\\\\b\n`);
});

const ODD_NAMES = ['-dash', ' space ', 'a\nb', 'a\\b', 'e', 'ü/ß'];

async function withOddNames(t: ExecutionContext): Promise<TreeHost> {
  const host = await TreeHost.begin(t, 'x', 'y');
  const contents = ['x', 'y', 'x', 'x', '', 'y'];
  await host.update(ODD_NAMES.map((name, n) => file(name, contents[n] ?? '')).sort(byPath));
  return host;
}

/** Not ours to install; where it is there, it has the last word. */
const B3SUM = 'b3sum';

test('b3sum itself accepts the list, and not what was changed since', async t => {
  if (spawnSync(B3SUM, ['--version']).status !== 0) return skip(t, 'b3sum is not installed');
  const host = await withOddNames(t);
  const check = () => spawnSync(B3SUM, ['-c', 'photos.b3'], { cwd: host.path, encoding: 'utf8' });
  const checked = check();
  t.is(checked.status, 0, checked.stdout + checked.stderr);
  t.is(checked.stdout.match(/: OK$/gm)?.length, ODD_NAMES.length);
  await rm(join(host.tree, '-dash'));
  await writeFile(join(host.tree, '-dash'), 'z');
  t.regex(check().stdout, /^photos\/-dash: FAILED$/m);
});

test('read as b3sum reads it, the list names every file, with the hash of what lies there', async t => {
  const host = await withOddNames(t);
  const named: string[] = [];
  for (const line of ((await host.list('b3')) ?? '').trimEnd().split('\n')) {
    const [, escaped = '', hash = '', text = ''] = /^(\\?)([0-9a-f]{64}) {2}(.*)$/.exec(line) ?? [];
    const name = escaped === '' ? text : text.replace(/\\([n\\])/g, (_, end) => (end === 'n' ? '\n' : '\\'));
    named.push(name);
    t.is(hashHex(await readFile(join(host.path, name))), hash, name);
  }
  t.deepEqual(named.sort(), ODD_NAMES.map(name => `photos/${name}`).sort());
});

function byPath(a: TreeEntry, b: TreeEntry): number {
  const key = ({ path }: TreeEntry) => Buffer.from(path.map(byte => (byte === 0x2f ? 0 : byte)));
  return key(a).compare(key(b));
}

test('whatever one snapshot was, the next one is in the tree exactly', async t => {
  const contents = ['1', '2', '3', ''];
  const host = await TreeHost.begin(t, '1', '2', '3');
  const name = fc.constantFrom('a', 'b', 'a.b', 'ab', '\u00e4', '-', ' ', 'A\n', 'a\\');
  const snapshot = fc
    .uniqueArray(fc.tuple(fc.array(name, { minLength: 1, maxLength: 3 }), fc.constantFrom(...contents)), {
      selector: ([names]) => names.join('/'),
      maxLength: 12,
    })
    // No path is a folder of another.
    .map(files => {
      const paths = files.map(([names]) => names.join('/'));
      return files.filter(([names]) => !paths.some(path => path.startsWith(`${names.join('/')}/`)));
    });
  const law = fc.asyncProperty(snapshot, async files => {
    const entries = files.map(([names, content]) => file(names.join('/'), content)).sort(byPath);
    const report = await host.update(entries);
    const there = Object.entries(await host.content()).filter(([path]) => !path.endsWith('/'));
    const expected = files.map(([names, content]) => [Buffer.from(names.join('/')).toString('latin1'), content]);
    t.deepEqual(there.sort(), expected.sort());
    return report.placed === files.length && report.left === 0;
  });
  await t.notThrowsAsync(fc.assert(law, { numRuns: 60 }));
});

/** The second file comes when the first is on its way, and none after it. */
async function* cancelledAfter(...entries: TreeEntry[]) {
  yield* entries;
  throw new Error('enough');
}

// What stays of the old lists would name files that are gone or others by now, and `b3sum -c` would fail on a whole disk.
test('an update that is cancelled leaves no list of what the tree was; the next one makes them', async t => {
  const host = await TreeHost.begin(t, 'x');
  const before = [file('a', 'x'), file('z/../z', 'x')];
  await host.update(before);
  const lists = [await host.list('b3'), await host.list('unplaced')];
  t.false(lists.includes(undefined));
  const view = { originName: 'imac', source: 'photos', snapshot: SNAPSHOT };
  const files = cancelledAfter(file('b', 'x'), file('c', 'x'));
  await t.throwsAsync(host.store.updateTree({ ...view, files }), { message: 'enough' });
  t.deepEqual((await readdir(host.path)).sort(), ['photos', 'photos.snapshot']);
  t.is(await host.store.unfinishedTree(view), SNAPSHOT);
  await host.update(before);
  t.deepEqual(await host.content(), { a: 'x' });
  t.deepEqual([await host.list('b3'), await host.list('unplaced')], lists);
  t.is(await host.store.unfinishedTree(view), undefined);
  t.is(await host.store.unfinishedTree({ ...view, source: 'others' }), undefined);
});

test('the lists are gone before the first name is another', async t => {
  const host = await TreeHost.begin(t, 'x', 'y');
  await host.update([file('a', 'x'), file('b', 'x'), file('c', 'x')]);
  const changes: Record<string, readonly TreeEntry[]> = {
    added: [file('a', 'x'), file('aa', 'x')],
    removed: [file('b', 'x')],
    replaced: [file('a', 'y'), file('b', 'x')],
    'no longer held': [file('a', 'not held'), file('b', 'x')],
    'made empty': [file('a', ''), file('b', 'x')],
  };
  for (const [name, entries] of Object.entries(changes)) {
    const files = cancelledAfter(...entries);
    await t.throwsAsync(host.store.updateTree({ originName: 'imac', source: 'photos', snapshot: SNAPSHOT, files }));
    t.is(await host.list('b3'), undefined, name);
    await host.update([file('a', 'x'), file('b', 'x'), file('c', 'x')]);
    t.not(await host.list('b3'), undefined, name);
  }
});

test('an update that changes nothing leaves both lists as they are, even if it is cancelled', async t => {
  const host = await TreeHost.begin(t, 'x', 'y');
  const entries = [folder('in'), file('in/a', 'x'), file('in/b', 'y'), file('in/empty', ''), file('z/../z', 'x')];
  await host.update(entries);
  const [b3, unplaced] = [`${host.tree}.b3`, `${host.tree}.unplaced`];
  const identity = async () =>
    (await Promise.all([lstat(b3), lstat(unplaced)])).map(({ ino, ctimeMs }) => [ino, ctimeMs]);
  const before = await identity();
  await host.update(entries);
  const files = cancelledAfter(...entries.slice(0, 3));
  await t.throwsAsync(host.store.updateTree({ originName: 'imac', source: 'photos', snapshot: SNAPSHOT, files }));
  t.deepEqual(await identity(), before);

  await writeFile(b3, ((await host.list('b3')) ?? '').replace('in/a', 'in/c'));
  await host.update(entries);
  t.regex((await host.list('b3')) ?? '', /in\/a\n/, 'one that somebody changed is written anew');
});

test('names of origins and sources that are none are refused', async t => {
  const host = await TreeHost.begin(t);
  for (const originName of ['..', '.blobs', 'a/b', '']) {
    const view = { originName, source: 'photos', snapshot: SNAPSHOT, files: (async function* () {})() };
    t.like(await t.throwsAsync(host.store.updateTree(view)), { code: 'BAD_NAME' });
  }
});

test('the next update takes the names of what was dropped out of the tree', async t => {
  const host = await TreeHost.begin(t, 'dropped');
  await grab(host.store, parcelOf('kept'));
  const files = [file('a', 'dropped'), file('b', 'kept'), file('c', 'dropped')];
  await host.update(files);
  await host.store.drop(proofFor(host.store.id, parcelOf('dropped').id));
  t.deepEqual(await host.update(files), { placed: 1, unplaced: 0, absent: 2, left: 0 });
  t.deepEqual(await host.content(), { b: 'kept' });
  t.is(await host.store.emptyTrash({ olderThanMs: 0 }), 'dropped'.length);
});

test('what leaves the trash leaves the trees first, and what is not of it stays', async t => {
  const host = await TreeHost.begin(t, 'dropped', 'dropped too');
  await grab(host.store, parcelOf('kept'));
  await host.update([
    file('a', 'dropped'),
    file('b/c/\u00e4', 'dropped'),
    file('b/kept', 'kept'),
    file('d', 'dropped too'),
  ]);
  await writeFile(join(host.tree, 'b/mine'), 'only here');
  const outside = join(host.host.folder, 'outside');
  await mkdir(outside);
  await link(join(host.tree, 'd'), join(outside, 'd'));
  await symlink(outside, join(host.tree, 'b/symlink'));
  await host.store.drop(proofFor(host.store.id, parcelOf('dropped', 'dropped too').id));
  const { usedBytes, trashBytes } = await host.store.usage();
  t.is(trashBytes, 'dropped'.length + 'dropped too'.length);
  // Somebody linked one of them to a place of their own: its bytes stay on the disk, and are not counted as freed.
  t.is(await host.store.emptyTrash({ olderThanMs: 0 }), 'dropped'.length);
  t.like(await host.store.usage(), { usedBytes: usedBytes - trashBytes, trashBytes: 0 });
  t.deepEqual(await readdir(host.tree), ['b']);
  t.deepEqual((await readdir(join(host.tree, 'b'))).sort(), ['c', 'kept', 'mine', 'symlink']);
  t.deepEqual(await readdir(join(host.tree, 'b/c')), []);
  t.is(await readFile(join(outside, 'd'), 'utf8'), 'dropped too');
  t.deepEqual(await contentOf(host.store, blobOf('kept').blob), Buffer.from('kept'));
});

test('of a file that has all its names where files of the snapshot stand, one name stays', async t => {
  for (const isOfSnapshot of [true, false]) {
    const host = await TreeHost.begin(t, ...'abcdef');
    await mkdir(host.tree, { recursive: true });
    await writeFile(join(host.tree, 'a'), 'only here');
    for (const name of 'bcdef') await link(join(host.tree, 'a'), join(host.tree, name));
    const files = [...'abcdef'].map(name => file(name, isOfSnapshot ? name : 'not held'));
    t.is((await host.update(files)).left, 1);
    const contents = Object.values(await host.content());
    t.is(contents.filter(content => content === 'only here').length, 1);
  }
});

test('nor do two trees that are updated side by side take both names of a file', async t => {
  const host = await TreeHost.begin(t, 'x');
  const sources = ['photos', 'videos'];
  for (const source of sources) await mkdir(join(host.path, source), { recursive: true });
  await writeFile(join(host.path, 'photos/a'), 'only here');
  await link(join(host.path, 'photos/a'), join(host.path, 'videos/a'));
  await Promise.all(
    sources.map(source =>
      host.store.updateTree({
        originName: 'imac',
        source,
        snapshot: SNAPSHOT,
        files: (async function* () {
          yield file('a', 'x');
        })(),
      }),
    ),
  );
  const contents = await Promise.all(sources.map(source => readFile(join(host.path, source, 'a'), 'utf8')));
  t.deepEqual(contents.sort(), ['only here', 'x']);
});

test('what a person has linked out of a tree stays, wherever on the disk that is', async t => {
  const host = await TreeHost.begin(t, 'dropped');
  await host.update([file('a', 'dropped')]);
  const places = ['My Rescue', 'rescue/photos', 'imac/rescue'].map(name => join(host.host.storePath, name));
  for (const place of places) {
    await mkdir(place, { recursive: true });
    await link(join(host.tree, 'a'), join(place, 'f'));
  }
  await host.store.drop(proofFor(host.store.id, parcelOf('dropped').id));
  await host.store.emptyTrash({ olderThanMs: 0 });
  t.deepEqual(await host.content(), {});
  for (const place of places) t.is(await readFile(join(place, 'f'), 'utf8'), 'dropped');
});

test('what leaves the trash leaves also a tree whose first update was cut short', async t => {
  const host = await TreeHost.begin(t, 'dropped');
  async function* files() {
    yield file('a', 'dropped');
    throw new Error('the power went');
  }
  const view = { originName: 'imac', source: 'photos', snapshot: SNAPSHOT, files: files() };
  await t.throwsAsync(host.store.updateTree(view), { message: 'the power went' });
  await host.store.drop(proofFor(host.store.id, parcelOf('dropped').id));
  t.is(await host.store.emptyTrash({ olderThanMs: 0 }), 'dropped'.length);
  t.deepEqual(await host.content(), {});
});

test('a folder that cannot be read keeps nothing in the trash', async t => {
  const host = await TreeHost.begin(t, 'dropped');
  await host.update([file('b/c', 'dropped')]);
  // Deeper than any path may be long.
  const chain = Array.from({ length: 9 }, () => 'x'.repeat(200)).join('/');
  const [upper, lower] = [join(host.tree, 'a'), join(host.host.folder, 'lower')];
  for (const top of [upper, lower]) await mkdir(join(top, chain), { recursive: true });
  t.teardown(() => void spawnSync('rm', ['-rf', upper]));
  await mkdir(join(host.host.folder, 'lowest', chain), { recursive: true });
  await rename(join(host.host.folder, 'lowest'), join(lower, chain, 'lowest'));
  await rename(lower, join(upper, chain, 'lower'));
  await host.store.drop(proofFor(host.store.id, parcelOf('dropped').id));
  t.is(await host.store.emptyTrash({ olderThanMs: 0 }), 'dropped'.length);
  t.like(await host.store.usage(), { trashBytes: 0 });
  t.deepEqual(await readdir(join(host.tree, 'b')), []);
});

test('what leaves a tree with its bytes leaves the list first, and what stays is listed as before', async t => {
  const host = await TreeHost.begin(t, 'kept');
  await grab(host.store, parcelOf('dropped'));
  const names = ['a', 'b/c\\d', 'e\nf', ...Array.from({ length: 1_200 }, (_, n) => `g/${n} ${'x'.repeat(80)}`).sort()];
  await host.update(names.map((name, n) => file(name, n % 2 === 0 ? 'dropped' : 'kept')));
  const lines = (await host.list('b3'))?.split('\n') ?? [];
  t.is(lines.length, names.length + 1);
  t.true(lines.join('\n').length > 100_000);
  const { blob } = blobOf('dropped');
  const left = lines.filter(line => !line.includes(blob)).join('\n');
  await host.store.drop(proofFor(host.store.id, parcelOf('dropped').id));
  t.is(await host.list('b3'), lines.join('\n'), 'they are there, in the trash');
  await host.store.emptyTrash({ olderThanMs: 0 });
  t.is(await host.list('b3'), left);
  t.is(Object.keys(await host.content()).filter(name => !name.endsWith('/')).length, names.length / 2 - 0.5);
  t.deepEqual((await readdir(host.path)).sort(), ['photos', 'photos.b3', 'photos.snapshot']);

  await host.store.drop(proofFor(host.store.id, parcelOf('kept').id));
  await host.store.emptyTrash({ olderThanMs: 0 });
  t.is(await host.list('b3'), '');
});

test('the only name of a byte is never taken out of a tree', async t => {
  const host = await TreeHost.begin(t, 'x');
  await host.update([file('a', 'x')]);
  await writeFile(join(host.tree, 'mine'), 'only here');
  const inodes = await Promise.all(['a', 'mine'].map(async name => (await lstat(join(host.tree, name))).ino));
  await removeFromTrees(host.host.storePath, new Set(inodes));
  t.deepEqual(await host.content(), { mine: 'only here' });
  t.deepEqual(await contentOf(host.store, blobOf('x').blob), Buffer.from('x'), 'nor a name that is in no tree');
});

test('a tree that is being updated when its store is closed stays as far as it got, and the store waits for that', async t => {
  const host = await TreeHost.begin(t, 'x');
  const seen: string[] = [];
  async function* files() {
    yield file('a', 'x');
    seen.push('closing');
    void host.store.close().then(() => seen.push('closed'));
    // Longer than a store takes to close that waits for nobody.
    for (let look = 0; look < 500 && !seen.includes('closed'); look++) await lstat(host.path);
    yield file('b', 'x');
  }
  const view = { originName: 'imac', source: 'photos', snapshot: SNAPSHOT, files: files() };
  await t.throwsAsync(host.store.updateTree(view), { code: 'STORE_CLOSED' });
  seen.push('left');
  await until('the store is closed', () => seen.includes('closed'));
  t.deepEqual(seen, ['closing', 'left', 'closed']);
  t.deepEqual(await host.content(), { a: 'x' });
});

test('nor is anything begun with a tree that waited for the trash to be emptied', async t => {
  const host = await TreeHost.begin(t, 'dropped');
  await host.update([file('a', 'dropped')]);
  await host.store.drop(proofFor(host.store.id, parcelOf('dropped').id));
  await grab(host.store, parcelOf('new'));
  const closed = { code: 'STORE_CLOSED' };
  const begun: Promise<unknown>[] = [];
  async function* files() {
    begun.push(t.throwsAsync(host.store.emptyTrash({ olderThanMs: 0 }), closed));
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    begun.push(t.throwsAsync(host.store.removeTree({ originName: 'imac', source: 'photos' }), closed));
    begun.push(host.store.close());
    yield file('c', 'new');
  }
  const other = { originName: 'imac', source: 'videos', snapshot: SNAPSHOT, files: files() };
  await t.throwsAsync(host.store.updateTree(other), closed);
  await Promise.all(begun);
  t.deepEqual(await host.content(), { a: 'dropped' });
});

test('a tree that is being updated keeps its place while the trash is emptied, and the other way round', async t => {
  const host = await TreeHost.begin(t, 'dropped', 'gone');
  await host.update([file('a', 'dropped'), file('b', 'gone')]);
  await host.store.drop(proofFor(host.store.id, parcelOf('dropped', 'gone').id));
  await grab(host.store, parcelOf('new'));
  let emptying: Promise<number> | undefined;
  async function* files() {
    emptying = host.store.emptyTrash({ olderThanMs: 0 });
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    yield file('a', 'new');
    yield file('b', 'new');
  }
  const report = await host.store.updateTree({
    originName: 'imac',
    source: 'photos',
    snapshot: SNAPSHOT,
    files: files(),
  });
  const after = host.update([file('a', 'new'), file('c', 'new')]);
  t.is(report.placed, 2);
  t.is(await emptying, 'droppedgone'.length);
  t.deepEqual(await after, { placed: 2, unplaced: 0, absent: 0, left: 0 });
  t.deepEqual(await host.content(), { a: 'new', c: 'new' });
});

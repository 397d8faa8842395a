import test from 'ava';
import { cutMarkOf } from '../../src/catalog/cut.js';
import type { WalkedEntry } from '../../src/catalog/entries-in-order.js';
import { type Entry, XATTR_BYTES_MAX } from '../../src/catalog/entry.js';
import { type Merged, ScanMerge, UNENTERED_LISTED_MAX } from '../../src/catalog/merge-scan.js';
import type { ScanItem } from '../../src/catalog/scan-items.js';
import type { Section } from '../../src/catalog/section.js';
import type { WalkedParcel } from '../../src/catalog/snapshot-pages.js';
import { EMPTY_BLOB } from '../../src/core/hash.js';
import type { BlobId } from '../../src/core/ids.js';
import { runWithoutOverride } from '../helpers/without-override.js';

interface Step {
  readonly stale: number;
  readonly missed: number;
  readonly unread: readonly [string, string, number][];
  readonly paths: readonly string[];
  readonly stalePaths: readonly string[];
  readonly reusedAll: boolean;
  readonly gone: number;
}

const unreadableRun = (...exclude: readonly string[]): Step[] =>
  runWithoutOverride<Step>(new URL('./unreadable-run.js', import.meta.url), ...exclude);

test('what cannot be read is carried over as stale, what was never read is missed, and neither is deleted', t => {
  const [first, locked, again, after] = unreadableRun();
  t.like(first, { stale: 0, missed: 0, stalePaths: [] });

  const carried = ['enter/c', 'enter/deep', 'enter/deep/b', 'file', 'list/a', 'list/deep', 'list/deep/b'];
  t.deepEqual(locked?.stalePaths, carried);
  t.like(locked, { stale: carried.length, missed: 2, gone: 0 });
  t.deepEqual(locked?.paths, [...(first?.paths ?? []).slice(0, -1), 'new-folder', 'z']);
  t.deepEqual(locked?.unread, [
    ['enter/c', 'EACCES', 1],
    ['enter/deep', 'EACCES', 2],
    ['file', 'EACCES', 1],
    ['list', 'EACCES', 3],
    ['new', 'EACCES', 0],
    ['new-folder', 'EACCES', 0],
  ]);

  // Still unreadable: as stale as before, and no record changes.
  t.deepEqual(again, { ...(locked as Step), reusedAll: true });

  t.like(after, { stale: 0, missed: 0, stalePaths: [], gone: 0 });
  t.true(after?.paths.includes('new-folder/e'));
});

test('a name that cannot be looked at is passed over only when it is excluded both as a file and as a folder', t => {
  const [first, locked, again, after] = unreadableRun('*', '!*/', '!b');
  t.deepEqual(first?.paths, ['enter', 'enter/deep', 'enter/deep/b', 'fine', 'list', 'list/deep', 'list/deep/b']);
  t.like(locked, { stale: 4, gone: 0, paths: [...(first?.paths ?? []), 'new-folder'] });
  t.deepEqual(locked?.unread, [
    // It is excluded as a file, and nobody can tell that it is one.
    ['enter/c', 'EACCES', 0],
    ['enter/deep', 'EACCES', 2],
    ['list', 'EACCES', 2],
    ['new-folder', 'EACCES', 0],
  ]);
  t.deepEqual(again, { ...(locked as Step), reusedAll: true });
  t.like(after, { stale: 0, missed: 0, gone: 0 });

  const [, excluded] = unreadableRun('c', 'deep', 'list', 'new*');
  t.deepEqual(excluded?.unread, [['file', 'EACCES', 1]]);
});

const plain: Omit<Entry, 'path' | 'kind' | 'blob'> = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  user: '',
  group: '',
  mtimeNs: 0n,
  size: 0,
  target: undefined,
  link: undefined,
  device: 0n,
  xattrs: [],
  stale: false,
  mount: false,
};
const file = (path: string): Entry => ({ ...plain, path: Buffer.from(path), kind: 'file', blob: EMPTY_BLOB as BlobId });
const folder = (path: string, change: Partial<Entry> = {}): Entry => ({
  ...plain,
  path: Buffer.from(path),
  kind: 'directory',
  blob: undefined,
  ...change,
});
const found = (entry: Entry, hidden = false): ScanItem => ({
  kind: 'entry',
  entry,
  mark: cutMarkOf(entry),
  hidden,
});

/** Merges a scan with a last snapshot of these entries, in parcels of two. */
async function merged(
  before: readonly Entry[],
  scan: readonly ScanItem[],
  {
    acceptMissing = false,
    isLeftOut = () => false,
  }: { readonly acceptMissing?: boolean; readonly isLeftOut?: (folder: Buffer) => boolean } = {},
): Promise<{
  readonly paths: string[];
  readonly stale: string[];
  readonly merge: ScanMerge;
  readonly entries: Entry[];
}> {
  async function* stretches(): AsyncGenerator<readonly WalkedEntry[]> {
    for (let at = 0; at < before.length; at += 2) {
      const entries = before.slice(at, at + 2);
      const of = { ordinal: at / 2, entries, ref: {} } as unknown as WalkedParcel;
      yield entries.map(entry => ({ entry, parcel: of.ref.id, of }));
    }
  }
  const merge = new ScanMerge({ previous: { stretchesFrom: stretches }, acceptMissing, isLeftOut });
  const entries: Entry[] = [];
  const take = (some: readonly Merged[]): unknown =>
    entries.push(...some.flatMap(one => ('entry' in one ? [one.entry] : [])));
  // One item a batch: nothing may hang on where batches end.
  for (const item of scan) for await (const some of merge.merge([item])) take(some);
  for await (const some of merge.end()) take(some);
  const paths = entries.map(({ path }) => path.toString());
  return { paths, stale: entries.filter(({ stale }) => stale).map(({ path }) => path.toString()), merge, entries };
}

test('sizes whose sum no snapshot could tell count as the most that it can', async t => {
  const huge = (path: string): Entry => ({ ...file(path), size: 2 ** 52, blob: 'ab'.repeat(32) as BlobId });
  const section = { opening: Buffer.from('d'), ordinal: 0, parcels: 1, entries: 1, files: 1, bytes: 2 ** 60, top: 1 };
  const same: ScanItem = { kind: 'same', section: section as Section };
  const entries = [found(folder('')), found(huge('a')), found(huge('b'))];
  t.is((await merged([], entries.slice(0, 2))).merge.tally.bytes, 2 ** 52);
  t.is((await merged([], entries)).merge.tally.bytes, Number.MAX_SAFE_INTEGER);
  t.is((await merged([], [found(folder('')), same])).merge.tally.bytes, Number.MAX_SAFE_INTEGER);
});

const root = folder('');
const disk = folder('disk', { mount: true });

test('below what was a mount point and is one no longer, everything is carried over and the bare folder is not looked at', async t => {
  const before = [root, folder('a'), disk, file('disk/1'), folder('disk/sub'), file('disk/sub/2'), file('z')];
  const scan = [
    found(root),
    found(folder('a')),
    found(folder('disk')),
    found(file('disk/left-behind')),
    found(file('z')),
  ];
  const once = await merged(before, scan);
  t.deepEqual(once.paths, ['', 'a', 'disk', 'disk/1', 'disk/sub', 'disk/sub/2', 'z']);
  t.deepEqual(once.stale, ['disk', 'disk/1', 'disk/sub', 'disk/sub/2']);
  t.is(once.merge.tally.unread[0]?.because, 'NOT_MOUNTED');
  // The next time too, and until somebody says that it is meant.
  const twice = await merged(once.entries, scan);
  t.deepEqual(twice.entries, once.entries);
  t.is(twice.merge.tally.stale, 4);
  const accepted = await merged(twice.entries, scan, { acceptMissing: true });
  t.deepEqual(accepted.paths, ['', 'a', 'disk', 'disk/left-behind', 'z']);
  t.deepEqual(accepted.stale, []);
  // Mounted again: read as ever.
  const back = await merged(twice.entries, [
    found(root),
    found(folder('a')),
    found(disk),
    found(file('disk/1')),
    found(file('z')),
  ]);
  t.deepEqual(back.paths, ['', 'a', 'disk', 'disk/1', 'z']);
  t.deepEqual(back.stale, []);
});

test('a mount point is missing still when a re-cut has taken out all that was on it, until it is back or accepted', async t => {
  const carried = { ...disk, stale: true };
  const bare = [found(root), found(folder('disk')), found(file('z'))];
  for (const scan of [bare, [found(root), found(file('z'))]]) {
    const once = await merged([root, carried, file('z')], scan);
    t.deepEqual(once.stale, ['disk']);
    t.is(once.merge.tally.unread[0]?.because, 'NOT_MOUNTED');
    t.deepEqual((await merged(once.entries, scan, { acceptMissing: true })).stale, []);
  }
  const back = await merged(
    [root, carried, file('z')],
    [found(root), found(disk), found(file('disk/1')), found(file('z'))],
  );
  t.deepEqual(back.stale, []);
  t.deepEqual(back.paths, ['', 'disk', 'disk/1', 'z']);
});

test('a folder with content over which something is mounted keeps its content', async t => {
  const before = [root, folder('disk'), file('disk/1'), file('z')];
  const scan = [found(root), found(disk, true), found(file('z'))];
  const once = await merged(before, scan);
  t.deepEqual(once.stale, ['disk', 'disk/1']);
  t.deepEqual((await merged(once.entries, scan)).entries, once.entries);
});

test('mount points that are not entered are counted, the first of them named, and nothing is partial for them', async t => {
  const paths = Array.from({ length: UNENTERED_LISTED_MAX + 2 }, (_, n) => `disk${100 + n}`);
  const { merge } = await merged([], [found(root), ...paths.map(path => found(folder(path, { mount: true }), true))]);
  t.like(merge.tally, { stale: 0, missed: 0, unread: [] });
  t.deepEqual(merge.tally.unentered, {
    count: paths.length,
    paths: paths.slice(0, UNENTERED_LISTED_MAX).map(path => Buffer.from(path)),
  });
});

test('a mount point that never had content is scanned as what it is', async t => {
  const { paths, stale } = await merged(
    [root, disk, file('z')],
    [found(root), found(folder('disk')), found(file('disk/1')), found(file('z'))],
  );
  t.deepEqual(paths, ['', 'disk', 'disk/1', 'z']);
  t.deepEqual(stale, []);
  const { merge } = await merged([root, disk], [found(root), found(folder('disk')), found(file('disk/1'))]);
  t.is(merge.tally.stale, 0);
});

test('a source that stops crossing mounts lets go of what is on them', async t => {
  const { paths } = await merged(
    [root, disk, file('disk/1'), file('z')],
    [found(root), found(disk, true), found(file('z'))],
  );
  t.deepEqual(paths, ['', 'disk', 'z']);
});

test('what went together with the folder that it was mounted on is carried over too', async t => {
  for (const [name, after] of [
    ['disk', ['z']],
    // Nothing comes after it: it is what remains of the last snapshot.
    ['zz', []],
  ] as const) {
    const away = folder(name, { mount: true });
    const before = [root, file('a'), away, file(`${name}/1`), folder(`${name}/sub`), file(`${name}/sub/2`)];
    before.push(...after.map(file));
    const scan = [found(root), found(file('a')), ...after.map(path => found(file(path)))];
    const once = await merged(before, scan);
    t.deepEqual(once.paths, ['', 'a', name, `${name}/1`, `${name}/sub`, `${name}/sub/2`, ...after]);
    t.deepEqual(
      once.stale,
      once.paths.filter(path => path.startsWith(name)),
    );
    t.like(once.merge.tally, { stale: 4, filesGone: 0, topBefore: 2 + after.length, topKept: 2 + after.length });
    t.like(once.merge.tally.unread[0], { because: 'NOT_MOUNTED', carried: 4 });
    t.deepEqual((await merged(once.entries, scan)).entries, once.entries);
    t.deepEqual((await merged(once.entries, scan, { acceptMissing: true })).paths, ['', 'a', ...after]);
  }
});

test('… with the folders that it lay in, which are gone as well, but not with what lay beside it', async t => {
  const before = [root, folder('m'), file('m/beside'), folder('m/n'), folder('m/n/disk', { mount: true })];
  before.push(file('m/n/disk/1'), file('m/n/other'), folder('m/o'), file('m/o/1'), file('z'));
  const { paths, stale, merge } = await merged(before, [found(root), found(file('z'))]);
  t.deepEqual(paths, ['', 'm', 'm/n', 'm/n/disk', 'm/n/disk/1', 'z']);
  t.deepEqual(stale, ['m', 'm/n', 'm/n/disk', 'm/n/disk/1']);
  t.like(merge.tally, { stale: 4, filesGone: 3, filesBefore: 5, topBefore: 2, topKept: 2 });
});

test('… unless it had no content, is left out now, or something else has its name or that of a folder above it', async t => {
  const scan = [found(root), found(file('z'))];
  t.deepEqual((await merged([root, disk, file('z')], scan)).paths, ['', 'z']);
  const isLeftOut = (path: Buffer): boolean => path.toString() === 'disk';
  t.deepEqual((await merged([root, disk, file('disk/1'), file('z')], scan, { isLeftOut })).paths, ['', 'z']);
  const within = [root, folder('m'), folder('m/disk', { mount: true }), file('m/disk/1'), file('z')];
  t.deepEqual((await merged(within, [found(root), found(file('m')), found(file('z'))])).paths, ['', 'm', 'z']);
  const unread: ScanItem = { kind: 'unread', path: Buffer.from('m'), scope: 'content', because: 'EIO' };
  t.deepEqual((await merged(within, [found(root), unread, found(file('z'))])).paths, ['', 'z']);
  // One mounted on another, of a source that stops crossing mounts.
  const nested = [root, disk, folder('disk/b', { mount: true }), file('disk/b/1'), file('z')];
  t.deepEqual((await merged(nested, [found(root), found(disk, true), found(file('z'))])).paths, ['', 'disk', 'z']);
});

test('the source’s own folder no longer being a mount point is noticed', async t => {
  const was = folder('', { mount: true });
  t.true((await merged([was, file('a')], [found(root), found(file('a'))])).merge.tally.rootUnmounted);
  t.false((await merged([was, file('a')], [found(was), found(file('a'))])).merge.tally.rootUnmounted);
});

test('an unreadable file where a folder was is missed, and the folder’s content is gone', async t => {
  const unread: ScanItem = { kind: 'unread', path: Buffer.from('a'), scope: 'content', because: 'EIO' };
  const { paths, merge } = await merged(
    [root, folder('a'), file('a/1'), file('b')],
    [found(root), unread, found(file('b'))],
  );
  t.deepEqual(paths, ['', 'b']);
  t.like(merge.tally, { missed: 1, stale: 0, filesGone: 1 });
});

test('a name that cannot be looked at keeps all that it had below it', async t => {
  const unread: ScanItem = { kind: 'unread', path: Buffer.from('a'), scope: 'tree', because: 'EIO' };
  const before = [root, folder('a'), folder('a/b'), file('a/b/1'), file('a.txt'), file('b')];
  const { paths, stale } = await merged(before, [found(root), unread, found(file('a.txt')), found(file('b'))]);
  t.deepEqual(paths, ['', 'a', 'a/b', 'a/b/1', 'a.txt', 'b']);
  t.deepEqual(stale, ['a', 'a/b', 'a/b/1']);
});

const named = (...names: readonly string[]): Entry['xattrs'] =>
  names.map(name => ({ name: Buffer.from(name), value: Buffer.from(`of ${name}`) }));
const namesOf = (entry: Entry | undefined): string[] => entry?.xattrs.map(({ name }) => name.toString()) ?? [];

test('attributes that could not be read are carried over, those that are gone are not, and the file is as it is now', async t => {
  const before = [
    root,
    { ...file('a'), xattrs: named('user.gone', 'user.kept', 'user.locked') },
    { ...file('b'), mode: 0o700 },
  ];
  const now = { ...file('a'), mode: 0o600, xattrs: named('user.kept', 'user.new') };
  const unreadXattrs = { because: 'EIO', names: [Buffer.from('user.locked')] };
  const all = { because: 'EACCES', names: 'all' } as const;
  const { entries, merge } = await merged(before, [
    found(root),
    { ...found(now), unreadXattrs } as ScanItem,
    { ...found(file('b')), unreadXattrs: all } as ScanItem,
    { ...found(file('new')), unreadXattrs: all } as ScanItem,
  ]);
  t.deepEqual(namesOf(entries[1]), ['user.kept', 'user.locked', 'user.new']);
  t.like(entries[1], { mode: 0o600, stale: true });
  t.like(entries[2], { mode: 0o755, stale: false });
  t.like(merge.tally, { stale: 1, missed: 2, filesGone: 0 });
  t.deepEqual(
    merge.tally.unread.map(({ path, because, carried }) => [path.toString(), because, carried]),
    [
      ['a', 'EIO', 1],
      ['b', 'EACCES', 0],
      ['new', 'EACCES', 0],
    ],
  );
});

test('attributes are not carried over to what is of another kind, nor beyond what an entry has room for', async t => {
  const large = [{ name: Buffer.from('user.large'), value: Buffer.alloc(XATTR_BYTES_MAX - 10) }];
  const before = [root, { ...file('a'), xattrs: large }, { ...file('b'), xattrs: large }];
  const all = { because: 'EIO', names: 'all' } as const;
  const { entries } = await merged(before, [
    found(root),
    { ...found(folder('a')), unreadXattrs: all } as ScanItem,
    { ...found({ ...file('b'), xattrs: named('user.a') }), unreadXattrs: all } as ScanItem,
  ]);
  t.deepEqual(entries.slice(1).map(namesOf), [[], ['user.a']]);
});

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, linkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { type Entry, XATTR_BYTES_MAX, XATTR_COUNT_MAX, XATTR_NAME_BYTES_MAX } from '../../src/catalog/entry.js';
import { readXattrs, withinLimits } from '../../src/catalog/read-xattrs.js';
import { acl, rawXattrs, setRawXattr } from '../helpers/raw-xattrs.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { WITHOUT_KOFFI } from '../helpers/without-koffi.js';
import { xattrTest } from '../helpers/xattr-test.js';
import { ScratchSource, settle } from './scratch-source.js';

/** As `rawXattrs` gives them. */
const shown = ({ xattrs }: Entry): Record<string, string> =>
  Object.fromEntries(xattrs.map(({ name, value }) => [name.toString('latin1'), value.toString('hex')]));
const xattr = (name: string, bytes: number) => ({ name: Buffer.from(name), value: Buffer.alloc(bytes, 1) });

xattrTest('attributes of files, folders and the source itself are recorded, in the order of their names', async t => {
  const source = new ScratchSource(t);
  source.write({ file: 'content', empty: '', 'folder/bare': 'no attributes', other: 'of one inode' });
  linkSync(source.path('other'), source.path('other name'));
  symlinkSync('file', source.path('link'));
  execFileSync('mkfifo', [source.path('fifo')]);
  const rights = acl({ mask: 6, user: { id: 12_345, rights: 6 } });
  for (const name of ['user.b', 'user.a', 'user.\u00fc', 'user.A'])
    setRawXattr(source.path('file'), name, `of ${name}`);
  setRawXattr(source.path('file'), Buffer.from([...Buffer.from('user.'), 0xff]), Buffer.of(0, 1, 0xff));
  setRawXattr(source.path('file'), 'system.posix_acl_access', rights);
  setRawXattr(source.path('empty'), 'user.a', '');
  setRawXattr(source.path('folder'), 'system.posix_acl_default', rights);
  setRawXattr(source.path('other'), 'user.a', 'x');
  setRawXattr(source.root, 'user.root', 'of the source');

  const taken = await source.take();
  t.is(taken.stale + taken.missed, 0);
  for (const path of ['', 'file', 'empty', 'folder', 'folder/bare', 'other', 'other name', 'link', 'fifo'])
    t.deepEqual(shown(await source.entry(path)), rawXattrs(source.path(path)), path);
  t.deepEqual(Object.keys(shown(await source.entry('folder/bare'))), []);
  const names = (await source.entry('file')).xattrs.map(({ name }) => name);
  t.deepEqual(names, [...names].sort(Buffer.compare));
  t.is(names.length, 6);
});

xattrTest('what the rule leaves out is not recorded, and nothing is missed for that', async t => {
  if (process.getuid?.() !== 0) return skip(t, 'only root can set others');
  const source = new ScratchSource(t);
  source.write({ file: 'content' });
  setRawXattr(source.path('file'), 'trusted.overlay.opaque', 'y');
  setRawXattr(source.path('file'), 'user.a', 'x');
  const taken = await source.take();
  t.is(taken.missed, 0);
  t.deepEqual(shown(await source.entry('file')), { 'user.a': '78' });
  t.true('trusted.overlay.opaque' in rawXattrs(source.path('file')));
});

xattrTest('unchanged attributes change no record; a new one is seen in a file that was known to have none', async t => {
  const source = new ScratchSource(t);
  source.write({ file: 'content', bare: 'content of another', folder: '' });
  setRawXattr(source.path('file'), 'user.a', 'x');
  await settle(source);
  const first = await source.take();
  const second = await source.take();
  t.is(second.reused, second.parcels);
  t.deepEqual(shown(await source.entry('file')), { 'user.a': '78' });

  setRawXattr(source.path('bare'), 'user.late', 'y');
  const third = await source.take();
  t.is(third.reused, third.parcels - 1);
  t.is(third.filesChanged, 0, 'the content is the same');
  t.deepEqual(shown(await source.entry('bare')), { 'user.late': '79' });
  t.deepEqual(shown(await source.entry('bare', first.snapshot)), {});
});

xattrTest('of what is not there any more it is not known that it has none', t => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'file'), 'content');
  for (const [path, because] of [
    ['gone', 'ENOENT'],
    ['file/gone', 'ENOTDIR'],
  ] as const)
    t.deepEqual(readXattrs(Buffer.from(join(folder, path))), { xattrs: [], unread: { because, names: 'all' } });
});

test('an entry has room for so many attributes: rights first, and what does not fit leaves room for the next', t => {
  const half = XATTR_BYTES_MAX / 2;
  const fitting = [xattr('user.a', half - 6), xattr('user.b', half - 6)];
  t.is(withinLimits(fitting).length, 2);
  const over = [xattr('user.a', half - 6), xattr('user.b', half - 5), xattr('user.c', 10), xattr('system.x', 10)];
  t.deepEqual(
    withinLimits(over).map(({ name }) => name.toString()),
    ['system.x', 'user.a', 'user.c'],
  );
  const many = Array.from({ length: XATTR_COUNT_MAX + 1 }, (_, index) => xattr(`user.${1000 + index}`, 1));
  t.is(withinLimits(many.slice(1)).length, XATTR_COUNT_MAX);
  t.is(withinLimits(many).length, XATTR_COUNT_MAX);
  const long = 'n'.repeat(XATTR_NAME_BYTES_MAX);
  t.is(withinLimits([xattr(long, 1), xattr(`${long}n`, 1)]).length, 1);
});

/** tmpfs takes more attributes than an entry may have; ext4 does not. */
const ROOMY = '/dev/shm';

xattrTest('attributes beyond the limit are left out and named, and the file is recorded', async t => {
  if (!existsSync(ROOMY)) return skip(t, `there is no ${ROOMY}`);
  const source = new ScratchSource(t);
  const folder = temporaryFolder(t, { below: ROOMY });
  writeFileSync(join(folder, 'file'), 'content');
  const half = Buffer.alloc(XATTR_BYTES_MAX / 2);
  try {
    for (const name of ['user.a', 'user.b', 'user.c']) setRawXattr(join(folder, 'file'), name, half);
  } catch {
    return skip(t, `${ROOMY} takes no such attributes`);
  }
  const taken = await source.take({ path: folder });
  t.like(taken, { stale: 0, missed: 1, files: 1 });
  t.deepEqual(taken.unread, [{ path: Buffer.from('file'), because: 'XATTRS_TOO_LARGE', carried: 0 }]);
  const entry = await source.entry('file');
  t.deepEqual(
    entry.xattrs.map(({ name }) => name.toString()),
    ['user.a'],
  );
  t.is(entry.size, 7);
});

xattrTest(
  'without the system calls a snapshot keeps the attributes it had, and says once that it read none',
  async t => {
    const script = fileURLToPath(new URL('./no-calls-run.js', import.meta.url));
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', WITHOUT_KOFFI, script], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    t.is(status, 0, stderr);
    const named = ['changed', 'file', 'folder'];
    t.deepEqual(JSON.parse(stdout), [
      { stale: 0, missed: 0, unread: [], named },
      { stale: 0, missed: 1, unread: [['', 'NO_XATTR_CALLS', 0]], named },
    ]);
  },
);

/** Sources in which something is mounted, or was: what is away is not deleted. */
import { mkdirSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readSnapshot } from '../../src/catalog/read-object.js';
import { scan } from '../../src/catalog/scan.js';
import { encodeSnapshot } from '../../src/catalog/snapshot.js';
import { takeSnapshot } from '../../src/catalog/take-snapshot.js';
import type { ObjectId } from '../../src/core/ids.js';
import { skip } from '../helpers/skip.js';
import { mountFolder, mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { ScratchSource, settle } from './scratch-source.js';

test('a disk that is unmounted, and its folder removed with it, is not deleted in a snapshot', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const source = new ScratchSource(t);
  source.write({ 'a.txt': 'a', 'media/z.txt': 'z' });
  mkdirSync(source.path('media', 'usb'));
  const unmount = mountSmallDisk(t, source.path('media', 'usb'), 1024 * 1024);
  source.write({ 'media/usb/photo': 'p' });
  t.is((await source.take({ crossMounts: true })).stale, 0);
  const before = await source.paths();
  unmount();
  rmSync(source.path('media', 'usb'), { recursive: true });
  const away = await source.take({ crossMounts: true });
  t.like(away, { stale: 2, filesGone: 0 });
  t.deepEqual(
    away.unread.map(({ path, because }) => [path.toString(), because]),
    [['media/usb', 'NOT_MOUNTED']],
  );
  t.deepEqual(await source.paths(), before);
  await source.take({ crossMounts: true, exclude: ['usb'] });
  t.deepEqual(await source.paths(), ['a.txt', 'media', 'media/z.txt']);
});

test('what was a bind mount of the same file system, and is one no longer, is carried over', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const source = new ScratchSource(t);
  source.write({ 'bound/left-behind': 'x', 'own/a': 'a', z: 'z' });
  const shown = join(source.folder, 'shown');
  mkdirSync(shown);
  writeFileSync(join(shown, 'photo'), 'p');
  const unmount = mountFolder(t, source.path('bound'), shown);
  // As systemd mounts what a service may write in: it shows what is there anyway.
  const unmountOwn = mountFolder(t, source.path('own'), source.path('own'));
  await source.take();
  t.true((await source.entry('bound')).mount);
  t.false((await source.entry('own')).mount);
  unmount();
  unmountOwn();
  const away = await source.take();
  t.like(away, { stale: 2, missed: 0, filesGone: 0 });
  t.like(away.unread[0], { because: 'NOT_MOUNTED', carried: 2 });
  t.deepEqual(await source.paths(), ['bound', 'bound/photo', 'own', 'own/a', 'z']);
});

/** A list of mounts as Linux has it: on the root's own file system, at these folders. */
function mountTable(source: ScratchSource, ...points: readonly string[]): string {
  const path = join(source.folder, 'mountinfo');
  const lines = points.map((point, n) => `${n + 2} 1 8:1 /elsewhere ${point} rw - ext4 /dev/sda1 rw`);
  writeFileSync(path, ['1 0 8:1 / / rw - ext4 /dev/sda1 rw', ...lines, ''].join('\n'));
  return path;
}

test('a mount that only the list of mounts shows is one, though the files below it made sections before', async t => {
  const source = new ScratchSource(t);
  const names = Array.from({ length: 600 }, (_, n) => `${n}`);
  source.write(Object.fromEntries(names.flatMap(name => [`a/${name}`, `bound/${name}`].map(path => [path, name]))));
  await settle(source);
  await source.take();
  t.false((await source.entry('bound')).mount);
  const listed = { mountTable: mountTable(source, source.path('bound')) };
  for (let runs = 0; runs < 2; runs += 1) {
    t.like(await source.take(listed), { stale: 0, missed: 0, files: 1200 });
    t.true((await source.entry('bound')).mount);
  }
  const before = await source.paths();
  mountTable(source);
  // At first the bare folder has the very same files.
  for (const left of [600, 1]) {
    for (const name of names.slice(left)) rmSync(source.path('bound', name));
    t.like(await source.take(listed), { stale: 601, missed: 0, files: 1200, filesGone: 0 });
    t.deepEqual(await source.paths(), before);
  }
  mountTable(source, source.path('bound'));
  t.like(await source.take(listed), { stale: 0, missed: 0, files: 601 });

  const root = { mountTable: mountTable(source, source.root) };
  await source.take(root);
  t.true((await source.entry('')).mount);
  mountTable(source);
  t.like(await takeSnapshot(source.order(root)), { kind: 'refused', because: 'other-device' });
});

test('what was unmounted during the scan, before it was entered, is not taken for what was mounted', async t => {
  const source = new ScratchSource(t);
  // More than the scan may be ahead.
  for (let n = 0; n < 3000; n += 1) source.write({ [`a/${n}`]: '' });
  mkdirSync(source.path('bound'));
  const table = mountTable(source, source.path('bound'));
  const mounts: boolean[] = [];
  for await (const event of scan({ ...source.order(), cachePath: undefined, mountTable: table })) {
    if (event.kind !== 'items') continue;
    mountTable(source);
    for (const item of event.items)
      if (item.kind === 'entry' && item.entry.path.toString() === 'bound') mounts.push(item.entry.mount);
  }
  t.deepEqual(mounts, [false]);
});

test('what is missing can be a reason to take none, and what is let go of is told', async t => {
  const source = new ScratchSource(t);
  source.write({ 'disk/1': '1', 'disk/inner/2': '2', 'other/3': '3', z: 'z' });
  const mountPointsAt = (...names: readonly string[]): string =>
    mountTable(source, ...names.map(name => source.path(name)));
  const listed = { mountTable: mountPointsAt('disk', 'disk/inner', 'other') };
  await source.take(listed);
  const { last } = source;
  const before = await source.paths();
  mountPointsAt('disk/inner');
  rmSync(source.path('other'), { recursive: true });
  unlinkSync(source.path('disk', '1'));
  const away = [
    { path: Buffer.from('disk'), because: 'NOT_MOUNTED' },
    { path: Buffer.from('other'), because: 'NOT_MOUNTED' },
  ];
  t.like(await takeSnapshot(source.order({ ...listed, missing: 'refuse' })), {
    kind: 'refused',
    because: 'mounts-away',
    missing: { count: 2, parts: away },
  });
  t.deepEqual((await source.take(listed)).letGo, { count: 0, parts: [] });
  t.deepEqual(await source.paths(), before);
  source.last = last;
  t.deepEqual((await source.take({ ...listed, missing: 'let-go' })).letGo, { count: 2, parts: away });
  t.deepEqual(await source.paths(), ['disk', 'disk/inner', 'disk/inner/2', 'z']);
  t.is((await source.take({ ...listed, missing: 'refuse' })).stale, 0);

  rmSync(source.root, { recursive: true });
  mkdirSync(source.root);
  mountPointsAt();
  // What is carried over does not make it less empty.
  const all = [
    { path: Buffer.alloc(0), because: 'EMPTY' },
    { path: Buffer.from('disk/inner'), because: 'NOT_MOUNTED' },
  ];
  for (const missing of ['keep', 'refuse'] as const)
    t.like(await takeSnapshot(source.order({ ...listed, missing })), {
      because: 'empty-source',
      missing: { count: 2, parts: all },
    });
  t.deepEqual((await source.take({ ...listed, missing: 'let-go' })).letGo, { count: 2, parts: all });
  t.deepEqual(await source.paths(), []);
});

test('another disk in the place of the last one is told by its file system, if most of its names are gone', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const source = new ScratchSource(t);
  const unmount = mountSmallDisk(t, source.root, 1024 * 1024);
  source.write({ a: 'a', b: 'b', c: 'c' });
  await source.take();
  unmount();
  mountSmallDisk(t, source.root, 2 * 1024 * 1024);
  source.write({ a: 'a', other: 'x' });
  t.like(await takeSnapshot(source.order()), { kind: 'refused', because: 'other-device' });
  // A snapshot from before there were prints has the device number.
  const last = await readSnapshot(source.objects, source.last as ObjectId);
  for (const [number, kind] of [
    [0, 'taken'],
    [1, 'refused'],
  ] as const) {
    const device = BigInt(statSync(source.root).dev + number);
    const previous = await source.objects.put(encodeSnapshot({ ...last, device }, source.signer));
    t.is((await takeSnapshot(source.order({ previous }))).kind, kind);
  }
});

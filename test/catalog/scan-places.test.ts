/** Nobody leads a scan out of the source's folder, whatever is put in the place of what. */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { scan } from '../../src/catalog/scan.js';
import { LostFolder, type ScanPlace, ScanPlaces } from '../../src/catalog/scan-places.js';
import { hashHex } from '../../src/core/hash.js';
import { descriptorPath, hasDescriptorPaths } from '../../src/platform/descriptor-path.js';
import { skip } from '../helpers/skip.js';
import { anyTimeMs, aSource, ScratchSource, settle } from './scratch-source.js';

/** More than a scan finds before somebody takes it. */
const FILES_AHEAD_MIN = 3000;
/** Deeper than folders are held. */
const DEPTH = 150;
/** Those of a scan, and what else a process opens meanwhile. */
const OPEN_MAX = 80;

const begin = (t: ExecutionContext, isHeld?: boolean) => {
  const source = new ScratchSource(t);
  const secret = join(source.folder, 'not-in-the-source');
  mkdirSync(secret);
  const places = new ScanPlaces(isHeld);
  t.teardown(() => places.close());
  return { source, secret, places, root: places.root(Buffer.from(source.root)).place };
};

/** In the place of a folder of the source. */
function swap({ source, secret }: { readonly source: ScratchSource; readonly secret: string }, folder: string): void {
  renameSync(source.path(folder), join(source.folder, 'moved'));
  symlinkSync(secret, source.path(folder));
}

if (hasDescriptorPaths()) {
  test('a folder that was entered is the same one when a symlink has its name', t => {
    const { source, secret, places, root } = begin(t);
    source.write({ 'd/mine': 'mine', 'd/e/deep': 'deep' });
    for (const name of ['mine', 'secret']) writeFileSync(join(secret, name), 'secret');
    const { place, stat } = places.enter(root, 'd');
    swap({ source, secret }, 'd');
    t.deepEqual(places.list(place), ['e', 'mine']);
    t.is(readFileSync(places.of(place, 'mine'), 'utf8'), 'mine');
    t.is(places.stat(place, 'mine').size, 4n);
    t.is(places.statOf(place).ino, stat.ino);
    t.deepEqual(places.list(places.enter(place, 'e').place), ['deep']);
    t.like(
      t.throws(() => places.stat(place, 'secret')),
      { code: 'ENOENT' },
    );
    t.like(
      t.throws(() => places.enter(root, 'd')),
      { code: 'ENOTDIR' },
    );
  });

  test('one that was let go is opened again, and lost when another one, or none, has its name', t => {
    const { source, secret, places, root } = begin(t);
    source.write({ 'd/e/mine': 'mine' });
    mkdirSync(join(secret, 'e'));
    const d = places.enter(root, 'd').place;
    const e = places.enter(d, 'e').place;
    for (const place of [e, d, root]) places.rest(place);
    t.deepEqual(places.list(e), ['mine']);
    for (const place of [e, d, root]) places.rest(place);
    swap({ source, secret }, 'd');
    t.throws(() => places.list(e), { instanceOf: LostFolder });
    rmSync(source.path('d'));
    t.throws(() => places.stat(d, 'e'), { instanceOf: LostFolder });
    mkdirSync(source.path('d'));
    t.throws(() => places.of(d, 'e'), { instanceOf: LostFolder });
  });

  test('a deep tree is walked with few folders open, down and up again', t => {
    const { source, places, root } = begin(t);
    const way: ScanPlace[] = [root];
    mkdirSync(source.path(...Array.from({ length: DEPTH }, () => 'd')), { recursive: true });
    for (let depth = 0; depth < DEPTH; depth += 1) way.push(places.enter(way[depth] as ScanPlace, 'd').place);
    const open = (): number => way.filter(({ descriptor }) => descriptor !== undefined).length;
    t.true(open() > 1 && open() < OPEN_MAX);
    for (const place of way.reverse()) {
      t.deepEqual(places.list(place), place === way[0] ? [] : ['d']);
      t.true(open() < OPEN_MAX);
    }
    places.close();
    t.is(open(), 0);
  });

  test('files of a folder that is swapped for a symlink while it is scanned are not those that the symlink leads to', async t => {
    const source = new ScratchSource(t);
    const secret = join(source.folder, 'not-in-the-source');
    mkdirSync(join(secret, 'z-folder'), { recursive: true });
    source.write({ 'd/z-folder/own': 'own', 'd/z-shadow': 'mine', 'e/last': 'last' });
    for (const name of ['z-folder/foreign', 'z-folder/own', 'z-shadow']) writeFileSync(join(secret, name), 'secret');
    for (let n = 0; n < FILES_AHEAD_MIN; n += 1) source.write({ [`d/n${n}`]: '' });
    await settle(source);
    const found = new Map<string, string | undefined>();
    let isSwapped = false;
    const order = { path: source.root, source: aSource, cachePath: source.cache.path, nowMs: anyTimeMs };
    for await (const event of scan(order)) {
      if (event.kind !== 'items') continue;
      for (const item of event.items) if (item.kind === 'entry') found.set(item.entry.path.toString(), item.entry.blob);
      // The thread is in the folder, and held up by what nobody has taken yet.
      if (isSwapped || !found.has('d/n0')) continue;
      swap({ source, secret }, 'd');
      isSwapped = true;
    }
    t.true(isSwapped);
    t.false(found.has('d/z-folder/foreign'));
    t.is(found.get('d/z-shadow'), hashHex(Buffer.from('mine')));
    t.is(found.get('d/z-folder/own'), hashHex(Buffer.from('own')));
    t.is(found.get('e/last'), hashHex(Buffer.from('last')));
  });

  test('a scan leaves no folder open', async t => {
    const source = new ScratchSource(t);
    source.write({ 'a/b/c': 'c', 'd/e': 'e' });
    await source.take();
    const leads = (descriptor: string): string => {
      try {
        return readlinkSync(descriptorPath(Number(descriptor)));
      } catch {
        // It was that of the listing itself.
        return '';
      }
    };
    t.deepEqual(
      readdirSync('/proc/self/fd')
        .map(leads)
        .filter(path => path.startsWith(source.root)),
      [],
    );
  });
} else test('folders held open', t => skip(t, 'there is no /proc'));

test('where paths lead to folders, one that is another folder by now is lost', t => {
  const { source, secret, places, root } = begin(t, false);
  source.write({ 'd/mine': 'mine' });
  writeFileSync(join(secret, 'mine'), 'secret');
  const { place } = places.enter(root, 'd');
  t.deepEqual(places.list(place), ['mine']);
  t.is(places.stat(place, 'mine').size, 4n);
  t.true(places.isStill(place));
  swap({ source, secret }, 'd');
  t.false(places.isStill(place));
  t.throws(() => places.list(place), { instanceOf: LostFolder });
  t.throws(() => places.enter(root, 'd'), { instanceOf: LostFolder });
  rmSync(source.path('d'));
  t.false(places.isStill(place));
});

import { mkdirSync, readFileSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { PARCEL_FILE_BYTES } from '../../src/catalog/cut.js';
import type { WalkedEntry } from '../../src/catalog/entries-in-order.js';
import { readSnapshot } from '../../src/catalog/read-object.js';
import { readSourceFile } from '../../src/catalog/source-file.js';
import { findEntry, walkEntries } from '../../src/catalog/walk.js';
import { hashHex } from '../../src/core/hash.js';
import { logStart } from '../../src/core/holdings-log.js';
import { type BlobId, type ParcelId, parseHostId, parseStoreId } from '../../src/core/ids.js';
import { type LiveParcel, LiveParcels } from '../../src/daemon/live-parcels.js';
import { anyTimeMs, aSource, ScratchSource } from '../catalog/scratch-source.js';
import { failingCall, failReads } from '../helpers/failing-reads.js';
import { anOrigin } from './an-origin.js';

const HOUR_NS = 3_600_000_000_000n;

test('a file that was only touched while it was read stays in its snapshot; one that is gone leaves it', async t => {
  const source = new ScratchSource(t);
  source.write({ 'touched.txt': 'the same', 'other.txt': 'other' });
  const { list, tear, newest } = await anOrigin(t, source);
  await source.take();
  await list();

  source.setTime('touched.txt', 1_000_000);
  await tear('touched.txt');
  t.is(newest(), source.last);

  unlinkSync(source.path('touched.txt'));
  await tear('touched.txt');
  t.deepEqual(await source.paths(newest()), ['other.txt']);
});

test.serial('a file of which nobody can say whether it is gone keeps no other from being cut', async t => {
  const source = new ScratchSource(t);
  const large = Buffer.alloc(300 * 1024, 'l');
  source.write({ 'a-doubtful.bin': large, 'gone.txt': 'gone', 'kept.txt': 'kept' });
  const { list, origin, tear, newest } = await anOrigin(t, source);
  await source.take();
  await list();
  const doubtful = await findEntry(source.objects, source.last as never, Buffer.from('a-doubtful.bin'));
  // So that it has to be read again.
  source.setTime('a-doubtful.bin', 1_000_000);
  unlinkSync(source.path('gone.txt'));
  await failReads(t, failingCall('EMFILE'));
  origin.torn({ source: aSource, parcel: doubtful?.parcel as ParcelId, path: Buffer.from('a-doubtful.bin') });
  await tear('gone.txt');
  t.deepEqual(await source.paths(newest()), ['a-doubtful.bin', 'kept.txt']);
});

test('an untouched file is not cut out for what the scan cache says of it, and the cache is put right', async t => {
  const source = new ScratchSource(t);
  source.write({ 'small.txt': 'small', 'large.bin': Buffer.alloc(300 * 1024, 'l') });
  const { list, tear, newest } = await anOrigin(t, source);
  await source.take();
  await list();
  for (const path of ['small.txt', 'large.bin']) {
    const file = { source: aSource, path: Buffer.from(path), link: undefined };
    const stat = statSync(source.path(path), { bigint: true });
    const wrong = '12'.repeat(32) as BlobId;
    source.cache.put(file, stat, { blob: wrong, readFromNs: stat.ctimeNs + HOUR_NS });
    const serve = async () =>
      readSourceFile({ root: source.root, source: aSource, entry: await source.entry(path), cache: source.cache });
    t.is(await serve(), 'gone');
    await tear(path);
    t.is(newest(), source.last);
    t.not(source.cache.lookup(file, stat).blob, wrong);
    t.not(await serve(), 'gone');
  }
});

test('a file that cannot be read any more and whose bytes others hold is no deletion', async t => {
  const source = new ScratchSource(t);
  source.write({ 'kept.txt': 'held by others', 'other.txt': 'one' });
  const { held, list, tear, newest } = await anOrigin(t, source);
  await source.take();
  await list();
  const first = await findEntry(source.objects, source.last as never, Buffer.from('kept.txt'));
  held.add(first?.parcel as ParcelId);

  // Carried over from the first snapshot, in a parcel that is new because its neighbour changed.
  source.write({ 'other.txt': 'another' });
  await source.take({ nowMs: anyTimeMs + 1_000 });
  await list();
  unlinkSync(source.path('kept.txt'));
  await tear('kept.txt');
  t.is(newest(), source.last);
  t.deepEqual(await source.paths(newest()), ['kept.txt', 'other.txt']);

  held.clear();
  await tear('kept.txt');
  t.deepEqual(await source.paths(newest()), ['other.txt']);
});

test('where a part of a snapshot cannot be read, nothing is cut out that somebody may have of it', async t => {
  const source = new ScratchSource(t);
  source.write({ 'kept.txt': 'held by others', 'other.txt': 'one' });
  const { list, tear, newest } = await anOrigin(t, source);
  const { snapshot } = await source.take();
  await list();
  source.write({ 'other.txt': 'another' });
  await source.take({ nowMs: anyTimeMs + 1_000 });
  await list();
  unlinkSync(source.path('kept.txt'));
  for (const page of (await readSnapshot(source.objects, snapshot)).pages) source.objects.lose(page);
  await tear('kept.txt');
  t.is(newest(), source.last);
});

test('where nobody has the bytes that several snapshots have of a file, each has those of the last one before', async t => {
  const source = new ScratchSource(t);
  const { list, tear, catalog } = await anOrigin(t, source);
  const states = [{ 'file.txt': 'first', 'other.txt': 'one' }, { 'file.txt': 'torn' }, { 'other.txt': 'another' }];
  for (const [number, files] of states.entries()) {
    source.write(files);
    await source.take({ nowMs: anyTimeMs + number * 1_000, cache: undefined });
    await list();
  }
  source.write({ 'file.txt': 'later' });
  await tear('file.txt');
  const [, ...cut] = catalog.get(aSource)?.head.snapshots ?? [];
  t.is(cut.length, 2);
  for (const { id } of cut)
    t.like(await source.entry('file.txt', id), { blob: hashHex(Buffer.from('first')), stale: true });
});

test('a file that got another name before anybody had a copy stays in its snapshot, and is given from there', async t => {
  const source = new ScratchSource(t);
  const large = Buffer.alloc(300 * 1024, 'l');
  source.write({ 'small.txt': 'small', 'large.bin': large, 'gone.txt': 'gone', 'other.txt': 'other' });
  const { list, origin, catalog } = await anOrigin(t, source);
  await source.take();
  await list();
  const first = source.last as NonNullable<typeof source.last>;
  const entries = new Map<string, WalkedEntry>();
  for await (const walked of walkEntries(source.objects, first)) entries.set(walked.entry.path.toString(), walked);
  const live = new LiveParcels({
    catalog: source.objects,
    cache: source.cache,
    ownSource: () => ({ source: aSource, path: source.root }),
    renamed: (of, blob) => origin.renamed(of, blob),
    onTorn: torn => origin.torn(torn),
  });
  const { signal } = new AbortController();
  const give = async (path: string): Promise<Buffer | undefined> => {
    const { entry, parcel } = entries.get(path) as WalkedEntry;
    const opened = await live.open((await live.find(parcel)) as LiveParcel, entry.blob as BlobId, signal);
    if (opened === undefined) return undefined;
    const pieces: Uint8Array[] = [];
    for await (const piece of opened.content) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  for (const name of ['small.txt', 'large.bin']) renameSync(source.path(name), source.path(`new-${name}`));
  unlinkSync(source.path('gone.txt'));
  await source.take({ nowMs: anyTimeMs + 1_000 });
  await list();
  const listed = () => catalog.get(aSource)?.head.snapshots.map(({ id }) => id) ?? [];
  for (const path of ['small.txt', 'large.bin', 'gone.txt']) t.is(await give(path), undefined);
  await origin.cutOutTorn(aSource);
  t.deepEqual(await source.paths(listed()[0]), ['large.bin', 'other.txt', 'small.txt'], 'but for what is gone');
  t.deepEqual(await give('small.txt'), Buffer.from('small'));
  t.deepEqual(await give('large.bin'), large);

  unlinkSync(source.path('new-small.txt'));
  t.is(await give('small.txt'), undefined);
  await origin.cutOutTorn(aSource);
  t.deepEqual(await source.paths(listed()[0]), ['large.bin', 'other.txt']);
  t.is(listed()[1], source.last, 'of this one nothing was asked for');
});

test('a thousand files are cut out of many snapshots by reading once what these have', async t => {
  const source = new ScratchSource(t);
  const { list, origin, newest } = await anOrigin(t, source);
  const names = Array.from({ length: 1_000 }, (_, n) => `photos/photo${n}`);
  source.write({ ...Object.fromEntries(names.map(name => [name, name])), 'kept.txt': '0' });
  for (let number = 0; number < 20; number += 1) {
    source.write({ 'kept.txt': `${number}` });
    await source.take({ nowMs: anyTimeMs + number * 1_000, cache: undefined });
    await list();
  }
  const parcels = new Map<string, ParcelId>();
  for await (const { entry, parcel } of walkEntries(source.objects, source.last as never))
    parcels.set(entry.path.toString(), parcel);
  rmSync(source.path('photos'), { recursive: true });
  for (const name of names)
    origin.torn({ source: aSource, parcel: parcels.get(name) as ParcelId, path: Buffer.from(name) });
  source.objects.reads = 0;
  await origin.cutOutTorn(aSource);
  t.deepEqual(await source.paths(newest()), ['kept.txt', 'photos']);
  t.true(source.objects.reads < 6_000, `${source.objects.reads} objects read`);
});

/** A snapshot of which somebody has each parcel, and one after it that shares the parcel of `kept.txt` and that nobody has in full. */
async function twoSnapshots(t: ExecutionContext) {
  const source = new ScratchSource(t);
  source.write({ 'kept.txt': 'held by others', 'large.bin': Buffer.alloc(PARCEL_FILE_BYTES) });
  const origin = await anOrigin(t, source);
  await source.take();
  await origin.list();
  const first = source.last as NonNullable<typeof source.last>;
  await origin.hold();
  const next = async (): Promise<void> => {
    source.write({ 'large.bin': Buffer.alloc(PARCEL_FILE_BYTES, 1) });
    await source.take({ nowMs: anyTimeMs + 1_000 });
    await origin.list();
    unlinkSync(source.path('kept.txt'));
  };
  return { source, first, next, ...origin };
}

test('what was once copied is cut out of no snapshot, though nobody says any more that he holds it', async t => {
  const { source, next, held, tear, newest, noteCopied } = await twoSnapshots(t);
  t.true(await noteCopied());
  await next();
  t.false(await noteCopied());
  held.clear();
  await tear('kept.txt');
  t.is(newest(), source.last);

  // Over a restart, too; and where the file is damaged all that there is counts as copied.
  const file = join(source.folder, 'copied.json');
  const again = await anOrigin(t, source);
  await again.listed();
  await again.tear('kept.txt');
  t.is(again.newest(), source.last);
  writeFileSync(file, '{"sources":');
  const damaged = await anOrigin(t, source);
  await damaged.listed();
  await damaged.tear('kept.txt');
  t.is(damaged.newest(), source.last);
  await damaged.noteCopied();
  rmSync(file);
  const without = await anOrigin(t, source);
  await without.listed();
  await without.tear('kept.txt');
  t.not(without.newest(), source.last);
});

test('nothing that is older than a log which was begun anew is cut, for as long as its store may be read again', async t => {
  const { source, next, held, tear, newest, noteCopied, positions, now } = await twoSnapshots(t);
  const store = parseStoreId('5'.repeat(32));
  const logAt = (counter: number) => ({
    host: parseHostId('b'.repeat(32)),
    position: logStart(store, { counter, random: '00'.repeat(8) }),
  });
  held.clear();
  await next();
  positions.push(logAt(7));
  await noteCopied();
  positions[0] = logAt(8);
  // Between the two: the store can have had nothing that is in the second alone.
  now.ms = anyTimeMs + 500;
  await tear('kept.txt');
  t.is(newest(), source.last);
  source.write({ 'large.bin': Buffer.alloc(PARCEL_FILE_BYTES, 2) });
  await tear('large.bin');
  t.not(newest(), source.last);
  t.deepEqual(await source.paths(newest()), ['kept.txt', 'large.bin']);

  now.ms += 4 * 86_400_000;
  await tear('kept.txt');
  t.deepEqual(await source.paths(newest()), ['large.bin']);
});

test('where a page of what was once copied is lost, nothing is cut that may be within', async t => {
  const { source, first, next, held, tear, newest, noteCopied } = await twoSnapshots(t);
  await noteCopied();
  await next();
  held.clear();
  for (const page of (await readSnapshot(source.objects, first)).pages) source.objects.lose(page);
  await tear('kept.txt');
  t.is(newest(), source.last);
});

test('what is copied is noted again after a disk that would not take it, and let go only when all that is wanted is known', async t => {
  const { source, noteCopied } = await twoSnapshots(t);
  const file = join(source.folder, 'copied.json');
  mkdirSync(join(file, 'in the way'), { recursive: true });
  await t.throwsAsync(noteCopied());
  rmSync(file, { recursive: true });
  t.true(await noteCopied());
  const noted = readFileSync(file, 'utf8');

  // Its head is not in force, as after a start with a damaged one.
  const again = await anOrigin(t, source);
  t.false(await again.noteCopied());
  t.is(readFileSync(file, 'utf8'), noted);
});

/** Photos that nobody has yet leave their folder, and are cut out of the snapshot. @returns how often the brake is pulled by the next run */
async function cutOutAndRun(
  t: ExecutionContext,
  { isMoved, isLost = false }: { readonly isMoved: boolean; readonly isLost?: boolean },
) {
  const source = new ScratchSource(t);
  for (let n = 0; n < 150; n += 1) source.write({ [`photos/photo${n}`]: `photo ${n}` });
  source.write({ 'other.txt': 'other' });
  const pulled: object[] = [];
  const brakes = {
    configure: () => undefined,
    acceptedMs: () => undefined,
    on: () => undefined,
    sinceMs: () => undefined,
    pull: async (_: unknown, change: object) => void pulled.push(change),
  };
  const retainer = { judge: async () => ({ stopped: undefined, snapshots: [] }) };
  const made = await anOrigin(t, source, { brakes: brakes as never, retainer: retainer as never });
  const { list, origin, newest, now } = made;
  await source.take();
  await list();
  const schedule = { kind: 'every', everyMs: 365 * 86_400_000 };
  origin.configure([
    { name: 'photos', path: source.root, schedule, jitterMs: 0, exclude: [], hooks: {}, brakePercent: 50 } as never,
  ]);
  const taken = source.last as NonNullable<typeof source.last>;
  const parcelOf = async (n: number) =>
    (await findEntry(source.objects, taken, Buffer.from(`photos/photo${n}`)))?.parcel as ParcelId;
  const parcels = await Promise.all(Array.from({ length: 150 }, (_, n) => parcelOf(n)));
  if (isMoved) renameSync(source.path('photos'), source.path('pictures'));
  else rmSync(source.path('photos'), { recursive: true });
  // In two cuts, as they are asked for.
  for (const [begin, end] of [
    [0, 80],
    [80, 150],
  ] as const) {
    for (let n = begin; n < end; n += 1)
      origin.torn({ source: aSource, parcel: parcels[n] as ParcelId, path: Buffer.from(`photos/photo${n}`) });
    await origin.cutOutTorn(aSource);
  }
  t.deepEqual(await source.paths(newest()), ['other.txt', 'photos']);
  t.deepEqual(pulled, [], 'nobody knows yet what became of them');
  if (isLost) source.objects.lose(taken);
  now.ms += 3_600_000;
  await origin.backup(aSource, { acceptChanges: false });
  return { source, pulled, newest };
}

test('files that were cut out because nobody had a copy yet count in the next run, and pull the brake if they are gone', async t => {
  const { source, pulled, newest } = await cutOutAndRun(t, { isMoved: false });
  t.deepEqual(await source.paths(newest()), ['other.txt']);
  t.like(pulled, [{ snapshot: newest(), filesBefore: 151, filesGone: 150 }]);
});

test('files that were cut out because nobody had a copy yet pull no brake if they only got another name', async t => {
  const { source, pulled, newest } = await cutOutAndRun(t, { isMoved: true });
  t.is((await source.paths(newest())).length, 152);
  t.deepEqual(pulled, []);
});

test('files that were cut out count as gone where the snapshot that had them is lost', async t => {
  const { pulled } = await cutOutAndRun(t, { isMoved: true, isLost: true });
  t.like(pulled, [{ filesBefore: 151, filesGone: 150 }]);
});

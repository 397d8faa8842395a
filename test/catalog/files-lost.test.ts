import { mkdirSync, renameSync, rmSync } from 'node:fs';
import test from 'ava';
import { contentLost, filesLost } from '../../src/catalog/files-lost.js';
import type { SnapshotId } from '../../src/catalog/snapshot.js';
import { ScratchSource, settle } from './scratch-source.js';

const NEVER = new AbortController().signal;

test('files that are gone or have another content are counted once, however many snapshots lie between', async t => {
  const source = new ScratchSource(t);
  const names = Array.from({ length: 400 }, (_, n) => `folder${n % 9}/file${n}`);
  source.write(Object.fromEntries(names.map(name => [name, name])));
  await settle(source);
  await source.take();
  const before = source.last as SnapshotId;
  for (const text of ['a', 'b', 'c']) {
    source.write(Object.fromEntries(names.slice(0, 30).map(name => [name, text])));
    source.write({ [`new/${text}`]: text });
    await source.take({ cache: undefined });
  }
  for (const name of names.slice(30, 37)) rmSync(source.path(name));
  rmSync(source.path(names[37] as string));
  mkdirSync(source.path(names[37] as string));
  source.write({ [names[0] as string]: names[0] as string });
  source.setTime(names[50] as string, 1_000_000);
  await source.take({ cache: undefined });
  const after = source.last as SnapshotId;
  const { reads } = source.objects;
  t.deepEqual(await filesLost(source.objects, { before, after }, NEVER), { filesGone: 8, filesChanged: 29 });
  t.true(source.objects.reads > reads);
  t.deepEqual(await filesLost(source.objects, { before, after: before }, NEVER), { filesGone: 0, filesChanged: 0 });
});

test('a content that is in the later snapshot, at whatever path, is not lost, in however many passes it is looked for', async t => {
  const source = new ScratchSource(t);
  const names = Array.from({ length: 60 }, (_, n) => `a/file${n}`);
  source.write(Object.fromEntries(names.map((name, n) => [name, `content ${n % 50}`])));
  await source.take();
  const before = source.last as SnapshotId;
  renameSync(source.path('a'), source.path('b'));
  // The first ten have each a second file of the same content.
  for (let n = 0; n < 20; n += 1) rmSync(source.path(`b/file${n}`));
  mkdirSync(source.path('a'));
  source.write({ 'a/file30': 'other', 'b/file30': 'other' });
  await source.take();
  const pair = { before, after: source.last as SnapshotId };
  t.deepEqual(await filesLost(source.objects, pair, NEVER), { filesGone: 59, filesChanged: 1 });
  const moved = new Map([
    [1, 29],
    [2, 10],
  ]);
  for (const contentsMax of [1, 7, 59, 60, 1_000])
    t.deepEqual(await contentLost(source.objects, pair, NEVER, contentsMax), { filesGone: 10, filesChanged: 1, moved });
});

test('of two snapshots only what they do not share is read', async t => {
  const source = new ScratchSource(t);
  for (let n = 0; n < 5_000; n += 1) source.write({ [`folder${n % 50}/file${n}`]: 'x' });
  await settle(source);
  await source.take();
  const before = source.last as SnapshotId;
  source.write({ 'folder7/file7': 'y' });
  const { parcels, reused } = await source.take();
  t.true(parcels > 20 && parcels - reused < 5, `${parcels} ${reused}`);
  source.objects.reads = 0;
  t.like(await filesLost(source.objects, { before, after: source.last as SnapshotId }, NEVER), { filesChanged: 1 });
  t.true(source.objects.reads < 25, `${source.objects.reads}`);
});

/** A store on a disk that is full: somebody else has filled it while the service was down. */
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openStore } from '../../src/store/open-store.js';
import { skip } from '../helpers/skip.js';
import { fillDisk, mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { blobOf, contentOf, grab, parcelOf, proofFor, receive } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

const DISK_BYTES = 4 * 1024 * 1024;
const KEPT = parcelOf('kept');
const DROPPED = parcelOf('x'.repeat(100_000));

const markerOf = (host: TestHost) => join(host.storePath, '.scatterhoard');
const fillerOf = (host: TestHost) => join(host.storePath, '.filler');
const namesIn = (host: TestHost, folder: string) => readdir(join(host.storePath, folder));
const hostOnSmallDisk = (t: ExecutionContext) => TestHost.begin(t, path => mountSmallDisk(t, path, DISK_BYTES));

const why = whyNoSmallDisk();
const onFullDisk = (title: string, run: (t: ExecutionContext) => Promise<void>) =>
  test(title, t => (why === undefined ? run(t) : skip(t, why)));

onFullDisk('a store on a full disk is opened by what lies in its trash', async t => {
  const host = await hostOnSmallDisk(t);
  const before = await host.mount();
  for (const parcel of [KEPT, DROPPED]) await grab(before, parcel);
  await before.drop(proofFor(before.id, DROPPED.id));
  t.is((await namesIn(host, '.trash')).length, 1);
  const store = await host.restart(async () => fillDisk(fillerOf(host)));
  t.deepEqual([...store.present()], [KEPT.id]);
  t.deepEqual(await contentOf(store, blobOf('kept').blob), Buffer.from('kept'));
  t.false(store.rescanDue);
  t.deepEqual(await namesIn(host, '.trash'), []);
  await grab(store, DROPPED);
  t.true(store.isPresent(DROPPED.id));
});

onFullDisk('… and where that is empty by what was on its way in', async t => {
  const host = await hostOnSmallDisk(t);
  const before = await host.mount();
  await grab(before, KEPT);
  await receive(before, blobOf('y'.repeat(100_000)));
  t.is((await namesIn(host, '.incoming')).length, 1);
  const store = await host.restart(async () => fillDisk(fillerOf(host)));
  t.true(store.isPresent(KEPT.id));
  t.deepEqual(await namesIn(host, '.incoming'), []);
});

onFullDisk('where nothing can go it is missing, says why, and is as it was when there is room again', async t => {
  const host = await hostOnSmallDisk(t);
  await grab(await host.mount(), KEPT);
  await host.stop();
  fillDisk(fillerOf(host));
  const marker = await readFile(markerOf(host));
  host.boot += 1;
  host.reopenIndex();
  const opened = await openStore(host.opening());
  t.is(opened.kind, 'missing');
  if (opened.kind === 'missing') t.regex(opened.because, /disk is full.*free some room.*untouched/);
  t.deepEqual(await readFile(markerOf(host)), marker);
  await rm(fillerOf(host));
  const store = await host.mount();
  t.true(store.isPresent(KEPT.id));
  t.false(store.rescanDue);
});

onFullDisk('a new log that found no room for itself is begun again', async t => {
  const host = await hostOnSmallDisk(t);
  const before = await host.mount();
  await grab(before, DROPPED);
  await before.drop(proofFor(before.id, DROPPED.id));
  await grab(before, KEPT);
  const store = await host.restart(async () => {
    fillDisk(fillerOf(host));
    await writeFile(join(host.storePath, '.catalog/log'), 'no log');
  });
  t.true(store.rescanDue);
  for await (const { parcel } of store.rescan()) t.is(parcel, KEPT.id);
  t.true(store.isPresent(KEPT.id));
});

test('opened a second time by one service, a store writes no marker', async t => {
  const host = await TestHost.begin(t);
  await (await host.mount()).close();
  const { ino } = await stat(markerOf(host));
  await host.mount();
  t.is((await stat(markerOf(host))).ino, ino);
});

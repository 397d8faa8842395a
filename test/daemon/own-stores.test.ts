import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { recordBlobs } from '../../src/catalog/record.js';
import { DropProof } from '../../src/core/drop-proof.js';
import { ClusterError } from '../../src/core/fault.js';
import { hashHex } from '../../src/core/hash.js';
import { Holdings } from '../../src/core/holdings.js';
import { compareEpochs, type LogOp, type LogPosition, logAfterAll, logStart } from '../../src/core/holdings-log.js';
import {
  type ParcelId,
  parseClusterId,
  parseHostId,
  parseNonce,
  parsePossession,
  type StoreId,
  sourceIdOf,
} from '../../src/core/ids.js';
import type { BlobRef } from '../../src/core/parcel.js';
import { ParcelTable } from '../../src/core/parcel-table.js';
import { RULES } from '../../src/core/rules.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import type { OwnStores } from '../../src/daemon/own-stores.js';
import type { StoreSetting } from '../../src/membership/policy.js';
import { createStore } from '../../src/store/create-store.js';
import type { Store } from '../../src/store/store.js';
import { until } from '../net/fleet.js';
import { aCopy, anOwner, host, measuredOf, only, segmentsOf } from './an-owner.js';

test('the machine is told of every operation in order, however many ends come at once', async t => {
  const { stores, told, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const source = sourceIdOf(host, `s${i}`);
      await store.appendHead(source, 1);
      await stores.tellOps(store.id, segment => ({ is: 'head-kept', store: store.id, source, segment }));
    }),
  );
  let seq = 0;
  for (const { end, ops } of segmentsOf(told)) {
    t.true(end.seq - ops.length <= seq, `a gap: ${ops.length} operations up to ${end.seq} after ${seq}`);
    seq = Math.max(seq, end.seq);
  }
  t.is(seq, 40);
});

test('what could not be told is told with the next', async t => {
  const { stores, told, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  const source = sourceIdOf(host, 's');
  await store.appendHead(source, 1);
  const failing = stores.tellOps(store.id, () => {
    throw new Error('this completion alone');
  });
  await t.throwsAsync(failing, { message: 'this completion alone' });
  await store.appendHead(source, 2);
  await stores.tellOps(store.id, segment => ({ is: 'head-kept', store: store.id, source, segment }));
  t.is(segmentsOf(told).at(-1)?.ops.length, 2);
});

test('who tells of a store while its long log is told does so after that', async t => {
  const { stores, told, hears, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const { id } = only(stores);
  const append = (n: number) => only(stores).appendHead(sourceIdOf(host, `s${n}`), 1);
  await Promise.all(Array.from({ length: 5_000 }, (_, n) => append(n)));
  told.length = 0;
  const tell = () => stores.tellOps(id, segment => ({ is: 'log', segment }));
  let telling: Promise<void> | undefined;
  hears.thenOnce = () => {
    telling = tell();
  };
  await stores.reopen(id, only(stores));
  await telling;
  await append(5_000);
  await tell();
  t.deepEqual(
    segmentsOf(told).map(({ end, ops }) => [end.seq - ops.length, end.seq]),
    [
      [0, 4_096],
      [4_096, 5_000],
      [5_000, 5_000],
      [5_000, 5_001],
    ],
  );
});

test('a store is closed to be opened again only when the index takes writes', async t => {
  const { stores, told, alarms, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  const index: { failure: Error | undefined } = {
    failure: new ClusterError('INDEX_REFUSED', 'the index is full', { blame: 'operator' }),
  };
  store.catchUp = async () => {
    if (index.failure !== undefined) throw index.failure;
  };
  told.length = 0;
  await stores.reopen(store.id, store);
  t.is(only(stores), store);
  t.true(stores.logsTellAll);
  Object.defineProperty(store, 'isBehind', { value: true });
  t.false(stores.logsTellAll);
  await stores.refresh();
  t.is(only(stores), store);
  t.deepEqual(told, []);
  t.deepEqual(alarms.list(), []);
  index.failure = undefined;
  await stores.refresh();
  const anew = only(stores);
  t.not(anew, store);
  t.is(anew.id, store.id);
  t.true(stores.logsTellAll);
  t.is(told[0]?.is, 'store-gone');

  // No disk refuses it: opening it anew is what can mend it.
  Object.defineProperty(anew, 'isBehind', { value: true });
  anew.catchUp = () => Promise.reject(new Error('bug: a blob is counted below zero'));
  await stores.refresh();
  t.not(only(stores), anew);
});

test('a folder without its marker is not made a store again, unless the policy has named it no longer meanwhile', async t => {
  const { folder, stores, alarms, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const { id } = only(stores);
  const why = () => alarms.list().find(({ code }) => code === 'STORE_MISSING')?.text ?? '';
  await stores.configure([]);
  // The disk is there after all.
  await stores.configure([settingOf('disk')]);
  t.is(only(stores).id, id);
  await rename(join(folder, 'disk'), join(folder, 'dead'));
  await mkdir(join(folder, 'disk'));
  await stores.refresh();
  await stores.refresh();
  t.deepEqual([...stores.stores()], []);
  t.regex(why(), /take the store out of the policy, and add it again/);
  await stores.configure([]);
  await stores.configure([settingOf('disk')]);
  t.not(only(stores).id, id);
  t.is(why(), '');
});

test('stores on one disk share what is free there, also one that came before the other', async t => {
  const { folder, stores, settingOf } = await anOwner(t);
  await mkdir(join(folder, 'second'));
  const all = { kind: 'reserve', bytes: 0 } as const;
  const [first, second] = ['disk', 'second'].map(name => ({ ...settingOf(name), lends: all })) as [
    StoreSetting,
    StoreSetting,
  ];
  const lent = () => stores.reports().map(({ lentBytes }) => lentBytes);
  await stores.configure([first]);
  const [alone = 0] = lent();
  await stores.configure([first, second]);
  // Others use the same disk meanwhile, but not a fifth of what is free there.
  await until(() => lent().every(bytes => bytes > alone * 0.4 && bytes < alone * 0.6), 'both to lend half');
  await stores.configure([second]);
  await stores.refresh();
  t.true((lent()[0] ?? 0) > alone * 0.8);
});

test('no store is made in the state folder or above it, by whatever path: keys lie there', async t => {
  const { folder, stores, alarms, settingOf } = await anOwner(t, { stateBelow: 'disk/state' });
  await mkdir(join(folder, 'disk/state/hoard'));
  await symlink(join(folder, 'disk/state'), join(folder, 'link'));
  const before = await readdir(folder, { recursive: true });
  await stores.configure(['disk', 'disk/state', 'link'].map(settingOf));
  t.deepEqual([...stores.stores()], []);
  t.deepEqual(await readdir(folder, { recursive: true }), before);
  const told = alarms.list().map(({ code, text }) => `${code} ${text}`);
  for (const text of told)
    t.regex(text, /^STORE_MISSING .*state folder .* (is that folder|is below it).*Nothing was written there/);
  t.is(told.length, 3);

  // A folder in it that has a name of its own is no danger to them.
  await stores.configure([settingOf('disk/state/hoard')]);
  t.deepEqual(alarms.list(), []);
});

test('a store that is there already stays in use when the state folder comes to lie in it, for its copies count', async t => {
  const { folder, stores, alarms, lines, settingOf } = await anOwner(t, { stateBelow: 'disk/state' });
  const [cluster, random] = [parseClusterId('c1'.repeat(16)), () => randomBytes(16)];
  const id = await createStore(join(folder, 'disk'), { cluster, host, boot: 1, nowMs: 1, random });
  await stores.configure([settingOf('disk')]);
  t.deepEqual(
    [...stores.stores()].map(store => store.id),
    [id],
  );
  t.deepEqual(alarms.list(), []);
  t.deepEqual(
    lines.map(({ code }) => code),
    ['STORE_HAS_KEYS'],
  );
});

test('a store that is opened again is gone first, then its whole log is told; once', async t => {
  const { stores, told, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  await store.appendHead(sourceIdOf(host, 's'), 1);
  told.length = 0;
  await Promise.all([stores.reopen(store.id, store), stores.reopen(store.id, store)]);
  t.deepEqual(
    told.map(({ is }) => is),
    ['store-gone', 'log', 'store'],
  );
  t.is(segmentsOf(told)[0]?.ops.length, 1);
  t.not(only(stores), store);
  await stores.close();
  await stores.reopen(store.id, store);
  t.deepEqual([...stores.stores()], []);
});

test('a store whose log could not be told whole is not mounted, and is tried again', async t => {
  const { stores, told, hears, alarms, settingOf } = await anOwner(t);
  hears.logs = false;
  await stores.configure([settingOf('disk')]);
  hears.logs = true;
  t.deepEqual([...stores.stores()], []);
  t.is(alarms.list().length, 1);
  await stores.refresh();
  t.deepEqual(
    told.map(({ is }) => is),
    ['store-gone', 'log', 'store'],
  );
  t.deepEqual(alarms.list(), []);
});

// Serial, for the disk fails for every log of this process.
test.serial('a store whose log could not be flushed is unmounted, and mounted anew', async t => {
  const { stores, told, alarms, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  const source = sourceIdOf(host, 's');
  await withFailingFlush(() => t.throwsAsync(store.appendHead(source, 1), { message: 'EIO' }));
  t.is(await store.whyGone(), 'EIO');
  await t.throwsAsync(store.appendHead(source, 2), { message: 'EIO' });
  told.length = 0;
  await stores.refresh();
  t.deepEqual(told, [{ is: 'store-gone', store: store.id }]);
  t.true(alarms.list().some(({ code }) => code === 'STORE_MISSING'));
  await stores.refresh();
  t.deepEqual(alarms.list(), []);
  t.is(await only(stores).whyGone(), undefined);
  await only(stores).appendHead(source, 3);
});

/** Runs `work` while no flush of a log succeeds, as on a disk that breaks. */
async function withFailingFlush(work: () => Promise<unknown>): Promise<void> {
  const folder = await open(tmpdir());
  const handles = Object.getPrototypeOf(folder) as { datasync: unknown };
  await folder.close();
  const { datasync } = handles;
  handles.datasync = async () => {
    throw new Error('EIO');
  };
  try {
    await work();
  } finally {
    handles.datasync = datasync;
  }
}

test('a store that was moved to another path is taken as it is', async t => {
  const { folder, stores, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const { id } = only(stores);
  await stores.configure([]);
  await rename(join(folder, 'disk'), join(folder, 'elsewhere'));
  await stores.configure([settingOf('elsewhere')]);
  t.deepEqual(
    stores.reports().map(({ mounted, id: found }): [boolean, StoreId | undefined] => [mounted, found]),
    [[true, id]],
  );
});

test('one store under two paths is mounted once', async t => {
  const { folder, stores, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const again = `${join(folder, 'disk')}/.`;
  await stores.configure([settingOf('disk'), { ...(settingOf('disk') as object), path: again } as never]);
  t.deepEqual(
    stores.reports().map(({ mounted }) => mounted),
    [true, false],
  );
  t.regex(String(stores.reports()[1]?.because), /name it once/);
  t.deepEqual(
    stores.absent().map(({ path }) => path),
    [stores.reports()[1]?.path],
  );
});

test('the logs tell all when all stores were looked for, and none is missing', async t => {
  const { stores, settingOf } = await anOwner(t);
  t.false(stores.logsTellAll);
  await stores.configure([settingOf('disk')]);
  t.true(stores.logsTellAll);
  await stores.configure([settingOf('disk'), settingOf('not-there')]);
  t.false(stores.logsTellAll);
  await stores.configure([]);
  t.true(stores.logsTellAll);
});

test('a store that is missing and then not wanted any more leaves no alarm', async t => {
  const { stores, alarms, settingOf } = await anOwner(t);
  await stores.configure([settingOf(`not-there-${randomBytes(2).toString('hex')}`)]);
  t.is(alarms.list().length, 1);
  await stores.configure([]);
  t.deepEqual(alarms.list(), []);
});

test('the machine is told that a store is to be emptied, and that it is not any more', async t => {
  const { stores, told, settingOf } = await anOwner(t);
  for (const draining of [false, true, false]) {
    await stores.configure([{ ...settingOf('disk'), draining }]);
    t.like(measuredOf(told), { draining });
    t.like(stores.reports()[0], { mounted: true, draining });
  }
});

/** The proof that a parcel may go, as if two others had granted it. */
function aProof(parcel: ParcelId, store: StoreId): DropProof {
  const nonce = parseNonce(randomBytes(16).toString('hex'));
  const possession = parsePossession('5a'.repeat(32));
  const granters = ['b2', 'c3'].map(digits => parseHostId(digits.repeat(16)));
  return DropProof.from({
    parcel,
    store,
    stays: undefined,
    self: host,
    origins: [parseHostId('d4'.repeat(16))],
    nonce,
    copiesWanted: 2,
    grantable: 2,
    configVersion: 1,
    memberOf: id => ({ host: id, domain: id, state: 'active', trust: 'trusted' }) as never,
    grants: granters.map(id => ({ host: id, nonce, possession, expected: possession })),
  }) as DropProof;
}

test('what was dropped is no used room to the machine, and goes when its time is up', async t => {
  const { folder, stores, told, settingOf, trash } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  const parcel = await aCopy(store, 300_000);
  const usedBytes = await stores.usedBytes(store.id);
  await store.drop(aProof(parcel, store.id));
  t.true((await stores.usedBytes(store.id)) <= usedBytes - 300_000);
  await stores.refresh();
  t.like(measuredOf(told), { usedBytes: await stores.usedBytes(store.id) });
  t.is((await store.usage()).trashBytes, 300_000);
  trash.ms = 0;
  await stores.refresh();
  t.is((await store.usage()).trashBytes, 0);
  t.deepEqual(await readdir(join(folder, 'disk', '.trash')), []);
});

test('wrong bytes of what has too few copies stay until right ones lie here', async t => {
  const { folder, stores, settingOf, trash } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  const parcel = await aCopy(store, 10_000);
  const record = (await store.objects.get(parcel)) as Uint8Array;
  const [ref] = recordBlobs(record) as [BlobRef];
  const path = join(folder, 'disk', '.blobs', ref.blob.slice(0, 2), ref.blob);
  const right = await readFile(path);
  await writeFile(path, Buffer.from(right).fill(right.readUInt8() ^ 1, 0, 1));
  t.is((await store.possess(parcel, { nonce: parseNonce('0'.repeat(32)), holders: [] })).kind, 'corrupt');
  trash.ms = 0;
  trash.isSpared = blob => blob === ref.blob;
  await stores.refresh();
  t.is((await store.usage()).trashBytes, ref.bytes);
  const incoming = await store.receive(ref);
  await incoming.write(right);
  await incoming.finish();
  await store.commit(parcel, record);
  await stores.refresh();
  t.is((await store.usage()).trashBytes, 0);
});

test('the machine hears within a minute what a store has entered by itself', async t => {
  const { folder, stores, told, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  const parcel = await aCopy(store, 10_000);
  await rm(join(folder, 'disk', '.blobs'), { recursive: true });
  t.is((await store.possess(parcel, { nonce: parseNonce('0'.repeat(32)), holders: [] })).kind, 'corrupt');
  await stores.refresh();
  t.deepEqual(
    segmentsOf(told)
      .flatMap(({ ops }) => ops)
      .at(-1),
    { op: 'corrupt', parcel },
  );
});

test('trash that stands between what is used and reserved and what is lent goes before its time', async t => {
  const { stores, settingOf, reserved } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  const parcel = await aCopy(store, 300_000);
  await store.drop(aProof(parcel, store.id));
  const { usedBytes } = await store.usage();
  reserved.bytes = 1024 * 1024 - usedBytes;
  await stores.makeRoom(store.id);
  t.is((await store.usage()).trashBytes, 300_000);
  reserved.bytes += 1;
  await stores.makeRoom(store.id);
  t.is((await store.usage()).trashBytes, 0);
  t.is((await stores.usedBytes(store.id)) + 300_000, usedBytes);
});

/** What the store's log would be if it had so many operations more. */
const beyond = (store: Store, ops = 1): LogPosition => {
  const ours = store.position();
  return { ...ours, seq: ours.seq + ops, digest: hashHex(randomBytes(8)) };
};
const doubts = (lines: readonly { readonly code?: string; readonly subject?: string }[]): number =>
  lines.filter(({ code, subject }) => code === 'STORE_DOUBT' && subject !== undefined).length;

test('a store of whose log others remember more begins a new one, and its copies are read again', async t => {
  const { stores, told, settingOf, lines, alarms, toldAllAtMount } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  const parcel = await aCopy(store, 300_000);
  await stores.tellOps(store.id, segment => ({ is: 'log', segment }));
  const theirs = beyond(store);
  told.length = 0;
  t.true(stores.logsTellAll);
  await Promise.all([stores.hearOfOwnLog(theirs), stores.hearOfOwnLog(theirs)]);
  t.deepEqual(
    told.slice(0, 3).map(({ is }) => is),
    ['store-gone', 'log', 'store'],
  );
  const again = only(stores);
  t.true(compareEpochs(again.position().epoch, theirs.epoch) > 0);
  t.is(segmentsOf(told)[0]?.ops.length, 0, 'no copy counts before it was read');
  t.like(told[2], { unread: true });
  t.is(doubts(lines), 1, 'an alarm, once');
  t.false(toldAllAtMount.at(-1), 'what lies there unread may be a copy');
  await until(() => !again.rescanDue, 'the rescan');
  t.true(stores.logsTellAll);
  t.deepEqual([...again.present()], [parcel]);
  t.deepEqual(segmentsOf(told).at(-1)?.ops, [{ op: 'add', parcel }]);
  await until(() => alarms.list().length === 0, 'the alarm to be over');
  t.like(told.at(-1), { is: 'store', unread: false });

  await stores.hearOfOwnLog(theirs);
  t.is(only(stores), again, 'who has not heard of the new log yet changes nothing');
});

test('a store that could not be measured once is mounted all the same, and the alarm ends with the next look', async t => {
  const { stores, settingOf, alarms } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  const { sweepIncoming } = store;
  store.sweepIncoming = () => Promise.reject(new Error('EIO: i/o error, scandir'));
  await stores.refresh();
  t.is(only(stores), store);
  t.true(stores.logsTellAll);
  t.deepEqual(stores.absent(), []);
  t.like(alarms.list(), { length: 1, 0: { code: 'STORE_UNMEASURED' } });
  t.regex(alarms.list()[0]?.text ?? '', /is mounted.*EIO/);
  store.sweepIncoming = sweepIncoming;
  await stores.refresh();
  t.deepEqual(alarms.list(), []);
});

test('a rescan that was not through is tried again after a rest, and its alarm stands until then', async t => {
  const { stores, settingOf, lines, alarms, later, hears } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  const parcel = await aCopy(store, 3_000);
  let undo = () => {};
  // When the new log is told, and so before the rescan begins.
  hears.thenOnce = () => {
    const { objects } = only(stores);
    const get = objects.get.bind(objects);
    Object.assign(objects, { get: () => Promise.reject(new Error('EMFILE: too many open files')) });
    undo = () => void Object.assign(objects, { get });
  };
  await stores.hearOfOwnLog(beyond(store));
  const failures = () => lines.filter(({ code }) => code === 'RESCAN_FAILED').length;
  await until(() => failures() === 1, 'the rescan to fail');
  const again = only(stores);
  undo();
  await stores.refresh();
  t.true(again.rescanDue, 'it rests');
  t.is(alarms.list().length, 1);
  later.ms += 60_000;
  await stores.refresh();
  await until(() => alarms.list().length === 0, 'the alarm to be over');
  t.false(again.rescanDue);
  t.deepEqual([...again.present()], [parcel]);
  t.is(failures(), 1);
});

test('a log is in doubt for a greater epoch and for another operation, not for what it has or had', async t => {
  const { stores, told, settingOf, later } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  for (let seq = 1; seq <= 3; seq += 1) await store.appendHead(sourceIdOf(host, 's'), seq);
  told.length = 0;
  const ours = store.position();
  for (const known of [await store.positionAt(0), await store.positionAt(2), ours]) await stores.hearOfOwnLog(known);
  const { counter } = ours.epoch;
  await stores.hearOfOwnLog({ ...beyond(store), epoch: { ...ours.epoch, counter: counter - 1 } });
  t.deepEqual(told, []);

  await stores.hearOfOwnLog({ ...(await store.positionAt(2)), digest: hashHex(randomBytes(8)) });
  const second = only(stores);
  t.not(second, store);
  later.ms = 60_000;
  const far = { counter: second.position().epoch.counter + 1_000_000_000, random: '00'.repeat(8) };
  await stores.hearOfOwnLog({ ...second.position(), seq: 0, digest: hashHex(randomBytes(8)), epoch: far });
  t.not(only(stores), second);
  t.true(only(stores).position().epoch.counter > far.counter);
});

test('what others remember of a store that is not mounted yet is held against it before it counts', async t => {
  const { stores, told, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  await aCopy(store, 1_000);
  await stores.configure([]);
  told.length = 0;
  const theirs = { ...store.position(), seq: 7, digest: hashHex(randomBytes(8)) };
  await stores.hearOfOwnLog(theirs);
  t.deepEqual(told, []);
  await stores.configure([settingOf('disk')]);
  t.is(told[0]?.is, 'log');
  t.is(segmentsOf(told)[0]?.ops.length, 0);
  t.true(compareEpochs(only(stores).position().epoch, theirs.epoch) > 0);
});

test('a store that has moved begins a new log, too, as soon as others remember more of its old one', async t => {
  const { folder, stores, settingOf } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  await stores.configure([]);
  await rename(join(folder, 'disk'), join(folder, 'moved'));
  await stores.configure([settingOf('moved')]);
  const store = only(stores);
  const theirs = beyond(store);
  await stores.hearOfOwnLog(theirs);
  t.not(only(stores), store);
  t.true(compareEpochs(only(stores).position().epoch, theirs.epoch) > 0);
});

test('a store is opened anew for what others remember once a minute at most', async t => {
  const { stores, settingOf, later } = await anOwner(t);
  await stores.configure([settingOf('disk')]);
  await stores.hearOfOwnLog(beyond(only(stores)));
  const second = only(stores);
  await stores.hearOfOwnLog(beyond(second));
  later.ms = 20_000;
  await stores.refresh();
  t.is(only(stores), second);
  later.ms = 60_000;
  await stores.refresh();
  t.not(only(stores), second, 'then it is, without being told again');
});

// ---- checkpoints

/** Says so many heads more, each told to the machine. */
async function sayHeads(stores: OwnStores, from: number, to: number): Promise<void> {
  const store = only(stores);
  for (let seq = from; seq <= to; seq += 1) {
    await store.appendHead(sourceIdOf(host, `s${seq % 3}`), seq);
    await stores.tellOps(store.id, segment => ({ is: 'own-ops', segment, usedBytes: 0 }));
  }
}

/** What a machine makes of all that it was told. */
function hears(told: readonly Unstamped[]) {
  const holdings = new Holdings(new ParcelTable(), {
    ...RULES,
    self: host,
    isListed: () => true,
    onGivenUp: () => undefined,
  });
  const outcomes = told.flatMap(input => {
    if (input.is === 'checkpoint') return [holdings.take(input.piece).outcome];
    return input.is === 'log' || input.is === 'own-ops' ? [holdings.apply(input.segment).outcome] : [];
  });
  return {
    position: holdings.position(0),
    seqs: [0, 1, 2].map(n => holdings.headSeq(0, sourceIdOf(host, `s${n}`))),
    outcomes,
  };
}

test('a store makes a checkpoint when it is due: the machine misses no operation, and the archive stands on it', async t => {
  const { stores, logs, told, settingOf } = await anOwner(t, { checkpointEveryOps: 5 });
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  await sayHeads(stores, 1, 4);
  t.is(store.base, undefined);
  await sayHeads(stores, 5, 7);
  await until(() => logs.checkpoint(host, store.id) !== undefined, 'the checkpoint');
  t.is(store.base?.count, 3);
  t.deepEqual(logs.checkpoint(host, store.id)?.at, store.base?.at);
  t.deepEqual(hears(told).position, store.position());
  t.false(hears(told).outcomes.includes('ask'));

  told.length = 0;
  await stores.reopen(store.id, store);
  t.deepEqual(
    told.map(({ is }) => is),
    ['store-gone', 'checkpoint', 'log', 'store'],
  );
  t.like(hears(told), { position: only(stores).position(), seqs: [6, 7, 5] });
  t.is(hears(told).outcomes[0], 'extended');
});

test('an archive that was lost, or has another log, gets the checkpoint from the store', async t => {
  for (const how of ['lost', 'other'] as const) {
    const { stores, logs, settingOf } = await anOwner(t, { checkpointEveryOps: 5 });
    await stores.configure([settingOf('disk')]);
    const store = only(stores);
    await sayHeads(stores, 1, 6);
    await until(() => logs.checkpoint(host, store.id) !== undefined, 'the checkpoint');
    await logs.drop(host, store.id);
    if (how === 'other') {
      const ops = Array.from(
        { length: 9 },
        (_, n): LogOp => ({ op: 'head', source: sourceIdOf(host, 'x'), seq: n + 1 }),
      );
      const end = logAfterAll(logStart(store.id, store.position().epoch), ops);
      await logs.append({ host, end, ops, signature: new Uint8Array(64) });
    }
    await stores.reopen(store.id, store);
    t.deepEqual(logs.checkpoint(host, store.id)?.at, store.base?.at);
    t.deepEqual(logs.position(host, store.id), only(stores).position());
    await stores.close();
  }
});

test('an archive that loses a log while its store is mounted has all of it again with the next operation', async t => {
  for (const checkpointEveryOps of [5, 100_000]) {
    const { stores, logs, lines, settingOf } = await anOwner(t, { checkpointEveryOps });
    await stores.configure([settingOf('disk')]);
    const store = only(stores);
    await sayHeads(stores, 1, 6);
    await until(() => checkpointEveryOps > 5 || logs.checkpoint(host, store.id) !== undefined, 'the checkpoint');
    await logs.drop(host, store.id);
    await sayHeads(stores, 7, 7);
    t.deepEqual(logs.position(host, store.id), store.position());
    t.deepEqual(logs.checkpoint(host, store.id)?.at, store.base?.at);
    const from = store.base?.at.seq ?? 0;
    t.is(logs.segment(host, store.id, from, 100)?.ops.length, 7 - from);
    t.deepEqual(
      lines.map(({ code }) => code),
      ['OWN_LOG_NOT_KEPT'],
    );
    await stores.close();
  }
});

test('a checkpoint that cannot be written is tried again later, and the log goes on', async t => {
  const { stores, settingOf, lines, later } = await anOwner(t, { checkpointEveryOps: 5 });
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  const missed = () => lines.filter(({ code }) => code === 'CHECKPOINT_NOT_MADE').length;
  await sayHeads(stores, 1, 4);
  await mkdir(join(store.path, '.catalog', 'log.new', 'in the way'), { recursive: true });
  await sayHeads(stores, 5, 6);
  await until(() => missed() === 1, 'the failure');
  await sayHeads(stores, 7, 9);
  t.is(store.base, undefined);
  t.is(missed(), 1, 'not at each operation');
  await rm(join(store.path, '.catalog', 'log.new'), { recursive: true });
  later.ms = 10 * 60_000;
  await sayHeads(stores, 10, 10);
  await until(() => store.base !== undefined, 'the checkpoint');
});

test('what others remember from before a checkpoint is no doubt; another operation behind it is', async t => {
  const { stores, logs, settingOf } = await anOwner(t, { checkpointEveryOps: 5 });
  await stores.configure([settingOf('disk')]);
  const store = only(stores);
  await sayHeads(stores, 1, 5);
  await until(() => logs.checkpoint(host, store.id) !== undefined, 'the checkpoint');
  await sayHeads(stores, 6, 7);
  const digest = hashHex(randomBytes(8));
  await stores.hearOfOwnLog({ ...store.position(), seq: (store.base?.at.seq ?? 0) - 1, digest });
  t.is(only(stores), store);
  await stores.hearOfOwnLog({ ...store.position(), seq: 6, digest });
  t.not(only(stores), store);
});

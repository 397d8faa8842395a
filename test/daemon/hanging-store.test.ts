/**
 * Hanging store: of several stores one is on a disk that does not answer for a while. The others go on; what was under way there is
 * neither lost nor told twice.
 */
import { mkdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type StoreId, sourceIdOf } from '../../src/core/ids.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { setApart } from '../../src/platform/disk.js';
import type { Store } from '../../src/store/store.js';
import { FolderAway, FrozenDisk, whyNoFolderAway, whyNoFrozenDisk } from '../helpers/hanging-disk.js';
import { skip } from '../helpers/skip.js';
import { until } from '../helpers/until.js';
import { aCopy, anOwner, host, segmentsOf } from './an-owner.js';

/** Above what a call takes on a disk that is busy with other tests. */
const PATIENCE = { callMs: 5_000, flushMs: 20_000, endMs: 3_000 };
const source = sourceIdOf(host, 's');

/** A store that is about to hang, and another. */
async function twoStores(t: ExecutionContext, patience = PATIENCE) {
  const owner = await anOwner(t, { patience });
  const { folder, stores, settingOf } = owner;
  mkdirSync(join(folder, 'other'));
  await stores.configure(['disk', 'other'].map(settingOf));
  const at = (name: string): Store | undefined => [...stores.stores()].find(({ path }) => path === join(folder, name));
  const [hanging, other] = [at('disk'), at('other')];
  if (hanging === undefined || other === undefined) throw new Error('a store was not mounted');
  return { ...owner, hanging, other, at };
}

/** Calls that keep all places of a disk, until they are answered. */
function hang(t: ExecutionContext, path: string): () => void {
  const { answered, answer } = held(t);
  const calls = Array.from({ length: 4 }, () => setApart(path).run(() => answered));
  for (const call of calls) call.catch(() => {}); // that it is given up
  return answer;
}

function held(t: ExecutionContext): { readonly answered: Promise<void>; readonly answer: () => void } {
  let answer = (): void => {};
  const answered = new Promise<void>(resolve => {
    answer = resolve;
  });
  t.teardown(answer);
  return { answered, answer };
}

const told = (all: readonly Unstamped[], is: Unstamped['is'], store: StoreId) =>
  all.filter(input => input.is === is && 'store' in input && input.store === store);

const opsOf = (all: readonly Unstamped[], store: StoreId) =>
  segmentsOf(all)
    .filter(({ end }) => end.store === store)
    .flatMap(({ ops }) => ops);

test('a store whose disk hangs holds up no other; it is missing after a while, and comes back when its disk answers', async t => {
  const { stores, told: all, alarms, hanging, other, at } = await twoStores(t);
  all.length = 0;
  const folders = stores.forbidden();
  const answer = hang(t, hanging.path);
  const looking = stores.refresh();
  await until('the other store is measured', () => told(all, 'store', other.id).length > 0);
  t.is(at('disk'), hanging);
  await until('it is given up', () => at('disk') === undefined);
  t.is(told(all, 'store-gone', hanging.id).length, 1);
  t.true(alarms.list().some(({ code, text }) => code === 'STORE_MISSING' && /its disk does not answer/.test(text)));
  t.like(
    stores.reports().find(({ path }) => path === hanging.path),
    { mounted: false, id: hanging.id },
  );
  t.deepEqual(stores.forbidden(), folders, 'no scan enters it meanwhile');
  t.true(folders.every(({ identity }) => identity !== undefined));
  await looking;
  await other.appendHead(source, 1);
  await stores.refresh();
  t.is(at('disk'), undefined);
  answer();
  await until('it is mounted again', () => at('disk') !== undefined);
  t.not(at('disk'), hanging);
  t.is(at('other'), other);
  await until('the alarm is over', () => alarms.list().length === 0);
  t.is(told(all, 'store-gone', hanging.id).length, 1);
  t.is(await at('disk')?.whyGone(), undefined);
});

test('before that it gets nothing new, until it answers', async t => {
  const {
    stores,
    told: all,
    alarms,
    hanging,
    other,
    at,
  } = await twoStores(t, {
    callMs: 600_000,
    flushMs: 600_000,
    endMs: 3_000,
  });
  const answer = hang(t, hanging.path);
  const hangs = () => told(all, 'store-hangs', hanging.id).map(input => 'hangs' in input && input.hangs);
  await until('the machine hears of it', () => hangs().length > 0);
  t.deepEqual([...stores.answering()], [other]);
  t.true([...stores.catalogs()].includes(hanging.objects), 'what only it has is not missing');
  t.is(at('disk'), hanging);
  t.deepEqual(alarms.list(), []);
  answer();
  await until('… and of its end', () => hangs().length > 1);
  t.deepEqual(hangs(), [true, false]);
  t.is([...stores.answering()].length, 2);
  t.deepEqual(told(all, 'store-hangs', other.id), []);
});

// Serial, for the flush is every log's of this process.
test.serial('what enters a log after its store was given up is told when it is mounted again, and once', async t => {
  const { stores, told: all, hanging, at } = await twoStores(t);
  all.length = 0;
  const folder = await open(tmpdir());
  const handles = Object.getPrototypeOf(folder) as { datasync: () => Promise<void> };
  await folder.close();
  const { datasync } = handles;
  const flush = held(t);
  let isDone = false;
  try {
    // The disk does it, and does not say so.
    handles.datasync = async function (this: unknown) {
      await datasync.call(this);
      isDone = true;
      await flush.answered;
    };
    const entering = t.throwsAsync(hanging.appendHead(source, 1), { message: /does not answer/ });
    await until('it is in the log', () => isDone);
    const answer = hang(t, hanging.path);
    await entering;
    answer();
  } finally {
    handles.datasync = datasync;
  }
  t.is(at('disk'), undefined);
  await t.throwsAsync(
    stores.tellOps(hanging.id, segment => ({ is: 'head-kept', store: hanging.id, source, segment })),
    { code: 'STORE_MISSING' },
  );
  await t.throwsAsync(hanging.appendHead(source, 2));
  // The flush goes on.
  await stores.refresh();
  t.is(at('disk'), undefined);
  t.deepEqual(opsOf(all, hanging.id), []);
  flush.answer();
  await until('it is mounted again', () => at('disk') !== undefined);
  await stores.refresh();
  t.deepEqual(opsOf(all, hanging.id), [{ op: 'head', source, seq: 1 }]);
  t.is(at('disk')?.headSeq(source), 1);
});

test('what was being told of a store when it was given up is told with its whole log', async t => {
  const { stores, told: all, logs, hanging, at } = await twoStores(t);
  await hanging.appendHead(source, 1);
  all.length = 0;
  const archive = held(t);
  const { append } = logs;
  logs.append = async segment => {
    await archive.answered;
    return append.call(logs, segment);
  };
  const telling = t.throwsAsync(
    stores.tellOps(hanging.id, segment => ({ is: 'head-kept', store: hanging.id, source, segment })),
    { code: 'STORE_MISSING' },
  );
  const answer = hang(t, hanging.path);
  await until('it is given up', () => at('disk') === undefined);
  archive.answer();
  await telling;
  t.deepEqual(opsOf(all, hanging.id), []);
  answer();
  await until('it is mounted again', () => at('disk') !== undefined);
  await stores.refresh();
  t.deepEqual(opsOf(all, hanging.id), [{ op: 'head', source, seq: 1 }]);
});

test('stores are closed although a disk hangs, and it is said which', async t => {
  const { stores, lines, hanging, other } = await twoStores(t);
  const answer = hang(t, hanging.path);
  const looking = stores.refresh();
  await stores.close();
  await looking;
  t.true(lines.some(line => 'path' in line && line.code === 'STORE_NOT_MOUNTED' && line.path === hanging.path));
  for (const store of [hanging, other]) await t.throwsAsync(store.appendHead(source, 1), { code: 'STORE_CLOSED' });
  // It is not opened again.
  answer();
  await setApart(hanging.path).settled();
  t.deepEqual([...stores.stores()], []);
});

test('a store on a server that is away is missing, and what it holds counts again when the server is back', async t => {
  const why = whyNoFolderAway();
  if (why !== undefined) return skip(t, why);
  const { folder, stores, told: all, hanging, other, at } = await twoStores(t);
  const parcel = await aCopy(hanging, 10_000);
  const server = new FolderAway(t, join(folder, 'disk'));
  server.goAway();
  all.length = 0;
  const looking = stores.refresh();
  const reading = t.throwsAsync(hanging.objects.get(parcel), { code: 'DISK_HANGS' });
  await aCopy(other, 20_000);
  await Promise.all([reading, looking]);
  t.is(at('disk'), undefined);
  server.comeBack();
  await until('it is mounted again', () => at('disk') !== undefined);
  await stores.refresh();
  t.true(at('disk')?.isPresent(parcel));
  t.deepEqual(opsOf(all, hanging.id), [{ op: 'add', parcel }]);
});

test('a commit on a disk that freezes is given up; when it thaws the copy is there or comes again, told of once', async t => {
  const why = whyNoFrozenDisk();
  if (why !== undefined) return skip(t, why);
  const { folder, stores, told: all, settingOf, other, at } = await twoStores(t);
  const disk = new FrozenDisk(t, folder);
  await stores.configure(['disk', 'other', 'frozen'].map(settingOf));
  const store = at('frozen');
  if (store === undefined) return t.fail('it was not mounted');
  const before = await aCopy(store, 10_000);
  disk.freeze();
  const copying = t.throwsAsync(aCopy(store, 20_000));
  await aCopy(other, 30_000);
  await copying;
  t.is(at('frozen'), undefined);
  all.length = 0;
  disk.thaw();
  await until('it is mounted again', () => at('frozen') !== undefined);
  await stores.refresh();
  const again = at('frozen') as Store;
  t.true(again.isPresent(before));
  const held = [...again.present()].map(parcel => ({ op: 'add' as const, parcel }));
  t.deepEqual(opsOf(all, store.id), held);
  t.true(again.isPresent(await aCopy(again, 40_000)));
});

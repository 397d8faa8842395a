/**
 * The order of giving up: what lies where while `del` is not durable, and after the log refused it. A flush or a read is
 * held or made to fail by standing in for what makes it, in the whole process; so these tests go one by one.
 */
import { open, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type BlobId, type ParcelId, parseNonce } from '../../src/core/ids.js';
import type { Store } from '../../src/store/store.js';
import { answerReads, unreadableAt } from '../helpers/reading-thread.js';
import { blobOf, contentOf, grab, parcelOf, proofFor, receive, warrantFor } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

const OLD = parcelOf('shared', 'old');
const NEXT = parcelOf('next', 'shared');
const ASK = { nonce: parseNonce('0e'.repeat(16)), holders: [] };

async function begin(t: ExecutionContext): Promise<{ readonly host: TestHost; readonly store: Store }> {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  await grab(store, OLD);
  return { host, store };
}

async function blobsIn(host: TestHost): Promise<string[]> {
  const names = await readdir(join(host.storePath, '.blobs'), { recursive: true });
  return names.flatMap(name => name.match(/[0-9a-f]{64}$/) ?? []).sort();
}
const trashOf = (host: TestHost) => readdir(join(host.storePath, '.trash'));
const ids = (...contents: string[]) => contents.map(content => blobOf(content).blob).sort();

/** From now on flushes of the log (`datasync`), or of files and folders (`sync`), wait for `go`, or fail. */
async function gate(t: ExecutionContext, call: 'datasync' | 'sync' = 'datasync') {
  const file = await open(process.execPath);
  const prototype = Object.getPrototypeOf(file) as Record<typeof call, (...args: unknown[]) => Promise<unknown>>;
  await file.close();
  const real = prototype[call];
  const waiting: (() => void)[] = [];
  let reached = () => {};
  const reachedIt = new Promise<void>(resolve => {
    reached = resolve;
  });
  let failure: Error | undefined;
  prototype[call] = async function (this: typeof prototype, ...args) {
    reached();
    await new Promise<void>(resolve => waiting.push(resolve));
    if (failure !== undefined) throw failure;
    return real.apply(this, args);
  };
  const end = (error?: Error) => {
    failure = error;
    prototype[call] = real;
    for (const go of waiting.splice(0)) go();
  };
  t.teardown(() => end());
  return {
    reached: reachedIt,
    go: () => end(),
    fail: () => end(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })),
  };
}

/** The next reading of a parcel waits for `go`: before it begins, or when it is at its end. */
function gateReading(t: ExecutionContext, { atEnd = false }: { readonly atEnd?: boolean } = {}) {
  let [reach, go] = [(): void => {}, (): void => {}];
  const reached = new Promise<void>(resolve => {
    reach = resolve;
  });
  const gone = new Promise<void>(resolve => {
    go = resolve;
  });
  const end = answerReads(t, async (files, read) => {
    end();
    const early = atEnd ? await read(files) : undefined;
    reach();
    await gone;
    return early ?? read(files);
  });
  return { reached, go };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}

test.serial('nothing moves and nothing is forgotten before del is durable', async t => {
  const { host, store } = await begin(t);
  const { reached, go } = await gate(t);
  const dropping = store.drop(proofFor(store.id, OLD.id));
  await reached;
  await turns(20);
  t.deepEqual(await blobsIn(host), ids('shared', 'old'));
  t.deepEqual(await trashOf(host), []);
  t.true(store.isPresent(OLD.id));
  t.true(store.holds(blobOf('old').blob));
  t.is(store.position().seq, 1);
  go();
  await dropping;
  t.deepEqual(await blobsIn(host), []);
  t.deepEqual((await trashOf(host)).sort(), ids('shared', 'old'));
});

test.serial('a drop that the log did not take leaves everything, and the store takes nothing more', async t => {
  const { host, store } = await begin(t);
  const { reached, fail } = await gate(t);
  const dropping = t.throwsAsync(store.drop(proofFor(store.id, OLD.id)), { message: /EIO/ });
  await reached;
  fail();
  await dropping;
  await t.throwsAsync(store.drop(proofFor(store.id, OLD.id)), { message: /EIO/ });
  await t.throwsAsync(store.appendHead('x/photos' as Parameters<Store['appendHead']>[0], 1), { message: /EIO/ });
  t.deepEqual(await blobsIn(host), ids('shared', 'old'));
  t.deepEqual(await trashOf(host), []);
  // Nobody knew whether `del` was durable; here it was.
  const again = await host.restart();
  t.false(again.isPresent(OLD.id));
  t.deepEqual(await blobsIn(host), ids('shared', 'old'));
  for (const { blob } of OLD.blobs) t.false(again.holds(blob));
});

test.serial('a corrupt that the log did not take leaves the wrong bytes where they are', async t => {
  const { host, store } = await begin(t);
  await writeFile(join(host.storePath, '.blobs', blobOf('old').blob.slice(0, 2), blobOf('old').blob), 'OLD');
  const { reached, fail } = await gate(t);
  const reading = t.throwsAsync(store.possess(OLD.id, ASK), { message: /EIO/ });
  await reached;
  t.deepEqual(await blobsIn(host), ids('shared', 'old'));
  fail();
  await reading;
  t.deepEqual(await trashOf(host), []);
});

test.serial('a commit that waits in the log when its held blob is dropped finds it in its place', async t => {
  const { host, store } = await begin(t);
  await receive(store, blobOf('next'));
  const { reached, go } = await gate(t);
  // Its `del` is being flushed; the commit comes while nobody can say how that ends.
  const dropping = store.drop(proofFor(store.id, OLD.id));
  await reached;
  const committing = store.commit(NEXT.id, NEXT.record);
  await turns(50);
  t.false(store.isPresent(NEXT.id));
  go();
  await Promise.all([dropping, committing]);
  t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
  t.deepEqual(await trashOf(host), ids('old'));
});

test.serial('a drop that comes while a commit flushes leaves it the blob that it counts on', async t => {
  const { host, store } = await begin(t);
  await receive(store, blobOf('next'));
  const { reached, go } = await gate(t);
  const committing = store.commit(NEXT.id, NEXT.record);
  await reached;
  const dropping = store.drop(proofFor(store.id, OLD.id));
  await turns(50);
  go();
  await Promise.all([dropping, committing]);
  t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
  t.deepEqual(await trashOf(host), ids('old'));
});

test.serial('a blob is dropped while a commit that counts on it writes: it stays, and is held again', async t => {
  const { host, store } = await begin(t);
  await receive(store, blobOf('next'));
  const { reached, go } = await gate(t, 'sync');
  const committing = store.commit(NEXT.id, NEXT.record);
  await reached;
  await store.drop(proofFor(store.id, OLD.id));
  t.false(store.holds(blobOf('shared').blob), 'no PRESENT parcel lists it');
  t.deepEqual(await blobsIn(host), ids('shared'));
  // Whoever else wants it may count on it too.
  t.deepEqual(await store.missing([blobOf('shared')]), []);
  t.deepEqual(await blobsIn(host), ids('shared'));
  go();
  await committing;
  t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
  t.deepEqual(await trashOf(host), ids('old'));
  await store.drop(proofFor(store.id, NEXT.id));
  t.deepEqual((await trashOf(host)).sort(), ids('old', 'shared', 'next'));
});

test.serial('a blob is dropped while a commit that counts on it writes and fails: it goes too', async t => {
  const { host, store } = await begin(t);
  await receive(store, blobOf('next'));
  const { reached, fail } = await gate(t, 'sync');
  const committing = t.throwsAsync(store.commit(NEXT.id, NEXT.record), { message: /the disk did not accept/ });
  await reached;
  await store.drop(proofFor(store.id, OLD.id));
  fail();
  await committing;
  t.deepEqual(await blobsIn(host), []);
  t.deepEqual((await trashOf(host)).sort(), ids('old', 'shared'));
  await t.throwsAsync(store.close(), { code: 'STORE_FAILED' });
  host.store = undefined;
});

test.serial('a commit that comes while bytes move to the trash waits for them, and takes them back', async t => {
  const { store } = await begin(t);
  const contents = Array.from({ length: 300 }, (_, n) => `one of many ${n}`);
  const [many, again] = [parcelOf(...contents), parcelOf(...contents.toReversed())];
  await grab(store, many);
  const dropping = store.drop(proofFor(store.id, many.id));
  while (store.isPresent(many.id)) await turns(1);
  const committing = store.commit(again.id, again.record);
  await Promise.all([dropping, committing]);
  t.is((await store.possess(again.id, ASK)).kind, 'whole');
  t.is((await store.usage()).trashBytes, 0);
});

for (const [what, contents] of [
  ['and whose other file has moved', ['first', 'second']],
  ['and of whose log a checkpoint is made', ['first', 'second']],
  ['to its end', ['first']],
] as const) {
  test.serial(`a parcel that is dropped while it is read, ${what}, is absent, and not wrong`, async t => {
    const { store } = await begin(t);
    const parcel = parcelOf(...contents);
    await grab(store, parcel);
    const { reached, go } = gateReading(t, { atEnd: what === 'to its end' });
    const reading = store.possess(parcel.id, ASK);
    await reached;
    const { seq } = await store.drop(proofFor(store.id, parcel.id));
    if (what.includes('checkpoint')) await store.makeCheckpoint(async () => undefined);
    go();
    t.is((await reading).kind, 'absent');
    t.is(store.position().seq, seq);
    await grab(store, parcel);
    t.is((await store.possess(parcel.id, ASK)).kind, 'whole');
  });
}

test.serial('a parcel that is dropped while its record is looked for is absent, and not wrong', async t => {
  const { store } = await begin(t);
  const get = store.objects.get.bind(store.objects);
  store.objects.get = async id => {
    const record = await get(id);
    store.objects.get = get;
    await store.drop(proofFor(store.id, OLD.id));
    return record;
  };
  t.is((await store.possess(OLD.id, ASK)).kind, 'absent');
  t.is(store.position().seq, 2);
  t.is(await store.whyGone(), undefined);
  await grab(store, OLD);
  t.is((await store.possess(OLD.id, ASK)).kind, 'whole');
});

test.serial('a disk that cannot read says nothing about the bytes', async t => {
  const { store } = await begin(t);
  const end = answerReads(t, async () => {
    end();
    return unreadableAt(0);
  });
  await t.throwsAsync(store.possess(OLD.id, ASK), { message: /EIO/ });
  t.true(store.isPresent(OLD.id));
  t.is(store.position().seq, 1);
  t.is((await store.possess(OLD.id, ASK)).kind, 'whole');
});

test.serial('a wrong blob comes again although another parcel lists it that could not be found', async t => {
  const { host, store } = await begin(t);
  await grab(store, NEXT);
  await rm(join(host.storePath, '.catalog/objects', NEXT.id.slice(0, 2), NEXT.id));
  const shared = blobOf('shared').blob;
  await writeFile(join(host.storePath, '.blobs', shared.slice(0, 2), shared), 'SHARED');
  t.is((await store.possess(OLD.id, ASK)).kind, 'corrupt');
  t.true(store.isPresent(NEXT.id), 'its record is lost: nobody knows what it lists');
  t.false(store.holds(shared));
  t.is(await store.openBlob(shared), undefined);
  t.deepEqual(
    (await store.missing(OLD.blobs)).map(({ blob }) => blob),
    [shared],
  );
  await grab(store, OLD);
  t.is((await store.possess(OLD.id, ASK)).kind, 'whole');
});

test.serial('of a blob, a present parcel that lists it is found: a likely one, else any', async t => {
  const { store } = await begin(t);
  await grab(store, NEXT);
  const [shared, old, nowhere] = ['shared', 'old', 'nowhere'].map(name => blobOf(name).blob) as [
    BlobId,
    BlobId,
    BlobId,
  ];
  const { signal } = new AbortController();
  const listerOf = (blob: BlobId, ...likely: ParcelId[]) => store.listerOf(blob, likely, signal);
  t.is(await listerOf(shared, NEXT.id), NEXT.id);
  t.is(await listerOf(shared, OLD.id), OLD.id);
  t.is(await listerOf(old, NEXT.id, parcelOf('third').id), OLD.id);
  t.is(await listerOf(nowhere, OLD.id), undefined);
  await store.drop(proofFor(store.id, OLD.id));
  t.is(await listerOf(old, OLD.id), undefined);
});

test.serial('a search for who lists a blob ends when it is no longer needed, before all records are read', async t => {
  const { store } = await begin(t);
  await grab(store, NEXT);
  const ended = new AbortController();
  const search = store.listerOf(blobOf('nowhere').blob as BlobId, [], ended.signal);
  ended.abort(new Error('the service stops'));
  await t.throwsAsync(search, { message: 'the service stops' });
});

test.serial('of a parcel whose record is lost the del is taken, and the next opening gives up its blobs', async t => {
  const { host, store } = await begin(t);
  await grab(store, NEXT);
  const record = (id: string) => join(host.storePath, '.catalog/objects', id.slice(0, 2), id);
  await rm(record(OLD.id));
  await store.drop(proofFor(store.id, OLD.id));
  t.false(store.isPresent(OLD.id));
  t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
  await grab(store, parcelOf('third'));
  const again = await host.restart();
  t.deepEqual(new Set(again.present()), new Set([NEXT.id, parcelOf('third').id]));
  t.false(again.holds(blobOf('old').blob));
  t.true(again.holds(blobOf('shared').blob));
  await again.drop(proofFor(again.id, NEXT.id));
  t.false(again.holds(blobOf('shared').blob));
});

test.serial('a parcel whose record is lost is corrupt when it is read, and its blobs need not come again', async t => {
  const { host, store } = await begin(t);
  await rm(join(host.storePath, '.catalog/objects', OLD.id.slice(0, 2), OLD.id));
  t.is((await store.possess(OLD.id, ASK)).kind, 'corrupt');
  t.deepEqual(await store.ops(1, 9), [{ op: 'corrupt', parcel: OLD.id }]);
  t.deepEqual(await store.missing(OLD.blobs), []);
  await grab(store, OLD);
  t.is((await store.possess(OLD.id, ASK)).kind, 'whole');
  const again = await host.restart();
  t.is((await again.possess(OLD.id, ASK)).kind, 'whole');
});

test.serial('bytes that rot in the trash do not come back, and stay there as damaged', async t => {
  const { host, store } = await begin(t);
  await store.drop(proofFor(store.id, OLD.id));
  const { usedBytes } = await store.usage();
  await writeFile(join(host.storePath, '.trash', blobOf('old').blob), 'OLD');
  t.deepEqual(
    (await store.missing(OLD.blobs)).map(({ blob }) => blob),
    ids('old'),
  );
  const [damaged = '', ...more] = await trashOf(host);
  t.deepEqual(more, []);
  t.regex(damaged, new RegExp(`^${blobOf('old').blob}\\.[0-9a-f]{12}$`));
  t.is((await store.usage()).usedBytes, usedBytes);
  await grab(store, OLD);
  await store.drop(proofFor(store.id, OLD.id));
  t.is((await trashOf(host)).length, 3, 'the damaged one beside the dropped one of that name');
  t.is((await store.usage()).trashBytes, 'shared'.length + 2 * 'old'.length);
});

test.serial('a blob that cannot be moved to the trash counts no more, and is found when it is wanted', async t => {
  const { host, store } = await begin(t);
  // Not as root, who may do everything: so the folder is replaced by a file.
  await rm(join(host.storePath, '.trash'), { recursive: true });
  await writeFile(join(host.storePath, '.trash'), '');
  await store.drop(proofFor(store.id, OLD.id));
  t.false(store.holds(blobOf('old').blob));
  t.deepEqual(await blobsIn(host), ids('shared', 'old'));
  t.deepEqual(await store.missing(OLD.blobs), []);
  await store.commit(OLD.id, OLD.record);
  t.deepEqual(await contentOf(store, blobOf('old').blob), Buffer.from('old'));
  await rm(join(host.storePath, '.trash'));
});

test('of what expires, what a corrupt parcel needs stays where it is, and the rest goes to the trash', async t => {
  const { host, store } = await begin(t);
  await grab(store, NEXT);
  await rm(join(host.storePath, '.blobs', blobOf('next').blob.slice(0, 2), blobOf('next').blob));
  t.is((await store.possess(NEXT.id, ASK)).kind, 'corrupt');
  await store.expire(warrantFor(store.id, OLD.id), blob => blob === blobOf('shared').blob);
  t.deepEqual(await blobsIn(host), ids('shared'));
  t.deepEqual(await trashOf(host), ids('old'));
  t.false(store.holds(blobOf('shared').blob));
  t.deepEqual(await store.missing([blobOf('next'), blobOf('shared')]), [blobOf('next')]);
  await receive(store, blobOf('next'));
  await store.commit(NEXT.id, NEXT.record);
  t.deepEqual([...store.present()], [NEXT.id]);
});

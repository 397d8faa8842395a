/** Held parcels alone: a round of the log, the index and the tables, without a store around them. */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parseStoreId } from '../../src/core/ids.js';
import type { BlobIndex } from '../../src/store/blob-index.js';
import { HeldParcels } from '../../src/store/held-parcels.js';
import { openIndexDatabase } from '../../src/store/index-database.js';
import { LogFile } from '../../src/store/log-file.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { blobOf, parcelOf } from '../helpers/test-parcels.js';

const STORE = parseStoreId('57'.repeat(16));
const [A, B] = [parcelOf('a', 'shared'), parcelOf('b', 'shared')];

async function begin(t: ExecutionContext, { failing = false } = {}) {
  const folder = temporaryFolder(t);
  const database = openIndexDatabase(join(folder, 'index'));
  const log = await LogFile.create(join(folder, 'log'), STORE, { counter: 1, random: '0'.repeat(16) });
  t.teardown(async () => {
    await log.close();
    await database.close();
  });
  const table = database.blobsOf(STORE);
  const full = { now: failing };
  const index = {
    note: () => table.note(),
    flush: () => table.flush(),
    apply: (...changes: Parameters<BlobIndex['apply']>) =>
      full.now ? Promise.reject(new Error('the index is full')) : table.apply(...changes),
  };
  const rounds: number[] = [];
  const ending = new AbortController();
  const parcels = new HeldParcels({
    found: { log, present: new Set(), headSeqs: new Map() },
    root: { mustBeThere: async () => undefined },
    index,
    ending: ending.signal,
    onRound: refs => void rounds.push(refs.length),
  });
  return { parcels, log, table, rounds, ending, full };
}

test('those who enter at once share a round, and each is told of its own operation', async t => {
  const { parcels, table, rounds } = await begin(t);
  const positions = await Promise.all([A, B].map(({ id, blobs }) => parcels.enter({ op: 'add', parcel: id }, blobs)));
  t.deepEqual(
    positions.map(({ seq }) => seq),
    [1, 2],
  );
  t.deepEqual(rounds, [4]);
  t.deepEqual([...parcels.present()], [A.id, B.id]);
  t.is(table.lookup(blobOf('shared').blob)?.refs, 2);
  t.deepEqual(table.note().position?.digest, parcels.position.digest);
});

const BEHIND = { code: 'STORE_BEHIND', message: /takes nothing until it is opened again.*: the index is full$/ };

test('a round that the log has and the index has not is the last one, and nobody is told of it', async t => {
  const { parcels, log, rounds } = await begin(t, { failing: true });
  const before = parcels.position;
  await t.throwsAsync(parcels.enter({ op: 'add', parcel: A.id }, A.blobs), BEHIND);
  t.false(parcels.isPresent(A.id));
  t.deepEqual(rounds, []);
  t.deepEqual(parcels.position, before);
  t.throws(() => parcels.mustWork(), BEHIND);
  t.notThrows(() => parcels.mustBeOpen());
  t.is(parcels.failure, undefined);
  await t.throwsAsync(parcels.enter({ op: 'add', parcel: B.id }, B.blobs), BEHIND);
  await t.throwsAsync(
    parcels.makeCheckpoint(async () => {}),
    BEHIND,
  );
  t.deepEqual(await log.ops(0, 9), [{ op: 'add', parcel: A.id }]);
});

test('… and a parcel that leaves by it is present no longer, for readers too', async t => {
  const { parcels, full } = await begin(t);
  for (const { id, blobs } of [A, B]) await parcels.enter({ op: 'add', parcel: id }, blobs);
  const watch = parcels.watch(A.id);
  full.now = true;
  await t.throwsAsync(parcels.enter({ op: 'del', parcel: A.id }, A.blobs), BEHIND);
  t.deepEqual([...parcels.present()], [B.id]);
  t.true(watch.changed);
});

test('the index gets what the log has more once, and nothing is entered all the same', async t => {
  const { parcels, log, table, full } = await begin(t);
  await parcels.enter({ op: 'add', parcel: A.id }, A.blobs);
  full.now = true;
  await t.throwsAsync(parcels.enter({ op: 'add', parcel: B.id }, B.blobs), BEHIND);
  await t.throwsAsync(parcels.catchUp(), { message: 'the index is full' });
  full.now = false;
  await parcels.catchUp();
  await parcels.catchUp();
  t.is(table.lookup(blobOf('shared').blob)?.refs, 2);
  t.is(table.note().position?.digest, log.position.digest);
  await t.throwsAsync(parcels.enter({ op: 'add', parcel: B.id }, B.blobs), BEHIND);
});

test('who reads a parcel learns of an operation on it, and of none on another', async t => {
  const { parcels } = await begin(t);
  const [first, second] = [parcels.watch(A.id), parcels.watch(B.id)];
  await parcels.enter({ op: 'add', parcel: A.id }, A.blobs);
  t.true(first.changed);
  t.false(second.changed);
  second.end();
  await parcels.enter({ op: 'add', parcel: B.id }, B.blobs);
  t.false(second.changed);
});

test('a parcel is known while somebody is at it, and while it is present', async t => {
  const { parcels } = await begin(t);
  t.false(parcels.isKnown(A.id));
  await parcels.take(A.id, async () => {
    await new Promise(setImmediate);
    t.true(parcels.isKnown(A.id));
  });
  t.false(parcels.isKnown(A.id));
  await parcels.enter({ op: 'add', parcel: A.id }, A.blobs);
  t.true(parcels.isKnown(A.id));
  await parcels.enter({ op: 'del', parcel: A.id }, A.blobs);
  t.false(parcels.isPresent(A.id));
  t.false(parcels.isKnown(A.id));
});

test('nothing works once the end has come, by the error that is for the late', async t => {
  const { parcels, ending } = await begin(t);
  t.notThrows(() => parcels.mustWork());
  ending.abort(new Error('it was unmounted'));
  t.throws(() => parcels.mustWork(), { message: 'it was unmounted' });
});

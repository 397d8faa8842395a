/** Catalog sweeper: what leads to an object, and when nothing goes because it is in doubt. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { pino } from 'pino';
import type { Entry } from '../../src/catalog/entry.js';
import { encodeHead } from '../../src/catalog/head.js';
import { encodePage } from '../../src/catalog/page.js';
import { encodeRecord } from '../../src/catalog/record.js';
import { encodeSnapshot, type SnapshotId } from '../../src/catalog/snapshot.js';
import { SourceHistory } from '../../src/catalog/source-history.js';
import { hashHex } from '../../src/core/hash.js';
import { type ObjectId, parseHostId, parseKey, parseParcelId, sourceIdOf } from '../../src/core/ids.js';
import { CatalogSweeper } from '../../src/daemon/catalog-sweeper.js';
import { ShortBlobs, type ShortParcel } from '../../src/daemon/short-blobs.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import { openIndexDatabase } from '../../src/store/index-database.js';
import { ObjectFolder } from '../../src/store/object-folder.js';
import type { Store } from '../../src/store/store.js';
import { arbitraryEntry } from '../catalog/arbitraries.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { blobOf } from '../helpers/test-parcels.js';
import { until } from '../helpers/until.js';
import { TestHost } from '../store/real-store.js';

const signer = signerFromSeed(generateKeyPair().seed);
const SOURCE = sourceIdOf(parseHostId('0a'.repeat(16)), 'photos');
const log = pino({ level: 'silent' });
const GRACE_MS = 1_000;

interface Made {
  readonly id: SnapshotId;
  readonly page: ObjectId;
  readonly record: ObjectId;
}

async function aCatalog(t: ExecutionContext) {
  const folder = temporaryFolder(t);
  const index = openIndexDatabase(join(folder, 'index'));
  const objects = await ObjectFolder.open(join(folder, 'objects'), { log, notes: index.unreachedOf() });
  const history = await SourceHistory.open({ folder: join(folder, 'own-heads'), signer });
  t.teardown(async () => {
    await objects.close();
    await index.close();
  });
  const state = {
    wanted: [] as SnapshotId[],
    listed: new Set<string>(),
    inForce: '',
    forgotten: false,
    unsettled: false,
    damaged: false,
    busy: false,
    stores: [] as Store[],
    short: [] as ShortParcel[],
    runMs: 0,
  };
  const sweeper = new CatalogSweeper({
    catalog: {
      sources: () => [SOURCE].values(),
      wantedSnapshots: () => state.wanted,
      get: () => ({ hash: state.inForce }) as ReturnType<CatalogKeeperGet>,
      isForgotten: () => state.forgotten,
      get isUnsettled() {
        return state.unsettled;
      },
    },
    history: {
      heads: () => history.heads(),
      get isDamaged() {
        return state.damaged;
      },
    },
    origin: {
      get isBusy() {
        return state.busy;
      },
    },
    objects,
    reader: objects,
    stores: () => state.stores,
    isListed: parcel => state.listed.has(parcel),
    short: new ShortBlobs({
      sources: () => [SOURCE],
      short: () => state.short,
      reader: objects,
      nowMs: () => state.runMs,
    }),
    runMs: () => state.runMs,
    graceMs: () => GRACE_MS,
    log,
    signal: new AbortController().signal,
  });
  const make = async (n: number, into: ObjectFolder = objects): Promise<Made> => {
    const record = await into.put(Buffer.from(`record ${n}`));
    const page = await into.put(encodePage([{ id: parseParcelId(record), key: parseKey('0b'.repeat(16)), bytes: 1 }]));
    const counts = { stale: 0, missed: 0, files: 1, bytes: 1, device: 1n, recutOf: undefined, holdDays: 1 };
    const id = await into.put(encodeSnapshot({ source: SOURCE, timeMs: n, ...counts, pages: [page] }, signer));
    await into.flush();
    return { id, page, record };
  };
  /** Two sweeps, so far apart that what nothing leads to is gone after them. */
  const sweepTwice = async (): Promise<boolean> => {
    await sweeper.sweep();
    state.runMs += GRACE_MS;
    return sweeper.sweep();
  };
  const left = async ({ id, page, record }: Made, from: ObjectFolder = objects): Promise<string> => {
    const there: string[] = [];
    for (const [name, one] of Object.entries({ id, page, record })) if (await from.has(one)) there.push(name);
    return there.join(' ');
  };
  return { objects, history, state, sweeper, make, sweepTwice, left };
}

type CatalogKeeperGet = import('../../src/daemon/catalog-keeper.js').CatalogKeeper['get'];

test('snapshots that are wanted stay with their pages and with the records of their parcels; others go', async t => {
  const { state, make, sweepTwice, left } = await aCatalog(t);
  const [wanted, gone] = [await make(1), await make(2)];
  state.wanted = [wanted.id];
  state.listed.add(wanted.record);
  t.true(await sweepTwice());
  t.is(await left(wanted), 'id page record');
  t.is(await left(gone), '');
});

test('a store that hangs keeps no other from being swept', async t => {
  const { state, sweeper, make } = await aCatalog(t);
  let giveUp = (_: Error): void => {};
  const hangs = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  const hanging = { id: 'hanging', sweepStrays: () => hangs } as unknown as Store;
  const host = await TestHost.begin(t);
  const store = await host.mount();
  await make(1, store.objects);
  state.stores = [hanging, store];
  let swept = 0;
  const { sweepObjects } = store;
  store.sweepObjects = async sweep => {
    const done = await sweepObjects.call(store, sweep);
    swept += 1;
    return done;
  };
  const sweeping = sweeper.sweep();
  await until('the other is swept', () => swept === 1);
  giveUp(new Error('its disk does not answer'));
  t.true(await sweeping);
});

test('what a head of our own lists stays before it is in force, its records too', async t => {
  const { state, history, make, sweepTwice, left } = await aCatalog(t);
  const made = await make(1);
  const { hash } = await history.publish(SOURCE, { snapshots: [{ id: made.id, timeMs: 1, complete: true }] });
  t.true(await sweepTwice());
  t.is(await left(made), 'id page record');
  // In force it wants nothing here: then what it lists is for the catalog and the machine to say.
  state.inForce = hash;
  t.true(await sweepTwice());
  t.is(await left(made), '');
});

test('what a head of our own lists goes once an admin has forgotten it', async t => {
  const { state, history, make, sweepTwice, left } = await aCatalog(t);
  const made = await make(1);
  await history.publish(SOURCE, { snapshots: [{ id: made.id, timeMs: 1, complete: true }] });
  state.forgotten = true;
  t.true(await sweepTwice());
  t.is(await left(made), '');
});

test('nothing goes while a head, ours or in the catalog, cannot be read, or one is being taken, a snapshot is being made, or one is not here', async t => {
  const { state, make, sweeper, sweepTwice, left } = await aCatalog(t);
  const [wanted, gone] = [await make(1), await make(2)];
  state.wanted = [wanted.id];
  state.listed.add(wanted.record);
  for (const doubt of ['unsettled', 'busy', 'damaged'] as const) {
    state[doubt] = true;
    t.false(await sweepTwice());
    state[doubt] = false;
  }
  state.wanted = [wanted.id, hashHex(Buffer.from('nowhere')) as SnapshotId];
  await t.throwsAsync(sweeper.sweep(), { code: 'OBJECT_MISSING' });
  state.runMs += GRACE_MS;
  await t.throwsAsync(sweeper.sweep(), { code: 'OBJECT_MISSING' });
  t.is(await left(gone), 'id page record');
});

test('a store keeps what its own head lists, though a later one is in force; one that cannot be read keeps all of its', async t => {
  const { objects, state, make, sweepTwice, left } = await aCatalog(t);
  const host = await TestHost.begin(t);
  const store = await host.mount();
  state.stores = [store];
  const [inForce, ofStore, gone] = [await make(1), await make(2, store.objects), await make(3, store.objects)];
  state.wanted = [inForce.id];
  state.listed.add(inForce.record);
  await make(1, store.objects);
  const snapshots = [{ id: ofStore.id, timeMs: 2, complete: true, firstSeq: 1 }];
  const head = { source: SOURCE, seq: 1, previous: undefined };
  await store.putHead(SOURCE, encodeHead({ ...head, snapshots }, signer));
  t.true(await sweepTwice());
  t.is(await left(inForce, objects), 'id page record');
  t.is(await left(inForce, store.objects), 'id page', 'the record is for who holds the parcel');
  t.is(await left(ofStore, store.objects), 'id page');
  t.is(await left(gone, store.objects), '');

  const more = await make(4, store.objects);
  await store.putHead(SOURCE, Buffer.from('no head'));
  const mine = await make(5);
  t.true(await sweepTwice());
  t.is(await left(more, store.objects), 'id page record');
  t.is(await left(mine), '', 'which keeps nobody else from being swept');
});

test('blobs that belong to no copy go, but for those of a parcel that is short; none while nobody knows which these are', async t => {
  const { objects, state, sweepTwice } = await aCatalog(t);
  const host = await TestHost.begin(t);
  state.stores = [await host.mount()];
  const strays = ['needed', 'not needed'].map(content => ({ ...blobOf(content), content }));
  const pathOf = (blob: string): string => join(host.storePath, '.blobs', blob.slice(0, 2), blob);
  for (const { blob, content } of strays) await writeFile(pathOf(blob), content);
  const [needed, other] = strays.map(({ blob }) => blob);
  const [sample] = fc.sample(arbitraryEntry, { numRuns: 1, seed: 1 }) as [Entry];
  const { blob } = blobOf('needed');
  const file: Entry = { ...sample, kind: 'file', size: 'needed'.length, blob, target: undefined, device: 0n };
  const record = encodeRecord({ source: SOURCE, key: parseKey('0b'.repeat(16)), entries: [file] });
  const parcel = parseParcelId(hashHex(record));
  const trash = () => readdir(join(host.storePath, '.trash'));

  state.listed.add(parcel);
  state.short = [{ parcel, copies: 0 }];
  t.true(await sweepTwice());
  t.deepEqual(await trash(), [], 'its record is not here');
  await objects.put(record);
  await objects.flush();
  t.true(await sweepTwice());
  t.deepEqual(await trash(), [other as string]);
  state.short = [];
  t.true(await sweepTwice());
  t.deepEqual((await trash()).sort(), [needed as string, other as string].sort());
});

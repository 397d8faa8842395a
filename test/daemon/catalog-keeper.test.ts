import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { encodeHead, headHash } from '../../src/catalog/head.js';
import { encodePage } from '../../src/catalog/page.js';
import { encodeSnapshot, type SnapshotId } from '../../src/catalog/snapshot.js';
import { SourceHistory } from '../../src/catalog/source-history.js';
import { hashHex } from '../../src/core/hash.js';
import { type ObjectId, parseHostId, parseKey, parseParcelId, sourceIdOf } from '../../src/core/ids.js';
import type { ObjectWriter } from '../../src/core/objects.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { CatalogKeeper } from '../../src/daemon/catalog-keeper.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { Origin } from '../../src/daemon/origin.js';
import type { Roster } from '../../src/daemon/roster.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';

const { publicKey, seed } = generateKeyPair();
const signer = signerFromSeed(seed);
const origin = parseHostId('0a'.repeat(16));
const source = sourceIdOf(origin, 'photos');
const silent = pino({ level: 'silent' });

class Objects implements ObjectWriter {
  readonly kept = new Map<ObjectId, Uint8Array>();
  /** Objects asked for at once, at the most. */
  most = 0;
  #asked = 0;
  async get(id: ObjectId): Promise<Uint8Array | undefined> {
    this.#asked += 1;
    this.most = Math.max(this.most, this.#asked);
    await new Promise(resolve => setImmediate(resolve));
    this.#asked -= 1;
    return this.kept.get(id);
  }
  async has(id: ObjectId): Promise<boolean> {
    return this.kept.has(id);
  }
  async put(bytes: Uint8Array): Promise<ObjectId> {
    const id = hashHex(bytes) as ObjectId;
    this.kept.set(id, bytes);
    return id;
  }
  async flush(): Promise<void> {}
}

/** A snapshot of so many pages with one parcel each. */
async function aSnapshot(objects: Objects, number: number, pageCount = 1): Promise<{ id: SnapshotId; timeMs: number }> {
  const pages: ObjectId[] = [];
  for (let n = 0; n < pageCount; n += 1) {
    const id = parseParcelId(hashHex(Buffer.from(`${number} ${n}`)));
    pages.push(await objects.put(encodePage([{ id, key: parseKey(id.slice(0, 32)), bytes: 1 }])));
  }
  const timeMs = number * 1000;
  const counts = { stale: 0, missed: 0, files: 1, bytes: 1, device: 1n, recutOf: undefined, holdDays: 1 };
  return { id: await objects.put(encodeSnapshot({ source, timeMs, ...counts, pages }, signer)), timeMs };
}

const sealedHead = (seq: number, snapshots: readonly { id: SnapshotId; timeMs: number }[]): Uint8Array =>
  encodeHead(
    {
      source,
      seq,
      previous: undefined,
      snapshots: snapshots.map(listed => ({ ...listed, complete: true, firstSeq: 1 })),
    },
    signer,
  );

async function aKeeper(t: ExecutionContext, headOnDisk?: Uint8Array, isConfigured = (): boolean => true) {
  const folder = mkdtempSync(join(tmpdir(), 'keeper-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, `${origin}-photos.head`);
  if (headOnDisk !== undefined) writeFileSync(file, headOnDisk);
  const told: Unstamped[] = [];
  const objects = new Objects();
  const alarms = new Alarms({ log: silent, wallMs: () => 0 });
  const catalog = new CatalogKeeper({
    folder,
    objects,
    fromPeer: () => new Objects(),
    isConfigured,
    // The keeper asks it for keys only.
    roster: { keyOf: () => publicKey } as unknown as Roster,
    tell: input => told.push(input),
    alarms,
    log: silent,
  });
  await catalog.open();
  return { folder, file, objects, catalog, told, alarms };
}

test('a head on our disk that cannot be used for now is not replaced by an earlier one', async t => {
  const theirs = new Objects();
  const [one, two] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2)];
  const [sixth, seventh] = [sealedHead(6, [one]), sealedHead(7, [one, two])];
  const { catalog, file, told } = await aKeeper(t, seventh);
  t.is(catalog.get(source), undefined);

  await catalog.offer(sixth, theirs);
  t.is(catalog.get(source), undefined);
  t.deepEqual(new Uint8Array(readFileSync(file)), new Uint8Array(seventh));

  await catalog.offer(seventh, theirs);
  t.is(catalog.get(source)?.head.seq, 7);
  t.is(told.length, 1);
});

test('pages are asked for a few at a time', async t => {
  const theirs = new Objects();
  const { catalog } = await aKeeper(t);
  await catalog.offer(sealedHead(1, [await aSnapshot(theirs, 1, 40)]), theirs);
  t.is(catalog.get(source)?.head.seq, 1);
  t.true(theirs.most <= 4, `${theirs.most} at once`);
});

test('the head of a source that is not configured is not taken, and is when it is', async t => {
  const theirs = new Objects();
  const first = sealedHead(1, [await aSnapshot(theirs, 1)]);
  let configured = false;
  const { catalog, objects } = await aKeeper(t, undefined, () => configured);
  await t.throwsAsync(catalog.offer(first, theirs), { code: 'SOURCE_UNKNOWN' });
  t.is(objects.kept.size, 0);
  configured = true;
  await catalog.offer(first, theirs);
  t.is(catalog.get(source)?.head.seq, 1);
});

test('when an object of the head in force is lost, a newer head brings it back', async t => {
  const theirs = new Objects();
  const [one, two] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2)];
  const { catalog, objects } = await aKeeper(t);
  await catalog.offer(sealedHead(1, [one]), theirs);
  objects.kept.delete(one.id);
  await catalog.offer(sealedHead(2, [one, two]), theirs);
  t.is(catalog.get(source)?.head.seq, 2);
  t.true(objects.kept.has(one.id));
});

async function anOrigin(t: ExecutionContext) {
  const kept = await aKeeper(t);
  const history = await SourceHistory.open({ folder: join(kept.folder, 'own'), signer });
  const own = new Origin({
    host: origin,
    signer,
    history,
    catalog: kept.catalog,
    objects: kept.objects,
    alarms: kept.alarms,
    log: silent,
    signal: new AbortController().signal,
  } as unknown as ConstructorParameters<typeof Origin>[0]);
  return { ...kept, history, own };
}

test('a later head of ours is taken up again when its objects could not be read the first time', async t => {
  const theirs = new Objects();
  const remembered = sealedHead(9, [await aSnapshot(theirs, 1)]);
  const { own, catalog } = await anOrigin(t);
  await t.throwsAsync(own.heardOwnHead(source, remembered, new Objects()));
  t.is(catalog.get(source), undefined);
  await own.heardOwnHead(source, remembered, theirs);
  t.is(catalog.get(source)?.hash, headHash(remembered));
});

test('a snapshot that we listed before we heard of a later head of ours stays listed', async t => {
  const { own, catalog, history, objects } = await anOrigin(t);
  const ours = { ...(await aSnapshot(objects, 5)), complete: true };
  await catalog.offer((await history.publish(source, { snapshots: [ours] })).sealed, undefined);
  const theirs = new Objects();
  const older = await aSnapshot(theirs, 1);
  await own.heardOwnHead(source, sealedHead(9, [older]), theirs);
  const head = catalog.get(source)?.head;
  t.is(head?.seq, 10);
  t.deepEqual(
    head?.snapshots.map(({ id }) => id),
    [older.id, ours.id],
  );
});

test('what is being adopted while a head is made loses nothing', async t => {
  const { history, objects } = await anOrigin(t);
  const [one, two] = [await aSnapshot(objects, 1), await aSnapshot(objects, 2)];
  const adopting = history.adopt(source, sealedHead(9, [one]));
  const made = history.relist(source, listed => [...listed, { ...two, complete: true }]);
  await adopting;
  t.deepEqual(
    (await made).head.snapshots.map(({ id }) => id),
    [one.id, two.id],
  );
});

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { encodeHead, headHash } from '../../src/catalog/head.js';
import { encodePage } from '../../src/catalog/page.js';
import { decodeSnapshot, encodeSnapshot, type Snapshot, type SnapshotId } from '../../src/catalog/snapshot.js';
import { SourceHistory } from '../../src/catalog/source-history.js';
import { hashHex } from '../../src/core/hash.js';
import { SEEN_MAX } from '../../src/core/hold.js';
import { type ObjectId, type ParcelId, parseHostId, parseKey, parseParcelId, sourceIdOf } from '../../src/core/ids.js';
import type { ObjectWriter } from '../../src/core/objects.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { CatalogKeeper } from '../../src/daemon/catalog-keeper.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { Forgotten } from '../../src/daemon/forgotten.js';
import { Origin } from '../../src/daemon/origin.js';
import { Revocations } from '../../src/daemon/revocations.js';
import type { Roster } from '../../src/daemon/roster.js';
import { writeSeen } from '../../src/daemon/seen-snapshots.js';
import { peerNameOf } from '../../src/membership/peer-key.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import { makeUnreadable, whyNoBadSector } from '../helpers/bad-sector.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

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

const DAY_MS = 86_400_000;
const parcelOf = (number: number, n = 0): ParcelId => parseParcelId(hashHex(Buffer.from(`${number} ${n}`)));

/** A snapshot of so many pages with one parcel each; held for one day. */
async function aSnapshot(
  objects: Objects,
  number: number,
  pageCount = 1,
  fields: Partial<Snapshot> = {},
  by = signer,
): Promise<{ id: SnapshotId; timeMs: number }> {
  const pages: ObjectId[] = [];
  for (let n = 0; n < pageCount; n += 1) {
    const id = parcelOf(number, n);
    pages.push(await objects.put(encodePage([{ id, key: parseKey(id.slice(0, 32)), bytes: 1 }])));
  }
  const timeMs = fields.timeMs ?? number * 1000;
  const counts = { stale: 0, missed: 0, files: 1, bytes: 1, device: 1n, recutOf: undefined, holdDays: 1 };
  return { id: await objects.put(encodeSnapshot({ source, ...counts, pages, ...fields, timeMs }, by)), timeMs };
}

const sealedHead = (seq: number, snapshots: readonly { id: SnapshotId; timeMs: number }[], by = signer): Uint8Array =>
  encodeHead(
    {
      source,
      seq,
      previous: undefined,
      snapshots: snapshots.map(listed => ({ ...listed, complete: true, firstSeq: 1 })),
    },
    by,
  );

type Letting = Parameters<Forgotten['update']>[0];
type Revoked = ConstructorParameters<typeof Revocations>[0]['revoked'];
const NOTHING_FORGOTTEN: Letting = { forgotten: [], released: [] };

interface Kept {
  readonly headOnDisk?: Uint8Array;
  readonly isConfigured?: () => boolean;
  readonly config?: Letting;
  /** What another keeper kept before. */
  readonly after?: { readonly folder: string; readonly objects: Objects };
  /** The host's running time. */
  readonly run?: { ms: number };
  readonly held?: ReadonlySet<ParcelId>;
  /** The origin is no member any more; or it goes on with this key. */
  readonly revoked?: Revoked;
  readonly present?: () => Uint8Array | undefined;
}

async function aKeeper(t: ExecutionContext, options: Kept = {}) {
  const {
    headOnDisk,
    isConfigured = () => true,
    after,
    run = { ms: 0 },
    held = new Set(),
    config = NOTHING_FORGOTTEN,
    revoked = [],
    present,
  } = options;
  const forgotten = new Forgotten(config, isConfigured);
  /** What other hosts have, besides the one that tells of a head. */
  const elsewhere = new Objects();
  const folder = after?.folder ?? temporaryFolder(t);
  const file = join(folder, `${origin}-photos.head`);
  if (headOnDisk !== undefined) writeFileSync(file, headOnDisk);
  const told: Unstamped[] = [];
  const objects = after?.objects ?? new Objects();
  const alarms = new Alarms({ log: silent, wallMs: () => 0 });
  const catalog = new CatalogKeeper({
    folder,
    objects,
    fromPeer: () => new Objects(),
    find: id => elsewhere.get(id),
    forgotten,
    runMs: () => run.ms,
    hasCopy: parcel => held.has(parcel),
    // The keeper asks it for keys and names only.
    roster: {
      keyOf: () => (revoked.length === 0 ? publicKey : present?.()),
      nameOf: () => 'laptop',
    } as unknown as Roster,
    revocations: new Revocations({ revoked }),
    tell: input => told.push(input),
    alarms,
    log: silent,
  });
  t.teardown(() => catalog.stop());
  await catalog.open();
  const heldIds = () => catalog.heldSnapshots(source).map(({ id }) => id);
  const codes = () => {
    // A person knows the source by names, not by its origin's id.
    for (const { text } of alarms.list()) t.regex(text, / laptop\/photos\b/);
    return alarms.list().map(({ code }) => code);
  };
  return { folder, file, objects, elsewhere, catalog, told, alarms, forgotten, heldIds, codes };
}

test('a head on our disk that cannot be used for now is not replaced by an earlier one', async t => {
  const theirs = new Objects();
  const [one, two] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2)];
  const [sixth, seventh] = [sealedHead(6, [one]), sealedHead(7, [one, two])];
  const { catalog, file, told } = await aKeeper(t, { headOnDisk: seventh });
  t.is(catalog.get(source), undefined);

  await catalog.offer(sixth, theirs);
  t.is(catalog.get(source), undefined);
  t.deepEqual(new Uint8Array(readFileSync(file)), new Uint8Array(seventh));

  await catalog.offer(seventh, theirs);
  t.is(catalog.get(source)?.head.seq, 7);
  t.is(told.length, 1);
});

test.serial(
  'a head that was written, and whose name could not be flushed, is in force only when that is done',
  async t => {
    const theirs = new Objects();
    const { catalog, file } = await aKeeper(t);
    const sealed = sealedHead(1, [await aSnapshot(theirs, 1)]);
    const self = await open(process.execPath);
    const handles = Object.getPrototypeOf(self) as { sync: () => Promise<void> };
    await self.close();
    const { sync } = handles;
    handles.sync = async function (this: FileHandle) {
      if (existsSync(file) && (await this.stat()).isDirectory()) throw Object.assign(new Error(), { code: 'EIO' });
      return sync.apply(this);
    };
    t.teardown(() => {
      handles.sync = sync;
    });
    for (const time of ['first', 'second']) {
      await t.throwsAsync(catalog.offer(sealed, theirs), { code: 'EIO' }, time);
      t.deepEqual(new Uint8Array(readFileSync(file)), new Uint8Array(sealed));
      t.is(catalog.get(source), undefined, time);
    }
    handles.sync = sync;
    await catalog.offer(sealed, theirs);
    t.is(catalog.get(source)?.head.seq, 1);
  },
);

test('a keeper that is stopped waits for the head that is being taken: nothing is written after it', async t => {
  const theirs = new Objects();
  const { catalog } = await aKeeper(t);
  const taken = catalog.offer(sealedHead(1, [await aSnapshot(theirs, 1)]), theirs);
  await catalog.stop();
  t.is(catalog.get(source)?.head.seq, 1);
  await taken;
});

/** The record by which it was revoked, with the last head that stays valid. */
const revokedAt = (...heads: readonly (readonly [seq: number, sealed: Uint8Array])[]): Revoked => [
  {
    host: origin,
    peer: peerNameOf(publicKey),
    heads: heads.map(([seq, sealed]) => ({ source, seq, hash: headHash(sealed) })),
  },
];

test('of a revoked origin heads are taken up to the last one that the revocation names, also into a store', async t => {
  const theirs = new Objects();
  const [one, two, three] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2), await aSnapshot(theirs, 3)];
  const last = sealedHead(2, [one, two]);
  const { catalog } = await aKeeper(t, { revoked: revokedAt([2, last]) });
  await catalog.offer(sealedHead(1, [one]), theirs);
  t.is(catalog.get(source)?.head.seq, 1);
  await t.throwsAsync(catalog.offer(sealedHead(3, [three]), theirs), {
    code: 'HEAD_OF_REVOKED',
    message:
      /head 3 of .* is not valid, because laptop was revoked: head 2 is the last one that is; what is held stays/,
  });
  await t.throwsAsync(catalog.offer(sealedHead(2, [three]), theirs), { code: 'HEAD_OF_REVOKED' });
  t.is(catalog.get(source)?.head.seq, 1);
  await catalog.offer(last, theirs);
  t.is(catalog.get(source)?.hash, headHash(last));

  const store = new Objects();
  t.is((await catalog.copyTo(source, store, new Set()))?.hash, headHash(last));
  t.deepEqual([store.kept.has(one.id), store.kept.has(two.id)], [true, true]);
});

test('the last valid head of a revoked origin takes the place of another one of its number, whichever hash is lower', async t => {
  const theirs = new Objects();
  const [one, two] = [sealedHead(2, [await aSnapshot(theirs, 1)]), sealedHead(2, [await aSnapshot(theirs, 2)])];
  for (const [valid, other] of [
    [one, two],
    [two, one],
  ] as const) {
    const before = await aKeeper(t);
    await before.catalog.offer(other, theirs);
    const { catalog, codes } = await aKeeper(t, { after: before, revoked: revokedAt([2, valid]) });
    t.is(catalog.get(source)?.hash, headHash(other));
    await catalog.offer(valid, theirs);
    t.is(catalog.get(source)?.hash, headHash(valid));
    t.deepEqual(codes(), ['HEAD_VOIDED']);
  }
});

test('a head that is later than the last valid one of a revoked origin gives way to that one, and what it alone lists stays in its hold', async t => {
  const theirs = new Objects();
  const [one, two] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2)];
  const [last, later] = [sealedHead(1, [one]), sealedHead(2, [one, two])];
  const before = await aKeeper(t);
  await before.catalog.offer(later, theirs);
  for (const headOnDisk of [later, sealedHead(2, [await aSnapshot(theirs, 3)])]) {
    const reopened = await aKeeper(t, { after: before, headOnDisk, revoked: revokedAt([1, last]) });
    const { catalog, told } = reopened;
    const wasInForce = headOnDisk === later;
    t.is(catalog.get(source)?.head.seq, wasInForce ? 2 : undefined, 'until the last valid one is here');
    t.deepEqual([[...catalog.heads()], catalog.hints()], [[], []], 'nobody is told of it, and so all tell of theirs');
    await catalog.offer(last, theirs);
    t.is(catalog.get(source)?.hash, headHash(last));
    t.deepEqual(reopened.heldIds(), [two.id]);
    t.deepEqual(
      told.flatMap(input => (input.is === 'wanted' ? input.remove : [])),
      [],
    );
    t.deepEqual(new Uint8Array(readFileSync(reopened.file)), new Uint8Array(last));
    await t.throwsAsync(catalog.offer(later, theirs), { code: 'HEAD_OF_REVOKED' });
    await catalog.stop();
  }
});

test('of a revoked origin that nobody had a head of none is taken, and none of somebody who never was a member', async t => {
  const theirs = new Objects();
  const head = sealedHead(1, [await aSnapshot(theirs, 1)]);
  const { catalog } = await aKeeper(t, { revoked: revokedAt() });
  await t.throwsAsync(catalog.offer(head, theirs), { code: 'HEAD_OF_REVOKED', message: /none of its heads is/ });
  const stranger = await aKeeper(t, {
    revoked: revokedAt().map(one => ({ ...one, host: parseHostId('0b'.repeat(16)) })),
  });
  await t.throwsAsync(stranger.catalog.offer(head, theirs), { code: 'HEAD_OF_STRANGER' });
  t.is(theirs.most, 0);
});

const later = signerFromSeed(generateKeyPair().seed);

test('of an origin that goes on with another key heads with the former are taken up to the last valid one, and with the present one beyond, with snapshots of both', async t => {
  const theirs = new Objects();
  const [one, two, three] = [
    await aSnapshot(theirs, 1),
    await aSnapshot(theirs, 2, 1, {}, later),
    await aSnapshot(theirs, 3),
  ];
  const last = sealedHead(2, [one]);
  const { catalog, codes } = await aKeeper(t, { revoked: revokedAt([2, last]), present: () => later.publicKey });
  await catalog.offer(sealedHead(1, [one]), theirs);
  await t.throwsAsync(catalog.offer(sealedHead(3, [one, three]), theirs), {
    code: 'HEAD_OF_REVOKED',
    message:
      /head 3 of .* another machine goes on as laptop, and the key that signed it is shut out: head 2 is the last/,
  });
  await t.throwsAsync(catalog.offer(sealedHead(2, [three]), theirs), { code: 'HEAD_OF_REVOKED' });
  const stranger = signerFromSeed(generateKeyPair().seed);
  await t.throwsAsync(catalog.offer(sealedHead(4, [one], stranger), theirs), { code: 'BAD_SIGNATURE' });
  t.is(catalog.get(source)?.head.seq, 1);
  await catalog.offer(last, theirs);
  const next = sealedHead(3, [one, two], later);
  await catalog.offer(next, theirs);
  t.is(catalog.get(source)?.hash, headHash(next));
  t.deepEqual(
    catalog.hints().map(({ seq }) => seq),
    [3],
  );
  const store = new Objects();
  await catalog.copyTo(source, store, new Set());
  t.deepEqual([store.kept.has(one.id), store.kept.has(two.id)], [true, true]);
  t.deepEqual(codes(), []);
});

test('a head with a former key that is valid no more gives way to one with the present key, whatever their numbers, and only its origin is told of it', async t => {
  const theirs = new Objects();
  const [one, two] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2)];
  const last = sealedHead(1, [one]);
  for (const [seq, valid] of [
    [4, sealedHead(2, [one], later)],
    [2, sealedHead(2, [one], later)],
    [4, last],
  ] as const) {
    const before = await aKeeper(t);
    await before.catalog.offer(sealedHead(seq, [one, two]), theirs);
    const { catalog, heldIds, codes } = await aKeeper(t, {
      after: before,
      revoked: revokedAt([1, last]),
      present: () => later.publicKey,
    });
    t.is(catalog.get(source)?.head.seq, seq);
    t.deepEqual([...catalog.heads()], []);
    t.deepEqual(
      [...catalog.voidHeadsOf(origin)].map(({ head }) => head.seq),
      [seq],
    );
    t.deepEqual([...catalog.voidHeadsOf(parseHostId('0b'.repeat(16)))], []);
    await catalog.offer(valid, theirs);
    t.is(catalog.get(source)?.hash, headHash(valid));
    t.deepEqual(heldIds(), [two.id]);
    t.deepEqual([...catalog.voidHeadsOf(origin)], []);
    // Once it has given way, nothing earlier comes back.
    if (valid !== last) await catalog.offer(sealedHead(1, [two], later), theirs);
    t.is(catalog.get(source)?.hash, headHash(valid));
    t.deepEqual(codes(), ['HEAD_VOIDED']);
  }
});

test('what only a void head listed is held for all of its hold from the moment that it gave way, and a person is told as long', async t => {
  const theirs = new Objects();
  const [one, two, three] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2), await aSnapshot(theirs, 3)];
  const run = { ms: 0 };
  const last = sealedHead(1, [one]);
  const before = await aKeeper(t, { run });
  await before.catalog.offer(sealedHead(4, [one, two, three]), theirs);
  // For longer than the hold the admin who did not hear of it was away.
  run.ms = 5 * DAY_MS;
  const replaced = { after: before, run, revoked: revokedAt([1, last]), present: () => later.publicKey };
  const { catalog, heldIds, alarms } = await aKeeper(t, replaced);
  await catalog.offer(last, theirs);
  t.deepEqual(heldIds(), [two.id, three.id]);
  const ids = [two.id, three.id].map(id => id.slice(0, 8)).join(', ');
  const [told] = alarms.list();
  t.is(told?.code, 'HEAD_VOIDED');
  t.true(told?.text.includes(`of laptop/photos that no valid list has: 2 (${ids}).`), told?.text);
  run.ms += DAY_MS - 1;
  await catalog.letGo();
  t.deepEqual(heldIds(), [two.id, three.id]);
  t.deepEqual((await aKeeper(t, replaced)).heldIds(), [two.id, three.id], 'also after a restart');
  run.ms += 1;
  await catalog.letGo();
  t.deepEqual([heldIds(), alarms.list()], [[], []]);
});

test('what the machine has signed that took the place of another is void where a fork undoes that', async t => {
  const theirs = new Objects();
  const [one, two] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2)];
  const last = sealedHead(1, [one]);
  let present: Uint8Array | undefined = later.publicKey;
  const { catalog, heldIds } = await aKeeper(t, { revoked: revokedAt([1, last]), present: () => present });
  await catalog.offer(sealedHead(2, [one, two], later), theirs);
  t.is([...catalog.heads()].length, 1);
  present = undefined;
  t.deepEqual([...catalog.heads()], []);
  await catalog.offer(last, theirs);
  t.is(catalog.get(source)?.hash, headHash(last));
  t.deepEqual(heldIds(), [two.id]);
});

test('a head that is valid gives way to no earlier one, whichever key has signed that', async t => {
  const theirs = new Objects();
  const one = await aSnapshot(theirs, 1);
  const last = sealedHead(3, [one]);
  const kept = await aKeeper(t, { revoked: revokedAt([3, last]), present: () => later.publicKey });
  await kept.catalog.offer(last, theirs);
  await kept.catalog.offer(sealedHead(2, [], later), theirs);
  t.is(kept.catalog.get(source)?.hash, headHash(last));
  const next = sealedHead(4, [one], later);
  await kept.catalog.offer(next, theirs);
  await kept.catalog.offer(last, theirs);
  t.is(kept.catalog.get(source)?.hash, headHash(next));
});

test('a head of our own history that is behind the one on our disk is no head in force, and whoever signed it is told', async t => {
  const theirs = new Objects();
  const one = await aSnapshot(theirs, 1);
  const seventh = sealedHead(7, [one]);
  const { catalog, file, objects } = await aKeeper(t, { headOnDisk: seventh });
  const ours = sealedHead(6, [await aSnapshot(objects, 1)]);
  await t.throwsAsync(catalog.offer(ours, undefined), {
    code: 'HEAD_BEHIND',
    message: /head 6 of .* is not in force: .*\.head has head 7\. All snapshots are kept; .* move the file away/,
  });
  t.deepEqual(new Uint8Array(readFileSync(file)), new Uint8Array(seventh));
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
  const { catalog, objects } = await aKeeper(t, { isConfigured: () => configured });
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

/** What is wanted after all that a machine was told. */
function wantedBy(told: readonly Unstamped[]): Set<ParcelId> {
  const wanted = new Set<ParcelId>();
  for (const input of told) {
    if (input.is !== 'wanted') continue;
    for (const { id } of input.add) wanted.add(id);
    for (const id of input.remove) wanted.delete(id);
  }
  return wanted;
}

const inOrder = (ids: Iterable<ParcelId>): ParcelId[] => [...ids].sort();
const parcels = (...numbers: readonly number[]): Set<ParcelId> => new Set(numbers.map(number => parcelOf(number)));

test('two heads of one number are an alarm until a later head lists what both do', async t => {
  const theirs = new Objects();
  const [one, two, three] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2), await aSnapshot(theirs, 3)];
  const { catalog, codes } = await aKeeper(t);
  await catalog.offer(sealedHead(2, [one]), theirs);
  await catalog.offer(sealedHead(2, [one]), theirs);
  t.deepEqual(codes(), []);
  await catalog.offer(sealedHead(2, [two]), theirs);
  t.deepEqual(codes(), ['HEAD_FORKED']);
  await catalog.offer(sealedHead(2, [one, two]), theirs);
  t.deepEqual(codes(), ['HEAD_FORKED']);
  // One of the two machines, which knows nothing of the other.
  await catalog.offer(sealedHead(3, [one, three]), theirs);
  t.deepEqual(codes(), ['HEAD_FORKED']);
  await catalog.offer(sealedHead(4, [one, two, three]), theirs);
  t.deepEqual(codes(), []);
});

test('one head is no fork though the configuration has just let it go, or has it again', async t => {
  const theirs = new Objects();
  const { catalog, forgotten, told, codes } = await aKeeper(t);
  const head = sealedHead(2, [await aSnapshot(theirs, 1)]);
  await catalog.offer(head, theirs);
  for (const [letting, wanted] of [
    [{ forgotten: [{ source, seq: 2 }], released: [] }, parcels()],
    [NOTHING_FORGOTTEN, parcels(1)],
  ] as const) {
    forgotten.update(letting);
    await catalog.offer(head, theirs);
    t.deepEqual(wantedBy(told), wanted);
    t.deepEqual(codes(), []);
  }
});

test('two heads of one number are no alarm any more when the source is forgotten', async t => {
  const theirs = new Objects();
  const { catalog, forgotten, codes } = await aKeeper(t);
  await catalog.offer(sealedHead(2, [await aSnapshot(theirs, 1)]), theirs);
  await catalog.offer(sealedHead(2, [await aSnapshot(theirs, 2)]), theirs);
  t.deepEqual(codes(), ['HEAD_FORKED']);
  forgotten.update({ forgotten: [{ source, seq: 2 }], released: [] });
  await catalog.reconsider();
  t.deepEqual(codes(), []);
});

test('what later heads leave out stays wanted through its hold, by the time that this host has run since it saw it', async t => {
  const theirs = new Objects();
  const run = { ms: 10 * DAY_MS };
  const { catalog, told } = await aKeeper(t, { run });
  const [one, two] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2)];
  await catalog.offer(sealedHead(1, [one]), theirs);
  run.ms += DAY_MS / 2;
  await catalog.offer(sealedHead(2, [two]), theirs);
  t.deepEqual(wantedBy(told), parcels(1, 2));
  // Wanted, and not in the newest snapshot.
  t.deepEqual(told.at(-1)?.is === 'wanted' && told.at(-1), {
    is: 'wanted',
    source,
    head: { source, seq: 2, hash: headHash(sealedHead(2, [two])) },
    add: [{ id: parcelOf(2), key: parseKey(parcelOf(2).slice(0, 32)), bytes: 1 }],
    remove: [],
    notNewest: [parcelOf(1)],
    newestAgain: [],
    notListed: [parcelOf(1)],
    listedAgain: [],
  });

  run.ms += DAY_MS / 2 - 1;
  await catalog.letGo();
  t.deepEqual(wantedBy(told), parcels(1, 2));
  t.is(told.length, 2);
  run.ms += 1;
  const heard: ParcelId[] = [];
  catalog.onHead((_source, { remove }) => heard.push(...remove));
  await catalog.letGo();
  t.deepEqual(wantedBy(told), parcels(2));
  t.deepEqual(heard, [parcelOf(1)]);
  t.is(catalog.get(source)?.head.seq, 2);
  await catalog.letGo();
  t.is(told.length, 3);

  // What is listed stays, however long ago it was first seen, and is not held when it leaves then.
  run.ms += 30 * DAY_MS;
  await catalog.letGo();
  t.deepEqual(wantedBy(told), parcels(2));
  await catalog.offer(sealedHead(3, [await aSnapshot(theirs, 3)]), theirs);
  t.deepEqual(wantedBy(told), parcels(3));
});

test('an admin ends the hold of a snapshot, and of no other; what is listed stays', async t => {
  const theirs = new Objects();
  const { catalog, told, forgotten } = await aKeeper(t);
  const [one, two, three] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2), await aSnapshot(theirs, 3)];
  await catalog.offer(sealedHead(1, [one, two]), theirs);
  await catalog.offer(sealedHead(2, [three]), theirs);
  t.deepEqual(wantedBy(told), parcels(1, 2, 3));
  forgotten.update({ forgotten: [], released: [one.id, three.id] });
  await catalog.reconsider();
  t.deepEqual(wantedBy(told), parcels(2, 3));
  t.deepEqual(
    catalog.heldSnapshots(source).map(({ id }) => id),
    [two.id],
  );
  // Once let go it stays so: the admin's word may leave the configuration.
  forgotten.update(NOTHING_FORGOTTEN);
  await catalog.offer(sealedHead(3, [await aSnapshot(theirs, 4)]), theirs);
  t.deepEqual(wantedBy(told), parcels(2, 3, 4));
});

test('after the stop nothing is let go, though the configuration changes', async t => {
  const theirs = new Objects();
  const { catalog, told, forgotten } = await aKeeper(t);
  const [one, two] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2)];
  await catalog.offer(sealedHead(1, [one]), theirs);
  await catalog.offer(sealedHead(2, [two]), theirs);
  await catalog.stop();
  forgotten.update({ forgotten: [], released: [one.id] });
  await catalog.reconsider();
  t.deepEqual(wantedBy(told), parcels(1, 2));
});

test('a forgotten source wants and holds nothing, also after a restart, and its head stays known', async t => {
  const theirs = new Objects();
  const config = { forgotten: [{ source, seq: 2 }], released: [] };
  const first = await aKeeper(t);
  const [one, two] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2)];
  await first.catalog.offer(sealedHead(1, [one]), theirs);
  await first.catalog.offer(sealedHead(2, [two]), theirs);
  first.forgotten.update(config);
  await first.catalog.reconsider();
  t.deepEqual(wantedBy(first.told), parcels());
  t.is(first.catalog.get(source), undefined);
  t.deepEqual([...first.catalog.sources()], []);
  t.deepEqual(
    first.catalog.hints().map(({ seq }) => seq),
    [2],
  );

  const second = await aKeeper(t, { after: first, config });
  t.deepEqual(wantedBy(second.told), parcels());
  t.deepEqual(second.catalog.wantedSnapshots(source), []);
  // It is back in the policy: only what is new is wanted.
  await second.catalog.offer(sealedHead(3, [await aSnapshot(theirs, 3)]), theirs);
  t.deepEqual(wantedBy(second.told), parcels(3));
  t.deepEqual(second.catalog.heldSnapshots(source), []);
});

test('a source that was forgotten by a branch of the configuration that lost is wanted again, though no peer tells of it', async t => {
  const theirs = new Objects();
  const { catalog, told, forgotten } = await aKeeper(t);
  const head = sealedHead(2, [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2)]);
  await catalog.offer(head, theirs);
  forgotten.update({ forgotten: [{ source, seq: 2 }], released: [] });
  await catalog.reconsider();
  t.deepEqual(wantedBy(told), parcels());
  forgotten.update(NOTHING_FORGOTTEN);
  await catalog.reconsider();
  t.deepEqual(wantedBy(told), parcels(1, 2));
  t.is(catalog.get(source)?.hash, headHash(head));
});

test('the head of a forgotten source is taken without what it lists, and a later one is not wanted before the policy has it', async t => {
  const theirs = new Objects();
  let configured = false;
  const config = { forgotten: [{ source, seq: 1 }], released: [] };
  const { catalog, objects, told } = await aKeeper(t, { isConfigured: () => configured, config });
  await catalog.offer(sealedHead(1, [await aSnapshot(theirs, 1)]), theirs);
  await catalog.offer(sealedHead(2, [await aSnapshot(theirs, 2)]), theirs);
  t.is(objects.kept.size, 0);
  t.deepEqual(wantedBy(told), parcels());
  t.is(catalog.hints()[0]?.seq, 2);
  configured = true;
  await catalog.reconsider();
  await catalog.offer(sealedHead(2, [await aSnapshot(theirs, 2)]), theirs);
  t.deepEqual(wantedBy(told), parcels(2));
});

test('holds go on after a restart, and after the running time was lost begin again', async t => {
  const theirs = new Objects();
  const run = { ms: 10 * DAY_MS };
  const first = await aKeeper(t, { run });
  const [one, two] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2)];
  await first.catalog.offer(sealedHead(1, [one]), theirs);
  await first.catalog.offer(sealedHead(2, [two]), theirs);

  run.ms += DAY_MS - 1;
  const second = await aKeeper(t, { run, after: first });
  t.deepEqual(wantedBy(second.told), parcels(1, 2));
  const lost = { ms: 0 };
  const third = await aKeeper(t, { run: lost, after: first });
  lost.ms = DAY_MS - 1;
  await third.catalog.letGo();
  t.deepEqual(wantedBy(third.told), parcels(1, 2));
  lost.ms = DAY_MS;
  await third.catalog.letGo();
  t.deepEqual(wantedBy(third.told), parcels(2));

  run.ms += 1;
  const fourth = await aKeeper(t, { run, after: first });
  t.deepEqual(wantedBy(fourth.told), parcels(2));
});

test('what was seen listed is on our disk before its head is in force', async t => {
  const theirs = new Objects();
  const { catalog, folder, file, told } = await aKeeper(t);
  const one = await aSnapshot(theirs, 1);
  // Nothing can be renamed to a folder's name: the head is not written.
  mkdirSync(file);
  await t.throwsAsync(catalog.offer(sealedHead(1, [one]), theirs));
  t.is(catalog.get(source), undefined);
  t.deepEqual(told, []);
  const { seen } = JSON.parse(readFileSync(join(folder, `${origin}-photos.seen`), 'utf8'));
  t.deepEqual(seen, [{ id: one.id, timeMs: one.timeMs, holdMs: DAY_MS, seenRunMs: 0 }]);

  rmSync(file, { recursive: true });
  await catalog.offer(sealedHead(1, [one]), theirs);
  t.is(catalog.get(source)?.head.seq, 1);
});

test('an object of a held snapshot that is lost is asked for like a listed one', async t => {
  const theirs = new Objects();
  const { catalog, objects, told } = await aKeeper(t);
  const [one, two, three] = [await aSnapshot(theirs, 1), await aSnapshot(theirs, 2), await aSnapshot(theirs, 3)];
  await catalog.offer(sealedHead(1, [one]), theirs);
  await catalog.offer(sealedHead(2, [two]), theirs);
  objects.kept.delete(one.id);
  await catalog.offer(sealedHead(3, [three]), theirs);
  t.deepEqual(wantedBy(told), parcels(1, 2, 3));
  t.true(objects.kept.has(one.id));
});

/** A keeper with a snapshot in its hold that has lost its first page, or all, and nobody has it; a newer head is in force. */
async function aKeeperThatLacks(t: ExecutionContext, what: 'page' | 'all', run: { ms: number }) {
  const theirs = new Objects();
  const kept = await aKeeper(t, { run });
  const old = await aSnapshot(theirs, 1, 2);
  await kept.catalog.offer(sealedHead(1, [old]), theirs);
  // Not held: when it leaves, the rest is read.
  await kept.catalog.offer(sealedHead(2, [await aSnapshot(theirs, 2, 1, { holdDays: 0 })]), theirs);
  const lost = what === 'all' ? old.id : decodeSnapshot(theirs.kept.get(old.id) as Uint8Array).pages[0];
  const bytes = theirs.kept.get(lost as ObjectId) as Uint8Array;
  for (const { kept: objects } of [theirs, kept.objects]) objects.delete(lost as ObjectId);
  await kept.catalog.offer(sealedHead(3, [await aSnapshot(theirs, 3)]), theirs);
  return { ...kept, old, bytes };
}

const WITH_ALL_OF_OLD = new Set([parcelOf(1, 0), parcelOf(1, 1), parcelOf(3)]);

test('a held snapshot that lost an object everywhere keeps no newer head out, and of what was wanted nothing goes before its hold ends', async t => {
  for (const what of ['page', 'all'] as const) {
    const run = { ms: 10 * DAY_MS };
    const { catalog, told, old, heldIds, alarms, codes } = await aKeeperThatLacks(t, what, run);
    t.is(catalog.get(source)?.head.seq, 3);
    t.deepEqual(inOrder(wantedBy(told)), inOrder(WITH_ALL_OF_OLD));
    t.is(heldIds().includes(old.id), what === 'page');
    t.deepEqual(codes(), ['HELD_LOST']);
    t.regex(alarms.list()[0]?.text ?? '', new RegExp(`of snapshots .* still held \\(${old.id.slice(0, 8)}\\) is lost`));

    run.ms += DAY_MS;
    await catalog.letGo();
    t.deepEqual(codes(), []);
    // Of what nothing tells any more whose it was, it is known after a restart that nobody wants it.
    t.is(wantedBy(told).has(parcelOf(1, 1)), what === 'all');
    t.true(wantedBy(told).has(parcelOf(1, 0)));
  }
});

test('after a restart a head is in force though a held snapshot lost an object; what is found again is wanted again', async t => {
  for (const what of ['page', 'all'] as const) {
    const run = { ms: 10 * DAY_MS };
    const before = await aKeeperThatLacks(t, what, run);
    const { catalog, told, elsewhere, heldIds, codes } = await aKeeper(t, { after: before, run });
    t.is(catalog.get(source)?.head.seq, 3);
    t.false(wantedBy(told).has(parcelOf(1, 0)));
    run.ms += 60_000 - 1;
    await elsewhere.put(before.bytes);
    await catalog.letGo();
    t.false(wantedBy(told).has(parcelOf(1, 0)));
    run.ms += 1;
    await catalog.letGo();
    t.deepEqual(inOrder(wantedBy(told)), inOrder(WITH_ALL_OF_OLD));
    t.true(heldIds().includes(before.old.id));
    t.deepEqual(codes(), []);
  }
});

test('a snapshot that was cut anew and cannot be read is not let go: nobody knows whether somebody holds it', async t => {
  const theirs = new Objects();
  const torn = await aSnapshot(theirs, 1);
  const recut = await aSnapshot(theirs, 2, 1, { timeMs: torn.timeMs, recutOf: torn.id });
  const { catalog, objects, folder } = await aKeeper(t, { held: parcels(1) });
  await catalog.offer(sealedHead(1, [torn]), theirs);
  for (const { kept } of [theirs, objects])
    for (const page of decodeSnapshot(theirs.kept.get(torn.id) as Uint8Array).pages) kept.delete(page);
  await catalog.offer(sealedHead(2, [recut]), theirs);
  const { seen } = JSON.parse(readFileSync(join(folder, `${origin}-photos.seen`), 'utf8'));
  t.deepEqual(
    seen.map(({ id }: { id: SnapshotId }) => id),
    [torn.id, recut.id],
  );
});

test('a snapshot that was cut anew is let go where nobody holds what was cut out, and held where somebody does', async t => {
  const theirs = new Objects();
  const torn = await aSnapshot(theirs, 1);
  const recut = await aSnapshot(theirs, 2, 1, { timeMs: torn.timeMs, recutOf: torn.id });
  const replaced = await aSnapshot(theirs, 2, 1, { timeMs: torn.timeMs });
  const wantedAfter = async (snapshot: typeof recut, held: ReadonlySet<ParcelId>): Promise<Set<ParcelId>> => {
    const { catalog, told } = await aKeeper(t, { held });
    await catalog.offer(sealedHead(1, [torn]), theirs);
    await catalog.offer(sealedHead(2, [snapshot]), theirs);
    return wantedBy(told);
  };
  t.deepEqual(await wantedAfter(recut, parcels()), parcels(2));
  t.deepEqual(await wantedAfter(recut, parcels(2)), parcels(2));
  t.deepEqual(await wantedAfter(recut, parcels(1)), parcels(1, 2));
  t.deepEqual(await wantedAfter(replaced, parcels()), parcels(1, 2));
});

/** As many snapshots as one source may have to hold, each for so long. */
const heldToTheFull = (holdMsOf: (n: number) => number) =>
  Array.from({ length: SEEN_MAX }, (_, n) => ({
    id: n.toString(16).padStart(64, '0') as SnapshotId,
    timeMs: 1,
    holdMs: holdMsOf(n),
    seenRunMs: 0,
  }));

test('an origin that lists more than it can ever have to hold is not followed, and a person is told', async t => {
  const theirs = new Objects();
  const { catalog, folder, codes } = await aKeeper(t);
  const one = await aSnapshot(theirs, 1);
  await writeSeen(
    join(folder, `${origin}-photos.seen`),
    heldToTheFull(() => DAY_MS),
  );
  await t.throwsAsync(catalog.offer(sealedHead(1, [one]), theirs), { code: 'HOLDS_FULL' });
  t.deepEqual(codes(), ['HOLDS_FULL']);
  t.is(catalog.get(source), undefined);
});

test('what is in its hold no more takes no room from a head', async t => {
  const theirs = new Objects();
  const { catalog, folder, alarms } = await aKeeper(t);
  const one = await aSnapshot(theirs, 1);
  await writeSeen(
    join(folder, `${origin}-photos.seen`),
    heldToTheFull(n => (n === 0 ? 0 : DAY_MS)),
  );
  t.is(catalog.roomBeside(source, []), 1);
  t.is(catalog.roomBeside(source, [one.id]), 0);
  await catalog.offer(sealedHead(1, [one]), theirs);
  t.is(catalog.get(source)?.head.seq, 1);
  t.false(alarms.list().some(({ code }) => code === 'HOLDS_FULL'));
});

test('when what was seen cannot be read a person is told, and the head is in force', async t => {
  const theirs = new Objects();
  const { catalog, folder, codes, told } = await aKeeper(t);
  writeFileSync(join(folder, `${origin}-photos.seen`), '{"seen":[{}]}');
  await catalog.offer(sealedHead(1, [await aSnapshot(theirs, 1)]), theirs);
  t.deepEqual(codes(), ['HOLDS_DAMAGED']);
  t.deepEqual(wantedBy(told), parcels(1));
});

test('a head and what was seen, each with a bad sector, keep nobody from starting, and are written anew', async t => {
  const why = whyNoBadSector();
  if (why !== undefined) return skip(t, why);
  const folder = temporaryFolder(t);
  makeUnreadable(join(folder, `${origin}-photos.head`));
  makeUnreadable(join(folder, `${origin}-photos.seen`));
  const theirs = new Objects();
  const { catalog, file } = await aKeeper(t, { after: { folder, objects: new Objects() } });
  t.true(catalog.isUnsettled);
  const sealed = sealedHead(1, [await aSnapshot(theirs, 1)]);
  await catalog.offer(sealed, theirs);
  t.is(catalog.get(source)?.head.seq, 1);
  t.deepEqual(readFileSync(file), Buffer.from(sealed));
  t.false(catalog.isUnsettled);
});

async function anOrigin(t: ExecutionContext) {
  const kept = await aKeeper(t);
  const history = await SourceHistory.open({ folder: join(kept.folder, 'own'), signer });
  const own = new Origin({
    host: origin,
    signer,
    history,
    catalog: kept.catalog,
    forgotten: kept.forgotten,
    brakes: { on: () => undefined, sinceMs: () => undefined },
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
  const made = history.relist(source, newest => ({
    snapshots: [...(newest?.snapshots ?? []), { ...two, complete: true }],
    unacceptedSinceMs: undefined,
  }));
  await adopting;
  t.deepEqual(
    (await made).head.snapshots.map(({ id }) => id),
    [one.id, two.id],
  );
});

test('what a store should have of a head is looked at, and what it lost is put there again', async t => {
  const { catalog, objects } = await aKeeper(t);
  const snapshots = [await aSnapshot(objects, 1, 3), await aSnapshot(objects, 2, 2)];
  await catalog.offer(sealedHead(1, snapshots), undefined);
  const target = new Objects();
  const complete = new Set(snapshots.map(({ id }) => id));
  await catalog.copyTo(source, target, new Set());
  t.is(target.kept.size, 7);
  for (const lost of [...target.kept.keys()]) {
    target.kept.delete(lost);
    await catalog.copyTo(source, target, complete);
    t.is(target.kept.size, 7);
  }
});

/**
 * The store's contract: what every store keeps, whatever it is made of. A kind of store passes by registering itself here.
 *
 * Records are made by a codec of this file, for a store knows them only through the `blobsOf` that it is given.
 */
import type { ExecutionContext, TestFn } from 'ava';
import { decode, encode } from 'cborg';
import fc from 'fast-check';
import type { Member } from '../../src/core/cluster-config.js';
import { DropProof } from '../../src/core/drop-proof.js';
import { ExpiryWarrant } from '../../src/core/expiry.js';
import { hashHex } from '../../src/core/hash.js';
import { logAfter, logStart } from '../../src/core/holdings-log.js';
import {
  type BlobId,
  type HostId,
  type ParcelId,
  parseBlobId,
  parseHostId,
  parseNonce,
  parseParcelId,
  parsePeerName,
  parsePossession,
  parseStoreId,
  type StoreId,
  sourceIdOf,
} from '../../src/core/ids.js';
import type { BlobRef } from '../../src/core/parcel.js';
import { possessionHasher } from '../../src/core/possession.js';
import type { Store } from '../../src/store/store.js';

export type ContractStore = Pick<
  Store,
  | 'appendHead'
  | 'close'
  | 'commit'
  | 'drop'
  | 'emptyTrash'
  | 'expect'
  | 'expire'
  | 'headSeq'
  | 'holds'
  | 'id'
  | 'isPresent'
  | 'lentBytes'
  | 'missing'
  | 'objects'
  | 'openBlob'
  | 'ops'
  | 'position'
  | 'positionAt'
  | 'possess'
  | 'present'
  | 'readSmall'
  | 'receive'
  | 'receiveSmall'
  | 'sweepIncoming'
  | 'usage'
>;

export interface StoreMaker {
  /** A new, empty store that lists blobs by `blobsOf`. */
  make(t: ExecutionContext): Promise<ContractStore>;
  /** The same store after its process ended as it should and began again. */
  reopen(t: ExecutionContext, store: ContractStore): Promise<ContractStore>;
  /** The store's wall clock goes on. */
  passTime(store: ContractStore, ms: number): void;
  /** What a failing disk does to the bytes of a held blob. */
  spoil(store: ContractStore, blob: TestBlob, how: Spoilt): Promise<void>;
}

const SPOILT = ['gone', 'shorter', 'longer', 'other'] as const;
export type Spoilt = (typeof SPOILT)[number];

export interface TestBlob extends BlobRef {
  readonly blob: BlobId;
  readonly content: Buffer;
}

export function blobOf(content: string | Uint8Array): TestBlob {
  const bytes = Buffer.from(content);
  return { blob: parseBlobId(hashHex(bytes)), bytes: bytes.length, content: bytes };
}

export interface TestParcel {
  readonly id: ParcelId;
  readonly record: Uint8Array;
  readonly blobs: readonly TestBlob[];
}

export function parcelOf(...contents: readonly (string | Uint8Array)[]): TestParcel {
  const blobs = contents.map(blobOf);
  const record = encode(['test record', blobs.map(({ blob, bytes }) => [blob, bytes])]);
  return { id: parseParcelId(hashHex(record)), record, blobs };
}

export function blobsOf(record: Uint8Array): readonly BlobRef[] {
  const [tag, blobs] = decode(record) as [unknown, readonly [string, number][]];
  if (tag !== 'test record') throw new TypeError('not a record');
  return blobs.map(([blob, bytes]) => ({ blob, bytes }));
}

export async function receive(store: Pick<Store, 'receive'>, { blob, bytes, content }: TestBlob): Promise<void> {
  const incoming = await store.receive({ blob, bytes });
  await incoming.write(content);
  await incoming.finish();
}

/** Receives what is missing and commits, as the service does. */
export async function grab(store: Pick<Store, 'missing' | 'receive' | 'commit'>, parcel: TestParcel): Promise<void> {
  const missing = new Set((await store.missing(parcel.blobs)).map(({ blob }) => blob));
  for (const blob of parcel.blobs) if (missing.delete(blob.blob)) await receive(store, blob);
  await store.commit(parcel.id, parcel.record);
}

export async function contentOf(store: Pick<Store, 'openBlob'>, blob: BlobId): Promise<Buffer | undefined> {
  const opened = await store.openBlob(blob);
  if (opened === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of opened.read()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const HOST: HostId = parseHostId('0a'.repeat(16));
const OTHER: HostId = parseHostId('0b'.repeat(16));
const NONCE = parseNonce('0e'.repeat(16));
const POSSESSION = parsePossession('0f'.repeat(32));

const GRANTER: Member = {
  host: OTHER,
  name: 'other',
  peer: parsePeerName(`12D3Koo${'W'.repeat(45)}`),
  state: 'active',
  trust: 'trusted',
  domain: OTHER,
  roaming: false,
};

/** One grant of one is enough: what a proof takes is core's to test. */
export function proofFor(store: StoreId, parcel: ParcelId): DropProof {
  const proof = DropProof.from({
    parcel,
    store,
    stays: undefined,
    self: HOST,
    origins: [HOST],
    nonce: NONCE,
    copiesWanted: 1,
    configVersion: 1,
    memberOf: () => GRANTER,
    grants: [{ host: OTHER, nonce: NONCE, possession: POSSESSION, expected: POSSESSION }],
  });
  if (proof === undefined) throw new Error('the proof lacks something');
  return proof;
}

function warrantFor(store: StoreId, parcel: ParcelId): ExpiryWarrant {
  const view = { wanted: false, headSeq: 1, heardSeq: 1, runMs: 1, unwantedSinceRunMs: 0, gcGraceMs: 1, busy: false };
  const warrant = ExpiryWarrant.from({ ...view, source: sourceIdOf(HOST, 'photos') }, { parcel, store });
  if (warrant === undefined) throw new Error('the warrant lacks something');
  return warrant;
}

/** Parcels that are PRESENT by the log. */
export async function presentByLog(store: Pick<Store, 'ops'>): Promise<Set<ParcelId>> {
  const present = new Set<ParcelId>();
  for (const op of await store.ops(0, Number.MAX_SAFE_INTEGER)) {
    if (op.op === 'add') present.add(op.parcel);
    else if (op.op !== 'head') present.delete(op.parcel);
  }
  return present;
}

/** Turns of the event loop, so that what was begun gets on a little. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}

export function testStoreContract(test: TestFn, { make, reopen, passTime, spoil }: StoreMaker): void {
  test('a new store holds nothing and its log begins at its epoch', async t => {
    const store = await make(t);
    const position = store.position();
    t.deepEqual(position, logStart(store.id, position.epoch));
    t.deepEqual([...store.present()], []);
    t.deepEqual(await store.ops(0, 10), []);
    t.false(store.holds(blobOf('a').blob));
  });

  test('a committed parcel is present, its blobs are held and read back whole', async t => {
    const store = await make(t);
    const parcel = parcelOf('one', 'two', Buffer.alloc(700_000, 7));
    await grab(store, parcel);
    t.deepEqual([...store.present()], [parcel.id]);
    t.deepEqual(await store.missing(parcel.blobs), []);
    for (const { blob, content } of parcel.blobs) {
      t.true(store.holds(blob));
      t.deepEqual(await contentOf(store, blob), content);
    }
    t.deepEqual(Buffer.from((await store.objects.get(parcel.id)) ?? []), Buffer.from(parcel.record));
  });

  test('the log has one add a parcel, chained, and commit returns its position', async t => {
    const store = await make(t);
    const [first, second] = [parcelOf('1'), parcelOf('2')];
    await grab(store, first);
    await receive(store, blobOf('2'));
    const after = await store.commit(second.id, second.record);
    const ops = await store.ops(0, 10);
    t.deepEqual(ops, [
      { op: 'add', parcel: first.id },
      { op: 'add', parcel: second.id },
    ]);
    const chained = ops.reduce(logAfter, logStart(store.id, after.epoch));
    t.deepEqual(after, chained);
    t.deepEqual(store.position(), chained);
  });

  test('committing a parcel again, or twice at once, adds nothing to the log', async t => {
    const store = await make(t);
    const parcel = parcelOf('same');
    await receive(store, blobOf('same'));
    await Promise.all([store.commit(parcel.id, parcel.record), store.commit(parcel.id, parcel.record)]);
    await store.commit(parcel.id, parcel.record);
    t.is(store.position().seq, 1);
  });

  test('a parcel of which a blob is missing is refused, and nothing of it counts', async t => {
    const store = await make(t);
    const parcel = parcelOf('here', 'not here');
    await receive(store, blobOf('here'));
    t.like(await t.throwsAsync(store.commit(parcel.id, parcel.record)), { code: 'BLOBS_MISSING' });
    t.is(store.position().seq, 0);
    t.false(store.holds(blobOf('here').blob));
    t.is(await store.openBlob(blobOf('here').blob), undefined);
    t.deepEqual(
      (await store.missing(parcel.blobs)).map(({ blob }) => blob),
      [blobOf('not here').blob],
    );
    await receive(store, blobOf('not here'));
    await store.commit(parcel.id, parcel.record);
    t.true(store.isPresent(parcel.id));
  });

  test('a record with another hash than the parcel is refused', async t => {
    const store = await make(t);
    await receive(store, blobOf('x'));
    const error = await t.throwsAsync(store.commit(parcelOf('y').id, parcelOf('x').record));
    t.like(error, { code: 'RECORD_MISMATCH', blame: 'peer' });
    t.deepEqual([...store.present()], []);
  });

  for (const [what, content] of [
    ['of the right size and another hash', 'wrong bytes'],
    ['a byte short', 'right byte'],
    ['a byte long', 'right bytes!'],
    ['none at all', ''],
  ] as const) {
    test(`bytes that are ${what} are refused and leave nothing`, async t => {
      const store = await make(t);
      const before = await store.usage();
      const { blob, bytes } = blobOf('right bytes');
      const receiving = async () => {
        const incoming = await store.receive({ blob, bytes });
        await incoming.write(Buffer.from(content));
        await incoming.finish();
      };
      t.like(await t.throwsAsync(receiving()), { code: 'BLOB_MISMATCH', blame: 'peer' });
      t.is((await store.missing([{ blob, bytes }])).length, 1);
      t.is((await store.usage()).usedBytes, before.usedBytes);
    });
  }

  test('small blobs are received many at once, but for those whose bytes are not their own', async t => {
    const store = await make(t);
    const before = await store.usage();
    const contents = Array.from({ length: 300 }, (_, n) => Buffer.from(`content ${n}`));
    const small = contents.map(content => ({ blob: parseBlobId(hashHex(content)), content }));
    const wrong = { blob: parseBlobId(hashHex(Buffer.from('right'))), content: Buffer.from('wrong') };
    t.deepEqual(await store.receiveSmall([...small, wrong]), [wrong]);
    // Twice: for two parcels that share them.
    t.deepEqual(await store.receiveSmall(small), []);
    const bytes = contents.reduce((sum, { length }) => sum + length, 0);
    t.is((await store.usage()).usedBytes, before.usedBytes + bytes);
    t.is((await store.missing([{ blob: wrong.blob, bytes: 5 }])).length, 1);
    const parcel = parcelOf(...contents.slice(0, 200));
    await store.commit(parcel.id, parcel.record);
    const asked = [...small.slice(0, 201).map(({ blob }) => blob), wrong.blob];
    const read = await store.readSmall(asked);
    t.deepEqual(
      read.map(content => (content === undefined ? undefined : Buffer.from(content).toString())),
      [...contents.slice(0, 200).map(String), undefined, undefined],
    );
  });

  test('a blob with more bytes than a record says counts as missing for that record', async t => {
    const store = await make(t);
    const { blob, bytes } = blobOf('held');
    await grab(store, parcelOf('held'));
    t.is((await store.missing([{ blob, bytes: bytes + 1 }])).length, 1);
    const lying = encode(['test record', [[blob, bytes + 1]]]);
    t.like(await t.throwsAsync(store.commit(parseParcelId(hashHex(lying)), lying)), { code: 'BLOBS_MISSING' });
  });

  test('an aborted blob leaves nothing, and can be received again', async t => {
    const store = await make(t);
    const before = await store.usage();
    const blob = blobOf(Buffer.alloc(3_000_000, 1));
    const incoming = await store.receive(blob);
    await incoming.write(blob.content.subarray(0, 2_000_000));
    t.true((await store.usage()).usedBytes > before.usedBytes);
    await incoming.abort();
    await incoming.abort();
    t.is((await store.usage()).usedBytes, before.usedBytes);
    await receive(store, blob);
    t.deepEqual(await store.missing([blob]), []);
  });

  test('a blob that two parcels share is kept once', async t => {
    const store = await make(t);
    const shared = Buffer.alloc(100_000, 3);
    await grab(store, parcelOf(shared, 'a'));
    const before = await store.usage();
    const second = parcelOf(shared, 'b');
    t.deepEqual(
      (await store.missing(second.blobs)).map(({ blob }) => blob),
      [blobOf('b').blob],
    );
    await grab(store, second);
    t.true((await store.usage()).usedBytes - before.usedBytes < 10_000);
  });

  test('parcels that share a blob can be received and committed at the same time', async t => {
    const store = await make(t);
    const parcels = [parcelOf('shared', 'a'), parcelOf('shared', 'b'), parcelOf('c', 'shared')];
    await Promise.all(parcels.flatMap(({ blobs }) => blobs.map(blob => receive(store, blob))));
    await Promise.all(parcels.map(({ id, record }) => store.commit(id, record)));
    t.is([...store.present()].length, 3);
    t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
  });

  test('parcels that share blobs may be committed at any moments', async t => {
    const store = await make(t);
    const parcels = Array.from({ length: 12 }, (_, n) => parcelOf('shared', `near ${n >> 1}`, `own ${n}`));
    for (const { blobs } of parcels) for (const blob of blobs) await receive(store, blob);
    const order = [3, 0, 7, 1, 1, 9, 2, 5, 4, 11, 6, 10, 8, 0];
    const commits: Promise<unknown>[] = [];
    for (const [turn, n] of order.entries()) {
      const parcel = parcels[n];
      if (parcel !== undefined) commits.push(store.commit(parcel.id, parcel.record));
      // Some of those before are flushing, some renaming, some in the log.
      for (let turns = 0; turns < turn * 3; turns++) await new Promise(setImmediate);
    }
    await Promise.all(commits);
    t.is([...store.present()].length, 12);
    t.is(store.position().seq, 12);
  });

  test('a parcel without blobs (folders, links, empty files) is committed by its record alone', async t => {
    const store = await make(t);
    const parcel = parcelOf();
    await store.commit(parcel.id, parcel.record);
    t.true(store.isPresent(parcel.id));
  });

  test('ops are given out from any number on, and so are the positions to sign them by', async t => {
    const store = await make(t);
    const parcels = Array.from({ length: 20 }, (_, n) => parcelOf(`blob ${n}`));
    for (const parcel of parcels) await grab(store, parcel);
    const all = await store.ops(0, 100);
    t.is(all.length, 20);
    t.deepEqual(await store.ops(7, 5), all.slice(7, 12));
    t.deepEqual(await store.ops(20, 5), []);
    t.deepEqual(await store.ops(3, 0), []);
    let position = logStart(store.id, store.position().epoch);
    t.deepEqual(await store.positionAt(0), position);
    for (const [n, op] of all.entries()) {
      position = logAfter(position, op);
      t.deepEqual(await store.positionAt(n + 1), position);
    }
  });

  test('head operations are kept with the highest number, and a lower one adds nothing', async t => {
    const store = await make(t);
    const source = sourceIdOf(HOST, 'photos');
    t.is(store.headSeq(source), 0);
    await store.appendHead(source, 3);
    await store.appendHead(source, 2);
    await store.appendHead(source, 3);
    t.is(store.headSeq(source), 3);
    t.deepEqual(await store.ops(0, 10), [{ op: 'head', source, seq: 3 }]);
  });

  test('after a restart everything is as it was said to be', async t => {
    const store = await make(t);
    const source = sourceIdOf(HOST, 'photos');
    const parcels = [parcelOf('a', 'b'), parcelOf('b', 'c'), parcelOf()];
    for (const parcel of parcels) await grab(store, parcel);
    await store.appendHead(source, 9);
    const before = { position: store.position(), ops: await store.ops(0, 99), used: (await store.usage()).usedBytes };
    const again = await reopen(t, store);
    t.deepEqual(
      { position: again.position(), ops: await again.ops(0, 99), used: (await again.usage()).usedBytes },
      before,
    );
    t.deepEqual(new Set(again.present()), new Set(parcels.map(({ id }) => id)));
    t.is(again.headSeq(source), 9);
    t.deepEqual(await contentOf(again, blobOf('b').blob), Buffer.from('b'));
    await grab(again, parcelOf('d'));
    t.is(again.position().seq, before.position.seq + 1);
  });

  test('a blob that came whole before a restart need not come again', async t => {
    const store = await make(t);
    await receive(store, blobOf('early'));
    const again = await reopen(t, store);
    t.deepEqual(await again.missing([blobOf('early')]), []);
    const parcel = parcelOf('early');
    await again.commit(parcel.id, parcel.record);
    t.deepEqual(await contentOf(again, blobOf('early').blob), Buffer.from('early'));
  });

  test('what is used is the sum of what was received, however it was cut and shared', async t => {
    const store = await make(t);
    const sizes = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 4 });
    const seen = new Set<string>();
    const law = fc.asyncProperty(sizes, async blobSizes => {
      const parcel = parcelOf(...blobSizes.map(size => Buffer.alloc(size, size % 251)));
      const fresh = new Map(parcel.blobs.filter(({ blob }) => !seen.has(blob)).map(ref => [ref.blob, ref.bytes]));
      const before = (await store.usage()).usedBytes - store.objects.usedBytes;
      await grab(store, parcel);
      for (const blob of fresh.keys()) seen.add(blob);
      const after = (await store.usage()).usedBytes - store.objects.usedBytes;
      return after - before === [...fresh.values()].reduce((sum, bytes) => sum + bytes, 0);
    });
    await t.notThrowsAsync(fc.assert(law, { numRuns: 30 }));
  });

  test('a limit lends at most itself and at most what its disk can give; a reserve leaves that much', async t => {
    const store = await make(t);
    await grab(store, parcelOf(Buffer.alloc(50_000)));
    const { usedBytes, freeOnDiskBytes } = await store.usage();
    t.is(await store.lentBytes({ limitBytes: 1_000 }), 1_000);
    t.true((await store.lentBytes({ limitBytes: Number.MAX_SAFE_INTEGER })) < Number.MAX_SAFE_INTEGER);
    t.is(await store.lentBytes({ reserveBytes: Number.MAX_SAFE_INTEGER }), usedBytes);
    t.true((await store.lentBytes({ reserveBytes: freeOnDiskBytes / 2 })) > usedBytes);
  });

  test('a closed store takes nothing more', async t => {
    const store = await make(t);
    await store.close();
    t.like(await t.throwsAsync(store.receive(blobOf('x'))), { code: 'STORE_CLOSED' });
    t.like(await t.throwsAsync(store.commit(parcelOf().id, parcelOf().record)), { code: 'STORE_CLOSED' });
    t.like(await t.throwsAsync(store.drop(proofFor(store.id, parcelOf().id))), { code: 'STORE_CLOSED' });
    t.like(await t.throwsAsync(store.possess(parcelOf().id, { nonce: NONCE, holders: [] })), { code: 'STORE_CLOSED' });
    t.like(await t.throwsAsync(store.emptyTrash({ olderThanMs: 0 })), { code: 'STORE_CLOSED' });
  });

  for (const [what, giveUp] of [
    ['dropped', (store: ContractStore, parcel: ParcelId) => store.drop(proofFor(store.id, parcel))],
    ['expired', (store: ContractStore, parcel: ParcelId) => store.expire(warrantFor(store.id, parcel))],
  ] as const) {
    test(`a parcel that was ${what} is not held any more, its del is in the log, and the others stay`, async t => {
      const store = await make(t);
      const [first, second] = [parcelOf('1', 'one'), parcelOf('2')];
      await grab(store, first);
      await grab(store, second);
      const position = await giveUp(store, first.id);
      t.deepEqual(await store.ops(2, 10), [{ op: 'del', parcel: first.id }]);
      t.deepEqual(position, store.position());
      t.is(position.seq, 3);
      t.deepEqual([...store.present()], [second.id]);
      t.false(store.isPresent(first.id));
      t.false(store.holds(blobOf('one').blob));
      t.is(await store.openBlob(blobOf('one').blob), undefined);
      t.deepEqual(await contentOf(store, blobOf('2').blob), Buffer.from('2'));
      const again = await reopen(t, store);
      t.deepEqual(again.position(), position);
      t.deepEqual([...again.present()], [second.id]);
      t.false(again.holds(blobOf('one').blob));
    });

    test(`a blob of a parcel that was ${what} stays as long as another parcel lists it`, async t => {
      const store = await make(t);
      const [first, second] = [parcelOf('shared', '1'), parcelOf('2', 'shared')];
      await grab(store, first);
      await grab(store, second);
      await giveUp(store, first.id);
      t.false(store.holds(blobOf('1').blob));
      t.deepEqual(await contentOf(store, blobOf('shared').blob), Buffer.from('shared'));
      t.is((await store.usage()).trashBytes, 1);
      await giveUp(store, second.id);
      t.false(store.holds(blobOf('shared').blob));
      t.is((await store.usage()).trashBytes, '12shared'.length);
    });

    test(`a parcel that is not here cannot be ${what}, nor can one twice: nothing is written`, async t => {
      const store = await make(t);
      const parcel = parcelOf('x');
      t.is((await giveUp(store, parcel.id)).seq, 0);
      await grab(store, parcel);
      await Promise.all([giveUp(store, parcel.id), giveUp(store, parcel.id)]);
      t.is((await giveUp(store, parcel.id)).seq, 2);
      t.is(store.position().seq, 2);
    });

    test(`a parcel is not ${what} by the word for another store`, async t => {
      const store = await make(t);
      const parcel = parcelOf('x');
      await grab(store, parcel);
      const elsewhere = Object.create(store, { id: { value: parseStoreId('77'.repeat(16)) } }) as ContractStore;
      const word = what === 'dropped' ? proofFor(elsewhere.id, parcel.id) : warrantFor(elsewhere.id, parcel.id);
      const refused = word instanceof DropProof ? store.drop(word) : store.expire(word);
      await t.throwsAsync(refused, { message: /^bug: store .* for store 7777/ });
      t.true(store.isPresent(parcel.id));
      t.is(store.position().seq, 1);
    });
  }

  test('a value that only looks like a proof or a warrant drops nothing', async t => {
    const store = await make(t);
    const parcel = parcelOf('x');
    await grab(store, parcel);
    await t.throwsAsync(store.drop({ ...proofFor(store.id, parcel.id) }), { message: /^bug: a drop needs a proof/ });
    await t.throwsAsync(store.expire({ ...warrantFor(store.id, parcel.id) }), { message: /^bug: an expiry needs/ });
    t.true(store.isPresent(parcel.id));
  });

  test('what was dropped is used room until the trash is emptied', async t => {
    const store = await make(t);
    const parcel = parcelOf(Buffer.alloc(10_000, 1), Buffer.alloc(5_000, 2));
    await grab(store, parcel);
    const before = await store.usage();
    t.is(before.trashBytes, 0);
    await store.drop(proofFor(store.id, parcel.id));
    t.like(await store.usage(), { usedBytes: before.usedBytes, trashBytes: 15_000 });
    t.is(await store.emptyTrash({ olderThanMs: 0 }), 15_000);
    t.like(await store.usage(), { usedBytes: before.usedBytes - 15_000, trashBytes: 0 });
    t.like(await (await reopen(t, store)).usage(), { usedBytes: before.usedBytes - 15_000, trashBytes: 0 });
  });

  test('what was dropped comes back from the trash without being sent again, and not after it was emptied', async t => {
    const store = await make(t);
    const parcel = parcelOf('one', Buffer.alloc(700_000, 7));
    await grab(store, parcel);
    await store.drop(proofFor(store.id, parcel.id));
    t.deepEqual(await store.missing(parcel.blobs), []);
    t.false(store.holds(blobOf('one').blob), 'found is not held');
    await store.commit(parcel.id, parcel.record);
    for (const { blob, content } of parcel.blobs) t.deepEqual(await contentOf(store, blob), content);
    t.is((await store.usage()).trashBytes, 0);
    await store.drop(proofFor(store.id, parcel.id));
    const again = await reopen(t, store);
    t.is((await again.usage()).trashBytes, 700_003);
    await again.commit(parcel.id, parcel.record); // nobody asked what is missing
    t.true(again.isPresent(parcel.id));
    await again.drop(proofFor(store.id, parcel.id));
    await again.emptyTrash({ olderThanMs: 0 });
    t.is((await again.missing(parcel.blobs)).length, 2);
    t.like(await t.throwsAsync(again.commit(parcel.id, parcel.record)), { code: 'BLOBS_MISSING' });
  });

  test('what came back from the trash is not swept away as a leftover of long ago', async t => {
    const store = await make(t);
    const parcel = parcelOf('old');
    await grab(store, parcel);
    await store.drop(proofFor(store.id, parcel.id));
    passTime(store, 10_000);
    await store.missing(parcel.blobs);
    await store.sweepIncoming(1_700_000_009_000);
    t.deepEqual(await store.missing(parcel.blobs), []);
    t.is((await store.usage()).trashBytes, 0);
  });

  test('what came for a fetch stays as long as it runs, and what was held before it stays in its place', async t => {
    const store = await make(t);
    const [old, next] = [parcelOf('held'), parcelOf('held', 'first', 'last')];
    await grab(store, old);
    const { missing, end } = await store.expect(next.id, next.blobs);
    t.deepEqual(
      missing.map(({ blob }) => blob),
      ['first', 'last'].map(content => blobOf(content).blob),
    );
    await receive(store, blobOf('first'));
    await store.sweepIncoming(Number.MAX_SAFE_INTEGER);
    await store.drop(proofFor(store.id, old.id));
    await store.emptyTrash({ olderThanMs: 0 });
    await receive(store, blobOf('last'));
    await store.commit(next.id, next.record);
    await end();
    for (const { blob, content } of next.blobs) t.deepEqual(await contentOf(store, blob), content);
  });

  test('a fetch that failed leaves nothing behind but what is kept for its time', async t => {
    const store = await make(t);
    const bytesHere = async () => (await store.usage()).usedBytes - store.objects.usedBytes;
    const before = await bytesHere();
    const [old, next] = [parcelOf('held'), parcelOf('held', 'first', 'last')];
    await grab(store, old);
    const { end } = await store.expect(next.id, next.blobs);
    await receive(store, blobOf('first'));
    await store.drop(proofFor(store.id, old.id));
    t.is((await store.usage()).trashBytes, 0);
    await end();
    t.is((await store.usage()).trashBytes, 'held'.length);
    await store.sweepIncoming(Number.MAX_SAFE_INTEGER);
    await store.emptyTrash({ olderThanMs: 0 });
    t.is(await bytesHere(), before);
    t.deepEqual(await store.missing(next.blobs), next.blobs);
  });

  test('a fetch that ends when its store was opened anew moves nothing there', async t => {
    const store = await make(t);
    const [old, next] = [parcelOf('held'), parcelOf('held', 'new')];
    await grab(store, old);
    const { end } = await store.expect(next.id, next.blobs);
    await store.drop(proofFor(store.id, old.id));
    const again = await reopen(t, store);
    await grab(again, next);
    await end();
    for (const { blob, content } of next.blobs) t.deepEqual(await contentOf(again, blob), content);
  });

  test('the trash is emptied of what has been there long enough, whatever restarts came between', async t => {
    let store = await make(t);
    const [first, second] = [parcelOf('first'), parcelOf('second')];
    await grab(store, first);
    await grab(store, second);
    passTime(store, 50_000);
    await store.drop(proofFor(store.id, first.id));
    passTime(store, 1_000);
    await store.drop(proofFor(store.id, second.id));
    store = await reopen(t, store);
    passTime(store, 3_000);
    t.is(await store.emptyTrash({ olderThanMs: 4_001 }), 0);
    t.is(await store.emptyTrash({ olderThanMs: 4_000 }), 'first'.length);
    t.is((await store.missing(first.blobs)).length, 1);
    t.is((await store.missing(second.blobs)).length, 0);
  });

  test('for room the oldest of the trash goes first, and no more than is needed', async t => {
    let store = await make(t);
    const parcels = [1, 2, 3].map(n => parcelOf(Buffer.alloc(1_000, n)));
    for (const parcel of parcels) await grab(store, parcel);
    for (const n of [1, 0, 2]) {
      const parcel = parcels[n];
      if (parcel !== undefined) await store.drop(proofFor(store.id, parcel.id));
      passTime(store, 1_000);
    }
    t.is(await store.emptyTrash({ freeBytes: 0 }), 0);
    store = await reopen(t, store);
    t.is(await store.emptyTrash({ freeBytes: 1_000 }), 1_000);
    t.is((await store.usage()).trashBytes, 2_000);
    t.is(await store.emptyTrash({ freeBytes: 1_001 }), 2_000);
    t.is(await store.emptyTrash({ freeBytes: 1 }), 0);
    t.is((await store.usage()).trashBytes, 0);
  });

  test('two that need room at once do not count the same bytes', async t => {
    const store = await make(t);
    for (let n = 0; n < 4; n++) {
      const parcel = parcelOf(Buffer.alloc(1_000, n));
      await grab(store, parcel);
      await store.drop(proofFor(store.id, parcel.id));
    }
    const freed = await Promise.all([store.emptyTrash({ freeBytes: 1_500 }), store.emptyTrash({ freeBytes: 1_500 })]);
    t.deepEqual(freed, [2_000, 2_000]);
  });

  test('a parcel that is grabbed while it is dropped is dropped first, and then held', async t => {
    const store = await make(t);
    const parcel = parcelOf('x', 'y');
    await grab(store, parcel);
    const dropping = store.drop(proofFor(store.id, parcel.id));
    const position = await store.commit(parcel.id, parcel.record);
    await dropping;
    t.true(store.isPresent(parcel.id));
    t.deepEqual(
      (await store.ops(0, 9)).map(({ op }) => op),
      ['add', 'del', 'add'],
    );
    t.is(position.seq, 3);
    t.deepEqual(await contentOf(store, blobOf('x').blob), Buffer.from('x'));
  });

  for (const first of ['commit', 'drop'] as const) {
    test(`a blob that a commit counts on survives the drop of the only parcel that listed it, ${first} first`, async t => {
      const store = await make(t);
      for (let gap = 0; gap < 40; gap++) {
        const shared = `shared ${gap}`;
        const [old, next] = [parcelOf(shared, `old ${gap}`), parcelOf(`next ${gap}`, shared)];
        await grab(store, old);
        await receive(store, blobOf(`next ${gap}`));
        const commit = () => store.commit(next.id, next.record);
        const drop = () => store.drop(proofFor(store.id, old.id));
        const begun = (first === 'commit' ? commit : drop)();
        await turns(gap);
        await Promise.all([begun, (first === 'commit' ? drop : commit)()]);
        t.true(store.isPresent(next.id));
        t.false(store.isPresent(old.id));
        const content = await contentOf(store, blobOf(shared).blob).catch((error: Error) => error.message);
        t.deepEqual(content, Buffer.from(shared), `with a gap of ${gap}`);
      }
    });
  }

  test('a commit that fails leaves what it counted on to the drop that waited for it', async t => {
    const store = await make(t);
    const old = parcelOf('shared');
    await grab(store, old);
    const next = parcelOf('shared', Buffer.alloc(300_000, 1), 'never sent');
    await receive(store, blobOf(Buffer.alloc(300_000, 1)));
    const failing = t.throwsAsync(store.commit(next.id, next.record));
    await store.drop(proofFor(store.id, old.id));
    t.like(await failing, { code: 'BLOBS_MISSING' });
    t.is((await store.usage()).trashBytes, 'shared'.length);
    t.deepEqual(await store.missing(old.blobs), []);
  });

  test('whatever is committed, dropped and looked for at once, what the log says is held, whole, and counted once', async t => {
    let store = await make(t);
    const parcels = [[0], [0, 1], [1, 2], [0, 1, 2, 3], [3, 4], [4]].map(blobs =>
      parcelOf(...blobs.map(n => Buffer.alloc(100 + n, n))),
    );
    const step = fc.record({
      act: fc.constantFrom('grab', 'grab', 'commit', 'drop', 'drop', 'missing', 'fetch', 'possess', 'empty', 'sweep'),
      parcel: fc.nat(parcels.length - 1),
      gap: fc.integer({ min: 0, max: 6 }),
    });
    const bytesHere = async () => (await store.usage()).usedBytes - store.objects.usedBytes;
    const law = fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 24 }), async steps => {
      const refused = (error: { code?: string }) => {
        if (error.code !== 'BLOBS_MISSING') throw error;
      };
      const work = {
        grab: (parcel: TestParcel) => grab(store, parcel).catch(refused),
        commit: ({ id, record }: TestParcel) => store.commit(id, record).catch(refused),
        drop: ({ id }: TestParcel) => store.drop(proofFor(store.id, id)),
        missing: ({ blobs }: TestParcel) => store.missing(blobs),
        fetch: async (parcel: TestParcel) => {
          const { end } = await store.expect(parcel.id, parcel.blobs);
          await grab(store, parcel).catch(refused);
          await end();
        },
        possess: async ({ id }: TestParcel) => {
          const { kind } = await store.possess(id, { nonce: NONCE, holders: [OTHER] });
          if (kind === 'corrupt') throw new Error('what was only moved was taken for wrong');
        },
        empty: () => store.emptyTrash({ olderThanMs: 0 }),
        sweep: () => store.sweepIncoming(Number.MAX_SAFE_INTEGER),
      };
      // As after the run before: only then a run can be made smaller.
      for (const { id } of parcels) await store.drop(proofFor(store.id, id));
      await store.emptyTrash({ olderThanMs: 0 });
      const begun: Promise<unknown>[] = [];
      for (const { act, parcel, gap } of steps) {
        begun.push(work[act](parcels[parcel] ?? parcelOf()));
        await turns(gap);
      }
      await Promise.all(begun);
      for (const look of ['now', 'after a restart']) {
        if (look !== 'now') store = await reopen(t, store);
        t.deepEqual(new Set(store.present()), await presentByLog(store));
        const held = new Map(
          parcels.filter(({ id }) => store.isPresent(id)).flatMap(({ blobs }) => blobs.map(blob => [blob.blob, blob])),
        );
        for (const { blobs } of parcels)
          for (const { blob } of blobs) t.is(store.holds(blob), held.has(blob), `${look} ${blob}`);
        for (const { blob, content } of held.values()) t.deepEqual(await contentOf(store, blob), content);
        await store.emptyTrash({ olderThanMs: 0 });
        await store.sweepIncoming(Number.MAX_SAFE_INTEGER);
        t.is(
          await bytesHere(),
          [...held.values()].reduce((sum, { bytes }) => sum + bytes, 0),
          look,
        );
      }
    });
    await t.notThrowsAsync(fc.assert(law, { numRuns: 40, includeErrorInReport: true }));
  });

  test('possession is BLAKE3 over the nonce, the holder and the blobs with their lengths, one for each holder', async t => {
    const store = await make(t);
    const parcel = parcelOf('b', Buffer.alloc(600_000, 9), 'a');
    await grab(store, parcel);
    const expected = [HOST, OTHER].map(holder => {
      const hasher = possessionHasher(NONCE, holder);
      for (const { bytes, content } of parcel.blobs) {
        hasher.blob(bytes);
        hasher.update(content);
      }
      return [holder, hasher.digest()] as const;
    });
    const found = await store.possess(parcel.id, { nonce: NONCE, holders: [HOST, OTHER, HOST] });
    t.deepEqual(found, { kind: 'whole', possessions: new Map(expected) });
    t.is(store.position().seq, 1);
    const nobody = await store.possess(parcel.id, { nonce: NONCE, holders: [] });
    t.deepEqual(nobody, { kind: 'whole', possessions: new Map() });
  });

  test('a parcel without blobs is possessed when it is present, and one that is not present never is', async t => {
    const store = await make(t);
    const [empty, one] = [parcelOf(), parcelOf('1')];
    const ask = { nonce: NONCE, holders: [HOST] };
    t.deepEqual(await store.possess(empty.id, ask), { kind: 'absent' });
    await store.commit(empty.id, empty.record);
    t.is((await store.possess(empty.id, ask)).kind, 'whole');
    await receive(store, blobOf('1'));
    t.is((await store.possess(one.id, ask)).kind, 'absent');
    await store.commit(one.id, one.record);
    t.is((await store.possess(one.id, ask)).kind, 'whole');
    await store.drop(proofFor(store.id, one.id));
    t.is((await store.possess(one.id, ask)).kind, 'absent', 'the trash never grants');
  });

  test('a read for possession can be given up, and changes nothing', async t => {
    const store = await make(t);
    const parcel = parcelOf('1');
    await grab(store, parcel);
    await spoil(store, blobOf('1'), 'gone');
    const ask = { nonce: NONCE, holders: [HOST], signal: AbortSignal.abort(new Error('enough')) };
    await t.throwsAsync(store.possess(parcel.id, ask), { message: 'enough' });
    t.true(store.isPresent(parcel.id));
    t.is(store.position().seq, 1);
  });

  for (const how of SPOILT) {
    test(`a parcel of which a blob is ${how} is corrupt when it is read, and whole again once that blob came`, async t => {
      let store = await make(t);
      const [bad, good] = [blobOf('bad blob'), blobOf('good blob')];
      const parcel = parcelOf('good blob', 'bad blob', 'third');
      const other = parcelOf('good blob');
      await grab(store, parcel);
      await grab(store, other);
      const before = await store.usage();
      await spoil(store, bad, how);
      const found = await store.possess(parcel.id, { nonce: NONCE, holders: [HOST] });
      t.deepEqual(found, { kind: 'corrupt', position: store.position() });
      t.deepEqual(await store.ops(2, 9), [{ op: 'corrupt', parcel: parcel.id }]);
      t.deepEqual([...store.present()], [other.id]);
      t.false(store.holds(bad.blob));
      t.true(store.holds(good.blob));
      const asideBytes = { gone: 0, shorter: bad.bytes - 1, longer: bad.bytes + 1, other: bad.bytes }[how];
      t.like(await store.usage(), { usedBytes: before.usedBytes - bad.bytes + asideBytes, trashBytes: asideBytes });
      t.deepEqual(
        (await store.missing(parcel.blobs)).map(({ blob }) => blob),
        [bad.blob],
      );
      t.is((await store.possess(parcel.id, { nonce: NONCE, holders: [HOST] })).kind, 'absent');
      store = await reopen(t, store);
      t.deepEqual([...store.present()], [other.id]);
      await grab(store, parcel);
      t.is((await store.possess(parcel.id, { nonce: NONCE, holders: [HOST] })).kind, 'whole');
      t.like(await store.usage(), { usedBytes: before.usedBytes + asideBytes, trashBytes: asideBytes });
      await store.emptyTrash({ olderThanMs: 0 });
      t.is((await store.usage()).usedBytes, before.usedBytes);
    });
  }

  test('a wrong blob takes every parcel that lists it, and comes back once for all', async t => {
    const store = await make(t);
    const [first, second, third] = [parcelOf('shared', '1'), parcelOf('2', 'shared'), parcelOf('3')];
    for (const parcel of [first, second, third]) await grab(store, parcel);
    await spoil(store, blobOf('shared'), 'other');
    const found = await store.possess(first.id, { nonce: NONCE, holders: [HOST] });
    t.deepEqual(found, { kind: 'corrupt', position: store.position() });
    t.deepEqual(await store.ops(3, 9), [
      { op: 'corrupt', parcel: first.id },
      { op: 'corrupt', parcel: second.id },
    ]);
    t.deepEqual(
      (await store.missing(second.blobs)).map(({ blob }) => blob),
      [blobOf('shared').blob],
    );
    await grab(store, first);
    await grab(store, second);
    for (const { id } of [first, second, third])
      t.is((await store.possess(id, { nonce: NONCE, holders: [HOST] })).kind, 'whole');
  });

  test('a commit does not count on a blob that was just found wrong', async t => {
    const store = await make(t);
    for (let gap = 0; gap < 25; gap++) {
      const [old, next] = [parcelOf(`shared ${gap}`), parcelOf(`shared ${gap}`, `next ${gap}`)];
      await grab(store, old);
      await receive(store, blobOf(`next ${gap}`));
      await spoil(store, blobOf(`shared ${gap}`), 'other');
      const reading = store.possess(old.id, { nonce: NONCE, holders: [HOST] });
      await turns(gap);
      const commit = store.commit(next.id, next.record).catch((error: { code?: string }) => error.code);
      t.is((await reading).kind, 'corrupt');
      await commit;
      t.false(store.isPresent(old.id));
      // Refused, or taken before the wrong bytes were known, and then found out with the other.
      t.false(store.isPresent(next.id), `with a gap of ${gap}`);
    }
  });

  test('two who find the same blob wrong write it down once', async t => {
    const store = await make(t);
    const parcel = parcelOf('x');
    await grab(store, parcel);
    await spoil(store, blobOf('x'), 'gone');
    const ask = { nonce: NONCE, holders: [HOST] };
    const kinds = (await Promise.all([store.possess(parcel.id, ask), store.possess(parcel.id, ask)])).map(
      ({ kind }) => kind,
    );
    t.deepEqual(kinds.sort(), ['absent', 'corrupt']);
    t.is(store.position().seq, 2);
  });
}

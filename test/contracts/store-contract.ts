/**
 * The store's contract: what every store keeps, whatever it is made of. A kind of store passes by registering itself here.
 *
 * Records are made by a codec of this file, for a store knows them only through the `blobsOf` that it is given.
 */
import type { ExecutionContext, TestFn } from 'ava';
import { decode, encode } from 'cborg';
import fc from 'fast-check';
import { hashHex } from '../../src/core/hash.js';
import { logAfter, logStart } from '../../src/core/holdings-log.js';
import {
  type BlobId,
  type HostId,
  type ParcelId,
  parseBlobId,
  parseHostId,
  parseParcelId,
  sourceIdOf,
} from '../../src/core/ids.js';
import type { BlobRef } from '../../src/core/parcel.js';
import type { Store } from '../../src/store/store.js';

export type ContractStore = Pick<
  Store,
  | 'appendHead'
  | 'close'
  | 'commit'
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
  | 'present'
  | 'receive'
  | 'usage'
>;

export interface StoreMaker {
  /** A new, empty store that lists blobs by `blobsOf`. */
  make(t: ExecutionContext): Promise<ContractStore>;
  /** The same store after its process ended as it should and began again. */
  reopen(t: ExecutionContext, store: ContractStore): Promise<ContractStore>;
}

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

export function testStoreContract(test: TestFn, { make, reopen }: StoreMaker): void {
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
    await fc.assert(
      fc.asyncProperty(sizes, async blobSizes => {
        const parcel = parcelOf(...blobSizes.map(size => Buffer.alloc(size, size % 251)));
        const fresh = new Map(parcel.blobs.filter(({ blob }) => !seen.has(blob)).map(ref => [ref.blob, ref.bytes]));
        const before = (await store.usage()).usedBytes - store.objects.usedBytes;
        await grab(store, parcel);
        for (const blob of fresh.keys()) seen.add(blob);
        const after = (await store.usage()).usedBytes - store.objects.usedBytes;
        return after - before === [...fresh.values()].reduce((sum, bytes) => sum + bytes, 0);
      }),
      { numRuns: 30 },
    );
    t.pass();
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
  });
}

/**
 * The contract of putting large blobs together from chunks, which every kind of store keeps (store-contract.ts).
 */
import type { ExecutionContext, TestFn } from 'ava';
import { hash } from '../../src/core/hash.js';
import { type Chunk, packChunks } from '../../src/core/recipe.js';
import type { Assembly } from '../../src/store/assembly.js';
import type { Store } from '../../src/store/store.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { blobOf, contentOf, grab, parcelOf, proofFor } from '../helpers/test-parcels.js';
import type { ContractStore, StoreMaker } from './contract-store.js';

type AssemblingStore = ContractStore & Pick<Store, 'assemble' | 'recipe' | 'keepRecipe' | 'partialBytes'>;

interface AssemblingMaker extends Pick<StoreMaker, 'spoil'> {
  make(t: ExecutionContext): Promise<AssemblingStore>;
  reopen(t: ExecutionContext, store: ContractStore): Promise<AssemblingStore>;
}

const MiB = 1024 * 1024;

interface Piece extends Chunk {
  readonly content: Buffer;
}

/** Cut every MiB: where cuts are is no matter of the store's. */
function piecesOf(content: Buffer): Piece[] {
  const pieces: Piece[] = [];
  for (let at = 0; at < content.length; at += MiB) {
    const piece = content.subarray(at, at + MiB);
    pieces.push({ content: piece, bytes: piece.length, hash: hash(piece) });
  }
  return pieces;
}

/** A buffer of its own: it is handed over. */
const handed = (content: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(content);

async function begin(store: AssemblingStore, content: Buffer): Promise<Assembly> {
  const assembly = await store.assemble(blobOf(content));
  if (assembly === undefined) throw new Error('the blob is here already');
  return assembly;
}

async function copies(assembly: Assembly, piece: Piece): Promise<boolean> {
  const place = assembly.find(piece);
  return place !== undefined && (await assembly.copy(piece, place));
}

/** As a fetch does it. What came from where, in bytes. */
async function assemble(
  store: AssemblingStore,
  content: Buffer,
  pieces: readonly Piece[] = piecesOf(content),
): Promise<{ kept: number; copied: number; came: number }> {
  const from = { kept: 0, copied: 0, came: 0 };
  const assembly = await begin(store, content);
  try {
    let keeps = true;
    for (const piece of pieces) {
      keeps = keeps && (await assembly.keep(piece));
      if (keeps) from.kept += piece.bytes;
      else if (await copies(assembly, piece)) from.copied += piece.bytes;
      else {
        await assembly.append(piece, handed(piece.content));
        from.came += piece.bytes;
      }
    }
    await assembly.finish();
  } finally {
    await assembly.leave();
  }
  return from;
}

async function hold(store: AssemblingStore, content: Buffer) {
  const parcel = parcelOf(content);
  const from = await assemble(store, content);
  await store.commit(parcel.id, parcel.record);
  await store.keepRecipe(blobOf(content), packChunks(piecesOf(content)));
  return { ...parcel, from };
}

/** The first chunks only, then left. */
async function leaveAfter(store: AssemblingStore, content: Buffer, chunks: number): Promise<void> {
  const assembly = await begin(store, content);
  for (const piece of piecesOf(content).slice(0, chunks)) await assembly.append(piece, handed(piece.content));
  await assembly.leave();
}

export function testAssemblyContract(test: TestFn, { make, reopen, spoil }: AssemblingMaker): void {
  const content = seededBytes(9 * MiB + 5, 1);

  test('assembly: a blob is put together from what comes, and is used room from the first chunk on', async t => {
    const store = await make(t);
    const { from } = await hold(store, content);
    t.deepEqual(from, { kept: 0, copied: 0, came: content.length });
    t.true((await contentOf(store, blobOf(content).blob))?.equals(content));
    const { usedBytes } = await store.usage();
    t.true(usedBytes >= content.length && usedBytes < content.length + 100_000);
    await leaveAfter(store, seededBytes(9 * MiB, 2), 3);
    t.is((await store.usage()).usedBytes, usedBytes + 3 * MiB);
  });

  test('assembly: chunks that another blob has are copied, and only the others have to come', async t => {
    const store = await make(t);
    await hold(store, content);
    const inserted = Buffer.concat([content.subarray(0, 4 * MiB), seededBytes(MiB, 5), content.subarray(4 * MiB)]);
    const { from } = await hold(store, inserted);
    t.deepEqual(from, { kept: 0, copied: content.length, came: MiB });
    t.true((await contentOf(store, blobOf(inserted).blob))?.equals(inserted));
  });

  test('assembly: without a recipe nothing is found here, and that is all', async t => {
    const store = await make(t);
    await grab(store, parcelOf(content));
    t.is(store.recipe(blobOf(content)), undefined);
    const changed = Buffer.concat([content, Buffer.of(1)]);
    t.is((await assemble(store, changed)).came, changed.length);
  });

  test('assembly: what was left in the middle is gone on with, also by another process', async t => {
    let store = await make(t);
    await leaveAfter(store, content, 2);
    t.is((await store.missing(parcelOf(content).blobs)).length, 1);
    await leaveAfter(store, seededBytes(9 * MiB, 2), 1);
    const { usedBytes } = await store.usage();
    store = await reopen(t, store);
    t.is((await store.usage()).usedBytes, usedBytes);
    t.is(store.partialBytes(blobOf(content)), 2 * MiB);
    const { from } = await hold(store, content);
    t.deepEqual(from, { kept: 2 * MiB, copied: 0, came: content.length - 2 * MiB });
    t.is(store.partialBytes(blobOf(content)), 0);
    t.true((await contentOf(store, blobOf(content).blob))?.equals(content));
  });

  test('assembly: a beginning that another recipe made is kept as far as this one has it', async t => {
    const store = await make(t);
    const other = Buffer.concat([content.subarray(0, 2 * MiB), seededBytes(MiB, 9)]);
    const assembly = await begin(store, content);
    for (const piece of piecesOf(other)) await assembly.append(piece, handed(piece.content));
    await assembly.leave();
    const { usedBytes } = await store.usage();
    t.deepEqual(await assemble(store, content), { kept: 2 * MiB, copied: 0, came: content.length - 2 * MiB });
    t.is((await store.usage()).usedBytes, usedBytes + content.length - 3 * MiB);
  });

  test('assembly: a chunk that is not what its recipe says is the peer’s fault, and what came before it stays', async t => {
    const store = await make(t);
    const pieces = piecesOf(content);
    const wrong = pieces.with(3, { ...(pieces[3] as Piece), content: seededBytes(MiB, 8) });
    const error = await t.throwsAsync(assemble(store, content, wrong));
    t.like(error, { code: 'BLOB_MISMATCH', blame: 'peer' });
    t.deepEqual(await assemble(store, content), { kept: 3 * MiB, copied: 0, came: content.length - 3 * MiB });
  });

  test('assembly: of a recipe that makes another blob nothing is kept', async t => {
    const store = await make(t);
    const before = await store.usage();
    const other = Buffer.concat([content.subarray(0, 9 * MiB), Buffer.from('other')]);
    const error = await t.throwsAsync(assemble(store, content, piecesOf(other)));
    t.like(error, { code: 'BLOB_MISMATCH', blame: 'peer' });
    t.like(await store.usage(), { usedBytes: before.usedBytes });
    t.is((await store.missing(parcelOf(content).blobs)).length, 1);
    t.is((await assemble(store, content)).came, content.length);
  });

  for (const how of ['gone', 'other', 'shorter'] as const) {
    test(`assembly: a chunk of a blob that is ${how} is not taken from it`, async t => {
      const store = await make(t);
      await hold(store, content);
      await spoil(store, blobOf(content), how);
      const changed = Buffer.concat([seededBytes(MiB, 4), content.subarray(MiB)]);
      const { copied, came } = await assemble(store, changed);
      const last = content.length - 9 * MiB;
      t.deepEqual(
        { copied, came },
        how === 'gone' ? { copied: 0, came: changed.length } : { copied: 8 * MiB, came: MiB + last },
      );
      await store.commit(parcelOf(changed).id, parcelOf(changed).record);
      t.true((await contentOf(store, blobOf(changed).blob))?.equals(changed));
    });
  }

  test('assembly: what was left is kept for its time, and longer while somebody is at it', async t => {
    const store = await make(t);
    const { usedBytes } = await store.usage();
    await leaveAfter(store, content, 2);
    await store.sweepIncoming(Date.now() - 60_000);
    t.is((await store.usage()).usedBytes, usedBytes + 2 * MiB);
    const assembly = await begin(store, content);
    await store.sweepIncoming(Date.now() + 60_000);
    t.is((await store.usage()).usedBytes, usedBytes + 2 * MiB);
    await assembly.leave();
    await store.sweepIncoming(Date.now() + 60_000);
    t.is((await store.usage()).usedBytes, usedBytes);
    t.is((await assemble(store, content)).kept, 0);
  });

  test('assembly: who wants the same blob waits, and finds it here or goes on with what is there', async t => {
    const store = await make(t);
    const first = await begin(store, content);
    const second = store.assemble(blobOf(content));
    const abort = new AbortController();
    const third = store.assemble(blobOf(content), abort.signal);
    abort.abort(new Error('enough'));
    await t.throwsAsync(third, { message: 'enough' });
    const [piece, ...pieces] = piecesOf(content) as [Piece, ...Piece[]];
    await first.append(piece, handed(piece.content));
    await first.leave();
    const goesOn = await second;
    t.true(await goesOn?.keep(piece));
    const last = store.assemble(blobOf(content));
    t.false(await goesOn?.keep(pieces[0] as Piece));
    for (const next of pieces) await goesOn?.append(next, handed(next.content));
    await goesOn?.finish();
    await goesOn?.leave();
    t.is(await last, undefined);
    t.deepEqual(await store.missing(parcelOf(content).blobs), []);
  });

  test('assembly: the recipe of a blob goes with it, and comes back with nothing else', async t => {
    let store = await make(t);
    const twin = Buffer.concat([content.subarray(0, 8 * MiB), Buffer.from('twin')]);
    const first = await hold(store, content);
    const second = await hold(store, twin);
    store = await reopen(t, store);
    t.deepEqual(Buffer.from(store.recipe(blobOf(content)) ?? []), Buffer.from(packChunks(piecesOf(content))));
    await store.drop(proofFor(store.id, second.id));
    // What both had was last said of the one that left: it is found in the other.
    store = await reopen(t, store);
    t.is(store.recipe(blobOf(twin)), undefined);
    const changed = Buffer.concat([content, Buffer.of(1)]);
    const { copied } = await assemble(store, changed);
    t.is(copied, 9 * MiB);
    await store.drop(proofFor(store.id, first.id));
    // Its recipe goes behind the drop.
    store = await reopen(t, store);
    await store.keepRecipe(blobOf(content), packChunks(piecesOf(content)));
    t.is(store.recipe(blobOf(content)), undefined, 'of a blob that is not held nothing is kept');
  });

  test('assembly: a store that is closed leaves what is under way as it is', async t => {
    let store = await make(t);
    const assembly = await begin(store, content);
    const [piece] = piecesOf(content) as [Piece];
    await assembly.append(piece, handed(piece.content));
    store = await reopen(t, store);
    await assembly.leave();
    t.is((await assemble(store, content)).kept, MiB);
  });
}

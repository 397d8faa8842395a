/** Recipe index: what it says of chunks, and what of it survives a crash. */
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { hash, hashHex } from '../../src/core/hash.js';
import { type BlobId, parseBlobId, parseStoreId } from '../../src/core/ids.js';
import { CHUNK_BYTES_MIN, type Chunk, chunksOf, packChunks } from '../../src/core/recipe.js';
import { openIndexDatabase } from '../../src/store/index-database.js';
import type { ChunkPlace, RecipeIndex } from '../../src/store/recipe-index.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const { signal } = new AbortController();

function anIndex(t: ExecutionContext): RecipeIndex {
  const folder = temporaryFolder(t);
  const database = openIndexDatabase(folder);
  t.teardown(() => database.close());
  return database.recipesOf(parseStoreId('ab'.repeat(16)));
}

/** The n-th of all chunks that there are. */
const chunkOf = (n: number): Chunk => ({ hash: hash(Buffer.from(`chunk ${n}`)), bytes: CHUNK_BYTES_MIN + n });
const blobOf = (n: number): BlobId => parseBlobId(hashHex(Buffer.from(`blob ${n}`)));
const refOf = (n: number, chunks: readonly number[]) => ({
  blob: blobOf(n),
  bytes: chunks.reduce((sum, chunk) => sum + CHUNK_BYTES_MIN + chunk, 0),
});

const find = (index: RecipeIndex, chunk: Chunk): ChunkPlace | undefined => index.places(chunk).next().value;

test('each chunk of a held blob is found, in the one that was put last, and nothing is said of what was forgotten', async t => {
  const chunks = fc.array(fc.nat(9), { minLength: 1, maxLength: 6 });
  const steps = fc.array(fc.record({ blob: fc.nat(4), chunks, forget: fc.boolean() }), { maxLength: 12 });
  const isTrue = fc.asyncProperty(steps, async run => {
    const index = anIndex(t);
    const held = new Map<BlobId, readonly number[]>();
    for (const { blob, chunks: of, forget } of run) {
      const id = blobOf(blob);
      if (forget) {
        await index.forget(id);
        held.delete(id);
      } else if (!held.has(id)) {
        await index.put(id, packChunks(of.map(chunkOf)));
        held.set(id, of);
      }
      for (let n = 0; n <= 9; n += 1) {
        const newest = [...held].findLast(([, chunks]) => chunks.includes(n));
        const found = find(index, chunkOf(n));
        t.is(found?.blob, newest?.[0]);
        if (found === undefined) continue;
        let offset = 0;
        const places = (held.get(found.blob) ?? []).map(chunk => {
          const at = { chunk, offset };
          offset += CHUNK_BYTES_MIN + chunk;
          return at;
        });
        t.true(places.some(place => place.chunk === n && place.offset === found.offset));
      }
    }
    for (const [id, of] of held) {
      const bytes = of.reduce((sum, chunk) => sum + CHUNK_BYTES_MIN + chunk, 0);
      t.deepEqual([...chunksOf(index.recipe({ blob: id, bytes }) ?? new Uint8Array())].length, of.length);
    }
  });
  await fc.assert(isTrue, { numRuns: 15 });
});

test('a recipe of several pages comes back as it was, and none that lacks its end', async t => {
  const index = anIndex(t);
  const chunks = Array.from({ length: 2500 }, (_, n) => n);
  const packed = packChunks(chunks.map(chunkOf));
  const ref = refOf(1, chunks);
  t.is(index.recipe(ref), undefined);
  await index.put(ref.blob, packed);
  t.deepEqual(Buffer.from(index.recipe(ref) ?? []), Buffer.from(packed));
  // What a crash in the middle leaves: pages without the last.
  await index.put(blobOf(2), packed.subarray(0, 36 * 1024));
  t.is(index.recipe({ ...ref, blob: blobOf(2) }), undefined);
});

test('what is not held is swept, and what is held stays', async t => {
  const index = anIndex(t);
  for (let n = 0; n < 5; n += 1) await index.put(blobOf(n), packChunks([chunkOf(n)]));
  await index.sweep(blob => blob === blobOf(2) || blob === blobOf(4), signal);
  t.deepEqual(
    [0, 1, 2, 3, 4].filter(n => find(index, chunkOf(n)) !== undefined),
    [2, 4],
  );
  t.is(index.recipe(refOf(0, [0])), undefined);
  t.not(index.recipe(refOf(4, [4])), undefined);
});

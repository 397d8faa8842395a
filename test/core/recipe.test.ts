import test from 'ava';
import fc from 'fast-check';
import { PARCEL_FILE_BYTES } from '../../src/catalog/cut.js';
import {
  CHUNK_BYTES_MAX,
  CHUNK_BYTES_MIN,
  type Chunk,
  chunksOf,
  isRecipe,
  PAGE_CHUNKS_MAX,
  packChunks,
  pagesOf,
  RECIPE_BLOB_BYTES_MIN,
  RECIPE_CHUNKS_MAX,
  RecipeCheck,
} from '../../src/core/recipe.js';
import { law } from '../helpers/law.js';

const aChunk = fc.record({
  hash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  bytes: fc.integer({ min: CHUNK_BYTES_MIN, max: CHUNK_BYTES_MAX }),
});
const chunkOf = (bytes: number): Chunk => ({ hash: new Uint8Array(32).fill(1), bytes });
const sumOf = (chunks: readonly Chunk[]): number => chunks.reduce((sum, { bytes }) => sum + bytes, 0);

test('exactly the files that are parcels of their own have a recipe', t => {
  t.is(RECIPE_BLOB_BYTES_MIN, PARCEL_FILE_BYTES);
});

test('chunks survive packing, in pages of any size', t => {
  const survives = fc.property(fc.array(aChunk), fc.integer({ min: 1, max: 5 }), (chunks, perPage) => {
    const packed = packChunks(chunks);
    t.deepEqual([...chunksOf(packed)], chunks);
    const pages = [...pagesOf(packed, perPage)];
    t.deepEqual(
      pages.flatMap(page => [...chunksOf(page)]),
      chunks,
    );
    t.is(isRecipe(packed, sumOf(chunks)), true);
    t.is(isRecipe(packed, sumOf(chunks) + 1), false);
  });
  law(t, survives);
});

test('what is no recipe of this blob is refused, at either side of every limit', t => {
  const fits = (chunks: readonly number[], blobBytes = sumOf(chunks.map(chunkOf))): boolean =>
    isRecipe(packChunks(chunks.map(chunkOf)), blobBytes);
  t.true(fits([CHUNK_BYTES_MIN, CHUNK_BYTES_MAX, 1]));
  t.false(fits([CHUNK_BYTES_MAX + 1]));
  t.false(fits([CHUNK_BYTES_MIN, 0]));
  t.false(fits([CHUNK_BYTES_MIN - 1, CHUNK_BYTES_MIN]));
  t.false(fits([CHUNK_BYTES_MIN], CHUNK_BYTES_MIN - 1));
  t.false(isRecipe(packChunks([chunkOf(CHUNK_BYTES_MIN)]).subarray(1), CHUNK_BYTES_MIN));
});

test('a short chunk at the end of one page is refused when another page follows', t => {
  const check = new RecipeCheck(CHUNK_BYTES_MIN * 2);
  check.take(packChunks([chunkOf(5)]));
  t.throws(() => check.take(packChunks([chunkOf(CHUNK_BYTES_MIN)])), { instanceOf: RangeError });
});

test('pages and recipes have their limits', t => {
  const all = Array.from({ length: PAGE_CHUNKS_MAX }, () => chunkOf(CHUNK_BYTES_MIN));
  const check = new RecipeCheck(Number.MAX_SAFE_INTEGER);
  check.take(packChunks(all));
  t.throws(() => check.take(packChunks([...all, chunkOf(CHUNK_BYTES_MIN)])), { message: /than a page/ });
  for (let pages = 1; pages < RECIPE_CHUNKS_MAX / PAGE_CHUNKS_MAX; pages += 1) check.take(packChunks(all));
  t.throws(() => check.take(packChunks([chunkOf(CHUNK_BYTES_MIN)])), { message: /than a recipe/ });
});

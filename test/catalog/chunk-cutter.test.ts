import test from 'ava';
import fc from 'fast-check';
import { ChunkCutter, chunkSizesOf, LARGE_CHUNKS, PIECES } from '../../src/catalog/chunk-cutter.js';
import {
  CHUNK_BYTES_MAX,
  CHUNK_BYTES_MIN,
  PIECE_BYTES_MAX,
  PIECE_BYTES_MIN,
  packChunks,
  RECIPE_CHUNKS_MAX,
  RecipeCheck,
} from '../../src/core/recipe.js';
import { law } from '../helpers/law.js';
import { seededBytes } from '../helpers/seeded-bytes.js';

const MiB = 1024 * 1024;
const CONTENT = seededBytes(24 * MiB, 7);

/** Where the content is cut, when it is fed in pieces of these sizes, over and over. */
function cutsOf(
  content: Uint8Array,
  pieces: readonly number[] = [content.length],
  cutter = new ChunkCutter(),
): number[] {
  const cuts: number[] = [];
  for (let begin = 0, n = 0; begin < content.length; n += 1) {
    const piece = content.subarray(begin, begin + (pieces[n % pieces.length] ?? content.length));
    for (let at = cutter.next(piece, 0); at !== -1; at = cutter.next(piece, at)) cuts.push(begin + at);
    begin += piece.length;
  }
  return cuts;
}

const lengthsOf = (cuts: readonly number[]): number[] => cuts.map((cut, n) => cut - (cuts[n - 1] ?? 0));

test('the cuts of known bytes never change: both ends of a transfer cut alike, whichever build they are', t => {
  t.deepEqual(cutsOf(CONTENT), PINNED);
});

test('chunks are within their bounds and as large on average as was measured', t => {
  const lengths = lengthsOf(cutsOf(seededBytes(96 * MiB, 11)));
  t.true(lengths.every(bytes => bytes >= CHUNK_BYTES_MIN && bytes <= CHUNK_BYTES_MAX));
  const mean = lengths.reduce((sum, bytes) => sum + bytes, 0) / lengths.length / MiB;
  t.true(mean > 1.0 && mean < 1.3, `${mean} MiB`);
});

test('a file of a terabyte is cut into larger chunks, of which a recipe can list three', t => {
  const terabyte = 10 ** 12;
  t.is(chunkSizesOf(terabyte), LARGE_CHUNKS);
  t.not(chunkSizesOf(terabyte - 1), LARGE_CHUNKS);
  const cuts = cutsOf(CONTENT, [CONTENT.length], new ChunkCutter(LARGE_CHUNKS));
  t.deepEqual(cuts, PINNED_LARGE);
  t.deepEqual(cutsOf(CONTENT, [70_001], new ChunkCutter(LARGE_CHUNKS)), cuts);
  const lengths = lengthsOf(cutsOf(seededBytes(96 * MiB, 11), undefined, new ChunkCutter(LARGE_CHUNKS)));
  t.true(lengths.every(bytes => bytes >= 2 * MiB && bytes <= CHUNK_BYTES_MAX));
  const mean = lengths.reduce((sum, bytes) => sum + bytes, 0) / lengths.length;
  t.true(mean * RECIPE_CHUNKS_MAX > 2.9 * terabyte, `${mean / MiB} MiB`);
  // As a chunk of another host, which cuts smaller ones, each is within the limits of the wire.
  const check = new RecipeCheck(CONTENT.length);
  const chunks = [...lengthsOf([...cuts, CONTENT.length])].map(bytes => ({ hash: new Uint8Array(32), bytes }));
  check.take(packChunks(chunks));
  t.notThrows(() => check.end());
});

test('pieces are cut by the same rule, a hundred times as small', t => {
  const cuts = cutsOf(CONTENT, [CONTENT.length], new ChunkCutter(PIECES));
  t.deepEqual(cuts.slice(0, 8), PINNED_PIECES);
  const lengths = lengthsOf(cuts);
  t.true(lengths.every(bytes => bytes >= PIECE_BYTES_MIN && bytes <= PIECE_BYTES_MAX));
  const mean = lengths.reduce((sum, bytes) => sum + bytes, 0) / lengths.length / 1024;
  t.true(mean > 8 && mean < 10.5, `${mean} KiB`);
});

test('bytes without any content are cut at the greatest size', t => {
  t.deepEqual(lengthsOf(cutsOf(Buffer.alloc(9 * MiB))), [CHUNK_BYTES_MAX, CHUNK_BYTES_MAX]);
});

test('cuts are the same however the bytes are fed', t => {
  const whole = cutsOf(CONTENT);
  const pieces = fc.array(fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1000, max: 3 * MiB })), {
    minLength: 1,
    maxLength: 8,
  });
  // Pieces of a few bytes alone would take minutes.
  const alike = fc.property(pieces, sizes => void t.deepEqual(cutsOf(CONTENT, [...sizes, 400_000]), whole));
  law(t, alike, { numRuns: 12 });
  t.deepEqual(cutsOf(CONTENT.subarray(0, 3 * MiB), [1]), cutsOf(CONTENT.subarray(0, 3 * MiB)));
});

test('an insertion moves only the cuts around it', t => {
  const whole = cutsOf(CONTENT);
  const insertion = fc.record({
    at: fc.nat(CONTENT.length),
    bytes: fc.integer({ min: 1, max: 200_000 }),
    seed: fc.nat(),
  });
  const onlyAround = fc.property(insertion, ({ at, bytes, seed }) => {
    const changed = Buffer.concat([CONTENT.subarray(0, at), seededBytes(bytes, seed), CONTENT.subarray(at)]);
    const cuts = cutsOf(changed);
    const before = whole.filter(cut => cut <= at);
    t.deepEqual(cuts.slice(0, before.length), before);
    // Behind it the old cuts come again, within a few chunks.
    const after = new Set(cuts.map(cut => cut - bytes));
    const again = whole.find(cut => cut > at && after.has(cut));
    const far = whole.filter(cut => cut > at + 5 * CHUNK_BYTES_MAX);
    if (again === undefined) {
      t.deepEqual(far, []);
      return;
    }
    t.deepEqual(
      whole.filter(cut => cut >= again && !after.has(cut)),
      [],
    );
    t.true(again - at <= 5 * CHUNK_BYTES_MAX, `found again ${again - at} bytes behind`);
  });
  law(t, onlyAround, { numRuns: 30 });
});

/** Of CONTENT, the first ones. */
const PINNED_PIECES: readonly number[] = [12073, 20484, 30673, 50777, 61324, 69776, 76407, 85693];
/** Of CONTENT. */
const PINNED_LARGE: readonly number[] = [4194304, 6543328, 8713799, 11671736, 15185406, 18219802, 20764475, 24958779];
/** Of CONTENT. */
// biome-ignore format: a table
const PINNED: readonly number[] = [
  392076, 2137771, 3691326, 4744299, 5922029, 7523216, 8713799, 9818541, 10922033, 12124548, 12594864, 13085168, 14413730,
  15686251, 16902033, 18219802, 18773283, 19458495, 20764475, 22030111, 23629880, 24976074,
];

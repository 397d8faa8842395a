import test from 'ava';
import fc from 'fast-check';
import { hash } from '../../src/core/hash.js';
import { parseBlobId } from '../../src/core/ids.js';
import { type Chunk, packChunks } from '../../src/core/recipe.js';
import { Batch, type Step } from '../../src/daemon/fetch-batch.js';
import { followingOf, gapsIn, OldPieces } from '../../src/daemon/older-version.js';
import { RANGES_PER_FETCH_MAX } from '../../src/net/wire-ranges.js';
import type { ChunkPlace } from '../../src/store/recipe-index.js';
import { law } from '../helpers/law.js';

const MiB = 1024 * 1024;
const OLD = parseBlobId('0d'.repeat(32));
const OTHER = parseBlobId('0e'.repeat(32));
const NEW = parseBlobId('0f'.repeat(32));

/** Chunks of a MiB one after the other: each missing, or at so many MiB of the old blob, or of another one. */
const stepsOf = (...places: readonly (number | ChunkPlace | undefined)[]): Step[] =>
  places.map((place, n) => ({
    chunk: { hash: Buffer.alloc(32, n), bytes: MiB },
    offset: n * MiB,
    place: typeof place === 'number' ? { blob: OLD, offset: place * MiB } : place,
  }));
const oldOf = (...places: readonly (number | ChunkPlace | undefined)[]) =>
  gapsIn(stepsOf(...places), { of: NEW, before: undefined }).map(({ old, steps }) => ({ ...old, steps: steps.length }));

test('between two chunks of one older blob lies the older version of what is missing there', t => {
  t.deepEqual(oldOf(0, undefined, 2), [{ blob: OLD, offset: MiB, bytes: MiB, steps: 1 }]);
  t.deepEqual(oldOf(0, undefined, undefined, 2), [{ blob: OLD, offset: MiB, bytes: MiB, steps: 2 }], 'an insertion');
  t.deepEqual(oldOf(0, undefined, 9), [{ blob: OLD, offset: MiB, bytes: 8 * MiB, steps: 1 }], 'a deletion');
});

test('with a neighbour on one side only, as much is looked at there as is missing', t => {
  t.deepEqual(oldOf(4, undefined, undefined), [{ blob: OLD, offset: 5 * MiB, bytes: 2 * MiB, steps: 2 }]);
  t.deepEqual(oldOf(undefined, 4), [{ blob: OLD, offset: 3 * MiB, bytes: MiB, steps: 1 }]);
  t.deepEqual(oldOf(undefined, undefined, 1), [{ blob: OLD, offset: 0, bytes: MiB, steps: 2 }]);
  const other = { blob: OTHER, offset: 7 * MiB };
  t.deepEqual(oldOf(1, undefined, other), [{ blob: OLD, offset: 2 * MiB, bytes: MiB, steps: 1 }]);
  t.deepEqual(oldOf(5, undefined, 2), [{ blob: OLD, offset: 6 * MiB, bytes: MiB, steps: 1 }], 'moved about');
  const [gap] = gapsIn(stepsOf(undefined), { of: NEW, before: followingOf(stepsOf(3)[0] as Step, NEW) });
  t.deepEqual(gap?.old, { blob: OLD, offset: 4 * MiB, bytes: MiB }, 'also behind an earlier batch');
});

test('nothing is compared where nothing is known, or too much is new', t => {
  t.deepEqual(oldOf(undefined, undefined), []);
  t.deepEqual(oldOf(undefined, 0), []);
  t.deepEqual(oldOf(0, 1, 2), []);
  const missing = (count: number) => Array.from({ length: count }, () => undefined);
  t.is(oldOf(0, ...missing(16)).length, 1);
  t.is(oldOf(0, ...missing(17)).length, 0);
  t.is(oldOf(0, ...missing(17), 2).length, 0);
  t.is(oldOf(0, undefined, 17).length, 1);
  t.is(oldOf(0, undefined, 18).length, 0);
  const repeated = { blob: NEW, offset: 0 };
  t.deepEqual(oldOf(repeated, undefined, repeated), [], 'of an older one nothing is known by what repeats');
  t.deepEqual(oldOf(0, undefined, repeated, undefined), [{ blob: OLD, offset: MiB, bytes: MiB, steps: 1 }]);
  t.is(followingOf(stepsOf(repeated)[0] as Step, NEW), undefined);
});

/** The n-th of all pieces that there are. */
const pieceOf = (n: number): Chunk => ({ hash: hash(Buffer.of(n)), bytes: 1000 + n });
const sizeOf = (pieces: readonly number[]): number => pieces.reduce((sum, n) => sum + 1000 + n, 0);

test('what is asked for and what is taken from the older version together are exactly the chunks', t => {
  const pieces = fc.array(fc.nat(9), { minLength: 1, maxLength: 8 });
  const exactly = fc.property(pieces, fc.array(pieces, { minLength: 1, maxLength: 4 }), (old, chunks) => {
    const ours = new OldPieces();
    ours.add({ blob: OLD, offset: 500 }, old.map(pieceOf));
    const batch = new Batch();
    let offset = 0;
    for (const chunk of chunks) {
      batch.add({ chunk: { hash: Buffer.alloc(32), bytes: sizeOf(chunk) }, offset, place: undefined });
      offset += sizeOf(chunk);
    }
    ours.note(batch.steps, packChunks(chunks.flat().map(pieceOf)));
    const asked = batch.ranges();
    const taken = batch.steps.flatMap(step =>
      (step.pieces ?? []).flatMap(({ at, bytes, from }) =>
        from === undefined ? [] : [{ offset: step.offset + at, bytes, from }],
      ),
    );
    let end = 0;
    for (const range of [...asked, ...taken].sort((a, b) => a.offset - b.offset)) {
      t.is(range.offset, end);
      end += range.bytes;
    }
    t.is(end, offset);
    // Byte by byte: what is taken is what the older version has there, and all that it has is taken.
    const bytesOf = (list: readonly number[]) =>
      list.flatMap(n => Array.from({ length: 1000 + n }, (_, at) => `${n} ${at}`));
    const [before, now] = [bytesOf(old), bytesOf(chunks.flat())];
    for (const { offset: at, bytes, from } of taken)
      t.deepEqual(now.slice(at, at + bytes), before.slice(from.offset - 500, from.offset - 500 + bytes));
    t.is(
      asked.reduce((sum, { bytes }) => sum + bytes, 0),
      sizeOf(chunks.flat().filter(n => !old.includes(n))),
    );
  });
  law(t, exactly, { numRuns: 50 });
});

test('when the parts would be too many for one ask, chunks are asked for whole', t => {
  const batch = new Batch();
  const pieces = Array.from({ length: RANGES_PER_FETCH_MAX * 2 + 1 }, (_, n) => n % 2);
  const ours = new OldPieces();
  ours.add({ blob: OLD, offset: 0 }, [pieceOf(1)]);
  const bytes = sizeOf(pieces);
  batch.add({ chunk: { hash: Buffer.alloc(32), bytes }, offset: 0, place: undefined });
  ours.note(batch.steps, packChunks(pieces.map(pieceOf)));
  t.deepEqual(batch.ranges(), [{ offset: 0, bytes }]);
  t.is(batch.steps[0]?.pieces, undefined);
});

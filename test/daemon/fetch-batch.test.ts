/** Fetch batch: how much is asked for at once, and what its sender has to wait for meanwhile. */
import test from 'ava';
import { parseBlobId } from '../../src/core/ids.js';
import { Batch, type Step } from '../../src/daemon/fetch-batch.js';

const MiB = 1024 * 1024;
const OLD = parseBlobId('0d'.repeat(32));

/** The n-th MiB, which is here or is not. */
const step = (n: number, isHere: boolean): Step => ({
  chunk: { hash: Buffer.alloc(32, n), bytes: MiB },
  offset: n * MiB,
  place: isHere ? { blob: OLD, offset: n * MiB } : undefined,
});

/** Of the first `count` the ones with these numbers are not here. */
function batchOf(count: number, missing: readonly number[]): Batch {
  const batch = new Batch();
  for (let n = 0; n < count; n += 1) batch.add(step(n, !missing.includes(n)));
  return batch;
}

test('at most 64 MiB are asked for at once, however much is copied', t => {
  const all = Array.from({ length: 64 }, (_, n) => n);
  t.true(batchOf(63, all).takes(step(63, false)));
  t.false(batchOf(64, all).takes(step(64, false)));
  t.true(batchOf(64, all).takes(step(64, true)));
  t.true(batchOf(1023, []).takes(step(1023, true)));
  t.false(batchOf(1024, []).takes(step(1024, true)));
});

test('between what is asked for at once, and before it, at most 8 MiB are copied', t => {
  t.true(batchOf(9, [0]).takes(step(9, false)));
  t.false(batchOf(10, [0]).takes(step(10, false)));
  t.true(batchOf(10, [0, 5]).takes(step(10, false)));
  t.true(batchOf(8, []).takes(step(8, false)));
  t.false(batchOf(9, []).takes(step(9, false)));
});

/** Serving runs: every blob in its order and once, small ones of one place together, within the limits of a pack. */
import test from 'ava';
import fc from 'fast-check';
import { type BlobId, parseBlobId } from '../../src/core/ids.js';
import { type Located, PACKED_BLOB_BYTES_MAX, runsOf } from '../../src/daemon/serving-runs.js';
import { PACK_BYTES_MAX } from '../../src/net/fetch-protocol.js';

const blobNumber = (n: number): BlobId => parseBlobId(n.toString(16).padStart(64, '0'));

test('runs hold every blob once and in order, and a pack keeps its limits', t => {
  const located = fc.array(
    fc.option(
      fc.record({ place: fc.constantFrom('a', 'b'), bytes: fc.integer({ min: 1, max: 2 * PACKED_BLOB_BYTES_MAX }) }),
      {
        nil: undefined,
      },
    ),
    { maxLength: 600 },
  );
  fc.assert(
    fc.property(located, places => {
      const blobs = places.map((at, n): Located<string> => ({ blob: blobNumber(n), at }));
      const placeOf = new Map(blobs.map(({ blob, at }) => [blob, at]));
      const runs = [...runsOf(blobs)];
      t.deepEqual(
        runs.flatMap(run => (run.is === 'one' ? [run.blob] : run.blobs)),
        blobs.map(({ blob }) => blob),
      );
      for (const run of runs) {
        if (run.is === 'one') {
          t.is(run.place, placeOf.get(run.blob)?.place);
          t.true((placeOf.get(run.blob)?.bytes ?? Number.POSITIVE_INFINITY) > PACKED_BLOB_BYTES_MAX);
          continue;
        }
        const all = run.blobs.map(blob => placeOf.get(blob));
        t.true(all.every(at => at?.place === run.place && at.bytes <= PACKED_BLOB_BYTES_MAX));
        t.true(all.reduce((sum, at) => sum + (at?.bytes ?? 0), 0) <= PACK_BYTES_MAX && run.blobs.length <= 256);
      }
      // Two packs side by side are two for a reason.
      for (const [n, run] of runs.entries()) {
        const next = runs[n + 1];
        if (run.is !== 'pack' || next?.is !== 'pack' || run.place !== next.place) continue;
        const bytes = run.blobs.reduce((sum, blob) => sum + (placeOf.get(blob)?.bytes ?? 0), 0);
        const first = placeOf.get(next.blobs[0] as BlobId)?.bytes ?? 0;
        t.true(run.blobs.length === 256 || bytes + first > PACK_BYTES_MAX);
      }
    }),
    { numRuns: 60 },
  );
});

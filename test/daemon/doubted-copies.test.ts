/** Doubted copies: how often, and until when, a copy of ours is looked at. */
import test from 'ava';
import { parseNonce, parseParcelId, parseStoreId } from '../../src/core/ids.js';
import { DoubtedCopies } from '../../src/daemon/doubted-copies.js';
import { until } from '../helpers/until.js';

const parcel = parseParcelId('55'.repeat(32));
const other = parseParcelId('66'.repeat(32));
const store = parseStoreId('77'.repeat(16));

test('a copy is looked at once at a time, and again when something is told of it after that; the stop ends it', async t => {
  const reads: { readonly parcel: string; readonly needed: AbortSignal; readonly end: () => void }[] = [];
  const doubted = new DoubtedCopies({
    reader: {
      possess: (read, needed) =>
        new Promise(resolve => {
          const end = () => resolve('unreadable');
          needed.addEventListener('abort', end);
          reads.push({ parcel: read.parcel, needed, end });
        }),
    },
    nonce: () => parseNonce('0e'.repeat(16)),
  });
  for (const one of [parcel, parcel, other, parcel]) doubted.look({ parcel: one, store });
  t.deepEqual(
    reads.map(read => read.parcel),
    [parcel, other],
  );
  reads[0]?.end();
  await until('another look', () => {
    doubted.look({ parcel, store });
    return reads.length === 3;
  });
  await doubted.stop();
  t.true(reads.every(({ needed }) => needed.aborted));
  doubted.look({ parcel, store });
  t.is(reads.length, 3);
});

/** Doubted copies: how often, and until when, a copy of ours is looked at. */
import test from 'ava';
import { pino } from 'pino';
import { type BlobId, type ParcelId, parseNonce, parseParcelId, parseStoreId } from '../../src/core/ids.js';
import { DoubtedCopies } from '../../src/daemon/doubted-copies.js';
import { until } from '../helpers/until.js';
import { SILENT } from '../store/real-store.js';

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
    stores: { mounted: () => undefined },
    nonce: () => parseNonce('0e'.repeat(16)),
    log: SILENT,
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

test('the copy that lists a doubtful blob is looked for, one at a time in each store, and is then read', async t => {
  const read: string[] = [];
  const asked: string[] = [];
  const answers: ((parcel: ParcelId | undefined) => void)[] = [];
  const listerOf = (blob: string) => {
    asked.push(blob);
    return new Promise<ParcelId | undefined>((resolve, reject) =>
      answers.push(found => (found === undefined ? reject(new Error('the disk says no')) : resolve(found))),
    );
  };
  const doubted = new DoubtedCopies({
    reader: {
      possess: async ({ parcel: one }) => {
        read.push(one);
        return new Map();
      },
    },
    stores: { mounted: id => (id === store ? { listerOf } : undefined) },
    nonce: () => parseNonce('0e'.repeat(16)),
    log: SILENT,
  });
  const elsewhere = parseStoreId('88'.repeat(16));
  for (const blob of ['a', 'b'] as BlobId[]) doubted.lookFor({ blob, store, likely: [] });
  doubted.lookFor({ blob: 'c' as BlobId, store: elsewhere, likely: [] });
  t.deepEqual(asked, ['a']);
  answers[0]?.(other);
  await until('its copy to be read', () => read.length === 1);
  t.deepEqual(read, [other]);
  await until('the next one', () => {
    doubted.lookFor({ blob: 'b' as BlobId, store, likely: [] });
    return asked.length === 2;
  });
  answers[1]?.(undefined);
  await doubted.stop();
  t.deepEqual(read, [other]);
});

test('a search for such a copy ends with the service, and is no failure', async t => {
  const lines: string[] = [];
  const doubted = new DoubtedCopies({
    reader: { possess: async () => new Map() },
    stores: {
      mounted: () => ({
        listerOf: (_blob, _likely, signal) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      }),
    },
    nonce: () => parseNonce('0e'.repeat(16)),
    log: pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) }),
  });
  doubted.lookFor({ blob: 'a' as BlobId, store, likely: [] });
  await doubted.stop();
  t.deepEqual(lines, []);
});

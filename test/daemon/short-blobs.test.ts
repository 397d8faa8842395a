/** Short blobs: which blobs are spared, and how long what expires goes by one look. */
import test from 'ava';
import fc from 'fast-check';
import type { Entry } from '../../src/catalog/entry.js';
import { encodeRecord } from '../../src/catalog/record.js';
import { hashHex } from '../../src/core/hash.js';
import { parseHostId, parseKey, parseParcelId, sourceIdOf } from '../../src/core/ids.js';
import { ShortBlobs, type ShortParcel } from '../../src/daemon/short-blobs.js';
import { arbitraryEntry } from '../catalog/arbitraries.js';
import { blobOf } from '../helpers/test-parcels.js';

const SOURCE = sourceIdOf(parseHostId('0a'.repeat(16)), 'photos');
const [sample] = fc.sample(arbitraryEntry, { numRuns: 1, seed: 1 }) as [Entry];

function recordOf(content: string) {
  const { blob } = blobOf(content);
  const file: Entry = { ...sample, kind: 'file', size: content.length, blob, target: undefined, device: 0n };
  const record = encodeRecord({ source: SOURCE, key: parseKey('0b'.repeat(16)), entries: [file] });
  return { blob, record, parcel: parseParcelId(hashHex(record)) };
}

/** Short parcels and records as they are set, and how often they were looked at. */
function shortBlobs() {
  const state = { short: [] as ShortParcel[], records: new Map<string, Uint8Array>(), nowMs: 0, looks: 0, readMs: 0 };
  const blobs = new ShortBlobs({
    sources: () => [SOURCE],
    short: () => {
      state.looks += 1;
      return state.short;
    },
    reader: {
      get: async id => {
        state.nowMs += state.readMs;
        return state.records.get(id);
      },
    },
    nowMs: () => state.nowMs,
  });
  return { state, blobs };
}

test('blobs of short parcels are known by their records; a look lacks something only where no copy has a record', async t => {
  const { state, blobs } = shortBlobs();
  const [here, elsewhere] = [recordOf('here'), recordOf('elsewhere')];
  state.records.set(here.parcel, here.record);
  state.short = [
    { parcel: here.parcel, copies: 0 },
    { parcel: elsewhere.parcel, copies: 1 },
  ];
  const look = await blobs.look();
  t.true(look.has(here.blob));
  t.false(look.has(elsewhere.blob));
  t.true(look.isComplete);
  state.short = [{ parcel: elsewhere.parcel, copies: 0 }];
  t.false((await blobs.look()).isComplete);
});

test('many expiries go by one look for a minute, or for twenty times as long as a slow one took', async t => {
  const { state, blobs } = shortBlobs();
  const one = recordOf('one');
  await Promise.all([blobs.recent(), blobs.recent()]);
  t.is(state.looks, 1);
  state.nowMs = 59_999;
  state.records.set(one.parcel, one.record);
  state.short = [{ parcel: one.parcel, copies: 1 }];
  t.false((await blobs.recent()).has(one.blob));
  state.nowMs = 60_000;
  state.readMs = 10_000;
  t.true((await blobs.recent()).has(one.blob));
  state.nowMs += 199_999;
  await blobs.recent();
  t.is(state.looks, 2);
  state.nowMs += 1;
  await blobs.recent();
  t.is(state.looks, 3);
});

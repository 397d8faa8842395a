import test from 'ava';
import fc from 'fast-check';
import type { Head, ListedSnapshot } from '../../src/catalog/head.js';
import { encodePage } from '../../src/catalog/page.js';
import { encodeSnapshot } from '../../src/catalog/snapshot.js';
import { hashHex } from '../../src/core/hash.js';
import { type ObjectId, type ParcelId, parseHostId, parseKey, parseParcelId, sourceIdOf } from '../../src/core/ids.js';
import type { ParcelRef } from '../../src/core/parcel.js';
import { headChange } from '../../src/daemon/head-change.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';

const source = sourceIdOf(parseHostId('a'.repeat(32)), 'photos');
const signer = signerFromSeed(generateKeyPair().seed);
const objects = new Map<ObjectId, Uint8Array>();
const reader = { get: async (id: ObjectId) => objects.get(id) };

const put = (bytes: Uint8Array): ObjectId => {
  const id = hashHex(bytes) as ObjectId;
  objects.set(id, bytes);
  return id;
};

const ref = (i: number): ParcelRef => {
  const id = hashHex(Buffer.from(`parcel ${i}`));
  return { id: parseParcelId(id), key: parseKey(id.slice(0, 32)), bytes: i };
};

/** A snapshot of these parcels, in pages of at most `perPage`. */
function snapshot(parcels: readonly number[], timeMs: number, perPage: number): ListedSnapshot {
  const pages: ObjectId[] = [];
  for (let at = 0; at < parcels.length; at += perPage)
    pages.push(put(encodePage(parcels.slice(at, at + perPage).map(ref))));
  const fields = {
    source,
    timeMs,
    holdDays: 2,
    stale: 0,
    missed: 0,
    files: 0,
    bytes: 0,
    device: 0n,
    recutOf: undefined,
    pages,
  };
  return { id: put(encodeSnapshot(fields, signer)), timeMs, complete: true, firstSeq: 1 };
}

const head = (snapshots: readonly ListedSnapshot[], seq: number): Head => ({
  source,
  seq,
  snapshots,
  previous: undefined,
});
const idsOf = (parcels: Iterable<number>): Set<ParcelId> => new Set([...parcels].map(i => ref(i).id));

test('law: applied to what was wanted before, the change gives what is wanted now', async t => {
  const parcelSet = fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 12 });
  const list = fc.array(parcelSet, { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(fc.option(list), list, fc.integer({ min: 1, max: 4 }), async (before, after, perPage) => {
      const made = (lists: readonly (readonly number[])[]) =>
        lists.map((parcels, i) =>
          snapshot(
            [...parcels].sort((a, b) => a - b),
            i + 1,
            perPage,
          ),
        );
      const old = before === null ? undefined : head(made(before), 1);
      const change = await headChange(reader, old, head(made(after), 2));

      const wanted = idsOf((before ?? []).flat());
      const newest = idsOf(before?.at(-1) ?? []);
      for (const { id } of change.add) {
        wanted.add(id);
        newest.add(id);
      }
      for (const id of change.remove) {
        wanted.delete(id);
        newest.delete(id);
      }
      for (const id of change.notNewest) newest.delete(id);
      for (const id of change.newestAgain) newest.add(id);
      t.deepEqual([...wanted].sort(), [...idsOf(after.flat())].sort());
      t.deepEqual([...newest].sort(), [...idsOf(after.at(-1) ?? [])].sort());
    }),
    { numRuns: 300 },
  );
});

test('pages that both heads have are not read unless something left', async t => {
  const shared = snapshot([1, 2, 3, 4], 1, 4);
  const sharedPage = put(encodePage([1, 2, 3, 4].map(ref)));
  const more = snapshot([1, 2, 3, 4, 5], 2, 4);
  const read: ObjectId[] = [];
  const watching = {
    get: async (id: ObjectId) => {
      read.push(id);
      return objects.get(id);
    },
  };
  const change = await headChange(watching, head([shared], 1), head([shared, more], 2));
  t.deepEqual(
    change.add.map(({ bytes }) => bytes),
    [5],
  );
  t.false(read.includes(sharedPage));
});

import test from 'ava';
import fc from 'fast-check';
import type { ListedSnapshot } from '../../src/catalog/head.js';
import { encodePage } from '../../src/catalog/page.js';
import { encodeSnapshot } from '../../src/catalog/snapshot.js';
import { hashHex } from '../../src/core/hash.js';
import { type ObjectId, type ParcelId, parseHostId, parseKey, parseParcelId, sourceIdOf } from '../../src/core/ids.js';
import type { ParcelRef } from '../../src/core/parcel.js';
import { headChange, type WantedBefore } from '../../src/daemon/head-change.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import { BARE_SNAPSHOT } from '../catalog/bare-snapshot.js';

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
  const fields = { ...BARE_SNAPSHOT, source, timeMs, pages };
  return { id: put(encodeSnapshot(fields, signer)), timeMs, complete: true, firstSeq: 1 };
}

const wanting = (listed: readonly ListedSnapshot[], held: readonly ListedSnapshot[] = []): WantedBefore => ({
  listed: listed.map(({ id }) => id),
  held: held.map(({ id }) => id),
  lost: new Set(),
});
const idsOf = (parcels: Iterable<number>): Set<ParcelId> => new Set([...parcels].map(i => ref(i).id));

test('law: applied to what was wanted before, the change gives what is wanted now', async t => {
  const parcelSet = fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 12 });
  const list = fc.array(parcelSet, { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(
      fc.option(list),
      list,
      list,
      fc.integer({ min: 1, max: 4 }),
      async (before, after, holding, perPage) => {
        const made = (lists: readonly (readonly number[])[]) =>
          lists.map((parcels, i) =>
            snapshot(
              [...parcels].sort((a, b) => a - b),
              i + 1,
              perPage,
            ),
          );
        // Before: all of it was listed, or all but the last; and what is held is as often from before as not.
        const old = before === null ? undefined : wanting(made(before).slice(-1), made(before).slice(0, -1));
        const held = holding.length % 2 === 0 ? made(holding) : made(before ?? []);
        const { change } = await headChange(reader, old, wanting(made(after), held));

        const wanted = idsOf((before ?? []).flat());
        const newest = idsOf(before?.at(-1) ?? []);
        // Before, the newest alone was listed.
        const listed = new Set(newest);
        for (const { id } of change.add) for (const set of [wanted, newest, listed]) set.add(id);
        for (const id of change.remove) for (const set of [wanted, newest, listed]) set.delete(id);
        for (const id of change.notNewest) newest.delete(id);
        for (const id of change.newestAgain) newest.add(id);
        for (const id of change.notListed) listed.delete(id);
        for (const id of change.listedAgain) listed.add(id);
        const heldParcels = (holding.length % 2 === 0 ? holding : (before ?? [])).flat();
        t.deepEqual([...wanted].sort(), [...idsOf([...after.flat(), ...heldParcels])].sort());
        t.deepEqual([...newest].sort(), [...idsOf(after.at(-1) ?? [])].sort());
        t.deepEqual([...listed].sort(), [...idsOf(after.flat())].sort());
      },
    ),
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
  const { change } = await headChange(watching, wanting([shared]), wanting([shared, more]));
  t.deepEqual(
    change.add.map(({ bytes }) => bytes),
    [5],
  );
  t.false(read.includes(sharedPage));
});

test('what is lost of snapshots that are not listed is neither added nor removed, and what the others say stands', async t => {
  const [shared, alone, listed] = [[1, 2], [3], [4]] as const;
  const held = snapshot([...shared, ...alone], 1, 2);
  const other = snapshot(shared, 2, 2);
  const newest = snapshot(listed, 3, 2);
  const lostPage = put(encodePage(alone.map(ref)));
  const without = (...lost: readonly ObjectId[]) => ({
    get: async (id: ObjectId) => (lost.includes(id) ? undefined : objects.get(id)),
  });
  const before = wanting([other], [held]);
  const gone = (change: Awaited<ReturnType<typeof headChange>>['change']) => new Set(change.remove);

  const still = await headChange(without(lostPage), before, wanting([newest], [held]));
  t.deepEqual(gone(still.change), idsOf([]));
  t.deepEqual(
    still.change.add.map(({ bytes }) => bytes),
    [4],
  );
  const over = await headChange(without(lostPage), before, wanting([newest]));
  t.deepEqual([gone(over.change), over.lost], [idsOf(shared), new Set([lostPage])]);
  const all = await headChange(without(held.id), before, wanting([newest]));
  t.deepEqual([gone(all.change), all.lost], [idsOf(shared), new Set([held.id])]);

  // Found again: it is not known to be wanted.
  const found = await headChange(reader, { ...before, lost: new Set([lostPage]) }, before);
  t.deepEqual(
    found.change.add.map(({ bytes }) => bytes),
    [3],
  );
  t.deepEqual([new Set(found.change.notNewest), new Set(found.change.notListed)], [idsOf(alone), idsOf(alone)]);

  // Without what is listed there is no change, though something that is held leads to it too.
  for (const lost of [newest.id, put(encodePage(listed.map(ref)))])
    await t.throwsAsync(headChange(without(lost), before, wanting([newest], [held])), { code: 'OBJECT_MISSING' });
  await t.throwsAsync(headChange(without(lostPage), undefined, wanting([held], [held])), { code: 'OBJECT_MISSING' });
});

import test from 'ava';
import fc from 'fast-check';
import type { ListedSnapshot } from '../../src/catalog/head.js';
import { encodePage } from '../../src/catalog/page.js';
import { readSnapshot } from '../../src/catalog/read-object.js';
import { encodeSnapshot } from '../../src/catalog/snapshot.js';
import { type HostId, type Key, type ObjectId, type ParcelId, sourceIdOf } from '../../src/core/ids.js';
import { isProtected, Protections } from '../../src/daemon/protection.js';
import { signerFromSeed } from '../../src/platform/ed25519.js';
import { BARE_SNAPSHOT } from '../catalog/bare-snapshot.js';
import { KeptObjects } from '../catalog/kept-objects.js';

const SOURCE = sourceIdOf('a'.repeat(32) as HostId, 'photos');
const signer = signerFromSeed(new Uint8Array(32).fill(7));
const PARCELS_PER_PAGE = 2;
const parcelOf = (number: number): ParcelId => number.toString(16).padStart(64, '0') as ParcelId;

/** Page p lists parcels 2p and 2p + 1; parcel n is held by hosts that durably have the heads `holders[n]`. */
async function aHost(listed: readonly (readonly number[])[], holders: readonly (readonly number[])[]) {
  const objects = new KeptObjects();
  const pageOf = (page: number): Promise<ObjectId> =>
    objects.put(
      encodePage(
        Array.from({ length: PARCELS_PER_PAGE }, (_, i) => ({
          id: parcelOf(PARCELS_PER_PAGE * page + i),
          key: '0'.repeat(32) as Key,
          bytes: 1,
        })),
      ),
    );
  const snapshots: ListedSnapshot[] = [];
  for (const [index, pages] of listed.entries()) {
    const id = await objects.put(
      encodeSnapshot(
        { ...BARE_SNAPSHOT, source: SOURCE, timeMs: index, pages: await Promise.all(pages.map(pageOf)) },
        signer,
      ),
    );
    snapshots.push({ id, timeMs: index, complete: true, firstSeq: index + 1 });
  }
  const known = {
    copiesWanted: () => 2,
    holders: () => [{ host: 'ben' }],
    copies: (id: ParcelId, seq = 0) => holders[Number.parseInt(id, 16)]?.filter(head => head >= seq).length ?? 0,
  };
  const options = { known, reader: objects, isReachable: () => true };
  return { objects, snapshots, protections: new Protections(options as never) };
}

const NEVER = new AbortController().signal;

test('law: which snapshots are protected is the same, asked of all at once or one by one', async t => {
  const pages = 4;
  await t.notThrowsAsync(
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.uniqueArray(fc.nat({ max: pages - 1 }), { minLength: 1 }), { maxLength: 6 }),
        fc.array(fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 4 }), {
          minLength: pages * PARCELS_PER_PAGE,
          maxLength: pages * PARCELS_PER_PAGE,
        }),
        async (listed, holders) => {
          const { snapshots, protections } = await aHost(listed, holders);
          const found = await protections.protectedOf(SOURCE, snapshots, NEVER);
          for (const snapshot of snapshots)
            t.is(found.has(snapshot.id), isProtected(await protections.of(SOURCE, snapshot)));
        },
      ),
    ),
  );
});

test('of what is short of holders that know its head only that is to be copied whose copies are not there', async t => {
  const [older, newer] = [
    [1, 1],
    [2, 2],
  ];
  const { snapshots, protections } = await aHost(
    [
      [0, 1],
      [0, 1],
    ],
    [older, newer, [1, 2], [2]],
  );
  t.like(await protections.of(SOURCE, snapshots[1] as ListedSnapshot), {
    parcels: 4,
    under: 3,
    haveMin: 0,
    toCopy: 1,
    missingBytes: 1,
  });
});

test('a page that many snapshots share is read once', async t => {
  const shared = [0, 1, 2, 3];
  const { objects, snapshots, protections } = await aHost(
    Array.from({ length: 20 }, () => shared),
    Array.from({ length: 8 }, () => [99, 99]),
  );
  objects.reads = 0;
  t.is((await protections.protectedOf(SOURCE, snapshots, NEVER)).size, 20);
  t.is(objects.reads, 20 + shared.length);
});

test('a snapshot with a page that nobody gives is not protected, and keeps no other from being it', async t => {
  const { objects, snapshots, protections } = await aHost(
    [[0], [0, 1], [0]],
    Array.from({ length: 4 }, () => [99, 99]),
  );
  const [first, torn, last] = snapshots as [ListedSnapshot, ListedSnapshot, ListedSnapshot];
  const [, page] = (await readSnapshot(objects, torn.id)).pages;
  objects.lose(page as ObjectId);
  t.deepEqual([...(await protections.protectedOf(SOURCE, snapshots, NEVER))].sort(), [first.id, last.id].sort());
  t.like(await protections.of(SOURCE, torn), { under: 1, haveMin: 0 });
  objects.lose(last.id);
  t.is(await protections.newestProtected(SOURCE, snapshots, NEVER), first.id);
});

test('what is behind a page that nobody gives cannot be reached, and takes nothing else away', async t => {
  const { objects, snapshots, protections } = await aHost(
    [[0, 1]],
    Array.from({ length: 4 }, () => [99, 99]),
  );
  const [listed] = snapshots as [ListedSnapshot];
  t.is((await protections.reach(listed)).parcels, 0);
  const { pages } = await readSnapshot(objects, listed.id);
  objects.lose(pages[1] as ObjectId);
  t.is((await protections.reach(listed)).parcels, 1);
});

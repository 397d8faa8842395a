/** Fetch server: what a holder gives of a copy that its disk has damaged, over real streams and from a real store. */
import { rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type BlobId, type ParcelId, parseNonce, type StoreId } from '../../src/core/ids.js';
import { FetchServer } from '../../src/daemon/fetch-server.js';
import { askFetch, type FetchPurpose } from '../../src/net/fetch-protocol.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { grab, parcelOf, type TestBlob, type TestParcel } from '../helpers/test-parcels.js';
import { type Host, House } from '../net/fleet.js';
import { SILENT, TestHost } from '../store/real-store.js';

/** Of each way to be read and sent: packed with others, alone in one read, alone in several. */
const PARCEL = parcelOf(
  'small',
  'smaller',
  ...[100_000, 200_000, 600_000, 700_000].map(bytes => seededBytes(bytes, 1)),
);

/** A holder of these parcels, and what an asker gets from it. */
async function aHolder(t: ExecutionContext, ...parcels: readonly TestParcel[]) {
  const [asker, holder] = (await new House(t).clique(2)) as [Host, Host];
  const disk = await TestHost.begin(t);
  const store = await disk.mount();
  for (const parcel of parcels) await grab(store, parcel);
  const looks: { readonly parcel: ParcelId; readonly store: StoreId }[] = [];
  await new FetchServer({
    net: holder.net,
    known: { wantedCopies: () => 1, copies: () => 1, holders: () => [] },
    stores: { stores: () => [store] },
    roster: { isTrusted: () => true, hostOf: () => undefined },
    live: { find: async () => undefined },
    recipes: {},
    doubted: { look: (copy: (typeof looks)[number]) => void looks.push(copy) },
    clock: { nowMs: () => 0, wallMs: () => 0 },
    log: SILENT,
  } as unknown as ConstructorParameters<typeof FetchServer>[0]).serve();

  /** By blob: what came, and undefined for what is gone. */
  async function ask({ id, blobs }: TestParcel, purpose: FetchPurpose = 'restore') {
    const got = new Map<BlobId, Buffer | undefined>();
    let current: { readonly blob: BlobId; leftBytes: number; readonly data: Uint8Array[] } | undefined;
    const request = { parcel: id, blobs: blobs.map(({ blob }) => blob), purpose };
    for await (const part of askFetch(asker.net, holder.net.peer, request)) {
      if (part.kind === 'pack') for (const { blob, content } of part.blobs) got.set(blob, Buffer.from(content));
      else if (part.kind === 'gone') got.set(part.blob, undefined);
      else if (part.kind === 'blob') current = { blob: part.blob, leftBytes: part.bytes, data: [] };
      else if (part.kind === 'data' && current !== undefined) {
        current.data.push(part.data);
        current.leftBytes -= part.data.length;
        if (current.leftBytes === 0) got.set(current.blob, Buffer.concat(current.data));
      }
    }
    return got;
  }
  const pathOf = ({ blob }: TestBlob): string => join(disk.storePath, '.blobs', blob.slice(0, 2), blob);
  return { store, looks, ask, pathOf };
}

test('a blob that cannot be read is gone, all others come, and the copy is looked at', async t => {
  const { store, looks, ask, pathOf } = await aHolder(t, PARCEL);
  const [small, , shorter, , large] = PARCEL.blobs as [TestBlob, ...TestBlob[]];
  const bad = [small, shorter, large] as readonly TestBlob[];
  for (const one of bad) {
    if (one === shorter) truncateSync(pathOf(one), one.bytes - 1);
    else rmSync(pathOf(one));
  }
  const got = await ask(PARCEL);
  for (const one of PARCEL.blobs) t.deepEqual(got.get(one.blob), bad.includes(one) ? undefined : one.content);
  t.is(got.size, PARCEL.blobs.length);
  t.deepEqual(
    looks,
    bad.map(() => ({ parcel: PARCEL.id, store: store.id })),
  );
});

test('of a copy that is corrupt all is given but what is wrong, and it counts for nothing all the same', async t => {
  const { store, ask, pathOf } = await aHolder(t, PARCEL);
  const [wrong] = PARCEL.blobs as [TestBlob];
  rmSync(pathOf(wrong));
  t.like(await store.possess(PARCEL.id, { nonce: parseNonce('0e'.repeat(16)), holders: [] }), { kind: 'corrupt' });
  const got = await ask(PARCEL);
  for (const one of PARCEL.blobs) {
    t.deepEqual(got.get(one.blob), one === wrong ? undefined : one.content);
    t.false(store.holds(one.blob));
  }
});

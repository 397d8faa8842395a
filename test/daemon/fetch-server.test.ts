/** Fetch server: what a holder gives of a copy that its disk has damaged, over real streams and from a real store. */
import { rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Part, Want } from '../../protocols/fetch/fetch.js';
import { findEntry } from '../../src/catalog/walk.js';
import { type BlobId, type ParcelId, parseNonce, parseParcelId, type StoreId } from '../../src/core/ids.js';
import type { BlobRef } from '../../src/core/parcel.js';
import { FetchServer } from '../../src/daemon/fetch-server.js';
import { LiveParcels } from '../../src/daemon/live-parcels.js';
import {
  askFetch,
  FETCH_PROTOCOL,
  type FetchPurpose,
  type FetchRequest,
  toWant,
} from '../../src/net/fetch-protocol.js';
import { askRecipe, type RecipePart } from '../../src/net/fetch-recipe.js';
import { readMessages, writeMessage } from '../../src/net/message-stream.js';
import { putBack, setApart } from '../../src/platform/disk.js';
import { aSource, ScratchSource, settle } from '../catalog/scratch-source.js';
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
  const disk = await TestHost.begin(t);
  const store = await disk.mount();
  for (const parcel of parcels) await grab(store, parcel);
  const looks: { readonly parcel: ParcelId; readonly store: StoreId }[] = [];
  const { ask } = await aServer(t, {
    stores: { stores: () => [store] } as never,
    doubted: { look: copy => void looks.push(copy) },
  });
  const pathOf = ({ blob }: TestBlob): string => join(disk.storePath, '.blobs', blob.slice(0, 2), blob);
  return { store, looks, ask, pathOf };
}

/** A server without a store or a source, and what an asker gets from it. */
async function aServer(t: ExecutionContext, changes: Partial<ConstructorParameters<typeof FetchServer>[0]>) {
  const [asker, holder] = (await new House(t).clique(2)) as [Host, Host];
  await new FetchServer({
    net: holder.net,
    known: { wantedCopies: () => 1, copies: () => 1, holders: () => [] },
    stores: { stores: () => [] },
    roster: { isTrusted: () => true, hostOf: () => undefined },
    live: { find: async () => undefined },
    recipes: {},
    pausing: { isPaused: false },
    clock: { nowMs: () => 0, wallMs: () => 0 },
    log: SILENT,
    ...changes,
  } as unknown as ConstructorParameters<typeof FetchServer>[0]).serve();

  /** By blob: what came, and undefined for what is gone. */
  async function ask(
    { id, blobs }: { readonly id: ParcelId; readonly blobs: readonly { readonly blob: BlobId }[] },
    { doubted = false, purpose = 'restore' }: { readonly doubted?: boolean; readonly purpose?: FetchPurpose } = {},
  ) {
    const got = new Map<BlobId, Buffer | undefined>();
    let current: { readonly blob: BlobId; leftBytes: number; readonly data: Uint8Array[] } | undefined;
    const request = { parcel: id, blobs: blobs.map(({ blob }) => blob), purpose, doubted };
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

  async function askDoubtedRecipe(parcel: ParcelId, blob: BlobRef & { readonly blob: BlobId }): Promise<RecipePart[]> {
    const parts: RecipePart[] = [];
    const request = { parcel, blob, purpose: 'restore', doubted: true } as const;
    for await (const part of askRecipe(asker.net, holder.net.peer, request)) parts.push(part);
    return parts;
  }
  return { ask, askDoubtedRecipe };
}

const liveOf = (source: ScratchSource, onTorn: (path: string) => unknown = () => {}): LiveParcels =>
  new LiveParcels({
    catalog: source.objects,
    cache: source.cache,
    ownSource: () => ({ source: aSource, path: source.root }),
    renamed: () => undefined,
    onTorn: ({ path }) => void onTorn(path.toString()),
  });

/** From now on other calls have all places at the disk of a folder. @returns the function that ends them */
function takeAllPlaces(t: ExecutionContext, folder: string): () => void {
  const disk = setApart(folder);
  t.teardown(() => putBack(disk));
  let end = (): void => {};
  const ended = new Promise<void>(resolve => {
    end = resolve;
  });
  for (let n = 0; n < 4; n++) void disk.run(() => ended);
  return end;
}

test('an origin hashes files that are doubted, whatever its scan cache says, and puts that right', async t => {
  const source = new ScratchSource(t);
  const contents = { small: Buffer.from('small'), smaller: Buffer.from('less'), large: seededBytes(700_000, 1) };
  source.write(contents);
  await settle(source);
  const wrong = (n: number): BlobId => `${n}`.padStart(64, '0') as BlobId;
  const files = Object.keys(contents).map((name, n) => ({
    name,
    file: { source: aSource, path: Buffer.from(name), link: undefined },
    stat: statSync(source.path(name), { bigint: true }),
    ref: { blob: wrong(n), bytes: contents[name as keyof typeof contents].length },
  }));
  const readFromNs = (files[0]?.stat.ctimeNs ?? 0n) + 3_600_000_000_000n;
  for (const { file, stat, ref } of files) source.cache.put(file, stat, { blob: ref.blob, readFromNs });
  await source.take();
  const torn = new Set<string>();
  const live = liveOf(source, path => torn.add(path));
  const { ask, askDoubtedRecipe } = await aServer(t, { live });
  for (const { name, file, stat, ref } of files) {
    const found = await findEntry(source.objects, source.last as never, Buffer.from(name));
    const parcel = { id: found?.parcel as ParcelId, blobs: [ref] };
    t.is(found?.entry.blob, ref.blob);
    t.deepEqual((await ask(parcel)).get(ref.blob), contents[name as keyof typeof contents]);
    if (name === 'large') t.deepEqual(await askDoubtedRecipe(parcel.id, ref), [{ kind: 'gone' }]);
    else t.is((await ask(parcel, { doubted: true })).get(ref.blob), undefined);
    t.true(torn.has(name));
    t.not(source.cache.lastRead(file, stat), ref.blob);
    t.is((await ask(parcel)).get(ref.blob), undefined);
  }
});

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

/** A server of one blob that is larger than any stream holds, and who may ask for it. */
async function aLargeServer(t: ExecutionContext) {
  const [origin, hog, other] = (await new House(t).clique(3)) as [Host, Host, Host];
  const { blob } = parcelOf(seededBytes(9_000, 1)).blobs[0] as TestBlob;
  const chunk = Buffer.alloc(1 << 20);
  const large = {
    bytes: 1 << 30,
    read: async function* () {
      for (let i = 0; i < 1 << 10; i++) yield chunk;
    },
  };
  await new FetchServer({
    net: origin.net,
    known: { wantedCopies: () => 2, copies: () => 0, holders: () => [] },
    stores: { stores: () => [{ id: '11'.repeat(16), openBlob: async () => large }] },
    roster: { isTrusted: () => true, hostOf: () => undefined },
    live: { find: async () => undefined },
    recipes: {},
    pausing: { isPaused: false },
    clock: { nowMs: () => 0, wallMs: () => 0 },
    log: SILENT,
  } as unknown as ConstructorParameters<typeof FetchServer>[0]).serve();
  const request = (byte: string, more: Partial<FetchRequest> = {}): FetchRequest => ({
    parcel: parseParcelId(byte.repeat(32)),
    blobs: [blob],
    purpose: 'grab',
    ...more,
  });
  /** The hog asks, and takes no more than the first part of the answer. */
  const hold = async (byte: string, more?: Partial<FetchRequest>) => {
    const stream = await hog.net.open(origin.net.peer, FETCH_PROTOCOL);
    const parts = readMessages(stream, Part, { what: 'part', bytesMax: 1 << 20 });
    await writeMessage(stream, Want, toWant(request(byte, more)), {});
    const { value: first } = await parts.next();
    stream.pause();
    return { isBusy: first?.busy !== undefined };
  };
  /** Takes so many bytes of an answer. */
  const take = async (bytes: number, by: Host, asked: FetchRequest): Promise<boolean> => {
    let got = 0;
    for await (const part of askFetch(by.net, origin.net.peer, asked)) {
      if (part.kind === 'data') got += part.data.length;
      if (got >= bytes) return true;
    }
    return false;
  };
  return { hog, other, request, hold, take };
}

test('a paused host leaves to another holder that is up what is fetched for new copies, and gives all else', async t => {
  const disk = await TestHost.begin(t);
  const store = await disk.mount();
  await grab(store, PARCEL);
  const holders = [{ host: 'other', counts: true, liveness: 'live' }];
  const pausing = { isPaused: true };
  const { ask } = await aServer(t, {
    stores: { stores: () => [store] } as never,
    roster: { self: 'here', isTrusted: () => true, hostOf: () => 'asker' } as never,
    known: { wantedCopies: () => 2, copies: () => 1, holders: () => holders } as never,
    pausing,
  });
  const gives = async (purpose: FetchPurpose): Promise<boolean> => (await ask(PARCEL, { purpose })).size > 0;
  t.false(await gives('grab'));
  t.true(await gives('repair'));
  t.true(await gives('restore'));
  for (const changed of [{ liveness: 'suspect' }, { counts: false }, { host: 'here' }, { host: 'asker' }]) {
    holders.splice(0, 1, { host: 'other', counts: true, liveness: 'live', ...changed });
    t.true(await gives('grab'), JSON.stringify(changed));
  }
  holders.splice(0, 1, { host: 'other', counts: true, liveness: 'live' });
  pausing.isPaused = false;
  t.true(await gives('grab'));
});

test('one member that takes nothing of what it asks for has four places, and the others are left', async t => {
  const { other, request, hold, take } = await aLargeServer(t);
  const held = [];
  for (const byte of ['01', '02', '03', '04']) held.push(await hold(byte));
  t.deepEqual(
    held.map(({ isBusy }) => isBusy),
    [false, false, false, false],
  );
  t.true((await hold('05')).isBusy);

  t.true(await take(32 << 20, other, request('01')));
});

test('a restore is served at once while its host has taken all places with what it fetches besides', async t => {
  const { hog, request, hold, take } = await aLargeServer(t);
  const ranges = [{ offset: 0, bytes: 1 << 29 }];
  const parcels = ['01', '02', '03', '04'];
  for (const byte of parcels) t.false((await hold(byte)).isBusy);
  for (const byte of [...parcels, ...parcels, ...parcels]) t.false((await hold(byte, { ranges })).isBusy);
  t.true((await hold('01', { ranges })).isBusy);
  t.true(await take(32 << 20, hog, request('05', { purpose: 'restore' })));
});

test('a restore is read at once while other reads have taken all places at the disk', async t => {
  const { ask, store } = await aHolder(t, PARCEL);
  const end = takeAllPlaces(t, store.path);
  let isGrabbed = false;
  const grabbed = ask(PARCEL, { purpose: 'repair' }).then(got => {
    isGrabbed = true;
    return got;
  });
  const restored = await ask(PARCEL);
  t.false(isGrabbed);
  end();
  for (const got of [restored, await grabbed])
    for (const { blob, content } of PARCEL.blobs) t.deepEqual(got.get(blob), content);
});

test('… and so is a live file of the origin', async t => {
  const source = new ScratchSource(t);
  const content = seededBytes(700_000, 1);
  source.write({ large: content });
  await settle(source);
  await source.take();
  const { ask } = await aServer(t, { live: liveOf(source) });
  const found = await findEntry(source.objects, source.last as never, Buffer.from('large'));
  const blob = found?.entry.blob as BlobId;
  const end = takeAllPlaces(t, source.root);
  t.deepEqual((await ask({ id: found?.parcel as ParcelId, blobs: [{ blob }] })).get(blob), content);
  end();
});

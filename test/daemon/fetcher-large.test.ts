/** Fetcher, of a parcel that is one large file: what the machine hears, and what becomes of what an earlier try left. */
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { recordBlobs } from '../../src/catalog/record.js';
import { findEntry } from '../../src/catalog/walk.js';
import { ClusterError } from '../../src/core/fault.js';
import { hash } from '../../src/core/hash.js';
import { type BlobId, type ParcelId, parseHostId } from '../../src/core/ids.js';
import type { ObjectReader } from '../../src/core/objects.js';
import type { BlobRef } from '../../src/core/parcel.js';
import { packChunks } from '../../src/core/recipe.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { Fetcher } from '../../src/daemon/fetcher.js';
import { BlobsGone } from '../../src/daemon/peer-answers.js';
import { Recipes } from '../../src/daemon/recipes.js';
import { type FetchedBlob, type FetchProvider, serveFetch } from '../../src/net/fetch-protocol.js';
import type { Store } from '../../src/store/store.js';
import { ScratchSource } from '../catalog/scratch-source.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { type Host, House, until } from '../net/fleet.js';
import { SILENT, TestHost } from '../store/real-store.js';

const MiB = 1024 * 1024;
const CONTENT = seededBytes(9 * MiB, 4);
/** Of an older version: below what has a recipe. */
const OLDER_BYTES = 7 * MiB;
/** Cut every MiB. */
const RECIPE = packChunks(
  Array.from({ length: 9 }, (_, n) => ({ hash: hash(CONTENT.subarray(n * MiB, (n + 1) * MiB)), bytes: MiB })),
);

async function aLargeFetch(t: ExecutionContext) {
  const source = new ScratchSource(t);
  const backUp = async (content: Uint8Array) => {
    source.write({ film: content });
    await source.take();
    const found = await findEntry(source.objects, source.last as never, Buffer.from('film'));
    const parcel = found?.parcel as ParcelId;
    const record = (await source.objects.get(parcel)) as Uint8Array;
    const [ref] = recordBlobs(record) as [BlobRef];
    return { parcel, record, ref };
  };
  const older = await backUp(CONTENT.subarray(0, OLDER_BYTES));
  const { parcel, ref } = await backUp(CONTENT);
  const [a, b] = (await new House(t).clique(2)) as [Host, Host];
  const host = await TestHost.begin(t);
  const store = await host.mount({ blobsOf: recordBlobs });
  const recipes = new Recipes({ log: pino({ level: 'silent' }) });
  t.teardown(() => recipes.stop());
  const told: Unstamped[] = [];
  const large = {
    parcel,
    older,
    store,
    /** As the service makes it. */
    recipe: () => {
      const file = { path: Buffer.from(source.path('film')), bytes: CONTENT.length, stat: undefined };
      return recipes.pages(ref.blob as BlobId, { file, disk: 'a disk' }, new AbortController().signal);
    },
    told,
    /** The other parcels of its key. */
    family: [] as readonly ParcelId[],
    /** What the peer answers. */
    provide: (async () => ({ kind: 'busy', retryAfterMs: 5 })) as FetchProvider,
    /** Where records come from: from the peer alone, and from anybody. */
    objects: { from: () => source.objects as ObjectReader, get: (id: never) => source.objects.get(id) },
    partialBytes: () => store.partialBytes(ref),
    fetch: async (): Promise<Unstamped> => {
      told.length = 0;
      const roomBytes = CONTENT.length - store.partialBytes(ref);
      const from = parseHostId('1'.repeat(32));
      fetcher.start({ do: 'fetch', fetch: 1, parcel, store: store.id, from, purpose: 'grab', roomBytes });
      await until(() => told.some(({ is }) => is !== 'fetch-progress'), 'the end of the fetch');
      return told.at(-1) as Unstamped;
    },
  };
  await serveFetch(
    b.net,
    (...asked) => large.provide(...asked),
    error => error instanceof BlobsGone,
  );
  const fetcher = new Fetcher({
    net: a.net,
    stores: {
      mounted: (): Store => store,
      answering: (): Store[] => [store],
      makeRoom: async () => undefined,
      usedBytes: async () => CONTENT.length,
      tellOps: async (_store: unknown, toldOf: (segment: object) => Unstamped) => void told.push(toldOf({})),
    },
    objects: { from: () => large.objects.from(), get: (id: never) => large.objects.get(id) },
    roster: { peerOf: () => b.net.peer },
    fits: () => true,
    family: () => large.family,
    recipes,
    tell: (input: Unstamped) => void told.push(input),
    log: SILENT,
  } as unknown as ConstructorParameters<typeof Fetcher>[0]);
  t.teardown(() => fetcher.stop());
  return large;
}

async function* only<T>(item: T): AsyncGenerator<T> {
  yield item;
}

async function* thenGone<T>(...items: T[]): AsyncGenerator<T> {
  yield* items;
  throw new BlobsGone();
}

const pieces = (ranges: readonly { readonly offset: number; readonly bytes: number }[]): Buffer =>
  Buffer.concat(ranges.map(({ offset, bytes }) => CONTENT.subarray(offset, offset + bytes)));

const giving: FetchProvider = async ({ blobs, ranges = [], recipe }) => {
  if (recipe) return { kind: 'recipe', pages: only(RECIPE) };
  const content = pieces(ranges);
  return { kind: 'blobs', parts: only({ blob: blobs[0] as BlobId, bytes: content.length, content: only(content) }) };
};

/** Gives the recipe, and of the bytes some. */
const breakingOff: FetchProvider = async request => {
  if (request.recipe) return giving(request, undefined as never, undefined as never);
  const [blob] = request.blobs as [BlobId];
  const content = pieces(request.ranges ?? []);
  return {
    kind: 'blobs',
    parts: only({ blob, bytes: content.length, content: thenGone(content.subarray(0, 5 * MiB)) }),
  };
};

/** No recipe, and as answer to an ask for the whole blob this. */
const withoutRecipe =
  (whole: (blob: BlobId) => FetchedBlob): FetchProvider =>
  async ({ blobs, recipe }) =>
    recipe ? { kind: 'recipe', pages: thenGone() } : { kind: 'blobs', parts: only(whole(blobs[0] as BlobId)) };

test('what came of a file stays while peers have nothing of it, and makes room once one gives it whole', async t => {
  const large = await aLargeFetch(t);
  large.provide = breakingOff;
  t.like(await large.fetch(), { is: 'fetch-failed', because: 'gone' });
  const cameBytes = large.partialBytes();
  t.true(cameBytes >= 4 * MiB);

  large.provide = withoutRecipe(blob => ({ blob, gone: true }));
  t.like(await large.fetch(), { is: 'fetch-failed', because: 'gone' });
  t.is(large.partialBytes(), cameBytes);
  large.provide = withoutRecipe(blob => ({ blob, bytes: CONTENT.length, content: thenGone() }));
  t.like(await large.fetch(), { is: 'fetch-failed', because: 'gone' });
  t.is(large.partialBytes(), cameBytes, 'it was offered, and nothing of it came');

  const { usedBytes } = await large.store.usage();
  let usedMeanwhile = 0;
  large.provide = withoutRecipe(blob => ({
    blob,
    bytes: CONTENT.length,
    content: (async function* () {
      yield CONTENT.subarray(0, MiB);
      await until(() => large.partialBytes() === 0, 'the beginning makes room');
      usedMeanwhile = (await large.store.usage()).usedBytes;
      yield CONTENT.subarray(MiB);
    })(),
  }));
  t.is((await large.fetch()).is, 'fetched');
  t.true(usedMeanwhile < usedBytes - cameBytes + 2 * MiB);
  t.true(large.store.isPresent(large.parcel));
});

test('a record that its peer does not give is asked for elsewhere, and only what our own disk says is laid to that', async t => {
  const large = await aLargeFetch(t);
  large.provide = giving;
  const failing = (error: Error): ObjectReader => ({ get: () => Promise.reject(error) });
  const { get } = large.objects;
  large.objects = {
    from: () => failing(new ClusterError('STREAM_BROKEN', 'not in time', { blame: 'passing' })),
    get: async () => undefined,
  };
  t.like(await large.fetch(), { is: 'fetch-failed', because: 'unreachable' });
  large.objects.get = get;

  const { store } = large;
  const commit = store.commit.bind(store);
  for (const [error, because] of [
    [Object.assign(new Error('of a disk'), { code: 'EIO' }), 'disk'],
    [Object.assign(new Error('of a disk'), { code: 'DISK_HANGS' }), 'disk'],
    [new ClusterError('STORE_MISSING', 'of a store', { blame: 'passing' }), 'disk'],
    [new ClusterError('INDEX_REFUSED', 'of the state disk', { blame: 'operator' }), 'disk'],
    [new Error('a bug'), 'unreachable'],
  ] as const) {
    store.commit = () => Promise.reject(error);
    t.like(await large.fetch(), { is: 'fetch-failed', because });
  }
  store.commit = commit;
  t.is((await large.fetch()).is, 'fetched');
});

test('of a version that was too short to have a recipe of its own nothing comes again', async t => {
  const large = await aLargeFetch(t);
  const { store, older } = large;
  const incoming = await store.receive(older.ref);
  await incoming.write(CONTENT.subarray(0, OLDER_BYTES));
  await incoming.finish();
  await store.commit(older.parcel, older.record);
  large.family = [older.parcel];
  let askedBytes = 0;
  large.provide = async (request, ...rest) => {
    if (!request.recipe) askedBytes += pieces(request.ranges ?? []).length;
    if (!request.recipe) return giving(request, ...rest);
    return { kind: 'recipe', pages: request.ranges === undefined ? large.recipe() : thenGone() };
  };
  t.is((await large.fetch()).is, 'fetched');
  t.true(askedBytes < 4 * MiB, `${askedBytes} bytes were asked for`);
  t.not(store.recipe(older.ref), undefined);
});

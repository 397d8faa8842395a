/** Fetcher: what the machine hears of a fetch while it goes on. */
import test from 'ava';
import { pino } from 'pino';
import { walkParcels } from '../../src/catalog/walk.js';
import { type BlobId, parseHostId } from '../../src/core/ids.js';
import type { ParcelRef } from '../../src/core/parcel.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { Fetcher } from '../../src/daemon/fetcher.js';
import { LiveParcels } from '../../src/daemon/live-parcels.js';
import { serveFetch } from '../../src/net/fetch-protocol.js';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';
import { type Host, House, until } from '../net/fleet.js';

test('a parcel of small files tells of its progress, so that its claim holds', async t => {
  const source = new ScratchSource(t);
  source.write(
    Object.fromEntries(Array.from({ length: 600 }, (_, n) => [`photo-${n}.jpg`, Buffer.alloc(60_000, `${n} `)])),
  );
  await source.take();
  let largest: ParcelRef | undefined;
  for await (const ref of walkParcels(source.objects, source.last as never))
    if (ref.bytes > (largest?.bytes ?? 0)) largest = ref;
  const { id: parcel, bytes } = largest as ParcelRef;
  t.true(bytes > 4 * 1024 * 1024, 'more than is told of at once');

  const [a, b] = (await new House(t).clique(2)) as [Host, Host];
  const live = new LiveParcels({
    catalog: source.objects,
    cache: source.cache,
    ownSource: () => ({ source: aSource, path: source.root }),
    onTorn: () => t.fail(),
  });
  await serveFetch(
    b.net,
    async ({ blobs }) => ({
      kind: 'blobs',
      parts: (async function* () {
        const found = (await live.find(parcel)) as NonNullable<Awaited<ReturnType<LiveParcels['find']>>>;
        const contents = await live.readSmall(found, blobs);
        for (const [n, blob] of blobs.entries())
          yield { pack: [{ blob: blob as BlobId, content: contents[n] as Uint8Array }] };
      })(),
    }),
    () => false,
  );
  const told: Unstamped[] = [];
  let fails = false;
  let ends = 0;
  const end = async () => {
    ends += 1;
  };
  const store = {
    expect: async (_parcel: unknown, missing: readonly object[]) => ({ missing, end }),
    receiveSmall: async () => [],
    commit: async () => {
      if (fails) throw new Error('EIO');
    },
  };
  const fetcher = new Fetcher({
    net: a.net,
    stores: {
      mounted: () => store,
      makeRoom: async () => undefined,
      usedBytes: async () => bytes,
      tellOps: async (_store: unknown, told_: (segment: object) => Unstamped) => void told.push(told_({})),
    },
    objects: { from: () => source.objects, get: source.objects.get },
    roster: { peerOf: () => b.net.peer },
    fits: () => true,
    family: () => [],
    recipes: {},
    tell: (input: Unstamped) => void told.push(input),
    log: pino({ level: 'silent' }),
  } as unknown as ConstructorParameters<typeof Fetcher>[0]);
  t.teardown(() => fetcher.stop());
  const from = parseHostId('1'.repeat(32));
  const effect = { do: 'fetch', parcel, store: '2'.repeat(32) as never, from, purpose: 'grab' } as const;
  fetcher.start({ ...effect, fetch: 1 });
  await until(() => told.some(({ is }) => is !== 'fetch-progress'), 'the end of the fetch');
  t.deepEqual([...new Set(told.map(({ is }) => is))], ['fetch-progress', 'fetched']);
  t.is(ends, 1);
  fails = true;
  fetcher.start({ ...effect, fetch: 2 });
  await until(() => told.some(({ is }) => is === 'fetch-failed'), 'the failure of the next');
  t.is(ends, 2, 'the store expects it no longer');
});

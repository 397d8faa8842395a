/** Fetcher: what the machine hears of a fetch while it goes on, and what its store keeps for it meanwhile. */

import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { recordBlobs } from '../../src/catalog/record.js';
import { walkParcels } from '../../src/catalog/walk.js';
import { type BlobId, type HostId, type ParcelId, parseHostId, type StoreId } from '../../src/core/ids.js';
import type { BlobRef, ParcelRef } from '../../src/core/parcel.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { Fetcher } from '../../src/daemon/fetcher.js';
import { LiveParcels } from '../../src/daemon/live-parcels.js';
import { measure } from '../../src/daemon/measure.js';
import { Roster } from '../../src/daemon/roster.js';
import { serveFetch } from '../../src/net/fetch-protocol.js';
import type { Store } from '../../src/store/store.js';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';
import { NONCE } from '../helpers/test-parcels.js';
import { type Host, House, until } from '../net/fleet.js';
import { SILENT, TestHost } from '../store/real-store.js';

interface Fetch {
  readonly roomBytes?: number;
  readonly giver?: HostId;
  readonly into?: StoreId;
}

/** A parcel of many small files, whose origin does something before it gives each, and a fetcher of it. */
async function aFetch(
  t: ExecutionContext,
  {
    store,
    before,
    files = 600,
    asPacks = true,
    give = content => content,
    others = () => [],
  }: {
    readonly store: object;
    readonly before: () => Promise<void>;
    readonly files?: number;
    /** Else each blob by itself. */
    readonly asPacks?: boolean;
    /** In place of what a file has; undefined: it is gone. */
    readonly give?: (content: Uint8Array) => Uint8Array | undefined;
    /** The other stores of the host that fetches. */
    readonly others?: () => readonly object[];
  },
) {
  const source = new ScratchSource(t);
  source.write(
    Object.fromEntries(Array.from({ length: files }, (_, n) => [`photo-${n}.jpg`, Buffer.alloc(60_000, `${n} `)])),
  );
  await source.take();
  let largest: ParcelRef | undefined;
  for await (const ref of walkParcels(source.objects, source.last as never))
    if (ref.bytes > (largest?.bytes ?? 0)) largest = ref;
  const { id: parcel, bytes } = largest as ParcelRef;

  const [a, b] = (await new House(t).clique(2)) as [Host, Host];
  const live = new LiveParcels({
    catalog: source.objects,
    cache: source.cache,
    ownSource: () => ({ source: aSource, path: source.root }),
    renamed: () => undefined,
    onTorn: () => t.fail(),
  });
  const doubts: boolean[] = [];
  await serveFetch(
    b.net,
    async ({ blobs, doubted = false }) => ({
      kind: 'blobs',
      parts: (async function* () {
        doubts.push(doubted);
        const found = (await live.find(parcel)) as NonNullable<Awaited<ReturnType<LiveParcels['find']>>>;
        const contents = await live.readSmall(found, blobs);
        for (const [n, blob] of blobs.entries()) {
          await before();
          const content = give(contents[n] as Uint8Array);
          if (content === undefined) yield { blob: blob as BlobId, gone: true } as const;
          else if (asPacks) yield { pack: [{ blob: blob as BlobId, content }] };
          else yield { blob: blob as BlobId, bytes: content.length, content: piecesOf(content) };
        }
      })(),
    }),
    () => false,
  );
  const told: Unstamped[] = [];
  const doubted: object[] = [];
  const self = parseHostId('3'.repeat(32));
  const from = parseHostId('1'.repeat(32));
  const roster = new Roster({ self, publicKeyOf: () => new Uint8Array(32) });
  const member = { name: 'm', domain: 'd', state: 'active', trust: 'trusted', roaming: false } as const;
  roster.update([
    { ...member, host: self, peer: a.net.peer },
    { ...member, host: from, peer: b.net.peer },
  ]);
  const fetcher = new Fetcher({
    net: a.net,
    stores: {
      mounted: (id: string) => [store, ...others()].find(each => (each as { id?: string }).id === id) ?? store,
      answering: others,
      makeRoom: async () => undefined,
      usedBytes: async () => bytes,
      tellOps: async (_store: unknown, told_: (segment: object) => Unstamped) => void told.push(told_({})),
    },
    objects: { from: () => source.objects, get: (id: ParcelId) => source.objects.get(id) },
    roster,
    doubt: (blob: object) => void doubted.push(blob),
    fits: () => true,
    family: () => [],
    recipes: {},
    tell: (input: Unstamped) => void told.push(input),
    log: pino({ level: 'silent' }),
  } as unknown as ConstructorParameters<typeof Fetcher>[0]);
  t.teardown(() => fetcher.stop());
  const start = (n: number, roomBytes = bytes, { giver = from, into = '2'.repeat(32) } = {}): void =>
    fetcher.start({
      do: 'fetch',
      fetch: n,
      parcel,
      store: into as never,
      from: giver,
      purpose: 'grab',
      roomBytes,
    });
  /** What the machine is told, until the fetch has ended. */
  const fetch = async ({ roomBytes = bytes, ...more }: Fetch = {}): Promise<Unstamped[]> => {
    told.length = 0;
    start(1, roomBytes, more);
    await until(() => told.some(({ is }) => is !== 'fetch-progress'), 'the end of the fetch');
    return told;
  };
  return { parcel, bytes, self, source, fetcher, told, start, fetch, doubts, doubted };
}

async function* piecesOf(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}

test('a parcel of small files tells of its progress, so that its claim holds', async t => {
  let fails = false;
  let ends = 0;
  const end = async () => {
    ends += 1;
  };
  const store = {
    expect: async (_parcel: unknown, missing: readonly object[]) => ({ missing, end }),
    partialBytes: () => 0,
    receiveSmall: async () => [],
    commit: async () => {
      if (fails) throw new Error('EIO');
    },
  };
  const { fetch, bytes } = await aFetch(t, { store, before: async () => {} });
  t.true(bytes > 4 * 1024 * 1024, 'more than is told of at once');
  t.deepEqual([...new Set((await fetch()).map(({ is }) => is))], ['fetch-progress', 'fetched']);
  t.is(ends, 1);
  fails = true;
  t.is((await fetch()).at(-1)?.is, 'fetch-failed');
  t.is(ends, 2, 'the store expects it no longer');
});

test('where more is to be written than room is kept for, nothing is, and the machine hears of it', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount({ blobsOf: recordBlobs });
  const { parcel, bytes, fetch } = await aFetch(t, { store, before: async () => {} });
  const { usedBytes } = await store.usage();
  t.like((await fetch({ roomBytes: bytes - 1 })).at(-1), { is: 'fetch-failed', because: 'outgrown' });
  t.is((await store.usage()).usedBytes, usedBytes);
  t.is((await fetch({ roomBytes: bytes })).at(-1)?.is, 'fetched');
  t.true(store.isPresent(parcel));
});

test('whoever gave wrong bytes is told so when it is asked the next time, until it gives the right ones or none', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount({ blobsOf: recordBlobs });
  let gives: 'wrong' | 'none' | 'right' = 'wrong';
  const { fetch, doubts } = await aFetch(t, {
    store,
    before: async () => {},
    files: 3,
    give: content => (gives === 'right' ? content : gives === 'none' ? undefined : Buffer.alloc(content.length)),
  });
  const outcome = async (): Promise<unknown> => {
    const last = (await fetch()).at(-1);
    return last?.is === 'fetch-failed' ? last.because : last?.is;
  };
  t.is(await outcome(), 'bad-bytes');
  t.is(await outcome(), 'bad-bytes');
  gives = 'none';
  t.is(await outcome(), 'gone');
  gives = 'wrong';
  t.is(await outcome(), 'bad-bytes');
  gives = 'right';
  t.is(await outcome(), 'fetched');
  t.deepEqual(doubts, [false, true, true, false, true]);
});

test('what has come of a parcel is there at its end, however old it is by then', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount({ blobsOf: recordBlobs });
  let sweeps = 0;
  const before = async () => {
    sweeps += 1;
    if (sweeps % 50 === 0) await store.sweepIncoming(Number.MAX_SAFE_INTEGER);
  };
  const { parcel, fetch } = await aFetch(t, { store, before });
  t.is((await fetch()).at(-1)?.is, 'fetched');
  t.true(store.isPresent(parcel));
});

test('a fetch that is given up while its store hangs lets go of the stream, which others share', async t => {
  let answer = (): void => {};
  const answered = new Promise<void>(resolve => {
    answer = resolve;
  });
  let received = 0;
  let left = 0;
  const incoming = {
    write: async () => undefined,
    finish: async () => undefined,
    abort: async () => {
      left += 1;
    },
  };
  const store = {
    expect: async (_parcel: unknown, missing: readonly object[]) => ({ missing, end: async () => undefined }),
    partialBytes: () => 0,
    receive: async () => {
      received += 1;
      if (received === 1) await answered;
      return incoming;
    },
    commit: async () => undefined,
  };
  const { fetcher, told, start } = await aFetch(t, { store, before: async () => {}, files: 50, asPacks: false });
  const endOf = (n: number) =>
    told.find(input => (input.is === 'fetched' || input.is === 'fetch-failed') && input.fetch === n);
  start(1);
  await until(() => received === 1, 'the store hangs');
  fetcher.cancel(1);
  start(2);
  await until(() => endOf(2) !== undefined, 'the end of the other');
  t.is(endOf(2)?.is, 'fetched');
  t.is(endOf(1), undefined);
  answer();
  await until(() => endOf(1) !== undefined, 'its end');
  t.like(endOf(1), { is: 'fetch-failed', because: 'cancelled' });
  t.is(left, 1, 'what it received half is let go of');
});

/** A host with two stores, the first of which has the parcel. */
async function twoStores(t: ExecutionContext) {
  const hosts = [await TestHost.begin(t), await TestHost.begin(t)] as const;
  const [giver, store] = (await Promise.all(hosts.map(host => host.mount({ blobsOf: recordBlobs })))) as [Store, Store];
  let asked = 0;
  const before = async () => {
    asked += 1;
  };
  const made = await aFetch(t, { store, others: () => [giver, store], before, files: 20 });
  t.is((await made.fetch({ into: giver.id })).at(-1)?.is, 'fetched');
  asked = 0;
  const record = (await made.source.objects.get(made.parcel)) as Uint8Array;
  const [first] = recordBlobs(record) as [BlobRef];
  const pathIn = (path: string): string => `${path}/.blobs/${first.blob.slice(0, 2)}/${first.blob}`;
  return { ...made, store, giver, first, inGiver: pathIn(giver.path), asked: () => asked };
}

test('what another store of the host has is copied from there, durably and checked, and no peer is asked', async t => {
  const { parcel, bytes, self, store, giver, fetch, asked } = await twoStores(t);
  t.like((await fetch({ giver: self, into: store.id })).at(-1), { is: 'fetched', receivedBytes: 0 });
  t.is(asked(), 0);
  t.true(store.isPresent(parcel));
  t.true(giver.isPresent(parcel));
  const ask = { nonce: NONCE, holders: [] };
  t.is((await store.possess(parcel, ask)).kind, 'whole');
  t.true(bytes > 0);
});

test('a file that the other store has with other bytes is not copied; the copy is looked at, and the rest is kept for a fetch from elsewhere', async t => {
  const { parcel, self, store, giver, first, inGiver, fetch, doubted, asked } = await twoStores(t);
  chmodSync(inGiver, 0o600);
  writeFileSync(inGiver, Buffer.alloc(first.bytes));
  t.like((await fetch({ giver: self, into: store.id })).at(-1), { is: 'fetch-failed', because: 'gone' });
  t.false(store.isPresent(parcel));
  t.deepEqual(doubted, [{ blob: first.blob, store: giver.id, likely: [parcel] }]);
  t.is(asked(), 0);
  t.like((await fetch({ into: store.id })).at(-1), { is: 'fetched', receivedBytes: first.bytes });
  t.true(store.isPresent(parcel));
});

test('a file that the other store cannot read is had from the peer that is asked for the parcel, and nothing else is', async t => {
  const { parcel, store, giver, first, inGiver, fetch, doubted } = await twoStores(t);
  rmSync(inGiver);
  t.like((await fetch({ into: store.id })).at(-1), { is: 'fetched', receivedBytes: first.bytes });
  t.true(store.isPresent(parcel));
  t.deepEqual(doubted, [{ blob: first.blob, store: giver.id, likely: [parcel] }]);
});

test('how much a store lacks is measured, and whether the other stores have it', async t => {
  const { parcel, bytes, source, store, giver, fetch } = await twoStores(t);
  const told: Unstamped[] = [];
  const of = (id: StoreId, answering: readonly Store[]) =>
    measure(
      { do: 'measure', parcel, store: id },
      {
        stores: {
          mounted: asked => [giver, store].find(each => each.id === asked),
          answering: () => answering.values(),
        },
        objects: source.objects,
        tell: input => void told.push(input),
        log: SILENT,
      },
    );
  await of(store.id, [giver, store]);
  await of(store.id, [store]);
  await of(giver.id, [giver]);
  await fetch({ into: store.id });
  await of(store.id, []);
  const measured = { is: 'measured', parcel } as const;
  t.deepEqual(told, [
    { ...measured, store: store.id, missingBytes: bytes, atHand: true },
    { ...measured, store: store.id, missingBytes: bytes, atHand: false },
    { ...measured, store: giver.id, missingBytes: 0, atHand: true },
    { ...measured, store: store.id, missingBytes: 0, atHand: true },
  ]);
});

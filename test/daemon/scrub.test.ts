import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { decodeHead, encodeHead, type Head } from '../../src/catalog/head.js';
import { encodePage } from '../../src/catalog/page.js';
import { encodeSnapshot } from '../../src/catalog/snapshot.js';
import { hashHex } from '../../src/core/hash.js';
import { type ObjectId, parseKey, parseNonce, parseParcelId, type SourceId, sourceIdOf } from '../../src/core/ids.js';
import { type ScrubOptions, scrub } from '../../src/daemon/scrub.js';
import type { ScrubReport } from '../../src/daemon/service.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import type { Store } from '../../src/store/store.js';
import { HOST, TestHost } from '../store/real-store.js';

const source = sourceIdOf(HOST, 'photos');
const signer = signerFromSeed(generateKeyPair().seed);

/** A store with a head that lists two snapshots of two pages each, one of them shared. */
async function aStore(t: ExecutionContext) {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  const pages: ObjectId[] = [];
  for (const n of [1, 2, 3]) {
    const id = parseParcelId(hashHex(Buffer.of(n)));
    pages.push(await store.objects.put(encodePage([{ id, key: parseKey(id.slice(0, 32)), bytes: 1 }])));
  }
  const counts = { holdDays: 1, stale: 0, missed: 0, files: 1, bytes: 1, device: 1n, recutOf: undefined };
  const listed: Head['snapshots'][number][] = [];
  for (const at of [0, 1]) {
    const snapshot = encodeSnapshot({ source, ...counts, timeMs: at, pages: pages.slice(at, at + 2) }, signer);
    listed.push({ id: await store.objects.put(snapshot), timeMs: at, complete: true, firstSeq: 1 });
  }
  await store.objects.flush();
  await store.putHead(source, encodeHead({ source, seq: 1, previous: undefined, snapshots: listed }, signer));
  const pathOf = (id: ObjectId) => join(host.storePath, '.catalog/objects', id.slice(0, 2), id);
  return { host, store, pages, snapshots: listed.map(({ id }) => id), pathOf };
}

async function scrubbed(store: Store, headFrom: (sealed: Uint8Array) => Head | undefined = decodeHead) {
  const renewed: SourceId[] = [];
  let damaged = 0;
  const options = {
    ...optionsOf([store], headFrom),
    renewHead: async (_: Store, of: SourceId) => void renewed.push(of),
  };
  for await (const report of scrub(options, new AbortController().signal)) damaged = report.catalog;
  return { damaged, renewed };
}

const optionsOf = (
  stores: readonly Store[],
  headFrom: (sealed: Uint8Array) => Head | undefined = decodeHead,
): ScrubOptions => ({
  stores: () => stores,
  absentStores: () => [],
  reader: { possess: async () => new Map() },
  bytesOf: () => 0,
  nonce: () => parseNonce('0f'.repeat(16)),
  headFrom: (_, sealed) => sealed && headFrom(sealed),
  renewHead: async () => undefined,
  onCatalogUnread: () => undefined,
});

test('a catalog that is as it should be is read, and nothing is put there again', async t => {
  const { store } = await aStore(t);
  t.deepEqual(await scrubbed(store), { damaged: 0, renewed: [] });
});

for (const what of ['pages', 'snapshots'] as const) {
  test(`damaged ${what} are counted, and the head is put there again`, async t => {
    const { store, pathOf, ...objects } = await aStore(t);
    for (const id of objects[what].slice(0, 2)) await writeFile(pathOf(id), 'spoilt');
    t.deepEqual(await scrubbed(store), { damaged: 2, renewed: [source] });
    t.false(await store.objects.has(objects[what][0] as ObjectId), 'so that it is written anew');
  });
}

test('so is a head that its origin has not signed', async t => {
  const { store } = await aStore(t);
  t.deepEqual(await scrubbed(store, () => undefined), { damaged: 1, renewed: [source] });
});

const PARCELS = [1, 2, 3].map(n => parseParcelId(hashHex(Buffer.of(n))));

/** Holds some parcels, and reads its heads when it is told to. */
function aHolder(id: string, heads: Promise<readonly SourceId[]>): Store {
  const parts = { id, present: () => PARCELS, isPresent: () => true, heads: () => heads };
  return parts as unknown as Store;
}

test('a store that hangs keeps no other from its verdict; of what it holds nothing is known', async t => {
  let giveUp = (_: Error): void => {};
  const hanging = aHolder(
    'hanging',
    new Promise((_, reject) => {
      giveUp = reject;
    }),
  );
  const other = aHolder('other', Promise.resolve([]));
  const mounted = [hanging, other];
  const reports = scrub(optionsOf(mounted), new AbortController().signal);
  let last: ScrubReport | undefined;
  for (let done = 0; done < PARCELS.length; done = last?.parcels ?? 0) last = (await reports.next()).value;
  t.like(last, { parcels: 3, ofParcels: 6, unread: 0, unreadCatalogs: 0 });
  mounted.shift();
  giveUp(new Error('its disk does not answer'));
  for await (const report of reports) last = report;
  t.like(last, { parcels: 6, corrupt: 0, unread: 3, catalog: 0, unreadCatalogs: 1 });
});

test('a catalog that can be read only so far has what was found counted, and it is told why', async t => {
  const parts = {
    id: 'half read',
    present: () => [],
    heads: async () => [source, source],
    head: async () => undefined,
  };
  const told: unknown[] = [];
  let asked = 0;
  const options: ScrubOptions = {
    ...optionsOf([parts as unknown as Store]),
    headFrom: () => {
      asked += 1;
      if (asked === 2) throw new Error('a bad sector');
      return undefined;
    },
    onCatalogUnread: ({ id }, error) => void told.push([id, (error as Error).message]),
  };
  let last: ScrubReport | undefined;
  for await (const report of scrub(options, new AbortController().signal)) last = report;
  t.like(last, { catalog: 1, unreadCatalogs: 1 });
  t.deepEqual(told, [['half read', 'a bad sector']]);
});

test('a store that is configured and not there is in the verdict', async t => {
  const absent = [{ path: '/srv/hoard', because: 'it has no marker' }];
  let last: ScrubReport | undefined;
  for await (const report of scrub({ ...optionsOf([]), absentStores: () => absent }, new AbortController().signal))
    last = report;
  t.like(last, { stores: 0, absentStores: absent });
});

test('a scrub that is called off says so, however many stores are at it', async t => {
  const ended = new AbortController();
  const reports = scrub(optionsOf(['a', 'b'].map(id => aHolder(id, Promise.resolve([])))), ended.signal);
  await reports.next();
  ended.abort(new Error('called off'));
  await t.throwsAsync(
    async () => {
      for await (const _ of reports);
    },
    { message: 'called off' },
  );
});

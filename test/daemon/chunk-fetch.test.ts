/** Chunk fetch: between real nets, from live files and from a holder's store: how many bytes come, and what stays when it breaks off. */
import {
  closeSync,
  openSync,
  readdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Stream } from '@libp2p/interface';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { recordBlobs } from '../../src/catalog/record.js';
import { findEntry } from '../../src/catalog/walk.js';
import type { ByteRange } from '../../src/core/byte-range.js';
import { hash } from '../../src/core/hash.js';
import type { BlobId, ParcelId } from '../../src/core/ids.js';
import type { BlobRef } from '../../src/core/parcel.js';
import { packChunks } from '../../src/core/recipe.js';
import { fetchByChunks } from '../../src/daemon/chunk-fetch.js';
import { FetchServer } from '../../src/daemon/fetch-server.js';
import { LiveParcels } from '../../src/daemon/live-parcels.js';
import { BlobsGone, PeerBusy } from '../../src/daemon/peer-answers.js';
import { Recipes } from '../../src/daemon/recipes.js';
import { askFetch, type FetchPart, type FetchProvider, serveFetch } from '../../src/net/fetch-protocol.js';
import { askRecipe } from '../../src/net/fetch-recipe.js';
import type { Store } from '../../src/store/store.js';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { contentOf } from '../helpers/test-parcels.js';
import { until } from '../helpers/until.js';
import { connect, type Host, House } from '../net/fleet.js';
import { SILENT, TestHost } from '../store/real-store.js';

const MiB = 1024 * 1024;
const CONTENT = seededBytes(24 * MiB, 21);
/** A little is changed in two places, and something inserted in a third. */
const CHANGED = Buffer.concat([
  CONTENT.subarray(0, 3 * MiB),
  seededBytes(1000, 1),
  CONTENT.subarray(3 * MiB + 1000, 11 * MiB),
  seededBytes(70_000, 2),
  CONTENT.subarray(11 * MiB, 20 * MiB),
  seededBytes(5, 3),
  CONTENT.subarray(20 * MiB + 5),
]);
/** 71 kB in three places, each with a piece or two before and behind it. */
const CHANGED_BYTES_MAX = 300_000;

interface Held {
  readonly parcel: ParcelId;
  readonly record: Uint8Array;
  readonly blob: BlobRef & { readonly blob: BlobId };
}

class Cluster {
  readonly house: House;
  readonly source: ScratchSource;
  readonly recipes = new Recipes({ log: pino({ level: 'silent' }) });
  readonly #t: ExecutionContext;
  readonly torn: string[] = [];
  /** That the servers know of. One is wanted. */
  copies = 0;
  origin!: Host;
  receiver!: Host;
  disk!: TestHost;

  private constructor(t: ExecutionContext) {
    this.#t = t;
    this.house = new House(t);
    this.source = new ScratchSource(t);
    t.teardown(() => this.recipes.stop());
  }

  static async begin(t: ExecutionContext): Promise<Cluster> {
    const cluster = new Cluster(t);
    cluster.origin = await cluster.house.host();
    cluster.receiver = await cluster.house.host();
    await connect(cluster.receiver.net, cluster.origin.net);
    await cluster.serve(cluster.origin, []);
    cluster.disk = await TestHost.begin(t);
    await cluster.disk.mount({ blobsOf: recordBlobs });
    return cluster;
  }

  get store(): Store {
    return this.disk.store as Store;
  }

  /** A server of these stores and, on the origin, of the live files. */
  async serve(host: Host, stores: readonly Store[]): Promise<void> {
    const live = new LiveParcels({
      catalog: this.source.objects,
      cache: this.source.cache,
      ownSource: () => (host === this.origin ? { source: aSource, path: this.source.root } : undefined),
      renamed: () => undefined,
      onTorn: ({ path }) => void this.torn.push(path.toString()),
    });
    await new FetchServer({
      net: host.net,
      known: { wantedCopies: () => 1, copies: () => this.copies, holders: () => [] },
      stores: { stores: () => stores },
      roster: { isTrusted: () => true, hostOf: () => undefined },
      live,
      recipes: this.recipes,
      doubted: { look: () => undefined },
      pausing: { isPaused: false },
      clock: { nowMs: () => performance.now(), wallMs: () => Date.now() },
      log: SILENT,
    } as unknown as ConstructorParameters<typeof FetchServer>[0]).serve();
  }

  async backUp(name: string, content: Uint8Array): Promise<Held> {
    this.source.write({ [name]: content });
    this.source.setTime(name, 1_700_000_000);
    await this.source.take();
    const found = await findEntry(this.source.objects, this.source.last as never, Buffer.from(name));
    const parcel = found?.parcel as ParcelId;
    const record = (await this.source.objects.get(parcel)) as Uint8Array;
    const [blob] = recordBlobs(record);
    return { parcel, record, blob: blob as Held['blob'] };
  }

  /** As the fetcher does it, and how many bytes came. */
  async fetch(
    { parcel, blob }: Held,
    {
      from = this.origin,
      signal = new AbortController().signal,
      onReceived = () => {},
      onFound = () => {},
    }: {
      from?: Host;
      signal?: AbortSignal;
      onReceived?: (bytes: number) => void;
      onFound?: (bytes: number) => void;
    } = {},
  ) {
    let cameBytes = 0;
    const fetched = await fetchByChunks(
      {
        net: this.receiver.net,
        peer: from.net.peer,
        store: this.store,
        recipes: this.recipes,
        parcel,
        blob,
        purpose: 'grab',
        doubted: false,
        onReceived: bytes => {
          cameBytes += bytes;
          onReceived(cameBytes);
        },
        onFound,
      },
      signal,
    );
    return { fetched, cameBytes };
  }

  async hold(held: Held, from?: Host): Promise<number> {
    const { fetched, cameBytes } = await this.fetch(held, from === undefined ? {} : { from });
    await this.store.commit(held.parcel, held.record);
    if (fetched.is === 'here' && fetched.recipe !== undefined) await this.store.keepRecipe(held.blob, fetched.recipe);
    return cameBytes;
  }

  /** Breaks off once so many bytes have come. */
  async breakOff(held: Held, afterBytes: number): Promise<void> {
    const abort = new AbortController();
    const onReceived = (bytes: number): void => {
      if (bytes >= afterBytes) abort.abort(new Error('broken off'));
    };
    await this.#t.throwsAsync(this.fetch(held, { signal: abort.signal, onReceived }), { message: 'broken off' });
  }

  /** What lies there of a blob that is being put together. */
  partialBytes(): number {
    const folder = join(this.disk.storePath, '.incoming');
    return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  }

  async isHeld({ blob }: Held, content: Buffer): Promise<boolean> {
    return (await contentOf(this.store, blob.blob))?.equals(content) === true;
  }
}

test.serial('a new file comes whole, and of its next version only what changed', async t => {
  const cluster = await Cluster.begin(t);
  const first = await cluster.backUp('film', CONTENT);
  t.is(await cluster.hold(first), CONTENT.length);
  t.true(await cluster.isHeld(first, CONTENT));
  const second = await cluster.backUp('film', CHANGED);
  const cameBytes = await cluster.hold(second);
  t.true(await cluster.isHeld(second, CHANGED));
  t.true(cameBytes > 70_000 && cameBytes < CHANGED_BYTES_MAX, `${cameBytes} bytes came`);
  t.is(cluster.partialBytes(), 0);
});

test.serial('what another file has is not fetched either, and a holder serves as well as the origin', async t => {
  const cluster = await Cluster.begin(t);
  const first = await cluster.backUp('film', CONTENT);
  await cluster.hold(first);
  const both = Buffer.concat([seededBytes(5 * MiB, 5), CONTENT, seededBytes(5 * MiB, 6)]);
  const second = await cluster.backUp('other', both);
  const cameBytes = await cluster.hold(second);
  t.true(cameBytes < both.length - CONTENT.length + 8 * MiB, `${cameBytes} bytes came`);
  t.true(await cluster.isHeld(second, both));

  // Another host now, from this one.
  const holder = await cluster.house.host();
  await connect(cluster.receiver.net, holder.net);
  await cluster.serve(holder, [cluster.store]);
  cluster.disk = await TestHost.begin(t);
  await cluster.disk.mount({ blobsOf: recordBlobs });
  t.is(await cluster.hold(first, holder), CONTENT.length);
  t.is(await cluster.hold(second, holder), cameBytes);
  t.true(await cluster.isHeld(second, both));
});

test.serial('what repeats within one file comes once, also behind a beginning that was left', async t => {
  const cluster = await Cluster.begin(t);
  const block = seededBytes(12 * MiB, 31);
  const content = Buffer.concat([Buffer.alloc(16 * MiB), block, seededBytes(1000, 33), block]);
  const held = await cluster.backUp('image', content);
  const cameBytes = await cluster.hold(held);
  t.true(await cluster.isHeld(held, content));
  t.true(cameBytes < 4 * MiB + block.length + 8 * MiB, `${cameBytes} bytes came`);

  const longer = Buffer.concat([seededBytes(9 * MiB, 35), seededBytes(9 * MiB, 35), seededBytes(9 * MiB, 35)]);
  const next = await cluster.backUp('other', longer);
  await cluster.breakOff(next, 8 * MiB);
  const restBytes = await cluster.hold(next);
  t.true(await cluster.isHeld(next, longer));
  t.true(restBytes < 10 * MiB, `${restBytes} bytes came`);
});

test.serial('a fetch that broke off is gone on with, after a restart and from whoever has it', async t => {
  const cluster = await Cluster.begin(t);
  const held = await cluster.backUp('film', CONTENT);
  await cluster.breakOff(held, 12 * MiB);
  const first = cluster.partialBytes();
  t.true(first > 4 * MiB && first <= 13 * MiB, `${first} bytes are kept`);
  await cluster.breakOff(held, 7 * MiB);
  const second = cluster.partialBytes();
  t.true(second > first + 2 * MiB, `${second} bytes are kept`);
  await cluster.disk.restart(async () => {}, { blobsOf: recordBlobs });
  const { cameBytes } = await cluster.fetch(held);
  t.is(cameBytes, CONTENT.length - second);
  await cluster.store.commit(held.parcel, held.record);
  t.true(await cluster.isHeld(held, CONTENT));
});

test.serial('a fetch that fails here leaves no stream behind, and its peer serves it no longer', async t => {
  const cluster = await Cluster.begin(t);
  const film = await cluster.backUp('film', CONTENT);
  const streams: Stream[] = [];
  const open = cluster.receiver.net.open.bind(cluster.receiver.net);
  cluster.receiver.net.open = async (...asked) => {
    const stream = await open(...asked);
    streams.push(stream);
    return stream;
  };
  const assemble = cluster.store.assemble.bind(cluster.store);
  cluster.store.assemble = async (...asked) => {
    const assembly = await assemble(...asked);
    if (assembly !== undefined) assembly.append = () => Promise.reject(new Error('the disk is full'));
    return assembly;
  };
  await t.throwsAsync(cluster.fetch(film), { message: 'the disk is full' });
  t.true(streams.length >= 2, 'a recipe was asked for, and bytes');
  await until('every stream has ended', () => streams.every(({ status }) => status !== 'open'));
});

test.serial('of a beginning whose end is torn or wrong, only what is right is kept', async t => {
  const cluster = await Cluster.begin(t);
  const held = await cluster.backUp('film', CONTENT);
  await cluster.breakOff(held, 12 * MiB);
  const folder = join(cluster.disk.storePath, '.incoming');
  const path = join(folder, readdirSync(folder)[0] as string);
  await cluster.disk.restart(
    async () => {
      // As a power cut leaves it: long enough, and empty at its end.
      const { size } = statSync(path);
      truncateSync(path, size - 3 * MiB);
      truncateSync(path, size);
    },
    { blobsOf: recordBlobs },
  );
  const { cameBytes } = await cluster.fetch(held);
  t.true(cameBytes > CONTENT.length - 10 * MiB && cameBytes < CONTENT.length, `${cameBytes} bytes came`);
  await cluster.store.commit(held.parcel, held.record);
  t.true(await cluster.isHeld(held, CONTENT));
  t.is(cluster.partialBytes(), 0);
});

test.serial('a chunk that our own disk has lost comes over the wire, and the rest does not', async t => {
  const cluster = await Cluster.begin(t);
  const first = await cluster.backUp('film', CONTENT);
  await cluster.hold(first);
  const { blob } = first.blob;
  writeFileSync(join(cluster.disk.storePath, '.blobs', blob.slice(0, 2), blob), seededBytes(9, 1), { flag: 'r+' });
  const second = await cluster.backUp('film', CHANGED);
  const cameBytes = await cluster.hold(second);
  t.true(cameBytes < 4 * MiB + CHANGED_BYTES_MAX, `${cameBytes} bytes came`);
  t.true(await cluster.isHeld(second, CHANGED));
});

test.serial('an older version that is not what it was costs its chunk and no more', async t => {
  const cluster = await Cluster.begin(t);
  const first = await cluster.backUp('film', CONTENT);
  await cluster.hold(first);
  const second = await cluster.backUp('film', CHANGED);
  const { blob } = first.blob;
  const path = join(cluster.disk.storePath, '.blobs', blob.slice(0, 2), blob);
  // Cut into pieces as it was, and spoilt before they are taken.
  const cut = cluster.recipes.pieces.bind(cluster.recipes);
  cluster.recipes.pieces = async function* spoiling(place, ranges, signal) {
    yield* cut(place, ranges, signal);
    if (place.file.path.toString() !== path) return;
    for (const { offset, bytes } of ranges) {
      const file = openSync(path, 'r+');
      writeSync(file, seededBytes(bytes, 9), 0, bytes, offset);
      closeSync(file);
    }
  };
  const cameBytes = await cluster.hold(second);
  t.true(cameBytes > CHANGED_BYTES_MAX && cameBytes < 12 * MiB, `${cameBytes} bytes came`);
  t.true(await cluster.isHeld(second, CHANGED));
});

test.serial('two fetches of the same content at once move it once', async t => {
  const cluster = await Cluster.begin(t);
  const held = await cluster.backUp('film', CONTENT);
  const both = await Promise.all([cluster.fetch(held), cluster.fetch(held)]);
  t.deepEqual(
    both.map(({ cameBytes }) => cameBytes).sort((a, b) => a - b),
    [0, CONTENT.length],
  );
  await cluster.store.commit(held.parcel, held.record);
  t.true(await cluster.isHeld(held, CONTENT));
});

test.serial('a live file that changes while it is fetched is told of, and what came of it stays', async t => {
  const cluster = await Cluster.begin(t);
  const held = await cluster.backUp('film', CONTENT);
  let touched = false;
  const onReceived = (bytes: number): void => {
    if (bytes < 6 * MiB || touched) return;
    touched = true;
    utimesSync(cluster.source.path('film'), 1_700_000_001, 1_700_000_001);
  };
  const error = await t.throwsAsync(cluster.fetch(held, { onReceived }));
  t.true(error instanceof BlobsGone, String(error));
  t.deepEqual(cluster.torn, ['film']);
  t.true(cluster.partialBytes() > 0);
});

test.serial('who has begun to fetch is served to the end, and others are told to wait meanwhile', async t => {
  const cluster = await Cluster.begin(t);
  // More than one ask for ranges.
  const content = seededBytes(80 * MiB, 5);
  const held = await cluster.backUp('film', content);
  const other = await cluster.house.host();
  await connect(other.net, cluster.origin.net);
  let asked: Promise<unknown> | undefined;
  const onReceived = (): void => {
    const request = {
      parcel: held.parcel,
      blobs: [held.blob.blob],
      purpose: 'grab',
      ranges: [{ offset: 0, bytes: 9 }],
    } as const;
    asked ??= askFetch(other.net, cluster.origin.net.peer, request).next();
    cluster.copies = 1;
  };
  t.is((await cluster.fetch(held, { onReceived })).cameBytes, content.length);
  t.like(await asked, { value: { kind: 'busy' } });
});

test.serial('a range beyond the end of a blob is an offence', async t => {
  const cluster = await Cluster.begin(t);
  const { parcel, blob } = await cluster.backUp('film', CONTENT);
  const offences: unknown[] = [];
  cluster.origin.net.onOffence((_peer, error) => void offences.push(error.code));
  const ask = (offset: number) =>
    askFetch(cluster.receiver.net, cluster.origin.net.peer, {
      parcel,
      blobs: [blob.blob],
      purpose: 'restore',
      ranges: [{ offset, bytes: 10 }],
    });
  const parts: FetchPart[] = [];
  for await (const part of ask(blob.bytes - 10)) parts.push(part);
  t.deepEqual(parts.at(-1), { kind: 'data', data: CONTENT.subarray(-10) });
  await t.throwsAsync(ask(blob.bytes - 9).next(), { code: 'STREAM_BROKEN' });
  t.deepEqual(offences, ['MALFORMED_MESSAGE']);
  const beyond = [{ offset: blob.bytes - 9, bytes: 10 }];
  const pieces = askRecipe(cluster.receiver.net, cluster.origin.net.peer, {
    parcel,
    blob,
    purpose: 'restore',
    ranges: beyond,
  });
  await t.throwsAsync(pieces.next(), { code: 'STREAM_BROKEN' });
  t.is(offences.length, 2);
});

// ---- peers that are not as they should be

async function fromPeer(t: ExecutionContext, provide: FetchProvider) {
  const cluster = await Cluster.begin(t);
  const held = await cluster.backUp('film', CONTENT);
  const peer = await cluster.house.host();
  await connect(cluster.receiver.net, peer.net);
  await serveFetch(peer.net, provide, error => error instanceof BlobsGone);
  const fetching = (onFound = (_bytes: number) => {}) => cluster.fetch(held, { from: peer, onFound });
  return { cluster, peer, held, fetching };
}

async function* only<T>(item: T): AsyncGenerator<T> {
  yield item;
}

async function* failing(error: Error): AsyncGenerator<never> {
  yield* [];
  throw error;
}

/** Cut every MiB. */
const recipeOf = (content: Buffer): Uint8Array =>
  packChunks(
    Array.from({ length: content.length / MiB }, (_, n) => ({
      hash: hash(content.subarray(n * MiB, (n + 1) * MiB)),
      bytes: MiB,
    })),
  );

/** Gives this recipe, and these bytes for whatever is asked. */
const giving =
  (recipe: Uint8Array, content: Buffer): FetchProvider =>
  async ({ blobs, ranges = [], recipe: wantsRecipe }) => {
    if (wantsRecipe) return { kind: 'recipe', pages: only(recipe) };
    const pieces = Buffer.concat(ranges.map(({ offset, bytes }) => content.subarray(offset, offset + bytes)));
    return { kind: 'blobs', parts: only({ blob: blobs[0] as BlobId, bytes: pieces.length, content: only(pieces) }) };
  };

test.serial('a peer that cuts otherwise than we do serves as well', async t => {
  const { cluster, held, fetching } = await fromPeer(t, giving(recipeOf(CONTENT), CONTENT));
  t.is((await fetching()).cameBytes, CONTENT.length);
  await cluster.store.commit(held.parcel, held.record);
  t.true(await cluster.isHeld(held, CONTENT));
});

test.serial('while what came before is looked through, that is told of, and the peer keeps the place', async t => {
  const give = giving(recipeOf(CONTENT), CONTENT);
  const asked: ByteRange[] = [];
  const { cluster, held, fetching } = await fromPeer(t, (request, ...rest) => {
    asked.push(...(request.ranges ?? []));
    return give(request, ...rest);
  });
  await cluster.breakOff(held, 20 * MiB);
  const { store } = cluster;
  const assemble = store.assemble.bind(store);
  store.assemble = async (...begun) => {
    const assembly = await assemble(...begun);
    const keep = assembly?.keep.bind(assembly);
    if (assembly !== undefined)
      assembly.keep = async chunk => {
        await new Promise(resolve => setTimeout(resolve, 300));
        return keep?.(chunk) ?? false;
      };
    return assembly;
  };
  let foundBytes = 0;
  let toldFirst = false;
  const { cameBytes } = await fetching(bytes => {
    foundBytes += bytes;
    toldFirst ||= asked.length === 0;
  });
  t.true(toldFirst);
  t.is(foundBytes + cameBytes, CONTENT.length);
  t.deepEqual(asked[0], { offset: 0, bytes: 1 });
});

test.serial('what lies behind much that is copied is asked for when little of that is left', async t => {
  const next = Buffer.concat([seededBytes(2 * MiB, 41), CONTENT, seededBytes(2 * MiB, 43)]);
  let give = giving(recipeOf(CONTENT), CONTENT);
  let copies = 0;
  const asked: { readonly offset: number; readonly copies: number }[] = [];
  const { cluster, peer, held } = await fromPeer(t, async (request, ...rest) => {
    if (request.recipe && request.ranges !== undefined) return { kind: 'recipe', pages: failing(new BlobsGone()) };
    for (const { offset } of request.ranges ?? []) asked.push({ offset, copies });
    return give(request, ...rest);
  });
  await cluster.hold(held, peer);
  give = giving(recipeOf(next), next);
  asked.length = 0;
  const { store } = cluster;
  const assemble = store.assemble.bind(store);
  store.assemble = async (...begun) => {
    const assembly = await assemble(...begun);
    const copy = assembly?.copy.bind(assembly);
    if (assembly !== undefined)
      assembly.copy = async (...of) => {
        await new Promise(resolve => setTimeout(resolve, 50));
        copies += 1;
        return copy?.(...of) ?? false;
      };
    return assembly;
  };
  const { cameBytes } = await cluster.fetch(await cluster.backUp('next', next), { from: peer });
  t.is(cameBytes, 4 * MiB);
  t.is(copies, 24);
  t.deepEqual(
    asked.map(({ offset }) => offset),
    [0, 26 * MiB],
  );
  const [, last] = asked;
  t.true(last !== undefined && last.copies >= 16 && last.copies < 24, `asked after ${last?.copies} copies`);
});

test.serial('a peer whose recipe makes another file is to blame, and nothing of it is kept', async t => {
  const other = seededBytes(CONTENT.length, 99);
  const { cluster, held, fetching } = await fromPeer(t, giving(recipeOf(other), other));
  t.like(await t.throwsAsync(fetching()), { code: 'BLOB_MISMATCH', blame: 'peer' });
  t.is(cluster.partialBytes(), 0);
  t.is((await cluster.fetch(held)).cameBytes, CONTENT.length);
});

test.serial('a peer that gives other bytes than its recipe says is to blame, and the right ones are kept', async t => {
  const other = Buffer.concat([CONTENT.subarray(0, 15 * MiB + 9), seededBytes(9 * MiB, 99)]);
  const { cluster, held, fetching } = await fromPeer(t, giving(recipeOf(CONTENT), other));
  t.like(await t.throwsAsync(fetching()), { code: 'BLOB_MISMATCH', blame: 'peer' });
  t.is(cluster.partialBytes(), 15 * MiB);
  const { cameBytes } = await cluster.fetch(held);
  t.true(cameBytes <= CONTENT.length && cameBytes >= 9 * MiB, `${cameBytes} bytes came`);
});

test.serial(
  'a peer without a recipe says so, a busy one is busy, and one that is served more than it asked is refused',
  async t => {
    let provide: FetchProvider = async () => ({ kind: 'recipe', pages: failing(new BlobsGone()) });
    const { cluster, held, fetching } = await fromPeer(t, (...asked) => provide(...asked));
    await cluster.breakOff(held, 3 * MiB);
    const cameBytes = cluster.partialBytes();
    t.true(cameBytes > 0);
    t.deepEqual((await fetching()).fetched, { is: 'no-recipe' });
    t.is(cluster.partialBytes(), cameBytes, 'whether it has the bytes is not known yet');
    provide = async () => ({ kind: 'busy', retryAfterMs: 5 });
    t.true((await t.throwsAsync(fetching())) instanceof PeerBusy);
    provide = async request => {
      if (request.recipe) return { kind: 'recipe', pages: only(recipeOf(CONTENT)) };
      return {
        kind: 'blobs',
        parts: only({ blob: request.blobs[0] as BlobId, bytes: 7, content: only(Buffer.alloc(7)) }),
      };
    };
    t.like(await t.throwsAsync(fetching()), { code: 'BLOB_MISMATCH', blame: 'peer' });
  },
);

/** The parts of the fetch protocol that are about large blobs: ranges of one, and its recipe. */
import { randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { encode } from 'it-length-prefixed';
import { Part, Want } from '../../protocols/fetch/fetch.js';
import { hashHex } from '../../src/core/hash.js';
import { parseBlobId, parseParcelId } from '../../src/core/ids.js';
import {
  CHUNK_BYTES_MAX,
  CHUNK_BYTES_MIN,
  type Chunk,
  COMPARED_BYTES_MAX,
  PAGE_CHUNKS_MAX,
  PIECE_BYTES_MAX,
  PIECE_BYTES_MIN,
  packChunks,
} from '../../src/core/recipe.js';
import { askFetch, FETCH_PROTOCOL, type FetchProvider, serveFetch, toWant } from '../../src/net/fetch-protocol.js';
import { askRecipe } from '../../src/net/fetch-recipe.js';
import { RANGES_PER_FETCH_MAX, rangesFrom } from '../../src/net/wire-ranges.js';
import { type Host, House, until } from './fleet.js';

const PARCEL = parseParcelId('cd'.repeat(32));
const BLOB = parseBlobId(hashHex(Buffer.from('large')));
const [BLOB_BYTES, OTHER_BYTES] = [Buffer.from(BLOB, 'hex'), Buffer.alloc(32, 1)];
const purpose = 'grab';

class Gone extends Error {}

async function pair(t: ExecutionContext, provide?: FetchProvider): Promise<readonly [Host, Host]> {
  const [a, b] = (await new House(t).clique(2)) as [Host, Host];
  if (provide !== undefined) await serveFetch(b.net, provide, error => error instanceof Gone);
  return [a, b];
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of source) list.push(item);
  return list;
}

async function* failing(error: Error): AsyncGenerator<never> {
  yield* [];
  throw error;
}

const chunkOf = (bytes: number): Chunk => ({ hash: Buffer.alloc(32, 7), bytes });
const page = (...bytes: readonly number[]): Uint8Array => packChunks(bytes.map(chunkOf));

test('ranges: one that is longer than a length on the wire can be is asked for as several that adjoin', t => {
  const [long, exact] = [5 * 2 ** 30 + 7, 2 ** 32];
  const ranges = [
    { offset: 3, bytes: 9 },
    { offset: 1_000, bytes: long },
    { offset: 2 ** 40, bytes: exact },
  ];
  const sent = toWant({ parcel: PARCEL, blobs: [BLOB], purpose: 'restore', ranges });
  const came = rangesFrom(Want.decode(Want.encode(sent)).ranges);
  t.deepEqual(came.at(0), ranges[0]);
  const bytesFrom = (from: number): number =>
    came.filter(({ offset }) => offset >= from).reduce((sum, { bytes }) => sum + bytes, 0);
  t.deepEqual([bytesFrom(2 ** 40), bytesFrom(1_000)], [exact, long + exact]);
  for (const [n, { offset, bytes }] of came.slice(1, -1).entries()) {
    const next = came[n + 2]?.offset;
    t.true(next === offset + bytes || next === 2 ** 40);
  }
});

test('ranges: what is asked for arrives, and is what the server gives', async t => {
  const content = randomBytes(700_000);
  let asked: unknown;
  const [a, b] = await pair(t, async request => {
    asked = request;
    return {
      kind: 'blobs',
      parts: (async function* () {
        yield {
          blob: BLOB,
          bytes: content.length,
          content: (async function* () {
            yield content;
          })(),
        };
      })(),
    };
  });
  const ranges = [
    { offset: 5, bytes: 600_000 },
    { offset: 600_005, bytes: 1 },
    { offset: Number.MAX_SAFE_INTEGER - 99_999, bytes: 99_999 },
  ];
  const request = { parcel: PARCEL, blobs: [BLOB], purpose, ranges } as const;
  const parts = await all(askFetch(a.net, b.net.peer, request));
  t.deepEqual(asked, request);
  t.deepEqual(parts[0], { kind: 'blob', blob: BLOB, bytes: 700_000 });
  const came = parts.flatMap(part => (part.kind === 'data' ? [part.data] : []));
  t.true(Buffer.concat(came).equals(content));
});

test('recipe: pages arrive while the server still makes it, and its end is its end', async t => {
  let goOn = (): void => {};
  const first = page(...Array.from({ length: PAGE_CHUNKS_MAX }, () => CHUNK_BYTES_MIN));
  const [a, b] = await pair(t, async request => {
    t.true(request.recipe);
    return {
      kind: 'recipe',
      pages: (async function* () {
        yield first;
        await new Promise<void>(resolve => {
          goOn = resolve;
        });
        yield page(CHUNK_BYTES_MAX, 3);
      })(),
    };
  });
  const bytes = PAGE_CHUNKS_MAX * CHUNK_BYTES_MIN + CHUNK_BYTES_MAX + 3;
  const parts = askRecipe(a.net, b.net.peer, { parcel: PARCEL, blob: { blob: BLOB, bytes }, purpose });
  const { value } = await parts.next();
  t.deepEqual(value && 'page' in value && Buffer.from(value.page), Buffer.from(first));
  goOn();
  const rest = await all(parts);
  t.is(rest.length, 1);
});

test('recipe: a server may be busy, have none, or find out later that it has none', async t => {
  const answers: Awaited<ReturnType<FetchProvider>>[] = [
    { kind: 'busy', retryAfterMs: 7 },
    { kind: 'recipe', pages: failing(new Gone()) },
    {
      kind: 'recipe',
      pages: (async function* () {
        yield page(CHUNK_BYTES_MIN);
        throw new Gone();
      })(),
    },
    { kind: 'recipe', pages: failing(new Error('a failure of its own')) },
  ];
  const [a, b] = await pair(t, async () => answers.shift() as never);
  const blob = { blob: BLOB, bytes: 9_000_000 };
  const ask = () => all(askRecipe(a.net, b.net.peer, { parcel: PARCEL, blob, purpose }));
  t.deepEqual(await ask(), [{ kind: 'busy', retryAfterMs: 7 }]);
  t.deepEqual(await ask(), [{ kind: 'gone' }]);
  t.deepEqual(
    (await ask()).map(({ kind }) => kind),
    ['chunks', 'gone'],
  );
  await t.throwsAsync(ask(), { code: 'STREAM_BROKEN' });
});

test('recipe: an answer that no honest build gives is malformed', async t => {
  const recipe = (chunks: Uint8Array, last = true): Part => ({ recipe: { chunks, last } });
  const cases: readonly [string, Part[]][] = [
    ['a page that is cut in the middle of a chunk', [recipe(page(600_000).subarray(1))]],
    ['a chunk of no bytes', [recipe(page(0, 600_000))]],
    ['a chunk above the greatest size', [recipe(page(CHUNK_BYTES_MAX + 1))]],
    ['a short chunk before the last', [recipe(page(1, 599_999))]],
    ['more than the blob has', [recipe(page(600_000, 1))]],
    ['an end before all is said', [recipe(page(599_999))]],
    ['a page of nothing that is not the last', [recipe(new Uint8Array(), false)]],
    ['bytes of the blob', [{ blob: { blob: BLOB_BYTES, sizeBytes: 600_000 } }]],
    ['another blob gone', [{ gone: { blob: OTHER_BYTES } }]],
  ];
  const [a, b] = await pair(t);
  let next = 0;
  await b.net.handle(FETCH_PROTOCOL, async stream => {
    for (const part of cases[next]?.[1] ?? []) stream.send(encode.single(Part.encode(part)));
  });
  const blob = { blob: BLOB, bytes: 600_000 };
  for (; next < cases.length; next++) {
    const asking = all(askRecipe(a.net, b.net.peer, { parcel: PARCEL, blob, purpose }));
    const error = await t.throwsAsync(asking, undefined, cases[next]?.[0]);
    t.is((error as { code?: string } | undefined)?.code, 'MALFORMED_MESSAGE', cases[next]?.[0]);
  }
});

test('an answer of nothing, again and again, is malformed', async t => {
  const [a, b] = await pair(t);
  const parts: Part[] = [
    { blob: { blob: BLOB_BYTES, sizeBytes: 2 } },
    { data: Buffer.alloc(1) },
    { data: Buffer.alloc(0) },
  ];
  await b.net.handle(FETCH_PROTOCOL, async stream => {
    for (const part of parts) stream.send(encode.single(Part.encode(part)));
  });
  const asking = all(askFetch(a.net, b.net.peer, { parcel: PARCEL, blobs: [BLOB], purpose }));
  t.like(await t.throwsAsync(asking), { code: 'MALFORMED_MESSAGE' });
});

test('pieces: of each range its own, and what no honest build answers is malformed', async t => {
  const good = page(PIECE_BYTES_MAX, 2000, PIECE_BYTES_MIN, 1);
  const cases: readonly [string, Uint8Array][] = [
    ['right', good],
    ['none at all', page()],
    ['only those of the first range', page(PIECE_BYTES_MAX, 2000)],
    ['over the end of a range', page(PIECE_BYTES_MAX, 2001, PIECE_BYTES_MIN)],
    ['too large', page(PIECE_BYTES_MAX + 1)],
    ['too small in the middle', page(PIECE_BYTES_MIN - 1)],
    ['no bytes', page(0)],
    ['more than was asked', page(PIECE_BYTES_MAX, 2000, PIECE_BYTES_MIN, 1, 1)],
  ];
  const [a, b] = await pair(t);
  let next = 0;
  await b.net.handle(FETCH_PROTOCOL, async stream => {
    const part: Part = { recipe: { chunks: cases[next]?.[1] ?? new Uint8Array(), last: true } };
    stream.send(encode.single(Part.encode(part)));
  });
  const ranges = [
    { offset: 7, bytes: PIECE_BYTES_MAX + 2000 },
    { offset: 900_000, bytes: PIECE_BYTES_MIN + 1 },
  ];
  const request = { parcel: PARCEL, blob: { blob: BLOB, bytes: 9_000_000 }, purpose, ranges } as const;
  const ask = () => all(askRecipe(a.net, b.net.peer, request));
  t.is((await ask()).length, 1);
  for (next = 1; next < cases.length; next++) {
    const error = await t.throwsAsync(ask(), undefined, cases[next]?.[0]);
    t.is((error as { code?: string } | undefined)?.code, 'MALFORMED_MESSAGE', cases[next]?.[0]);
  }
});

test('recipe: an answer that is not ended is not taken for all', async t => {
  const [a, b] = await pair(t);
  await b.net.handle(FETCH_PROTOCOL, async stream => {
    stream.send(encode.single(Part.encode({ recipe: { chunks: page(600_000), last: false } })));
  });
  const blob = { blob: BLOB, bytes: 600_000 };
  await t.throwsAsync(all(askRecipe(a.net, b.net.peer, { parcel: PARCEL, blob, purpose })), { code: 'STREAM_BROKEN' });
});

test('a request that no honest build makes is an offence, and one at the limit is none', async t => {
  const provided: unknown[] = [];
  const [a, b] = await pair(t, async request => {
    provided.push(request);
    return { kind: 'busy', retryAfterMs: 1 };
  });
  const offences: string[] = [];
  b.net.onOffence((_peer, error) => void offences.push((error.cause as Error).message));
  const want = (change: Partial<Want>): Want => {
    const plain = {
      parcel: Buffer.from(PARCEL, 'hex'),
      blobs: [BLOB_BYTES],
      purpose: 0,
      ranges: [],
      recipe: false,
      doubted: false,
    };
    return { ...plain, ...change };
  };
  const ranges = Array.from({ length: RANGES_PER_FETCH_MAX + 1 }, (_, n) => ({
    offset: 2 ** 50 + 2 ** 33 * n,
    bytes: 2 ** 32 - 1,
  }));
  const say = async (wire: Want): Promise<void> => {
    const stream = await a.net.open(b.net.peer, FETCH_PROTOCOL, {});
    stream.send(encode.single(Want.encode(wire)));
    await stream.close();
  };
  await say(want({ ranges: ranges.slice(1) }));
  await until(() => provided.length === 1, 'the greatest request to be taken');
  const cases: readonly [Partial<Want>, RegExp][] = [
    [{ ranges }, /"ranges" had too many elements/],
    [{ ranges: [{ offset: 0, bytes: 0 }] }, /no bytes/],
    [
      {
        ranges: [
          { offset: 5, bytes: 5 },
          { offset: 9, bytes: 1 },
        ],
      },
      /begins before 10/,
    ],
    [
      {
        ranges: [
          { offset: 5, bytes: 5 },
          { offset: 0, bytes: 1 },
        ],
      },
      /begins before 10/,
    ],
    [{ ranges: [{ offset: Number.MAX_SAFE_INTEGER, bytes: 1 }] }, /safe whole number/],
    [{ ranges: [{ offset: 0, bytes: 1 }], blobs: [BLOB_BYTES, OTHER_BYTES] }, /only a part/],
    [{ recipe: true, blobs: [BLOB_BYTES, OTHER_BYTES] }, /only a part/],
    [{ recipe: true, ranges: [{ offset: 0, bytes: COMPARED_BYTES_MAX + 1 }] }, /pieces of/],
  ];
  for (const [n, [change, message]] of cases.entries()) {
    await say(want(change));
    await until(() => offences.length > n, `offence ${n}`);
    t.regex(offences[n] ?? '', message);
  }
  t.is(provided.length, 1);
});

import { createHash, randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { encode } from 'it-length-prefixed';
import { Part, Want } from '../../protocols/fetch/fetch.js';
import { Answer } from '../../protocols/object/object.js';
import { Ask as StateAsk, Part as StateWire, type CheckpointPiece as WirePiece } from '../../protocols/state/state.js';
import { CHECKPOINT_OPS_MAX, type CheckpointPiece, PIECE_OPS_MAX } from '../../src/core/checkpoint.js';
import { hash, hashHex } from '../../src/core/hash.js';
import type { LogSegment } from '../../src/core/holdings-log.js';
import {
  type BlobId,
  type ObjectId,
  parseBlobId,
  parseHostId,
  parseObjectId,
  parseParcelId,
  parseStoreId,
  sourceIdOf,
} from '../../src/core/ids.js';
import { packChunks } from '../../src/core/recipe.js';
import {
  askFetch,
  FETCH_PROTOCOL,
  type FetchAnswer,
  type FetchedBlob,
  type FetchPart,
  type FetchProvider,
  serveFetch,
  toWant,
} from '../../src/net/fetch-protocol.js';
import { askRecipe } from '../../src/net/fetch-recipe.js';
import { toPiece } from '../../src/net/log-border.js';
import { writeMessage } from '../../src/net/message-stream.js';
import type { Net } from '../../src/net/net.js';
import {
  askObjects,
  OBJECT_BYTES_MAX,
  OBJECT_PROTOCOL,
  OBJECTS_PER_ASK_MAX,
  serveObjects,
} from '../../src/net/object-protocol.js';
import {
  askState,
  STATE_PROTOCOL,
  type StatePart,
  type StateRequest,
  serveState,
} from '../../src/net/state-protocol.js';
import { type Host, House, settled, until } from './fleet.js';

async function pair(t: ExecutionContext): Promise<readonly [Host, Host]> {
  const [a, b] = await new House(t).clique(2);
  if (a === undefined || b === undefined) throw new Error('no pair');
  return [a, b];
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of source) list.push(item);
  return list;
}

async function* nothing(): AsyncGenerator<never> {
  yield* [];
}

const blobOf = (content: Uint8Array): BlobId => parseBlobId(hashHex(content));
const objectOf = (content: Uint8Array): ObjectId => parseObjectId(hashHex(content));
/** Equal values, equal text; short, for a difference of half a MiB helps nobody. */
const fingerprint = (value: unknown): string =>
  hashHex(
    Buffer.from(
      JSON.stringify(value, function (this: Record<string, unknown>, key, inner: unknown) {
        // Not `inner`: a Buffer has made an object of itself by then.
        const original = this[key];
        return original instanceof Uint8Array ? [...original] : inner;
      }),
    ),
  );
const PARCEL = parseParcelId('cd'.repeat(32));
const STORE = parseStoreId('ab'.repeat(16));
const HOST = parseHostId('12'.repeat(16));
const EPOCH = { counter: 1_700_000_000_000, random: '0011223344556677' };

const segment = (ops: number): LogSegment => ({
  host: HOST,
  end: { store: STORE, epoch: EPOCH, seq: 10_000, digest: 'ef'.repeat(32) },
  ops: Array.from({ length: ops }, (_, i) => ({ op: 'add', parcel: parseParcelId(i.toString(16).padStart(64, '0')) })),
  signature: new Uint8Array(64).fill(9),
});

/** The middle of a checkpoint, with as many operations as there may be after it. */
const piece = (ops: number): CheckpointPiece => ({
  checkpoint: {
    host: HOST,
    at: segment(0).end,
    count: 10_000,
    digest: 'fe'.repeat(32),
    signature: new Uint8Array(64).fill(8),
  },
  first: 10_000 - 4096,
  ops: segment(ops).ops,
});

// ---- state

test('state: the asker gets what lies beyond what it has, in order', async t => {
  const [a, b] = await pair(t);
  const source = sourceIdOf(HOST, 'photos');
  const parts: StatePart[] = [
    { kind: 'checkpoint', piece: piece(4096) },
    { kind: 'checkpoint', piece: piece(0) },
    { kind: 'segment', segment: segment(4096) },
    { kind: 'segment', segment: segment(1) },
    { kind: 'segment', segment: segment(0) },
    { kind: 'your-frame', frame: { boot: 3, frame: Number.MAX_SAFE_INTEGER } },
    { kind: 'head', source, bytes: randomBytes(512 * 1024) },
  ];
  let asked: StateRequest | undefined;
  let asker: string | undefined;
  await serveState(b.net, async function* (request, from) {
    asked = request;
    asker = from;
    yield* parts;
  });
  const request: StateRequest = {
    logs: [{ host: HOST, store: STORE, epoch: EPOCH, seq: 41 }],
    heads: [{ source, seq: 7 }],
    outOfReach: [HOST],
    yourFrame: { boot: 9, frame: 0 },
  };
  const got = await all(askState(a.net, b.net.peer, request));
  t.deepEqual(asked, request);
  t.is(asker, a.net.peer);
  t.is(fingerprint(got), fingerprint(parts));
});

/** What the wire says of a checkpoint, when `change` is made of what is right. */
async function answeredWith(t: ExecutionContext, change: (wire: WirePiece) => void): Promise<StatePart[]> {
  const [a, b] = await pair(t);
  const wire = toPiece(piece(2));
  change(wire);
  await b.net.handle(STATE_PROTOCOL, async (stream, _, signal) => {
    await writeMessage(stream, StateWire, { checkpoint: wire }, { signal });
    await writeMessage(stream, StateWire, { end: {} }, { signal });
  });
  return all(askState(a.net, b.net.peer, { logs: [], heads: [], outOfReach: [], yourFrame: undefined }));
}

const statement = (wire: WirePiece) => wire.checkpoint as NonNullable<WirePiece['checkpoint']>;
const position = (wire: WirePiece) => statement(wire).at as NonNullable<ReturnType<typeof statement>['at']>;

for (const [what, change] of [
  ['at the limit of its contents', wire => Object.assign(statement(wire), { count: CHECKPOINT_OPS_MAX })],
  ['at the end of its contents', wire => Object.assign(wire, { first: 9_998 })],
] as const satisfies readonly (readonly [string, (wire: WirePiece) => void])[]) {
  test(`state: a piece ${what} is read`, async t => {
    const got = await answeredWith(t, wire => {
      position(wire).seq = CHECKPOINT_OPS_MAX;
      change(wire);
    });
    t.deepEqual(
      got.map(({ kind }) => kind),
      ['checkpoint'],
    );
  });
}

for (const [what, change] of [
  ['with contents beyond the limit', wire => Object.assign(statement(wire), { count: CHECKPOINT_OPS_MAX + 1 })],
  ['with more contents than the log has operations', wire => Object.assign(position(wire), { seq: 9_999 })],
  ['that goes beyond its contents', wire => Object.assign(wire, { first: 9_999 })],
  ['of too many operations', wire => Object.assign(wire, toPiece({ ...piece(PIECE_OPS_MAX + 1), first: 0 }))],
  ['of no checkpoint', wire => Object.assign(wire, { checkpoint: undefined })],
  ['without a position', wire => Object.assign(statement(wire), { at: undefined })],
  ['with half a signature', wire => Object.assign(statement(wire), { signature: new Uint8Array(32) })],
  ['with half a digest', wire => Object.assign(statement(wire), { digest: new Uint8Array(16) })],
  ['with an operation that is none', wire => void wire.ops.push(Uint8Array.of(7))],
] as const satisfies readonly (readonly [string, (wire: WirePiece) => void])[]) {
  test(`state: a piece ${what} is malformed`, async t => {
    await t.throwsAsync(
      answeredWith(t, wire => {
        position(wire).seq = CHECKPOINT_OPS_MAX + 1;
        change(wire);
      }),
      { code: 'MALFORMED_MESSAGE' },
    );
  });
}

test('state: an answer that breaks off is never taken for all', async t => {
  const [a, b] = await pair(t);
  await serveState(b.net, async function* () {
    yield { kind: 'segment', segment: segment(1) };
    throw new Error('disk trouble');
  });
  await t.throwsAsync(all(askState(a.net, b.net.peer, { logs: [], heads: [], outOfReach: [], yourFrame: undefined })), {
    code: 'STREAM_BROKEN',
  });

  // Nor one whose stream is closed in good order, as a service does that stops.
  const [c, d] = await pair(t);
  await d.net.handle(STATE_PROTOCOL, async () => undefined);
  await t.throwsAsync(all(askState(c.net, d.net.peer, { logs: [], heads: [], outOfReach: [], yourFrame: undefined })), {
    code: 'STREAM_BROKEN',
  });
});

test('state: a malformed request is refused, logged, and counted against its sender', async t => {
  const [a, b] = await pair(t);
  const offences: string[] = [];
  b.net.onOffence((peer, error) => offences.push(`${peer} ${error.code}`));
  await serveState(b.net, () => nothing());
  for (const bytes of [
    encode.single(Buffer.from([0x0a, 0x02, 0x0a, 0x00])).subarray(),
    encode
      .single(StateAsk.encode({ logs: [], heads: [], outOfReach: Array(1025).fill(new Uint8Array(16)) }))
      .subarray(),
    Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7f]),
  ]) {
    const before = offences.length;
    const stream = await a.net.open(b.net.peer, STATE_PROTOCOL);
    stream.send(bytes);
    await until(() => stream.status === 'reset' && offences.length > before, 'the refusal');
  }
  t.deepEqual(offences, Array(3).fill(`${a.net.peer} MALFORMED_MESSAGE`));
  t.true(b.lines.some(({ msg }) => msg === 'a stream was reset'));
  t.true(
    b.lines.some(({ err }) => /outOfReach.*too many elements/.test(JSON.stringify(err ?? ''))),
    'what is too long is not read to its end',
  );
  t.deepEqual(
    await all(askState(a.net, b.net.peer, { logs: [], heads: [], outOfReach: [], yourFrame: undefined })),
    [],
    'and the next is served',
  );
});

// ---- object

function objectStore(...contents: Uint8Array[]): { get(id: ObjectId): Promise<Uint8Array | undefined> } {
  const kept = new Map(contents.map(content => [objectOf(content), content]));
  return { get: async id => kept.get(id) };
}

test('object: found and missing come in the order asked', async t => {
  const [a, b] = await pair(t);
  const small = Buffer.from('a page');
  const largest = randomBytes(OBJECT_BYTES_MAX);
  const absent = objectOf(Buffer.from('absent'));
  await serveObjects(b.net, () => objectStore(small, largest));
  const answers = await all(askObjects(a.net, b.net.peer, [objectOf(largest), absent, objectOf(small)]));
  t.deepEqual(
    answers.map(({ id, missing }) => [id, missing ?? false]),
    [
      [objectOf(largest), false],
      [absent, true],
      [objectOf(small), false],
    ],
  );
  const [first] = answers;
  t.true(first !== undefined && first.missing !== true && Buffer.from(first.bytes).equals(largest));
});

test('object: bytes that are not the object are refused and held against the peer', async t => {
  const [a, b] = await pair(t);
  const id = objectOf(Buffer.from('the right bytes'));
  const offences: string[] = [];
  a.net.onOffence((_peer, error) => offences.push(error.code));
  await serveObjects(b.net, () => ({ get: async () => Buffer.from('the wrong bytes') }));
  await t.throwsAsync(all(askObjects(a.net, b.net.peer, [id])), { code: 'OBJECT_MISMATCH' });
  t.deepEqual(offences, ['OBJECT_MISMATCH']);
});

test('object: answers out of order, too few, too large or empty are refused', async t => {
  const content = Buffer.from('content');
  const id = objectOf(content);
  const idBytes = Buffer.from(id, 'hex');
  const cases: readonly [string, Buffer, string][] = [
    [
      'another id',
      Buffer.from(encode.single(Answer.encode({ id: new Uint8Array(32), found: content })).subarray()),
      'MALFORMED_MESSAGE',
    ],
    ['neither', Buffer.from(encode.single(Answer.encode({ id: idBytes })).subarray()), 'MALFORMED_MESSAGE'],
    [
      'too large',
      Buffer.from(encode.single(Answer.encode({ id: idBytes, found: Buffer.alloc(OBJECT_BYTES_MAX + 64) })).subarray()),
      'MALFORMED_MESSAGE',
    ],
    ['nothing', Buffer.alloc(0), 'STREAM_BROKEN'],
    [
      'half a message',
      Buffer.from(encode.single(Answer.encode({ id: idBytes, found: content })).subarray()).subarray(0, 20),
      'STREAM_BROKEN',
    ],
    ['no varint', Buffer.alloc(12, 0xff), 'MALFORMED_MESSAGE'],
    ['no protobuf', Buffer.from([3, 0xff, 0xff, 0xff]), 'MALFORMED_MESSAGE'],
  ];
  const [a, b] = await pair(t);
  let next = 0;
  await b.net.handle(OBJECT_PROTOCOL, async stream => {
    const [, bytes] = cases[next] ?? cases[0] ?? [];
    if (bytes !== undefined && bytes.length > 0) stream.send(bytes);
  });
  for (; next < cases.length; next++) {
    const error = await t.throwsAsync(all(askObjects(a.net, b.net.peer, [id])), undefined, cases[next]?.[0]);
    t.is((error as { code?: string } | undefined)?.code, cases[next]?.[2], cases[next]?.[0]);
  }
});

test('object: 256 ids are an ask and 257 are not', async t => {
  const [a, b] = await pair(t);
  await serveObjects(b.net, () => objectStore());
  const ids = (count: number): ObjectId[] =>
    Array.from({ length: count }, (_, i) => parseObjectId(i.toString(16).padStart(64, '0')));
  t.is((await all(askObjects(a.net, b.net.peer, ids(OBJECTS_PER_ASK_MAX)))).length, OBJECTS_PER_ASK_MAX);
  t.throws(() => askObjects(a.net, b.net.peer, ids(OBJECTS_PER_ASK_MAX + 1)), { message: /^bug:/ });
});

// ---- fetch

class Gone extends Error {}

async function serveBlobs(net: Net, provide: FetchProvider): Promise<void> {
  await serveFetch(net, provide, error => error instanceof Gone);
}

async function* contentOf(bytes: Uint8Array, chunkBytes = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

const answerWith = (...parts: FetchedBlob[]): FetchAnswer => ({
  kind: 'blobs',
  parts: (async function* () {
    yield* parts;
  })(),
});

/** What a fetch got: each blob's content as one buffer, or 'gone'. */
async function gather(parts: AsyncIterable<FetchPart>): Promise<Map<BlobId, Buffer | 'gone'>> {
  const got = new Map<BlobId, Buffer | 'gone'>();
  let current: BlobId | undefined;
  let pieces: Uint8Array[] = [];
  const finish = (): void => {
    if (current !== undefined) got.set(current, Buffer.concat(pieces));
    current = undefined;
    pieces = [];
  };
  for await (const part of parts) {
    if (part.kind === 'blob') {
      finish();
      current = part.blob;
    } else if (part.kind === 'data') pieces.push(part.data);
    else if (part.kind === 'pack') {
      finish();
      for (const { blob, content } of part.blobs) got.set(blob, Buffer.from(content));
    } else if (part.kind === 'gone') {
      if (part.blob !== current) finish();
      current = undefined;
      pieces = [];
      got.set(part.blob, 'gone');
    }
  }
  finish();
  return got;
}

test('fetch: blobs arrive whole, and what is gone is said to be gone, also in the middle', async t => {
  const [a, b] = await pair(t);
  const [first, second, third, fourth] = [
    randomBytes(3_000_000),
    randomBytes(1),
    randomBytes(500_000),
    randomBytes(600_000),
  ];
  let seen: unknown;
  await serveBlobs(b.net, async (request, from) => {
    seen = { ...request, from };
    return answerWith(
      { blob: blobOf(first), bytes: first.length, content: contentOf(first, 1 << 20) },
      { blob: blobOf(second), gone: true },
      {
        blob: blobOf(third),
        bytes: third.length,
        content: (async function* () {
          yield third.subarray(0, 300_000);
          throw new Gone();
        })(),
      },
      { blob: blobOf(fourth), bytes: fourth.length, content: contentOf(fourth) },
    );
  });
  const blobs = [first, second, third, fourth].map(blobOf);
  const got = await gather(askFetch(a.net, b.net.peer, { parcel: PARCEL, blobs, purpose: 'repair' }));
  t.deepEqual(seen, { parcel: PARCEL, blobs, purpose: 'repair', from: a.net.peer });
  t.deepEqual([...got.keys()], blobs);
  t.true((got.get(blobOf(first)) as Buffer).equals(first));
  t.is(got.get(blobOf(second)), 'gone');
  t.is(got.get(blobOf(third)), 'gone');
  t.true((got.get(blobOf(fourth)) as Buffer).equals(fourth));
});

test('fetch: small blobs come packed, between others, each with its own bytes', async t => {
  const [a, b] = await pair(t);
  const contents = ['one', 'two', 'three'].map(text => Buffer.from(text));
  const large = randomBytes(400_000);
  await serveBlobs(b.net, async () =>
    answerWith(
      { pack: contents.slice(0, 2).map(content => ({ blob: blobOf(content), content })) },
      { blob: blobOf(large), bytes: large.length, content: contentOf(large) },
      { pack: contents.slice(2).map(content => ({ blob: blobOf(content), content })) },
    ),
  );
  const blobs = [...contents, large].map(blobOf);
  const got = await gather(askFetch(a.net, b.net.peer, { parcel: PARCEL, blobs, purpose: 'grab' }));
  for (const content of [...contents, large]) t.true((got.get(blobOf(content)) as Buffer).equals(content));
});

test('fetch: a pack that no honest build gives is malformed', async t => {
  const content = Buffer.from('content');
  const blob = Buffer.from(blobOf(content), 'hex');
  const pack = (blobs: Uint8Array, sizesBytes: number[], data: Uint8Array): Part => ({
    pack: { blobs, sizesBytes, data },
  });
  const cases: readonly [string, Part[]][] = [
    ['nothing in it', [pack(Buffer.alloc(0), [], Buffer.alloc(0))]],
    ['more sizes than blobs', [pack(blob, [3, 4], content)]],
    ['half an id', [pack(blob.subarray(16), [7], content)]],
    ['too few bytes', [pack(blob, [8], content)]],
    ['too many bytes', [pack(blob, [6], content)]],
    ['an empty blob', [pack(blob, [0], Buffer.alloc(0))]],
    ['a blob that was not asked for', [pack(Buffer.alloc(32, 1), [7], content)]],
    ['a blob twice', [pack(Buffer.concat([blob, blob]), [3, 4], content)]],
    ['in the middle of a blob', [{ blob: { blob, sizeBytes: 7 } }, pack(Buffer.alloc(32, 1), [7], content)]],
  ];
  const [a, b] = await pair(t);
  let next = 0;
  await b.net.handle(FETCH_PROTOCOL, async stream => {
    for (const part of cases[next]?.[1] ?? []) stream.send(encode.single(Part.encode(part)));
  });
  const asked = { parcel: PARCEL, blobs: [blobOf(content)], purpose: 'grab' as const };
  for (; next < cases.length; next++) {
    const error = await t.throwsAsync(all(askFetch(a.net, b.net.peer, asked)), undefined, cases[next]?.[0]);
    t.is((error as { code?: string } | undefined)?.code, 'MALFORMED_MESSAGE', cases[next]?.[0]);
  }
});

test('fetch: what is no end of an answer is none', async t => {
  const content = Buffer.from('content');
  const blob = Buffer.from(blobOf(content), 'hex');
  const cases: readonly [string, Part[], string][] = [
    ['its end before all was answered', [{ end: {} }], 'MALFORMED_MESSAGE'],
    [
      'its end in the middle of a blob',
      [{ blob: { blob, sizeBytes: 8 } }, { data: content }, { end: {} }],
      'MALFORMED_MESSAGE',
    ],
    ['more after busy', [{ busy: { retryAfterMs: 1 } }, { gone: { blob } }], 'MALFORMED_MESSAGE'],
    ['all of it, and no end', [{ blob: { blob, sizeBytes: 7 } }, { data: content }], 'STREAM_BROKEN'],
  ];
  const [a, b] = await pair(t);
  let next = 0;
  await b.net.handle(FETCH_PROTOCOL, async stream => {
    for (const part of cases[next]?.[1] ?? []) stream.send(encode.single(Part.encode(part)));
  });
  const asked = { parcel: PARCEL, blobs: [blobOf(content)], purpose: 'grab' as const };
  for (; next < cases.length; next++) {
    const error = await t.throwsAsync(all(askFetch(a.net, b.net.peer, asked)), undefined, cases[next]?.[0]);
    t.is((error as { code?: string } | undefined)?.code, cases[next]?.[2], cases[next]?.[0]);
  }
});

test('fetch: what is sent and what is taken keeps to the rates of the two hosts', async t => {
  const content = randomBytes(1_500_000);
  for (const [limit, ofOnePeer] of [
    ['upload', false],
    ['download', false],
    ['upload', true],
    ['download', true],
  ] as const) {
    const [a, b] = await pair(t);
    await serveBlobs(b.net, async () =>
      answerWith({ blob: blobOf(content), bytes: content.length, content: contentOf(content) }),
    );
    const [line, other] = limit === 'upload' ? [b.net.paces.upload, a] : [a.net.paces.download, b];
    line.set(
      ofOnePeer
        ? { all: undefined, ofPeers: new Map([[other.net.peer, 4_000_000]]) }
        : { all: 4_000_000, ofPeers: new Map() },
    );
    const beginMs = performance.now();
    const asked = { parcel: PARCEL, blobs: [blobOf(content)], purpose: 'grab' } as const;
    const got = await gather(askFetch(a.net, b.net.peer, asked));
    t.true((got.get(blobOf(content)) as Buffer).equals(content));
    // All but the last piece of 100 kB, and what a late timer makes up for.
    t.true(performance.now() - beginMs >= 240, `${limit}, of one peer: ${ofOnePeer}`);
  }
});

test('fetch: recipes keep to the rates as well', async t => {
  const recipe = packChunks(Array.from({ length: 4096 }, (_, n) => ({ hash: hash(Buffer.of(n)), bytes: 256 * 1024 })));
  const blob = { blob: blobOf(Buffer.from('large')), bytes: 4096 * 256 * 1024 };
  for (const limit of ['upload', 'download'] as const) {
    const [a, b] = await pair(t);
    const pages = async function* () {
      yield recipe;
    };
    await serveBlobs(b.net, async () => ({ kind: 'recipe', pages: pages() }));
    const line = limit === 'upload' ? b.net.paces.upload : a.net.paces.download;
    line.set({ all: 400_000, ofPeers: new Map() });
    const beginMs = performance.now();
    // Behind it the next turn waits.
    await all(askRecipe(a.net, b.net.peer, { parcel: PARCEL, blob, purpose: 'grab' }));
    const peer = limit === 'upload' ? a.net.peer : b.net.peer;
    await line.take({ peer, bytes: 1, isUrgent: false });
    t.true(performance.now() - beginMs >= 240, limit);
  }
});

test('fetch: a source that finds out after its last byte may still say gone', async t => {
  const [a, b] = await pair(t);
  const content = randomBytes(300_000);
  await serveBlobs(b.net, async () =>
    answerWith({
      blob: blobOf(content),
      bytes: content.length,
      content: (async function* () {
        yield content;
        throw new Gone();
      })(),
    }),
  );
  const got = await gather(askFetch(a.net, b.net.peer, { parcel: PARCEL, blobs: [blobOf(content)], purpose: 'grab' }));
  t.is(got.get(blobOf(content)), 'gone');
});

test('fetch: a busy server says when to come again, and nothing else', async t => {
  const [a, b] = await pair(t);
  await serveBlobs(b.net, async () => ({ kind: 'busy', retryAfterMs: 2_500 }));
  const blobs = [blobOf(Buffer.from('x'))];
  t.deepEqual(await all(askFetch(a.net, b.net.peer, { parcel: PARCEL, blobs, purpose: 'grab' })), [
    { kind: 'busy', retryAfterMs: 2_500 },
  ]);
});

test('fetch: nobody is believed that it is busy for more than a minute', async t => {
  const [a, b] = await pair(t);
  const said = [60_000, 60_001, Number.MAX_SAFE_INTEGER];
  const waits = [...said];
  await serveBlobs(b.net, async () => ({ kind: 'busy', retryAfterMs: waits.shift() ?? 0 }));
  const blobs = [blobOf(Buffer.from('x'))];
  for (const _ of said)
    t.deepEqual(await all(askFetch(a.net, b.net.peer, { parcel: PARCEL, blobs, purpose: 'grab' })), [
      { kind: 'busy', retryAfterMs: 60_000 },
    ]);
});

test('fetch: an answer that is not to go on ends, though nobody takes what was sent', async t => {
  const [a, b] = await pair(t);
  const place = new AbortController();
  let asked = 0;
  let left = 0;
  await serveBlobs(b.net, async () => {
    asked += 1;
    const content = (async function* () {
      try {
        for (;;) yield Buffer.alloc(256 * 1024);
      } finally {
        left += 1;
      }
    })();
    const parts = (async function* () {
      yield { blob: blobOf(Buffer.from('large')), bytes: 1 << 30, content };
    })();
    return { kind: 'blobs', parts, ended: place.signal };
  });
  const stream = await a.net.open(b.net.peer, FETCH_PROTOCOL);
  stream.pause();
  const want = { parcel: PARCEL, blobs: [blobOf(Buffer.from('large'))], purpose: 'grab' } as const;
  await writeMessage(stream, Want, toWant(want), {});
  await until(() => asked === 1, 'the ask');
  place.abort(new Error('others wait'));
  await until(() => stream.status === 'reset' && left === 1, 'the end of it, on both sides');
  t.is(asked, 1);
});

test('fetch: a slow receiver holds the server back, and leaving early stops it', async t => {
  const [a, b] = await pair(t);
  const total = 64 << 20;
  let givenBytes = 0;
  let stopped = false;
  await serveBlobs(b.net, async (_request, _from, { signal }) => {
    signal.addEventListener('abort', () => (stopped = true));
    return answerWith({
      blob: blobOf(Buffer.from('large')),
      bytes: total,
      content: (async function* () {
        const chunk = Buffer.alloc(256 * 1024);
        for (; givenBytes < total; givenBytes += chunk.length) yield chunk;
      })(),
    });
  });
  let receivedBytes = 0;
  for await (const part of askFetch(a.net, b.net.peer, {
    parcel: PARCEL,
    blobs: [blobOf(Buffer.from('large'))],
    purpose: 'grab',
  })) {
    if (part.kind !== 'data') continue;
    receivedBytes += part.data.length;
    if (receivedBytes < 8 << 20) continue;
    await settled(() => givenBytes);
    t.true(givenBytes - receivedBytes < 5 << 20, `${givenBytes - receivedBytes} bytes ahead`);
    break;
  }
  await until(() => stopped, 'the server to hear of it');
});

test('fetch: a server whose source has the wrong number of bytes, or the wrong blob, resets the stream', async t => {
  const content = Buffer.from('content');
  const blob = blobOf(content);
  const cases: FetchedBlob[] = [
    { blob, bytes: 8, content: contentOf(content) },
    { blob, bytes: 6, content: contentOf(content) },
    { blob: blobOf(Buffer.from('another')), gone: true },
  ];
  const [a, b] = await pair(t);
  let next = 0;
  await serveBlobs(b.net, async () => answerWith(...cases.slice(next, next + 1)));
  for (; next < cases.length; next++) {
    const asked = { parcel: PARCEL, blobs: [blob], purpose: 'grab' } as const;
    await t.throwsAsync(all(askFetch(a.net, b.net.peer, asked)), { code: 'STREAM_BROKEN' });
  }
});

test('fetch: an answer that no honest build gives is malformed', async t => {
  const content = Buffer.from('content');
  const blob = Buffer.from(blobOf(content), 'hex');
  const other = Buffer.alloc(32, 1);
  const cases: readonly [string, Part[]][] = [
    ['data before its blob', [{ data: content }]],
    ['more data than its size', [{ blob: { blob, sizeBytes: 6 } }, { data: content }]],
    ['a blob that was not asked for', [{ blob: { blob: other, sizeBytes: 7 } }]],
    ['a blob twice', [{ blob: { blob, sizeBytes: 0 } }, { blob: { blob, sizeBytes: 0 } }]],
    ['gone, not asked for', [{ gone: { blob: other } }]],
    ['gone twice', [{ gone: { blob } }, { gone: { blob } }]],
    ['busy after it began', [{ blob: { blob, sizeBytes: 7 } }, { busy: { retryAfterMs: 1 } }]],
    ['no known kind', [{}]],
    ['an id of 31 bytes', [{ gone: { blob: blob.subarray(1) } }]],
    ['data of more than 256 KiB', [{ blob: { blob, sizeBytes: 1 << 20 } }, { data: Buffer.alloc(256 * 1024 + 100) }]],
  ];
  const [a, b] = await pair(t);
  let next = 0;
  await b.net.handle(FETCH_PROTOCOL, async stream => {
    for (const part of cases[next]?.[1] ?? []) stream.send(encode.single(Part.encode(part)));
  });
  const asked = { parcel: PARCEL, blobs: [blobOf(content)], purpose: 'grab' as const };
  for (; next < 9; next++) {
    const error = await t.throwsAsync(all(askFetch(a.net, b.net.peer, asked)), undefined, cases[next]?.[0]);
    t.is((error as { code?: string } | undefined)?.code, 'MALFORMED_MESSAGE', cases[next]?.[0]);
  }
  // The tenth offence: the peer is shut out, its connection closed, and it cannot be dialled.
  const banned = new Promise<boolean>(resolve => void a.net.onOffence((_peer, _error, is) => resolve(is)));
  await t.throwsAsync(all(askFetch(a.net, b.net.peer, asked)), { code: 'MALFORMED_MESSAGE' });
  t.true(await banned);
  await until(() => a.net.connected().length === 0, 'the ban');
  await t.throwsAsync(all(askFetch(a.net, b.net.peer, asked)), { code: 'PEER_UNREACHABLE' });
});

test('fetch: an answer that lacks a blob or its last bytes is never taken for all', async t => {
  const content = Buffer.from('content');
  const blob = Buffer.from(blobOf(content), 'hex');
  const [a, b] = await pair(t);
  const cases: Part[][] = [
    [],
    [{ blob: { blob, sizeBytes: 7 } }],
    [{ blob: { blob, sizeBytes: 7 } }, { data: content.subarray(1) }],
  ];
  let next = 0;
  await b.net.handle(FETCH_PROTOCOL, async stream => {
    for (const part of cases[next] ?? []) stream.send(encode.single(Part.encode(part)));
  });
  for (; next < cases.length; next++) {
    await t.throwsAsync(
      all(askFetch(a.net, b.net.peer, { parcel: PARCEL, blobs: [blobOf(content)], purpose: 'grab' })),
      {
        code: 'STREAM_BROKEN',
      },
    );
  }
});

test('fetch: eight at once, both ways, all arrive whole', async t => {
  const [a, b] = await pair(t);
  const contents = Array.from({ length: 8 }, () => randomBytes(2 << 20));
  const kept = new Map(contents.map(content => [blobOf(content), content]));
  for (const { net } of [a, b]) {
    await serveBlobs(net, async ({ blobs }) =>
      answerWith(
        ...blobs.map((blob): FetchedBlob => {
          const content = kept.get(blob);
          return content === undefined
            ? { blob, gone: true }
            : { blob, bytes: content.length, content: contentOf(content) };
        }),
      ),
    );
  }
  const fetchAll = async (from: Net, to: Net): Promise<void> => {
    await Promise.all(
      [...kept].map(async ([blob, content]) => {
        const got = (await gather(askFetch(from, to.peer, { parcel: PARCEL, blobs: [blob], purpose: 'restore' }))).get(
          blob,
        );
        t.is(
          createHash('sha256')
            .update(got ?? '')
            .digest('hex'),
          createHash('sha256').update(content).digest('hex'),
        );
      }),
    );
  };
  await Promise.all([fetchAll(a.net, b.net), fetchAll(b.net, a.net)]);
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, lstatSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { pino } from 'pino';
import { sameEntry } from '../../src/catalog/entry.js';
import type { ContentFrame } from '../../src/catalog/restore-content.js';
import { ClusterError } from '../../src/core/fault.js';
import type { BlobId, ParcelId } from '../../src/core/ids.js';
import { ContentReader, encodeContentFrame } from '../../src/daemon/content-wire.js';
import { serviceAt } from '../../src/daemon/control-client.js';
import { startControlServer } from '../../src/daemon/control-server.js';
import { CONTROL_PATH_BYTES_MAX, fromJson, REQUEST_BYTES_MAX, toJson } from '../../src/daemon/control-wire.js';
import { entryOf, fileOf, parcelNumber } from '../catalog/restore-fixture.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { unprivileged } from '../helpers/unprivileged.js';
import {
  cluster,
  each,
  eachThenSilence,
  hostOf,
  SOURCE_ID,
  serve,
  serviceOf,
  snapshotOf,
  statusOf,
} from './cli-fixture.js';

const silent = pino({ level: 'silent' });
const soon = (): AbortSignal => AbortSignal.timeout(60_000);
const blobNumber = (number: number): BlobId => parcelNumber(number) as string as BlobId;

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

test('an answer arrives as it was sent', async t => {
  const service = serviceAt(await serve(t, { status: async () => statusOf(), hosts: async () => [hostOf()] }));
  t.deepEqual(await service.status(soon()), statusOf());
  t.deepEqual(await service.hosts(soon()), [hostOf()]);
});

test('requests arrive as they were sent, bytes and all', async t => {
  const asked: unknown[] = [];
  const under = Buffer.from([0xff, 0x00, 0x5c]);
  const service = serviceAt(
    await serve(t, {
      snapshots: async request => {
        asked.push(request);
        return [];
      },
      entries: request => {
        asked.push(request);
        return each();
      },
    }),
  );
  await service.snapshots({}, soon());
  await service.snapshots({ source: 'photos' }, soon());
  await all(service.entries({ sourceId: SOURCE_ID, snapshot: snapshotOf().id, under }, soon()));
  t.deepEqual(asked, [{}, { source: 'photos' }, { sourceId: SOURCE_ID, snapshot: snapshotOf().id, under }]);
});

test('entries keep their bytes, nanoseconds and order over the socket', async t => {
  const list = [
    entryOf('', { kind: 'directory' }),
    fileOf(Buffer.from([0x61, 0xff, 0x0a, 0x5c]), 'content', { mtimeNs: -1n }),
    entryOf('link', { kind: 'symlink', target: Buffer.from([0xfe]) }),
  ].map((entry, index) => ({ entry, parcel: parcelNumber(index) }));
  const service = serviceAt(await serve(t, { entries: () => each(...list) }));
  const got = await all(
    service.entries({ sourceId: SOURCE_ID, snapshot: snapshotOf().id, under: Buffer.alloc(0) }, soon()),
  );
  t.is(got.length, 3);
  for (const [index, item] of got.entries()) {
    if ('lacking' in item) return t.fail(item.lacking);
    const { entry, parcel } = item;
    const expected = list[index];
    t.is(parcel, expected?.parcel as ParcelId);
    t.true(expected !== undefined && sameEntry(entry, expected.entry));
  }
});

test('a refusal crosses with its code, message and blame, before a stream and in the middle of one', async t => {
  const refusal = new ClusterError('SOURCE_UNKNOWN', 'no source "x"', { blame: 'operator' });
  const stateDir = await serve(t, {
    snapshots: () => Promise.reject(refusal),
    async *replicas() {
      yield { source: 'photos', path: Buffer.from('a'), sizeBytes: 1, want: 2, have: 2, holders: [] };
      throw refusal;
    },
    async *content() {
      yield { kind: 'start', blob: blobNumber(1), bytes: 2 };
      throw refusal;
    },
  });
  const service = serviceAt(stateDir);
  await t.throwsAsync(service.snapshots({ source: 'x' }, soon()), {
    code: 'SOURCE_UNKNOWN',
    message: refusal.message,
    instanceOf: ClusterError,
  });
  const seen: string[] = [];
  await t.throwsAsync(
    async () => {
      for await (const told of service.replicas({ only: [] }, soon()))
        seen.push('lacking' in told ? told.lacking : told.path.toString());
    },
    { code: 'SOURCE_UNKNOWN' },
  );
  t.deepEqual(seen, ['a']);
  await t.throwsAsync(all(service.content({ parcel: parcelNumber(1), blobs: [blobNumber(1)] }, soon())), {
    code: 'SOURCE_UNKNOWN',
  });
});

test('an error that is not a ClusterError keeps its code, trouble of a disk is told in words, and the service goes on', async t => {
  const failing = (code: string, more: object = {}) =>
    Promise.reject(Object.assign(new Error(`${code}: it failed, write`), { code, ...more }));
  const stateDir = await serve(t, {
    status: () => failing('EMFILE'),
    configShow: () => failing('ENOSPC', { path: '/srv/state/config/current' }),
    hosts: async () => [],
  });
  await t.throwsAsync(serviceAt(stateDir).status(soon()), { code: 'EMFILE' });
  await t.throwsAsync(serviceAt(stateDir).configShow(soon()), {
    code: 'DISK_FULL',
    message: /disk of \/srv\/state\/config .*Make room/,
  });
  t.deepEqual(await serviceAt(stateDir).hosts(soon()), []);
});

test('malformed requests are refused before they reach the service', async t => {
  const service = serviceAt(await serve(t, {}));
  const refused = { code: 'CONTROL_BAD_REQUEST' };
  const bad = {
    snapshots: () => service.snapshots({ source: 'x'.repeat(201) }, soon()),
    backup: () => service.backup({ source: '', acceptChanges: false }, soon()),
    invite: () => service.invite({ uses: 0, expiresMs: 1, trust: 'trusted' }, soon()),
    extra: () => service.backup({ source: 'a', acceptChanges: false, other: 1 } as never, soon()),
    blob: () => all(service.content({ parcel: parcelNumber(1), blobs: ['xyz' as BlobId] }, soon())),
    noBlobs: () => all(service.content({ parcel: parcelNumber(1), blobs: [] }, soon())),
    manyBlobs: () =>
      all(
        service.content(
          { parcel: parcelNumber(1), blobs: Array.from({ length: 513 }, (_, n) => blobNumber(n)) },
          soon(),
        ),
      ),
    fromTheFirstByte: () => all(service.content({ parcel: parcelNumber(1), blobs: [blobNumber(1)], from: 0 }, soon())),
    fromOfSeveral: () =>
      all(service.content({ parcel: parcelNumber(1), blobs: [1, 2].map(blobNumber), from: 1 }, soon())),
    under: () =>
      all(service.entries({ sourceId: SOURCE_ID, snapshot: snapshotOf().id, under: Buffer.alloc(4097) }, soon())),
    source: () => all(service.protection({ sourceId: 'nothing' as never, snapshot: snapshotOf().id }, soon())),
  };
  for (const [what, call] of Object.entries(bad)) await t.throwsAsync(call, refused, what);
});

test('the largest allowed request passes, one byte more is refused', async t => {
  const service = serviceAt(
    await serve(t, { configApply: async ({ text }) => ({ text: '', version: text.length, hash: '' }) }),
  );
  const apply = (chars: number) => service.configApply({ text: 'x'.repeat(chars), fileName: 'f', yes: false }, soon());
  const around = toJson({ text: '', fileName: 'f', yes: false }).length;
  t.is((await apply(REQUEST_BYTES_MAX - around)).version, REQUEST_BYTES_MAX - around);
  await t.throwsAsync(apply(REQUEST_BYTES_MAX - around + 1), { code: 'CONTROL_BAD_REQUEST' });
});

test('a client that goes away cancels its call, whether it waits for a record or for an answer', async t => {
  let cancelled = 0;
  const waiting = (signal: AbortSignal): Promise<never> =>
    new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => {
        cancelled += 1;
        reject(signal.reason);
      }),
    );
  const stateDir = await serve(t, {
    hosts: signal => waiting(signal),
    async *statusChanges(signal) {
      yield statusOf();
      await waiting(signal);
    },
  });
  const service = serviceAt(stateDir);
  const leave = new AbortController();
  const call = service.hosts(leave.signal);
  for await (const _ of service.statusChanges(leave.signal)) {
    setImmediate(() => leave.abort(new Error('left')));
    break;
  }
  await t.throwsAsync(call, { message: 'left' });
  const untilMs = performance.now() + 5_000;
  while (cancelled < 2 && performance.now() < untilMs) await new Promise(setImmediate);
  t.is(cancelled, 2);
});

const contentOf = (stateDir: string, signal: AbortSignal = soon()): AsyncIterable<ContentFrame> =>
  serviceAt(stateDir).content({ parcel: parcelNumber(1), blobs: [blobNumber(1)] }, signal);

test('content arrives whole at a slow reader, and the service does not run ahead of it', async t => {
  const data = Buffer.alloc(1024 * 1024, 7);
  let given = 0;
  const stateDir = await serve(t, {
    async *content() {
      yield { kind: 'start', blob: blobNumber(1), bytes: 64 * data.length };
      for (let index = 0; index < 64; index += 1) {
        given += 1;
        yield { kind: 'data', data };
      }
      yield { kind: 'end' };
    },
  });
  let got = 0;
  let aheadMax = 0;
  for await (const frame of contentOf(stateDir)) {
    if (frame.kind !== 'data') continue;
    got += frame.data.length;
    aheadMax = Math.max(aheadMax, given - got / data.length);
    await new Promise(setImmediate);
  }
  t.is(got, 64 * data.length);
  // One in the sending, and less than one in sockets and in the reader's hands.
  t.true(aheadMax < 3, `${aheadMax} MiB ahead`);
});

test('a folder in which no service listens, and one that does not exist, both mean "not running"', async t => {
  const folder = temporaryFolder(t);
  await t.throwsAsync(serviceAt(folder).status(soon()), { code: 'SERVICE_NOT_RUNNING' });
  await t.throwsAsync(serviceAt(join(folder, 'absent')).status(soon()), { code: 'SERVICE_NOT_RUNNING' });
});

test('a service that ends in the middle of a stream is told apart from one that has finished', async t => {
  const stateDir = join(temporaryFolder(t), 's');
  mkdirSync(stateDir);
  const service = serviceOf({ statusChanges: signal => eachThenSilence(signal, statusOf()) });
  const server = await startControlServer({ stateDir, service, log: silent });
  t.teardown(() => server.close());
  const error = await t.throwsAsync(async () => {
    for await (const _ of serviceAt(stateDir).statusChanges(soon())) void server.close();
  });
  // Whichever comes first: its last word, or the end of the connection.
  t.true(error instanceof ClusterError && ['SERVICE_STOPPING', 'SERVICE_GONE'].includes(error.code));
});

test('the socket is for its owner and group only, and goes when the server closes', async t => {
  const stateDir = temporaryFolder(t);
  const server = await startControlServer({ stateDir, service: serviceOf({}), log: silent });
  t.is(statSync(server.path).mode & 0o777, 0o660);
  await server.close();
  t.false(existsSync(server.path));
});

test('a socket that a killed service left is replaced', async t => {
  const stateDir = temporaryFolder(t);
  const path = join(stateDir, 'control.sock');
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.true(lstatSync(path).isSocket());
  const server = await startControlServer({ stateDir, service: serviceOf({ hosts: async () => [] }), log: silent });
  t.teardown(() => server.close());
  t.deepEqual(await serviceAt(stateDir).hosts(soon()), []);
});

test('a socket on which a service answers is left alone', async t => {
  const stateDir = temporaryFolder(t);
  const other = createServer().listen(join(stateDir, 'control.sock'));
  await once(other, 'listening');
  t.teardown(() => other.close());
  await t.throwsAsync(startControlServer({ stateDir, service: serviceOf({}), log: silent }), {
    code: 'CONTROL_SOCKET_IN_USE',
  });
  t.true(existsSync(join(stateDir, 'control.sock')));
});

test('a file that is not a socket is left alone', async t => {
  const stateDir = temporaryFolder(t);
  writeFileSync(join(stateDir, 'control.sock'), 'mine');
  await t.throwsAsync(startControlServer({ stateDir, service: serviceOf({}), log: silent }), {
    code: 'CONTROL_PATH_TAKEN',
  });
  t.true(existsSync(join(stateDir, 'control.sock')));
});

test('a socket path of the maximum length works; server and client refuse one more byte', async t => {
  const base = temporaryFolder(t);
  const stateDirOf = (pathBytes: number): string => {
    const folder = join(base, 'x'.repeat(pathBytes - Buffer.byteLength(base) - '/'.length - '/control.sock'.length));
    mkdirSync(folder);
    return folder;
  };
  const longest = stateDirOf(CONTROL_PATH_BYTES_MAX);
  const server = await startControlServer({
    stateDir: longest,
    service: serviceOf({ hosts: async () => [] }),
    log: silent,
  });
  t.teardown(() => server.close());
  t.is(Buffer.byteLength(server.path), CONTROL_PATH_BYTES_MAX);
  t.deepEqual(await serviceAt(longest).hosts(soon()), []);

  const tooLong = stateDirOf(CONTROL_PATH_BYTES_MAX + 1);
  await t.throwsAsync(startControlServer({ stateDir: tooLong, service: serviceOf({}), log: silent }), {
    code: 'CONTROL_PATH_TOO_LONG',
  });
  t.throws(() => serviceAt(tooLong), { code: 'CONTROL_PATH_TOO_LONG' });
});

test('a socket that this user may not open is told apart from a service that is down', async t => {
  const stateDir = await serve(t, {});
  for (const folder of [dirname(stateDir), stateDir]) chmodSync(folder, 0o755);
  chmodSync(join(stateDir, 'control.sock'), 0o000);
  const { code, err } = await cluster(['--json', '--state', stateDir, 'status'], unprivileged());
  t.is(code, 12);
  t.like(JSON.parse(err), { message_type: 'error', code: 'CONTROL_FORBIDDEN' });
});

const anyValue = fc.letrec(tie => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.bigInt(),
    fc.uint8Array().map(bytes => Buffer.from(bytes)),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(
      fc.string().filter(key => !key.startsWith('$') && key !== '__proto__'),
      tie('value'),
      { maxKeys: 4, noNullPrototype: true },
    ),
  ),
})).value;

test('law: JSON on the socket is one line, and reads back as what was written', t => {
  t.notThrows(() =>
    fc.assert(
      fc.property(anyValue, value => {
        const text = toJson(value);
        t.false(text.includes('\n'));
        t.deepEqual(fromJson(text), value);
      }),
    ),
  );
});

const anyFrame: fc.Arbitrary<ContentFrame> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('start' as const),
      blob: fc.nat().map(blobNumber),
      bytes: fc.maxSafeNat(),
      from: fc.maxSafeNat().map(from => from || 1),
    },
    { requiredKeys: ['kind', 'blob', 'bytes'] },
  ),
  fc.record({
    kind: fc.constant('data' as const),
    data: fc.uint8Array({ minLength: 1, maxLength: 300 }).map(bytes => Buffer.from(bytes)),
  }),
  fc.constant({ kind: 'end' as const }),
  fc.record({
    kind: fc.constant('unavailable' as const),
    blob: fc.nat().map(blobNumber),
    because: fc.string(),
    hosts: fc.array(fc.string()),
  }),
  fc.record({ kind: fc.constant('waiting' as const), hosts: fc.array(fc.string()) }),
);

/** Neighbouring data as one: where it is cut says nothing. */
function joined(frames: Iterable<ContentFrame>): ContentFrame[] {
  const list: ContentFrame[] = [];
  for (const frame of frames) {
    const last = list.at(-1);
    if (frame.kind !== 'data') list.push(frame);
    else if (last?.kind !== 'data') list.push({ kind: 'data', data: Buffer.from(frame.data) });
    else list[list.length - 1] = { kind: 'data', data: Buffer.concat([last.data, frame.data]) };
  }
  return list;
}

/** Each chunk lies in memory that is written over as soon as its frames are read, as a socket's is. */
function* framesIn(chunks: Iterable<Uint8Array>): Generator<ContentFrame> {
  const reader = new ContentReader();
  for (const chunk of chunks) {
    const memory = Buffer.from(chunk);
    yield* reader.frames(memory);
    memory.fill(0xff);
  }
}

test('law: content frames survive any cut of the byte stream', t => {
  fc.assert(
    fc.property(
      fc.array(anyFrame, { maxLength: 10 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (frames, sizes) => {
        const bytes = Buffer.concat(frames.flatMap(frame => [...encodeContentFrame(frame)]));
        const chunks: Buffer[] = [];
        for (let at = 0, index = 0; at < bytes.length; index += 1) {
          const size = sizes[index % sizes.length] ?? 1;
          chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        t.deepEqual(joined(framesIn(chunks)), joined(frames));
      },
    ),
  );
});

test('a content stream that is not well-formed is an error', t => {
  const refused = { code: 'CONTROL_PROTOCOL' };
  t.throws(() => [...framesIn([Buffer.from([9, 0, 0, 0, 0])])], refused);
  t.throws(() => [...framesIn([Buffer.from([2, 0xff, 0xff, 0xff, 0xff])])], refused);
  const over = Buffer.from([6, 0, 0, 0, 0]);
  t.deepEqual([...framesIn([over])], []);
  t.throws(() => [...framesIn([over, over])], refused);
});

test('data above one frame is split, and not copied', t => {
  const data = Buffer.alloc(1024 * 1024 + 1);
  const pieces = [...encodeContentFrame({ kind: 'data', data })];
  t.deepEqual(
    pieces.map(piece => piece.length),
    [5, 1024 * 1024, 5, 1],
  );
  t.is(pieces[1]?.buffer, data.buffer);
});

test('a content answer that breaks off is told apart from one that has ended', async t => {
  const stateDir = temporaryFolder(t);
  const head = 'HTTP/1.1 200 OK\r\n\r\n';
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = encodeContentFrame({
    kind: 'start',
    blob: blobNumber(1),
    bytes: 1,
  });
  const answers = [
    '',
    head.slice(0, 10),
    head,
    Buffer.concat([Buffer.from(head), first, second.subarray(0, 10)]),
    Buffer.concat([Buffer.from(head), first, second]),
  ];
  const server = createServer({ allowHalfOpen: true }, socket => socket.end(answers.shift() ?? ''));
  server.listen(join(stateDir, 'control.sock'));
  await once(server, 'listening');
  t.teardown(() => server.close());
  while (answers.length > 0) await t.throwsAsync(all(contentOf(stateDir)), { code: 'SERVICE_GONE' });
});

test('a call for content that is aborted ends with the abort reason, and ends the service’s work', async t => {
  let ended = false;
  const stateDir = await serve(t, {
    async *content(_, signal) {
      try {
        yield { kind: 'start', blob: blobNumber(1), bytes: 1 };
        await once(signal, 'abort');
        // It goes on for a while: nobody reads what it says now.
        yield { kind: 'data', data: Buffer.alloc(1) };
        signal.throwIfAborted();
      } finally {
        ended = true;
      }
    },
    hosts: async () => [],
  });
  const abort = new AbortController();
  const reason = new Error('enough');
  await t.throwsAsync(
    async () => {
      for await (const _ of contentOf(stateDir, abort.signal)) abort.abort(reason);
    },
    { is: reason },
  );
  const untilMs = performance.now() + 5_000;
  while (!ended && performance.now() < untilMs) await new Promise(setImmediate);
  t.true(ended);
  t.deepEqual(await serviceAt(stateDir).hosts(soon()), []);
});

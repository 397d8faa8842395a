import test, { type ExecutionContext } from 'ava';
import { pausingSource, READ_AHEAD_BYTES, send } from '../../src/net/bulk-stream.js';
import { STREAM_WINDOW_BYTES_MAX } from '../../src/net/libp2p-node.js';
import type { Net } from '../../src/net/net.js';
import { House, settled, until } from './fleet.js';

const BULK = '/scatterhoard/bulk-test/1';
const MIB = 1 << 20;
/** What may lie between a reader that stands still and its sender: read ahead, the window, one chunk, and the sockets. */
const BETWEEN_BYTES_MAX = READ_AHEAD_BYTES + STREAM_WINDOW_BYTES_MAX + 3 * MIB;

async function pair(t: ExecutionContext): Promise<readonly [Net, Net]> {
  const [a, b] = await new House(t).clique(2);
  if (a === undefined || b === undefined) throw new Error('no pair');
  return [a.net, b.net];
}

const pattern = (at: number, length: number): Buffer => Buffer.alloc(length, at & 0xff);

test('a reader that stands still holds its sender back, again and again, and loses nothing', async t => {
  const [a, b] = await pair(t);
  let sentBytes = 0;
  await b.handle(BULK, async (stream, _from, signal) => {
    for (let i = 0; i < 96; i++) {
      await send(stream, pattern(i, 256 * 1024), { signal });
      sentBytes += 256 * 1024;
    }
  });
  const stream = await a.open(b.peer, BULK);
  await stream.close();
  let readBytes = 0;
  for await (const chunk of pausingSource(stream)) {
    const bytes = chunk.subarray();
    if (bytes.some((byte, at) => byte !== (Math.floor((readBytes + at) / (256 * 1024)) & 0xff)))
      return t.fail('wrong bytes');
    readBytes += bytes.length;
    // Stand still four times over the whole length, until the sender stands still too.
    if (Math.floor(readBytes / (6 * MIB)) > Math.floor((readBytes - bytes.length) / (6 * MIB))) {
      await settled(() => sentBytes);
      t.true(sentBytes - readBytes <= BETWEEN_BYTES_MAX, `${sentBytes - readBytes} bytes between`);
    }
  }
  t.is(readBytes, 24 * MIB);
});

test('a reader that is slower than its sender all the time holds it back all the time', async t => {
  const [a, b] = await pair(t);
  let sentBytes = 0;
  await b.handle(BULK, async (stream, _from, signal) => {
    for (let i = 0; i < 64; i++) {
      await send(stream, pattern(i, 256 * 1024), { signal });
      sentBytes += 256 * 1024;
    }
  });
  const stream = await a.open(b.peer, BULK);
  await stream.close();
  let readBytes = 0;
  for await (const chunk of pausingSource(stream)) {
    // As much as was promised comes while we stand still, so that each resume hands over more than is read ahead.
    await settled(() => sentBytes);
    t.true(sentBytes - readBytes <= BETWEEN_BYTES_MAX, `${sentBytes - readBytes} bytes between`);
    readBytes += chunk.byteLength;
  }
  t.is(readBytes, 16 * MIB);
});

for (const late of [true, false]) {
  test(`what lies unread when the other side has closed is read to its end, by a reader who came ${late ? 'late' : 'in time'}`, async t => {
    const [a, b] = await pair(t);
    await b.handle(BULK, async (stream, _from, signal) => {
      for (let i = 0; i < 16; i++) await send(stream, pattern(i, 64 * 1024), { signal });
    });
    const stream = await a.open(b.peer, BULK);
    await stream.close();
    const over = (): Promise<void> => until(() => stream.remoteWriteStatus === 'closed', 'the other side to close');
    if (late) await over();
    let readBytes = 0;
    for await (const chunk of pausingSource(stream)) {
      if (readBytes === 0) await over();
      readBytes += chunk.byteLength;
    }
    t.is(readBytes, 1 * MIB);
  });
}

test('a stream on which nothing comes is given up', async t => {
  const [a, b] = await pair(t);
  await b.handle(
    BULK,
    (_stream, _from, signal) => new Promise(resolve => signal.addEventListener('abort', () => resolve())),
  );
  const stream = await a.open(b.peer, BULK);
  const error = await t.throwsAsync(async () => {
    for await (const _ of pausingSource(stream, { stallMs: 50 }));
  });
  t.like(error, { code: 'STREAM_STALLED' });
  stream.abort(new Error('done'));
});

test('a sender whose bytes nobody takes gives up', async t => {
  const [a, b] = await pair(t);
  await b.handle(BULK, (stream, _from, signal) => {
    stream.pause();
    return new Promise(resolve => signal.addEventListener('abort', () => resolve()));
  });
  const stream = await a.open(b.peer, BULK);
  const error = await t.throwsAsync(async () => {
    while (true) await send(stream, Buffer.alloc(256 * 1024), { stallMs: 50 });
  });
  t.like(error, { code: 'STREAM_STALLED' });
  stream.abort(new Error('done'));
});

test('a connection that drains for others is no sign that somebody takes the bytes', async t => {
  const [a, b] = await pair(t);
  await b.handle(BULK, (stream, _from, signal) => {
    stream.pause();
    return new Promise(resolve => signal.addEventListener('abort', () => resolve()));
  });
  const stream = await a.open(b.peer, BULK);
  const others = setInterval(() => stream.dispatchEvent(new Event('drain')), 20);
  const error = await t.throwsAsync(async () => {
    while (true) await send(stream, Buffer.alloc(256 * 1024), { stallMs: 200 });
  });
  clearInterval(others);
  t.like(error, { code: 'STREAM_STALLED' });
  stream.abort(new Error('done'));
});

test('of many streams of one connection each gets its share, and what a person waits for overtakes them all', async t => {
  const [a, b] = await pair(t);
  let isOver = false;
  const part = Buffer.alloc(256 * 1024);
  await b.handle(BULK, async (stream, _from, signal) => {
    while (!isOver) await send(stream, part, { signal, isUrgent: false });
  });
  await b.handle(`${BULK}/urgent`, async (stream, _from, signal) => {
    while (!isOver) await send(stream, part, { signal });
  });
  const gotBytes: number[] = [];
  const read = async (protocol: string, n: number, untilBytes: number): Promise<void> => {
    gotBytes[n] = 0;
    const stream = await a.open(b.peer, protocol);
    for await (const chunk of pausingSource(stream)) {
      gotBytes[n] += chunk.byteLength;
      if ((gotBytes[n] ?? 0) >= untilBytes) break;
    }
    stream.abort(new Error('enough'));
  };
  const bulk = Array.from({ length: 12 }, (_, n) => read(BULK, n, Number.POSITIVE_INFINITY));
  await until(() => gotBytes.length === bulk.length && gotBytes.every(bytes => bytes >= 8 * MIB), 'each to have some');
  const [least, most] = [Math.min(...gotBytes), Math.max(...gotBytes)];
  t.true(most < 2 * least, `${gotBytes}`);
  const before = [...gotBytes];
  await read(`${BULK}/urgent`, bulk.length, 16 * MIB);
  for (const [n, bytes] of before.entries()) t.true((gotBytes[n] ?? 0) - bytes < 16 * MIB, `${gotBytes} - ${before}`);
  isOver = true;
  await Promise.all(bulk);
});

test('a stream that nobody reads keeps no other stream of its connection from sending, however much waits in it', async t => {
  const [a, b] = await pair(t);
  await b.handle(BULK, (stream, _from, signal) => {
    stream.pause();
    return new Promise(resolve => signal.addEventListener('abort', () => resolve()));
  });
  let gotBytes = 0;
  await b.handle(`${BULK}/read`, async (stream, _from, signal) => {
    for await (const chunk of pausingSource(stream, { signal })) gotBytes += chunk.byteLength;
  });
  const unread = await a.open(b.peer, BULK);
  const waiting = Promise.allSettled(Array.from({ length: 12 }, () => send(unread, Buffer.alloc(256 * 1024))));
  const read = await a.open(b.peer, `${BULK}/read`);
  for (let i = 0; i < 16; i++) await send(read, Buffer.alloc(256 * 1024));
  await until(() => gotBytes === 4 * MIB, 'all of it');
  unread.abort(new Error('done'));
  await read.close();
  t.is((await waiting).at(-1)?.status, 'rejected');
});

test('a reset by the other side breaks both reading and sending', async t => {
  const [a, b] = await pair(t);
  await b.handle(BULK, async () => {
    throw new Error('no');
  });
  const stream = await a.open(b.peer, BULK);
  const error = await t.throwsAsync(async () => {
    for await (const _ of pausingSource(stream));
  });
  t.like(error, { code: 'STREAM_BROKEN' });
  t.like(await t.throwsAsync(send(stream, Buffer.alloc(1))), { code: 'STREAM_BROKEN' });
});

test('a signal ends a wait for bytes and a wait for room', async t => {
  const [a, b] = await pair(t);
  await b.handle(BULK, (stream, _from, signal) => {
    stream.pause();
    return new Promise(resolve => signal.addEventListener('abort', () => resolve()));
  });
  const stream = await a.open(b.peer, BULK);
  const stop = new AbortController();
  const reading = (async () => {
    for await (const _ of pausingSource(stream, { signal: stop.signal }));
  })();
  const sending = (async () => {
    while (true) await send(stream, Buffer.alloc(256 * 1024), { signal: stop.signal });
  })();
  stop.abort(new Error('enough'));
  await t.throwsAsync(reading, { message: 'enough' });
  await t.throwsAsync(sending, { message: 'enough' });
  stream.abort(new Error('done'));
});

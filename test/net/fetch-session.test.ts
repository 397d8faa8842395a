/** Fetch session: one stream for many fetches, whatever their askers do with the answers. */
import test, { type ExecutionContext } from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { type BlobId, parseBlobId, parseParcelId } from '../../src/core/ids.js';
import { FETCH_PROTOCOL, type FetchPart, type FetchRequest, serveFetch } from '../../src/net/fetch-protocol.js';
import { FetchSessions } from '../../src/net/fetch-session.js';
import { type Host, House, until } from './fleet.js';

const PARCEL = parseParcelId('44'.repeat(32));
const contentOf = (n: number): Buffer => Buffer.alloc(1_000 + n, n);
const blobOf = (n: number): BlobId => parseBlobId(hashHex(contentOf(n)));
const request = (...ns: readonly number[]): FetchRequest => ({
  parcel: PARCEL,
  blobs: ns.map(blobOf),
  purpose: 'grab',
});
const never = new AbortController().signal;

/** One host asks, the other serves what `contentOf` makes; `hold` keeps the answers to a blob back. */
async function pair(t: ExecutionContext) {
  const [a, b] = (await new House(t).clique(2)) as [Host, Host];
  const byBlob = new Map(Array.from({ length: 64 }, (_, n) => [blobOf(n), contentOf(n)]));
  const held = new Map<BlobId, Promise<void>>();
  const begun: BlobId[] = [];
  const served: BlobId[] = [];
  let streams = 0;
  const open = a.net.open.bind(a.net);
  a.net.open = (peer, protocol, options) => {
    if (protocol === FETCH_PROTOCOL) streams += 1;
    return open(peer, protocol, options);
  };
  await serveFetch(
    b.net,
    async ({ blobs }) => ({
      kind: 'blobs',
      parts: (async function* () {
        begun.push(...blobs);
        for (const blob of blobs) {
          await held.get(blob);
          served.push(blob);
          const content = byBlob.get(blob) as Buffer;
          yield { pack: [{ blob, content }] };
        }
      })(),
    }),
    () => false,
  );
  const hold = (n: number): (() => void) => {
    let release = (): void => {};
    held.set(blobOf(n), new Promise<void>(resolve => (release = resolve)));
    return release;
  };
  const sessions = new FetchSessions(a.net);
  t.teardown(() => sessions.stop());
  const ask = (ns: readonly number[], signal = never) => sessions.ask(b.net.peer, request(...ns), signal);
  return { a, b, sessions, ask, hold, begun, served, streams: () => streams };
}

async function contents(parts: AsyncIterable<FetchPart>): Promise<number[]> {
  const sizes: number[] = [];
  for await (const part of parts)
    if (part.kind === 'pack') for (const { content } of part.blobs) sizes.push(content.length - 1_000);
  return sizes;
}

test('many fetches share one stream, and each gets its own answer', async t => {
  const { ask, streams } = await pair(t);
  const got = await Promise.all(Array.from({ length: 20 }, (_, n) => contents(ask([n, n + 20]))));
  t.deepEqual(
    got,
    Array.from({ length: 20 }, (_, n) => [n, n + 20]),
  );
  t.is(streams(), 1);
});

test('an answer that is left in the middle is read to its end, and the next one is whole', async t => {
  const { ask, streams } = await pair(t);
  for await (const part of ask([1, 2, 3])) {
    t.is(part.kind, 'pack');
    break;
  }
  t.deepEqual(await contents(ask([4, 5])), [4, 5]);
  t.is(streams(), 1);
});

test('who gives up is told at once, and those behind it get theirs', async t => {
  const { ask, hold, streams } = await pair(t);
  const release = hold(1);
  const gaveUp = new AbortController();
  const first = contents(ask([1], gaveUp.signal));
  const second = contents(ask([2]));
  gaveUp.abort(new Error('not needed any more'));
  await t.throwsAsync(first, { message: 'not needed any more' });
  release();
  t.deepEqual(await second, [2]);
  t.is(streams(), 1);
});

test('when the stream breaks everybody is told, and the next fetch has a new one', async t => {
  const { a, b, ask, hold, begun, streams } = await pair(t);
  hold(1);
  const asked = [contents(ask([1])), contents(ask([2]))];
  const failed = Promise.all(asked.map(one => t.throwsAsync(one, { code: 'STREAM_BROKEN' })));
  await until(() => begun.length === 1, 'the first answer to begin');
  const broke = new Promise<void>(resolve => void a.net.onDisconnect(() => resolve()));
  await b.net.close(a.net.peer);
  await Promise.all([failed, broke]);
  await until(() => a.net.connected().length === 1, 'the connection to come back');
  t.deepEqual(await contents(ask([3])), [3]);
  t.is(streams(), 2);
});

test('a session that stops tells those who wait', async t => {
  const { ask, hold, sessions, served } = await pair(t);
  hold(2);
  const asked = contents(ask([1, 2]));
  await until(() => served.length === 1, 'the first blob');
  sessions.stop();
  await t.throwsAsync(asked, { code: 'STREAM_BROKEN' });
});

/** Object asks: what is wanted at once is asked for together, and each gets its own answer. */
import test, { type ExecutionContext } from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { type ObjectId, parseObjectId } from '../../src/core/ids.js';
import { ObjectAsks } from '../../src/daemon/object-asks.js';
import { OBJECT_PROTOCOL, serveObjects } from '../../src/net/object-protocol.js';
import { type Host, House } from '../net/fleet.js';

const bytesNumber = (n: number): Buffer => Buffer.from(`object ${n}`);
const idNumber = (n: number): ObjectId => parseObjectId(hashHex(bytesNumber(n)));

async function pair(t: ExecutionContext, { serves = 100, lies = false, fails = undefined as unknown } = {}) {
  const [a, b] = (await new House(t).clique(2)) as [Host, Host];
  const kept = new Map(Array.from({ length: serves }, (_, n) => [idNumber(n), bytesNumber(n)]));
  await serveObjects(b.net, () => ({
    get: async id => (lies && id === idNumber(3) ? Buffer.from('another') : kept.get(id)),
  }));
  let streams = 0;
  const open = a.net.open.bind(a.net);
  a.net.open = (peer, protocol, options) => {
    if (protocol === OBJECT_PROTOCOL) streams += 1;
    if (fails !== undefined) return Promise.reject(fails);
    return open(peer, protocol, options);
  };
  const asks = new ObjectAsks(a.net);
  return {
    get: (n: number, signal?: AbortSignal) => asks.get(b.net.peer, idNumber(n), signal),
    streams: () => streams,
  };
}

test('a hundred objects that are wanted at once take two asks', async t => {
  const { get, streams } = await pair(t);
  const got = await Promise.all(Array.from({ length: 100 }, (_, n) => get(n)));
  t.deepEqual(
    got.map(bytes => Buffer.from(bytes ?? []).toString()),
    Array.from({ length: 100 }, (_, n) => bytesNumber(n).toString()),
  );
  t.is(streams(), 2);
});

test('what is wanted twice is told to both, and what is not there is said to be missing', async t => {
  const { get } = await pair(t, { serves: 1 });
  const [first, second, missing] = await Promise.all([get(0), get(0), get(7)]);
  t.deepEqual(first, second);
  t.is(missing, undefined);
  t.is(await get(8), undefined, 'and it goes on afterwards');
});

test('who gives up hears of it at once, and the others get theirs', async t => {
  const { get } = await pair(t);
  const gaveUp = new AbortController();
  const first = get(1, gaveUp.signal);
  const second = get(2);
  gaveUp.abort(new Error('left'));
  await t.throwsAsync(first, { message: 'left' });
  t.is(Buffer.from((await second) ?? []).toString(), 'object 2');
  await t.throwsAsync(get(1, gaveUp.signal), { message: 'left' });
});

test('an ask that fails fails for those who are still without an answer', async t => {
  const { get } = await pair(t, { lies: true });
  const results = await Promise.allSettled([get(1), get(3), get(4)]);
  t.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected'],
  );
});

test('an ask that takes too long is an error of the way to the peer, and none of a disk', async t => {
  const { get } = await pair(t, { fails: new Error('not done within 30 s') });
  t.like(await t.throwsAsync(get(1)), { code: 'STREAM_BROKEN', blame: 'passing' });
});

import test from 'ava';
import { addressOf, House, until } from './fleet.js';

const ECHO = '/scatterhoard/echo/1';

test('two members connect by a static address and each hears of the other', async t => {
  const house = new House(t);
  const a = await house.host();
  const heard: string[] = [];
  a.net.onConnect((peer, addresses) => heard.push(peer, ...addresses));
  const b = await house.host({ staticAddresses: [addressOf(a.net).replace(/\/p2p\/.*/, '')] });
  await until(() => a.net.connected().length === 1 && b.net.connected().length === 1, 'a connection');
  t.deepEqual(a.net.connected(), [b.net.peer]);
  t.is(heard[0], b.net.peer);
  t.true(addressOf(b.net).startsWith(heard[1] ?? 'nothing'), 'with the address it listens on');
});

test('a stream carries bytes to a handler and back', async t => {
  const house = new House(t);
  const [a, b] = await house.clique(2);
  if (a === undefined || b === undefined) return t.fail();
  let from: string | undefined;
  await b.net.handle(ECHO, async (stream, peer) => {
    from = peer;
    for await (const chunk of stream) stream.send(chunk);
  });
  const stream = await a.net.open(b.net.peer, ECHO);
  stream.send(Buffer.from('hello'));
  await stream.close();
  const answer: Buffer[] = [];
  for await (const chunk of stream) answer.push(Buffer.from(chunk.subarray()));
  t.is(Buffer.concat(answer).toString(), 'hello');
  t.is(from, a.net.peer);
});

test('a stranger gets no connection while none are welcome', async t => {
  const house = new House(t);
  const a = await house.host();
  const elsewhere = new House(t);
  elsewhere.members.add(a.net.peer);
  const stranger = await elsewhere.host();
  await t.throwsAsync(
    async () => {
      await stranger.net.dial(addressOf(a.net));
      await stranger.net.open(a.net.peer, ECHO);
    },
    { code: 'PEER_UNREACHABLE' },
  );
  t.deepEqual(a.net.connected(), []);
});

test('a member does not dial a stranger', async t => {
  const house = new House(t);
  const stranger = await house.host({ member: false });
  const a = await house.host();
  await t.throwsAsync(a.net.dial(addressOf(stranger.net)), { code: 'PEER_UNREACHABLE' });
  await t.throwsAsync(a.net.dial(addressOf(stranger.net).replace(/\/p2p\/.*/, '')), { code: 'PEER_UNREACHABLE' });
  await t.throwsAsync(a.net.dial('nonsense'), { code: 'BAD_ADDRESS' });
});

test('a broken connection heals by itself after the other side restarts on the same port', async t => {
  const house = new House(t);
  const b = await house.host();
  const address = addressOf(b.net);
  const known = [{ peer: b.net.peer, addresses: [address] }];
  const a = await house.host({ knownAddresses: () => known });
  await until(() => a.net.connected().includes(b.net.peer), 'the first connection');
  let gone = 0;
  a.net.onDisconnect(() => gone++);
  await b.net.stop();
  await until(() => a.net.connected().length === 0, 'the break');
  t.is(gone, 1);
  const again = await house.host({ privateKeySeed: b.seed, listen: [address.replace(/\/p2p\/.*/, '')] });
  await until(() => a.net.connected().includes(again.net.peer), 'the healing');
  t.is(again.net.peer, b.net.peer);
});

test('closing a revoked peer ends its streams and it does not come back', async t => {
  const house = new House(t);
  const [a, b] = await house.clique(2);
  if (a === undefined || b === undefined) return t.fail();
  let reason: unknown;
  await b.net.handle(ECHO, async (_stream, _peer, signal) => {
    await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()));
    reason = signal.reason;
  });
  await a.net.open(b.net.peer, ECHO);
  await new Promise(resolve => setImmediate(resolve));
  house.members.delete(a.net.peer);
  await b.net.close(a.net.peer);
  await until(
    () => reason !== undefined && b.net.connected().length === 0 && a.net.connected().length === 0,
    'the end',
  );
  await t.throwsAsync(a.net.open(b.net.peer, ECHO), { code: 'PEER_UNREACHABLE' });
  t.deepEqual(b.net.connected(), []);
});

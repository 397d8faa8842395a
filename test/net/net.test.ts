import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { noise } from '@chainsafe/libp2p-noise';
import type { Connection } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import test from 'ava';
import { createLibp2p } from 'libp2p';
import { type PeerName, parseClusterId } from '../../src/core/ids.js';
import { CONNECTIONS_PER_PEER_MAX } from '../../src/net/libp2p-node.js';
import { type Net, STREAMS_PER_PEER_MAX } from '../../src/net/net.js';
import { PENDING_PER_ADDRESS_MAX } from '../../src/net/pending-connections.js';
import { hasMulticast } from '../helpers/multicast.js';
import { skip } from '../helpers/skip.js';
import { addressOf, connect, type Host, House, settled, until, WAIT_MS_MAX } from './fleet.js';

const ECHO = '/scatterhoard/echo/1';
const OTHER = '/scatterhoard/other/1';

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

test('one peer may have 32 streams open here, over all protocols together, and not 33', async t => {
  const house = new House(t);
  const [a, b] = await house.clique(2);
  if (a === undefined || b === undefined) return t.fail();
  let open = 0;
  const hold = async (_stream: unknown, _peer: unknown, signal: AbortSignal): Promise<void> => {
    open++;
    await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()));
    open--;
  };
  await b.net.handle(ECHO, hold);
  await b.net.handle(OTHER, hold);
  const streams = [];
  for (let i = 0; i < STREAMS_PER_PEER_MAX; i++) streams.push(await a.net.open(b.net.peer, i % 2 === 0 ? ECHO : OTHER));
  await until(() => open === STREAMS_PER_PEER_MAX, 'all streams');
  const over = await a.net.open(b.net.peer, OTHER);
  await until(() => over.status === 'reset', 'the refusal');
  t.is(open, STREAMS_PER_PEER_MAX);
  streams[0]?.abort(new Error('done'));
  await until(() => open === STREAMS_PER_PEER_MAX - 1, 'room');
  await a.net.open(b.net.peer, OTHER);
  await until(() => open === STREAMS_PER_PEER_MAX, 'the next');
});

/** Serves one stream of a peer, for as long as it lasts. */
async function holdsOne(net: Net): Promise<{ open: number }> {
  const served = { open: 0 };
  await net.handle(
    ECHO,
    async (_stream, _peer, signal) => {
      served.open++;
      await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()));
    },
    { streamsMax: 1 },
  );
  return served;
}

test('a protocol may allow fewer streams than that', async t => {
  const house = new House(t);
  const [a, b] = await house.clique(2);
  if (a === undefined || b === undefined) return t.fail();
  const served = await holdsOne(b.net);
  await a.net.open(b.net.peer, ECHO);
  await until(() => served.open === 1, 'the first');
  const over = await a.net.open(b.net.peer, ECHO).catch(() => undefined);
  await until(() => over === undefined || over.status === 'reset', 'the refusal');
  t.is(served.open, 1);
});

test('a member has four connections, the newest, and one count of its streams over all of them', async t => {
  const house = new House(t);
  const b = await house.host();
  const served = await holdsOne(b.net);
  const raw = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  });
  t.teardown(async () => raw.stop());
  house.members.add(raw.peerId.toString() as PeerName);
  const made: Connection[] = [];
  for (let i = 0; i < CONNECTIONS_PER_PEER_MAX + 2; i++)
    made.push(await raw.dial(multiaddr(addressOf(b.net)), { force: true }));
  const standing = (): number[] => made.flatMap(({ status }, n) => (status === 'open' ? [n] : []));
  await until(() => standing().length === CONNECTIONS_PER_PEER_MAX, 'the oldest to go');
  t.deepEqual(standing(), [2, 3, 4, 5]);
  await made[5]?.newStream(ECHO);
  await until(() => served.open === 1, 'the first stream');
  const over = await made[4]?.newStream(ECHO).catch(() => undefined);
  await until(() => over === undefined || over.status === 'reset', 'the refusal');
  t.is(served.open, 1);
});

test('a handler that throws resets its stream and is logged; the connection stays', async t => {
  const house = new House(t);
  const [a, b] = await house.clique(2);
  if (a === undefined || b === undefined) return t.fail();
  await b.net.handle(ECHO, async () => {
    throw new Error('trouble in the handler');
  });
  const stream = await a.net.open(b.net.peer, ECHO);
  await until(() => stream.status === 'reset', 'the reset');
  t.true(b.lines.some(({ err }) => (err as { message?: string } | undefined)?.message === 'trouble in the handler'));
  t.deepEqual(a.net.connected(), [b.net.peer]);
});

test('a peer that leaves its end open does not hold a stream for ever', async t => {
  const house = new House(t);
  const [a, b] = await house.clique(2);
  if (a === undefined || b === undefined) return t.fail();
  await b.net.handle(ECHO, async () => undefined, { lingerMs: 50 });
  const stream = await a.net.open(b.net.peer, ECHO);
  await until(() => stream.status !== 'open', 'the end of the stream');
  t.is(stream.status, 'reset');
  t.deepEqual(a.net.connected(), [b.net.peer]);
});

test('two hosts that dial each other at once are connected, and stay so', async t => {
  const house = new House(t);
  const a = await house.host();
  const b = await house.host();
  await Promise.all([a.net.dial(addressOf(b.net)), b.net.dial(addressOf(a.net))]);
  await until(() => a.net.connected().length === 1 && b.net.connected().length === 1, 'a connection');
  t.deepEqual(a.net.connected(), [b.net.peer]);
  t.deepEqual(b.net.connected(), [a.net.peer]);
});

test('a static address that is our own is dialled once and then let be', async t => {
  const house = new House(t);
  const address = '/ip4/127.0.0.1/tcp/';
  const first = await house.host();
  const port = /tcp\/(\d+)/.exec(addressOf(first.net))?.[1];
  await first.net.stop();
  const self = await house.host({
    privateKeySeed: first.seed,
    listen: [address + port],
    staticAddresses: [address + port],
  });
  const other = await house.host({ staticAddresses: [addressOf(self.net)] });
  await until(() => self.net.connected().includes(other.net.peer), 'another host');
  t.deepEqual(self.net.connected(), [other.net.peer]);
});

test('a stream is opened to a member that is not connected, at the address that answers of all that are known', async t => {
  const house = new House(t);
  const b = await house.host();
  const gone = await house.host();
  const dead = addressOf(gone.net).replace(/\/p2p\/.*/, '');
  await gone.net.stop();
  const known = [{ peer: b.net.peer, addresses: [dead, addressOf(b.net)] }];
  let isKnown = false;
  const a = await house.host({ redialEveryMs: 3_600_000, knownAddresses: () => (isKnown ? known : []) });
  const served = await holdsOne(b.net);
  await t.throwsAsync(a.net.open(b.net.peer, ECHO), { code: 'PEER_UNREACHABLE' });
  isKnown = true;
  await a.net.open(b.net.peer, ECHO);
  await until(() => served.open === 1, 'the stream');
  t.is(served.open, 1);
});

test('a member is dialled again where it has said, since the last round, that it listens', async t => {
  const house = new House(t);
  const a = await house.host();
  // It does not dial by itself, so that only what the first remembers of it brings them together again.
  const b = await house.host({ redialEveryMs: 3_600_000 });
  await connect(b.net, a.net);
  let met = 0;
  b.net.onConnect(() => {
    met += 1;
  });
  await b.net.close(a.net.peer);
  await until(() => met > 0, 'the first to dial');
  t.true(b.net.connected().includes(a.net.peer));
});

test('a stranger that holds idle sockets keeps no member out', async t => {
  if (process.platform !== 'linux') return skip(t, 'loopback has one address here, and the stranger wants its own');
  const house = new House(t);
  const a = await house.host();
  const b = await house.host({ listen: [], redialEveryMs: 3_600_000 });
  const port = Number(/tcp\/(\d+)/.exec(addressOf(a.net))?.[1]);
  const idle = Array.from({ length: PENDING_PER_ADDRESS_MAX + 1 }, () =>
    createConnection({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }),
  );
  let refused = 0;
  for (const socket of idle) socket.on('error', () => undefined).on('close', () => refused++);
  t.teardown(() => {
    for (const socket of idle) socket.destroy();
  });
  await until(() => refused > 0, 'the first that is one too many');
  t.is(await b.net.dial(addressOf(a.net)), a.net.peer);
  await until(() => a.net.connected().includes(b.net.peer), 'the member');
});

test('a port that is taken is said to be', async t => {
  const house = new House(t);
  const a = await house.host();
  await t.throwsAsync(house.host({ listen: [addressOf(a.net).replace(/\/p2p\/.*/, '')] }), { code: 'LISTEN_FAILED' });
});

test('two members of one cluster find each other by mDNS, and a host of another cluster does not', async t => {
  if (!(await hasMulticast())) return skip(t, 'no multicast here, which mDNS needs');
  const house = new House(t, parseClusterId(randomBytes(16).toString('hex')));
  const elsewhere = new House(t, parseClusterId(randomBytes(16).toString('hex')));
  // Members of each other already, so that only discovery keeps the third apart.
  const a = await house.host({ mdns: true });
  const b = await house.host({ mdns: true });
  const c = await elsewhere.host({ mdns: true });
  for (const { net } of [a, b, c]) for (const { members } of [house, elsewhere]) members.add(net.peer);
  const met = (x: Host, y: Host): boolean =>
    x.net.connected().includes(y.net.peer) && y.net.connected().includes(x.net.peer);
  await until(() => met(a, b), 'mDNS');
  // The last that comes asks all that are there, and is found by its own: by then c would have found the others, too.
  const d = await elsewhere.host({ mdns: true });
  for (const { members } of [house, elsewhere]) members.add(d.net.peer);
  await until(() => met(c, d), 'mDNS of the other cluster');
  await settled(() => [a, b, c, d].reduce((sum, { net }) => sum + net.connected().length, 0));
  t.deepEqual(
    [a, b, c, d].map(({ net }) => net.connected()),
    [[b.net.peer], [a.net.peer], [d.net.peer], [c.net.peer]],
  );
});

test('a process whose net has stopped ends by itself', async t => {
  const script = `
    import { startNet } from ${JSON.stringify(new URL('../../src/net/start-net.js', import.meta.url).href)};
    import { pino } from ${JSON.stringify(import.meta.resolve('pino'))};
    const members = new Set();
    const start = fill => startNet({
      privateKeySeed: new Uint8Array(32).fill(fill), boot: 1, listen: ['/ip4/127.0.0.1/tcp/0'], mdns: true, cluster: 'ab'.repeat(16),
      gate: { isMember: peer => members.has(peer), strangersWelcome: () => false }, log: pino({ level: 'silent' }), knownAddresses: () => [],
    });
    const nets = [await start(1), await start(2)];
    for (const net of nets) members.add(net.peer);
    await nets[1].handle('/hold/1', (_stream, _from, signal) => new Promise(resolve => signal.addEventListener('abort', resolve)));
    const met = new Promise(resolve => nets[1].onConnect(resolve));
    await nets[0].dial(nets[1].addresses()[0]);
    await met;
    await nets[0].open(nets[1].peer, '/hold/1');
    await Promise.all(nets.map(net => net.stop()));
    console.log('stopped');
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', chunk => {
    output += chunk;
  });
  const ended = once(child, 'exit');
  const giveUp = setTimeout(() => child.kill('SIGKILL'), WAIT_MS_MAX);
  const [code, signal] = await ended;
  clearTimeout(giveUp);
  t.is(output, 'stopped\n');
  t.deepEqual([code, signal], [0, null]);
});

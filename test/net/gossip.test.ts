import '../../src/platform/node-shims.js';
import { noise } from '@chainsafe/libp2p-noise';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { gossipsub } from '@libp2p/gossipsub';
import { identify } from '@libp2p/identify';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import test, { type ExecutionContext } from 'ava';
import { encode } from 'it-length-prefixed';
import { createLibp2p } from 'libp2p';
import type { PeerName } from '../../src/core/ids.js';
import { type ConfigHint, GOSSIP_FRAME_BYTES_MAX, type GossipMessage } from '../../src/core/messages.js';
import { encodeFrame } from '../../src/net/gossip-border.js';
import { FRAMES_BURST_MAX, FRAMES_PER_SECOND_MAX, topicOf } from '../../src/net/gossip-topic.js';
import type { Net, NetOptions } from '../../src/net/net.js';
import { addressOf, connect, House, settled, until } from './fleet.js';

const hint = (version: number): ConfigHint => ({ kind: 'config', version, hash: 'ab'.repeat(32), admissions: [] });

interface Heard {
  readonly from: PeerName;
  readonly version: number;
}

/** What a net hears from now on; of one writer only, if one is named. */
function ear(net: Net, writer?: PeerName): Heard[] {
  const heard: Heard[] = [];
  net.onGossip((from, message: GossipMessage) => {
    if (message.kind === 'config' && (writer === undefined || writer === from))
      heard.push({ from, version: message.version });
  });
  return heard;
}

/** Says it again and again until it is heard: the first words after connecting may reach no one. */
async function sayUntil(net: Net, done: () => boolean, first = 1): Promise<number> {
  let version = first;
  await until(() => {
    if (done()) return true;
    void net.publish(hint(version++));
    return false;
  }, 'gossip to arrive');
  return version;
}

test('gossip reaches hosts that are not connected to its writer, and names the writer', async t => {
  const house = new House(t);
  const [a, b, c] = [await house.host(), await house.host(), await house.host()];
  await connect(a.net, b.net);
  await connect(b.net, c.net);
  const heard = [ear(b.net), ear(c.net)];
  await sayUntil(a.net, () => heard.every(list => list.length > 0));
  for (const list of heard) t.is(list[0]?.from, a.net.peer);
  t.false(c.net.connected().includes(a.net.peer));
});

test('hosts that know each other only through a third find each other, and stay when it is gone', async t => {
  const house = new House(t);
  const [a, b, c] = [await house.host(), await house.host(), await house.host()];
  await connect(a.net, b.net);
  await connect(b.net, c.net);
  const heartbeat = {
    kind: 'heartbeat',
    boot: 1,
    bootId: 'ab'.repeat(8),
    stores: [],
    configVersion: 1,
    headsDigest: 'ab'.repeat(32),
    paceBytesPerS: 0,
  } as const;
  await until(() => {
    void a.net.publish(heartbeat);
    return a.net.connected().includes(c.net.peer) && c.net.connected().includes(a.net.peer);
  }, 'the two ends to meet');
  await b.net.stop();
  await until(() => !c.net.connected().includes(b.net.peer), 'the middle to be gone');
  const heard = ear(c.net, a.net.peer);
  await sayUntil(a.net, () => heard.length > 0);
  t.is(heard[0]?.from, a.net.peer);
});

test('what one host says is heard in its order and once', async t => {
  const house = new House(t);
  const [a, b, c] = await house.clique(3);
  if (a === undefined || b === undefined || c === undefined) return t.fail();
  const heard = ear(b.net);
  const next = await sayUntil(a.net, () => heard.length > 0);
  for (let version = next; version < next + 50; version++) void a.net.publish(hint(version));
  await until(() => heard.at(-1)?.version === next + 49, 'the last one');
  const versions = heard.map(({ version }) => version);
  t.deepEqual(
    versions,
    [...new Set(versions)].sort((x, y) => x - y),
  );
  t.deepEqual(
    versions.slice(-50),
    Array.from({ length: 50 }, (_, i) => next + i),
  );
});

test('a small frame does not overtake a large one', async t => {
  const house = new House(t);
  const [a, b] = await house.clique(2);
  if (a === undefined || b === undefined) return t.fail();
  const kinds: string[] = [];
  b.net.onGossip((_from, { kind }) => void kinds.push(kind));
  await sayUntil(a.net, () => kinds.length > 0);
  const before = kinds.length;
  for (let i = 0; i < 20; i++) {
    void a.net.publish({
      kind: 'claims',
      store: 'ab'.repeat(16) as never,
      claims: Array.from({ length: 512 }, () => ({ parcel: 'cd'.repeat(32) as never, ttlMs: 1 })),
      withdrawn: Array.from({ length: 512 }, () => 'cd'.repeat(32) as never),
    });
    void a.net.publish({ kind: 'heads', heads: [] });
  }
  await until(() => kinds.filter(kind => kind === 'heads').length >= 20, 'the small frames');
  t.is(kinds.slice(before).filter(kind => kind === 'claims').length, 20);
});

test('a stranger that is connected hears nothing and is not heard', async t => {
  const house = new House(t);
  house.strangersWelcome = true;
  const [a, b] = await house.clique(2);
  if (a === undefined || b === undefined) return t.fail();
  const elsewhere = new House(t);
  elsewhere.members.add(a.net.peer);
  const stranger = await elsewhere.host();
  await stranger.net.handle('/none/1', async () => undefined);
  await stranger.net.dial(addressOf(a.net));
  const heardByStranger = ear(stranger.net);
  const heard = ear(b.net);
  const heardByA = ear(a.net);
  // Its own gossip streams are refused, whether it subscribes with them or speaks.
  for (const protocol of ['/meshsub/1.2.0', '/meshsub/1.1.0']) {
    const stream = await stranger.net.open(a.net.peer, protocol).catch(() => undefined);
    if (stream === undefined) continue;
    await t.throwsAsync(async () => {
      for await (const _ of stream);
      await new Promise(resolve => setImmediate(resolve));
      stream.send(encode.single(Buffer.from([0x0a, 0])));
    });
  }
  void stranger.net.publish(hint(7));
  await sayUntil(a.net, () => heard.length > 5);
  t.deepEqual(heardByStranger, []);
  t.deepEqual(heardByA, []);
  t.true(heard.every(({ from }) => from === a.net.peer));
});

test('the gossip of a revoked member is not heard, though a relay passes it on', async t => {
  const house = new House(t);
  const late = new House(t);
  const a = await house.host();
  const b = await house.host();
  const c = await late.host();
  late.members.add(b.net.peer);
  house.members.add(c.net.peer);
  // c knows b alone; b knows everybody and relays.
  await connect(a.net, b.net);
  await connect(c.net, b.net);
  const heardByB = ear(b.net);
  const heardByC = ear(c.net);
  await sayUntil(b.net, () => heardByC.length > 0);
  const next = await sayUntil(a.net, () => heardByB.length > 5);
  const before = heardByC.length;
  await sayUntil(b.net, () => heardByC.length > before, next);
  t.true(heardByC.every(({ from }) => from === b.net.peer));
  t.deepEqual(b.net.connected().sort(), [a.net.peer, c.net.peer].sort());
});

test('gossip comes back by itself, both ways, after one side has given the other up', async t => {
  const house = new House(t);
  const [a, b] = await house.clique(2);
  if (a === undefined || b === undefined) return t.fail();
  const heard = [ear(a.net), ear(b.net)] as const;
  const next = await sayUntil(a.net, () => heard[1].length > 0);
  await sayUntil(b.net, () => heard[0].length > 0);
  // A length that no message may have: GossipSub gives up on the peer, and does not come back to it by itself.
  const stream = await a.net.open(b.net.peer, '/meshsub/1.2.0').catch(() => a.net.open(b.net.peer, '/meshsub/1.1.0'));
  stream.send(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7f]));
  await until(() => stream.remoteWriteStatus === 'closed' || stream.status !== 'open', 'the stream to be given up');
  const before = heard.map(list => list.length);
  await sayUntil(b.net, () => heard[0].length > (before[0] ?? 0), next);
  await sayUntil(a.net, () => heard[1].length > (before[1] ?? 0), next);
  t.true(a.net.connected().includes(b.net.peer), 'on the connection that they had');
});

/** A member that runs another program: it can say anything, under its own signature. `b` hears it, `c` hears `b`. */
async function rawMember(t: ExecutionContext, options: Partial<NetOptions> = {}) {
  const house = new House(t);
  const [b, c] = await house.clique(2, options);
  if (b === undefined || c === undefined) throw new Error('no clique');
  const privateKey = await generateKeyPair('Ed25519');
  const node = await createLibp2p({
    privateKey,
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), pubsub: gossipsub({ allowPublishToZeroTopicPeers: true }) },
  });
  t.teardown(() => node.stop());
  const name = node.peerId.toString() as PeerName;
  house.members.add(name);
  const topic = topicOf(house.cluster);
  await node.dial(multiaddr(addressOf(b.net)));
  await until(
    () => b.net.connected().includes(name) && node.services.pubsub.getSubscribers(topic).length > 0,
    'the raw member',
  );
  // Until gossip flows from b to c, what the raw member says first might reach b alone.
  const warm = ear(c.net);
  await sayUntil(b.net, () => warm.length > 0);
  const writer = node.peerId.toMultihash().bytes;
  const offences = [b, c].map(({ net }) => {
    const list: string[] = [];
    net.onOffence((peer, { code }) => list.push(`${peer === name ? 'raw' : peer} ${code}`));
    return list;
  });
  let frame = 0;
  return {
    b,
    c,
    heard: [ear(b.net, name), ear(c.net, name)],
    offences,
    writer,
    say: async (bytes: Uint8Array): Promise<unknown> => node.services.pubsub.publish(topic, bytes),
    frame: (version: number, stamp: { boot?: number; frame?: number; writer?: Uint8Array } = {}): Uint8Array =>
      encodeFrame({ writer, boot: 5, frame: ++frame, ...stamp }, hint(version)),
  };
}

const versionsOf = (heard: readonly Heard[]): number[] => heard.map(({ version }) => version);

test('what no honest build says is an offence of its author, and is neither heard nor passed on', async t => {
  const { b, c, heard, offences, say, frame } = await rawMember(t);
  await say(frame(1));
  await until(() => heard.every(list => list.length === 1), 'the first frame');
  await say(Buffer.from([1, 2, 3]));
  await say(frame(2, { writer: new Uint8Array(38) }));
  await say(Buffer.alloc(GOSSIP_FRAME_BYTES_MAX + 1));
  await say(frame(3));
  await until(() => heard.every(list => list.length === 2), 'the last frame');
  for (const list of heard) t.deepEqual(versionsOf(list), [1, 3]);
  t.deepEqual(offences[0], ['raw MALFORMED_MESSAGE', 'raw WRONG_WRITER', 'raw MALFORMED_MESSAGE']);
  t.deepEqual(offences[1], [], 'nothing of it was passed on');
  t.true(c.net.connected().includes(b.net.peer));
});

test('replays, and frames from before the last start of their writer, are dropped and complained of', async t => {
  const { b, heard, offences, say, frame } = await rawMember(t);
  await say(frame(1, { frame: 10 }));
  await say(frame(2, { frame: 10 }));
  // Overtaken on its way: heard, and once.
  await say(frame(3, { frame: 9 }));
  await say(frame(8, { frame: 9 }));
  await say(frame(4, { boot: 4, frame: 11 }));
  await say(frame(5, { boot: 6, frame: 1 }));
  await say(frame(6, { boot: 5, frame: 12 }));
  await say(frame(7, { boot: 6, frame: 2 }));
  await until(() => heard.every(list => list.at(-1)?.version === 7), 'the last frame');
  for (const list of heard) t.deepEqual(versionsOf(list), [1, 3, 5, 7]);
  t.deepEqual(offences, [[], []]);
  t.is(b.lines.filter(({ code }) => code === 'GOSSIP_OLDER_BOOT').length, 1, 'said once a minute');
});

test('that a writer seems to have started earlier is said again after a minute, though the wall clock was set back', async t => {
  const clock = { nowMs: 0, wallMs: 1_700_000_000_000 };
  const gossipClock = { nowMs: () => clock.nowMs, wallMs: () => clock.wallMs };
  const { b, heard, say, frame } = await rawMember(t, { gossipClock });
  const rising: boolean[] = [];
  b.net.onOlderStart((_, isRising) => void rising.push(isRising));
  await say(frame(1));
  await until(() => heard.every(list => list.length === 1), 'the first frame');
  await say(frame(2, { boot: 4 }));
  await until(() => rising.length === 1, 'the complaint');
  await say(frame(3, { boot: 4 }));
  clock.wallMs -= 3_600_000;
  clock.nowMs += 61_000;
  await say(frame(4, { boot: 4 }));
  await until(() => rising.length > 1, 'the complaint once more');
  // Of the first frame of an earlier start nobody knows whether it is a replay.
  t.deepEqual(rising, [false, true]);
});

test('a member that gossips too fast is cut to its rate, and said to', async t => {
  const clock = { nowMs: 1_700 };
  const { b, heard, say, frame } = await rawMember(t, { gossipClock: { nowMs: () => clock.nowMs, wallMs: Date.now } });
  const [heardByB = []] = heard;
  for (let i = 0; i < FRAMES_BURST_MAX + 200; i++) void say(frame(i));
  await until(() => heardByB.length === FRAMES_BURST_MAX, 'as many as may come at once');
  await until(() => b.lines.some(({ code }) => code === 'GOSSIP_TOO_FAST'), 'the complaint');
  clock.nowMs += 1_000;
  for (let i = 0; i < FRAMES_PER_SECOND_MAX + 200; i++) void say(frame(i));
  const inAll = FRAMES_BURST_MAX + FRAMES_PER_SECOND_MAX;
  await until(() => heardByB.length >= inAll, 'what may come in a second');
  await settled(() => heardByB.length);
  t.is(heardByB.length, inAll);
});

test('old frames that are said again, however many, leave their writer its rate; who passes them on is complained of', async t => {
  const { b, c, heard, offences, say, frame } = await rawMember(t);
  await say(frame(1, { frame: 1_000 }));
  await until(() => heard.every(list => list.length === 1), 'the first frame');
  for (let i = 0; i < 2 * FRAMES_BURST_MAX; i++) void say(frame(i, { frame: 1 + (i % 900) }));
  await say(frame(2, { frame: 1_001 }));
  await until(() => heard.every(list => list.at(-1)?.version === 2), 'what is new');
  for (const list of heard) t.deepEqual(versionsOf(list), [1, 2]);
  t.is(b.lines.filter(({ code }) => code === 'GOSSIP_REPLAYS').length, 1);
  t.deepEqual(
    [...b.lines, ...c.lines].filter(({ code }) => code === 'GOSSIP_TOO_FAST'),
    [],
  );
  t.deepEqual(offences, [[], []]);
});

import test, { type ExecutionContext } from 'ava';
import { send } from '../../src/net/bulk-stream.js';
import { FETCH_PROTOCOL, serveFetch } from '../../src/net/fetch-protocol.js';
import { STREAMS_PER_STRANGER_MAX } from '../../src/net/gating.js';
import type { Net } from '../../src/net/net.js';
import { OBJECT_PROTOCOL, serveObjects } from '../../src/net/object-protocol.js';
import { STATE_PROTOCOL, serveState } from '../../src/net/state-protocol.js';
import { addressOf, type Host, House, until } from './fleet.js';

const JOIN = '/scatterhoard/join-test/1';

/** A member, and a stranger that takes it for one of its own: the stranger's gate lets it dial. */
async function memberAndStranger(
  t: ExecutionContext,
): Promise<{ readonly house: House; readonly member: Host; readonly stranger: Host }> {
  const house = new House(t);
  const member = await house.host();
  const elsewhere = new House(t);
  elsewhere.members.add(member.net.peer);
  return { house, member, stranger: await elsewhere.host() };
}

/** Whether a stream to a protocol gives a byte back. */
async function answers(from: Net, to: Net, protocol: string): Promise<boolean> {
  const stream = await from.open(to.peer, protocol).catch(() => undefined);
  if (stream === undefined) return false;
  try {
    stream.send(Buffer.from([1, 0]));
    for await (const _ of stream) return true;
    return false;
  } catch {
    return false; // Refused, in one of the several ways in which a stream can be refused.
  } finally {
    stream.abort(new Error('done'));
  }
}

test('while an invite is open a stranger reaches the handlers made for it, and no other', async t => {
  const { house, member, stranger } = await memberAndStranger(t);
  let served = 0;
  await serveState(member.net, async function* () {
    served++;
    yield* [];
  });
  await serveObjects(member.net, () => ({
    get: async () => {
      served++;
      return undefined;
    },
  }));
  await serveFetch(
    member.net,
    async () => {
      served++;
      return { kind: 'busy', retryAfterMs: 1 };
    },
    () => false,
  );
  await member.net.handle(JOIN, async stream => send(stream, Buffer.from('welcome')), { strangers: true });
  house.strangersWelcome = true;

  await stranger.net.dial(addressOf(member.net));
  t.true(await answers(stranger.net, member.net, JOIN));
  for (const protocol of [
    STATE_PROTOCOL,
    OBJECT_PROTOCOL,
    FETCH_PROTOCOL,
    '/ipfs/id/1.0.0',
    '/ipfs/ping/1.0.0',
    '/meshsub/1.1.0',
  ]) {
    t.false(await answers(stranger.net, member.net, protocol), protocol);
  }
  t.is(served, 0);
  t.deepEqual(member.net.connected(), []);
  t.deepEqual(stranger.net.connected(), [], 'nor does the stranger think that it was accepted');
});

test('when the last invite closes, strangers are shown out', async t => {
  const { house, member, stranger } = await memberAndStranger(t);
  await member.net.handle(JOIN, async stream => send(stream, Buffer.from('welcome')), { strangers: true });
  t.false(await answers(stranger.net, member.net, JOIN));
  house.strangersWelcome = true;
  await stranger.net.dial(addressOf(member.net));
  t.true(await answers(stranger.net, member.net, JOIN));
  let ended: unknown;
  await member.net.handle(
    `${JOIN}/slow`,
    async (_stream, _from, signal) => {
      await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()));
      ended = signal.reason;
    },
    { strangers: true },
  );
  const stream = await stranger.net.open(member.net.peer, `${JOIN}/slow`);
  house.strangersWelcome = false;
  t.false(await answers(stranger.net, member.net, JOIN), 'also on the connection that it has');
  // libp2p itself gives up a connection after 10 s on which its ping is refused; this must be ours.
  await until(() => ended !== undefined && stream.status !== 'open', 'the end', 5_000);
});

test('a stranger that becomes a member while connected is accepted without dialling anew', async t => {
  const { house, member, stranger } = await memberAndStranger(t);
  house.strangersWelcome = true;
  await stranger.net.dial(addressOf(member.net));
  t.deepEqual(member.net.connected(), []);
  let disconnects = 0;
  stranger.net.onDisconnect(() => disconnects++);
  house.members.add(stranger.net.peer);
  await until(() => member.net.connected().length === 1 && stranger.net.connected().length === 1, 'both to accept');
  t.is(disconnects, 0);
});

test('a stranger may have two streams and not three', async t => {
  const { house, member, stranger } = await memberAndStranger(t);
  house.strangersWelcome = true;
  let open = 0;
  await member.net.handle(
    JOIN,
    async (_stream, _from, signal) => {
      open++;
      await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()));
    },
    { strangers: true },
  );
  await stranger.net.dial(addressOf(member.net));
  const streams = [];
  for (let i = 0; i < STREAMS_PER_STRANGER_MAX; i++) streams.push(await stranger.net.open(member.net.peer, JOIN));
  await until(() => open === STREAMS_PER_STRANGER_MAX, 'both streams');
  const third = await stranger.net.open(member.net.peer, JOIN);
  await until(() => third.status === 'reset', 'the third to be refused');
  t.is(open, STREAMS_PER_STRANGER_MAX);
  t.true(streams.every(stream => stream.status === 'open'));
});

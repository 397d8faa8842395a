import { randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { Answer, Ask } from '../../protocols/config/config.js';
import { Ask as JoinAsk, Reply } from '../../protocols/join/join.js';
import { bytesOf, hexOf } from '../../src/core/ids.js';
import type { Signer } from '../../src/core/signed.js';
import { type Joiner, NONCE_BYTES, proofMessage } from '../../src/membership/admission.js';
import { askConfig, CONFIG_PROTOCOL, VERSIONS_PER_ANSWER_MAX } from '../../src/membership/config-protocol.js';
import { type FramedStream, framed } from '../../src/membership/framed-stream.js';
import { loadAdminKey, loadOrCreateAdminKey } from '../../src/membership/identity.js';
import { parseToken, type Token } from '../../src/membership/invite.js';
import { JOIN_PROTOCOL, REFUSALS } from '../../src/membership/join-protocol.js';
import { peerNameOf } from '../../src/membership/peer-key.js';
import type { Net } from '../../src/net/net.js';
import { startNet } from '../../src/net/start-net.js';
import { signerFromSeed } from '../../src/platform/ed25519.js';
import { addressOf } from '../net/fleet.js';
import { hostOf, type Key, newKey, next, silent } from './cast.js';
import { House, type LiveHost, until } from './house.js';

const WAIT_MS = 10_000;

/** A stranger with a net of its own, which knows this host. */
async function stranger(t: ExecutionContext, host: LiveHost, key: Key): Promise<Net> {
  const net = await startNet({
    privateKeySeed: key.seed,
    boot: 0,
    listen: [],
    mdns: false,
    cluster: host.membership.cluster,
    gate: { isMember: peer => peer === host.peer, strangersWelcome: () => false },
    log: silent,
    knownAddresses: () => [],
  });
  t.teardown(() => net.stop());
  return net;
}

/** A stream of a stranger, who may have two at once: closed when the test is done with it. */
async function streamTo(net: Net, host: LiveHost, protocol: string): Promise<FramedStream & AsyncDisposable> {
  await net.dial(addressOf(host.net));
  const stream = await net.open(host.peer, protocol);
  const frames = framed(stream, { bytesMax: 2 << 20, signal: AbortSignal.timeout(WAIT_MS) });
  return { ...frames, [Symbol.asyncDispose]: async () => stream.abort(new Error('done')) };
}

const joinerOf = (key: Key): Joiner => ({
  peer: peerNameOf(key.publicKey),
  host: hostOf(key),
  wantedName: 'guest',
  addresses: [],
});

async function knock(frames: FramedStream, token: Token): Promise<Uint8Array> {
  await frames.write(JoinAsk, { knock: { invite: token.invite.raw } });
  return (await frames.read(Reply)).challenge?.nonce ?? new Uint8Array();
}

test('a proof that was made for another nonce, another member, another joiner or with the host id of another is refused', async t => {
  const house = new House(t);
  const a = await house.found();
  const token = parseToken(await a.invite());
  const guest = newKey();
  const net = await stranger(t, a, guest);
  const honest = { joiner: joinerOf(guest), admitter: a.peer, nonce: (nonce: Uint8Array) => nonce };
  for (const lie of [
    { ...honest, nonce: () => randomBytes(NONCE_BYTES) },
    { ...honest, admitter: peerNameOf(newKey().publicKey) },
    { ...honest, joiner: joinerOf(newKey()) },
    { ...honest, joiner: { ...joinerOf(guest), host: a.membership.identity.host } },
  ]) {
    await using frames = await streamTo(net, a, JOIN_PROTOCOL);
    const nonce = await knock(frames, token);
    t.is(nonce.length, NONCE_BYTES);
    const meeting = {
      cluster: a.membership.cluster,
      inviteId: token.invite.id,
      admitter: lie.admitter,
      nonce: lie.nonce(nonce),
    };
    const proof = signerFromSeed(token.seed).sign(proofMessage(lie.joiner, meeting));
    await frames.write(JoinAsk, { proof: { host: bytesOf(lie.joiner.host), name: 'guest', addresses: [], proof } });
    t.is((await frames.read(Reply)).refused?.code, REFUSALS['bad-proof']);
  }
  t.is(a.membership.configuration.members.length, 1);
  // The same with nothing wrong in it is let in.
  await using frames = await streamTo(net, a, JOIN_PROTOCOL);
  const nonce = await knock(frames, token);
  const meeting = { cluster: a.membership.cluster, inviteId: token.invite.id, admitter: a.peer, nonce };
  const proof = signerFromSeed(token.seed).sign(proofMessage(honest.joiner, meeting));
  await frames.write(JoinAsk, { proof: { host: bytesOf(honest.joiner.host), name: 'guest', addresses: [], proof } });
  t.not((await frames.read(Reply)).admitted, undefined);
});

test('a stranger that sends rubbish to the join protocol is cut off, and the next one is served', async t => {
  const house = new House(t);
  const a = await house.found();
  const token = await a.invite();
  const net = await stranger(t, a, newKey());
  const raw = { encode: (bytes: Uint8Array) => bytes, decode: (bytes: Uint8Array) => bytes };
  const nothing = new Uint8Array(32);
  for (const first of [
    randomBytes(500),
    JoinAsk.encode({ more: { after: 0 } }),
    JoinAsk.encode({ proof: { host: nothing, name: '../..', addresses: [], proof: nothing } }),
    JoinAsk.encode({ knock: { invite: new Uint8Array(600) } }),
    new Uint8Array(9000),
  ]) {
    await using frames = await streamTo(net, a, JOIN_PROTOCOL);
    await frames.write(raw, first);
    await t.throwsAsync(frames.read(Reply), { code: 'STREAM_BROKEN' });
  }
  for (const proof of [
    { host: nothing, name: 'guest', addresses: [], proof: new Uint8Array(64) },
    { host: new Uint8Array(16), name: '../..', addresses: [], proof: new Uint8Array(64) },
    {
      host: new Uint8Array(16),
      name: 'guest',
      addresses: Array.from({ length: 9 }, () => '/ip4/1.2.3.4/tcp/1'),
      proof: new Uint8Array(64),
    },
    { host: new Uint8Array(16), name: 'guest', addresses: ['nowhere'], proof: new Uint8Array(64) },
  ]) {
    await using frames = await streamTo(net, a, JOIN_PROTOCOL);
    await knock(frames, parseToken(token));
    await frames.write(JoinAsk, { proof });
    await t.throwsAsync(frames.read(Reply), { code: 'STREAM_BROKEN' });
  }
  t.is((await house.join(token, 'b')).name, 'b');
});

test('a stranger gets nothing of the config protocol, invite or not', async t => {
  const house = new House(t);
  const a = await house.found();
  await a.invite();
  const net = await stranger(t, a, newKey());
  await t.throwsAsync(async () => {
    await using frames = await streamTo(net, a, CONFIG_PROTOCOL);
    await frames.write(Ask, { have: [], admissions: [], invites: [], answering: false });
    await frames.read(Answer);
  });
});

test('a member that answers with rubbish moves nobody, whatever it sends', async t => {
  const house = new House(t);
  const a = await house.found();
  const b = await house.admit(a, 'b');
  const { hash } = a.membership.configuration;
  // In place of b's service, one that lies.
  let lie = new Uint8Array();
  await b.down();
  const liar = await stranger(t, a, {
    ...b.membership.identity.signer,
    seed: b.membership.identity.seed,
    sign: newKey().sign,
  });
  await liar.handle(CONFIG_PROTOCOL, async (stream, _from, signal) => {
    const frames = framed(stream, { bytesMax: 1 << 20, signal });
    await frames.read(Ask);
    await frames.write({ encode: (bytes: Uint8Array) => bytes, decode: (bytes: Uint8Array) => bytes }, lie);
  });
  await liar.dial(addressOf(a.net));
  await until(() => a.net.connected().includes(b.peer), 'the liar to be taken for b');

  const lists = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 3 });
  const lies = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .record({ versions: lists, admissions: lists, invites: lists, more: fc.boolean() })
      .map(answer => Answer.encode(answer)),
  );
  await fc.assert(
    fc.asyncProperty(lies, async bytes => {
      lie = Uint8Array.from(bytes);
      try {
        await askConfig(a.net, b.peer, a.membership);
      } catch (error) {
        if (!(error instanceof Error) || !('code' in error) || error.code !== 'BAD_FRAME') throw error;
      }
      t.is(a.membership.configuration.hash, hash);
    }),
    { numRuns: 60 },
  );
});

/** Two hosts that are apart, each with an admin key, as of the version that both have. */
async function twoAdmins(t: ExecutionContext) {
  const house = new House(t);
  const a = await house.found();
  const b = await house.admit(a, 'b');
  const keyOfA = (await loadAdminKey(a.stateDir)) as Signer;
  const { signer: keyOfB } = await loadOrCreateAdminKey(b.stateDir, b.membership.identity.host);
  const { configuration } = a.membership;
  const admins = [...configuration.admins, { key: hexOf(keyOfB.publicKey), host: b.membership.identity.host }];
  const both = next(configuration, keyOfA, { admins });
  await a.membership.acceptVersion(both.raw);
  await b.membership.acceptVersion(both.raw);
  await Promise.all([a.down(), b.down()]);
  return { house, a, b, both, keyOfA, keyOfB };
}

test('a branch that wins by its last version alone is told to its end, however many answers that takes', async t => {
  const { house, a, b, both, keyOfA: stolen, keyOfB: honest } = await twoAdmins(t);
  const fooled = a.membership;
  await fooled.acceptVersion(next(both, stolen).raw);
  const right = await house.up(b.stateDir);
  let newest = both;
  for (let signed = 0; signed < VERSIONS_PER_ANSWER_MAX; signed++) {
    newest = next(newest, honest);
    await right.membership.acceptVersion(newest.raw);
  }
  const own = newest.admins.filter(({ host }) => host === b.membership.identity.host);
  newest = next(newest, honest, { admins: own });
  await right.membership.acceptVersion(newest.raw);
  const { signer, seed } = fooled.identity;
  const net = await stranger(t, right, { ...signer, seed });
  await net.dial(addressOf(right.net));
  await askConfig(net, right.peer, fooled);
  t.is(fooled.configuration.hash, newest.hash);
});

test('two admins that signed apart end with one chain on every host, and the one that lost is told of', async t => {
  const { house, a, b } = await twoAdmins(t);
  const apart = await house.up(b.stateDir); // with its admin key, and nobody to talk to

  t.true(apart.membership.isAdmin);
  await apart.membership.admin.addStore({ host: 'b', path: '/one' });
  await apart.membership.admin.addStore({ host: 'b', path: '/two' });
  await a.membership.admin.addStore({ host: 'a', path: '/three' });
  t.is(apart.membership.configuration.version, a.membership.configuration.version + 1);

  const back = await house.up(a.stateDir);
  await back.meet(apart);
  await until(
    () => apart.membership.configuration.hash === back.membership.configuration.hash,
    'both to have one chain',
  );
  t.deepEqual([...back.membership.configuration.policy.hosts.keys()], ['a']);
  t.is(apart.membership.alarms().length, 2);
  t.regex(apart.membership.alarms()[0] ?? '', /signed twice.*config\/lost/);
});

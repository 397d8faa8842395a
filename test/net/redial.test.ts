import { randomBytes } from 'node:crypto';
import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import type { Connection } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import test from 'ava';
import type { PeerName } from '../../src/core/ids.js';
import { Redial } from '../../src/net/redial.js';
import { signerFromSeed } from '../../src/platform/ed25519.js';
import { logInto } from './fleet.js';

function somePeer(): PeerName {
  const seed = randomBytes(32);
  const key = privateKeyFromRaw(Buffer.concat([seed, signerFromSeed(seed).publicKey]));
  return peerIdFromPrivateKey(key).toString() as PeerName;
}

const at = (host: number): string => `/ip4/192.0.2.${host}/tcp/4747`;

/** A redial loop on a network where each dial hangs until `fail` or `answer` ends it. */
function network({ admits = () => true }: { readonly admits?: (peer: PeerName) => boolean } = {}) {
  const tried: string[] = [];
  let connected = false;
  let end: { readonly answer: (peer: PeerName) => void; readonly fail: (error: Error) => void } | undefined;
  const redial = new Redial({
    self: somePeer(),
    admits,
    getConnections: () => (connected ? [{} as Connection] : []),
    dial: address =>
      new Promise<PeerName>((answer, fail) => {
        tried.push(String(address).replace(/\/p2p\/.*/, ''));
        end = { answer, fail };
      }),
    log: logInto([]),
  });
  const ended = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
  return {
    redial,
    tried,
    fail: async () => {
      end?.fail(new Error('nobody answers'));
      await ended();
    },
    answer: async (peer: PeerName) => {
      connected = true;
      end?.answer(peer);
      await ended();
    },
  };
}

test('each address of a member gets its turn, though rounds come while others are tried', async t => {
  const peer = somePeer();
  const { redial, tried, fail, answer } = network();
  const round = (): void => redial.round([{ peer, addresses: [at(1), at(2), at(3)] }]);
  round();
  for (let i = 0; i < 5; i++) {
    round();
    await fail();
  }
  t.deepEqual(tried, [at(1), at(2), at(3), at(1), at(2), at(3)]);
  await answer(peer);
  round();
  t.is(tried.length, 6, 'nothing is tried of who is connected');
});

test('what was just heard of a member is tried next, and never holds up what is known', async t => {
  const peer = somePeer();
  const { redial, tried, fail } = network();
  redial.round([{ peer, addresses: [at(1), at(2), at(3)] }]);
  for (let i = 0; i < 6; i++) {
    void redial.reach(peer, [at(11), at(12)]);
    await fail();
  }
  t.deepEqual(tried, [at(1), at(11), at(2), at(12), at(3), at(11), at(12)]);
});

test('whoever wants a member now is told when all that is known has been tried, also what was under way', async t => {
  const peer = somePeer();
  const { redial, tried, fail } = network();
  redial.round([{ peer, addresses: [at(1)] }]);
  let isOver = false;
  const over = redial.reachKnown(peer, [at(1), at(2)]).then(() => {
    isOver = true;
  });
  await fail();
  t.false(isOver);
  await fail();
  await over;
  t.deepEqual(tried, [at(1), at(2)]);
});

test('of what was just heard a limited number waits, however much is said', async t => {
  const peer = somePeer();
  const { redial, tried, fail } = network();
  void redial.reach(peer, [at(1)]);
  for (let host = 2; host < 250; host++) void redial.reach(peer, [at(host)]);
  for (let i = 0; i < 250; i++) await fail();
  t.is(tried.length, 1 + 16);
});

test('what is said of one that is no member, or in the name of another, is not tried', async t => {
  const [peer, other] = [somePeer(), somePeer()];
  const { redial, tried } = network({ admits: name => name === peer });
  await redial.reach(other, [at(1)]);
  await redial.reach(peer, [`${at(2)}/p2p/${other}`, 'nonsense']);
  t.deepEqual(tried, []);
});

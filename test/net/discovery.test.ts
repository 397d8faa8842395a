import { randomBytes } from 'node:crypto';
import test from 'ava';
import { type ClusterId, parseClusterId } from '../../src/core/ids.js';
import { Gating } from '../../src/net/gating.js';
import { createNode, type Node, nameOf } from '../../src/net/libp2p-node.js';
import { hasMulticast } from '../helpers/multicast.js';
import { skip } from '../helpers/skip.js';
import { until } from './fleet.js';

async function announcing(cluster: ClusterId, onTeardown: (end: () => Promise<void>) => void): Promise<Node> {
  const node = await createNode(
    { privateKeySeed: randomBytes(32), listen: ['/ip4/127.0.0.1/tcp/0'], mdns: true, cluster },
    new Gating({ isMember: () => false, strangersWelcome: () => false }),
  );
  onTeardown(async () => node.stop());
  return node;
}

test('who announces itself by mDNS is heard each time, and nothing of it is kept', async t => {
  if (!(await hasMulticast())) return skip(t, 'no multicast here, which mDNS needs');
  const cluster = parseClusterId(randomBytes(16).toString('hex'));
  const self = await announcing(cluster, t.teardown);
  const stranger = await announcing(cluster, t.teardown);
  const heard: string[] = [];
  self.services.discovery?.onPeer(({ id }) => heard.push(nameOf(id)));
  await self.start();
  await stranger.start();
  await until(() => heard.includes(nameOf(stranger.peerId)), 'the announcement');
  const told = heard.length;
  await stranger.services.discovery?.stop();
  await stranger.services.discovery?.start();
  await until(() => heard.length > told, 'the same once more');
  t.deepEqual(await self.peerStore.all(), []);
});

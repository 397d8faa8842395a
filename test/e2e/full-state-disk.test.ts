/** A host whose state folder's disk is full stays up, gives what it has, and is itself again once there is room. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { RealCluster } from '../helpers/real-cluster.js';
import { skip } from '../helpers/skip.js';
import { fillDisk, mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { makePlainTree } from './plain-tree.js';

const DISK_BYTES = 40 * 1024 * 1024;

test('an origin whose state disk is full gives its files, and takes snapshots again once there is room', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const cluster = new RealCluster(t);
  mountSmallDisk(t, cluster.makeFolder('a.state', { mode: 0o700 }), DISK_BYTES);
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 1_000, name: 'files' });
  const [a, b] = await cluster.found(['a', 'b']);
  const store = { path: cluster.makeFolder('b.store'), limit: '1 GB' };
  await cluster.apply({
    hosts: { a: { sources: { pics: { path: source } } }, b: { stores: [store] } },
    defaults: { copies: 1 },
  });
  const { configVersion } = await a.status();
  await b.sees('its store', status => status.configVersion === configVersion);
  await b.stop();
  await a.ok('backup', 'pics');

  const filling = join(a.state, 'filling');
  fillDisk(filling);
  const { pid } = a;
  await b.up();
  await b.sees('that it has all', status => status.protected);
  t.is(a.pid, pid);
  await a.sees('the alarm', ({ alarms }) => alarms.some(({ code }) => code === 'STATE_DISK_FULL'));
  rmSync(filling);
  await a.ok('status', '--wait', 'protected', '--timeout', '60s');
  await a.ok('backup', 'pics');
});

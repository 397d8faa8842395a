/** A host whose state folder's disk is full stays up, gives what it has, and is itself again once there is room. */
import { rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { RealCluster, type RealHost } from '../helpers/real-cluster.js';
import { skip } from '../helpers/skip.js';
import { fillDisk, mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { makePlainTree } from './plain-tree.js';

const DISK_BYTES = 40 * 1024 * 1024;
/** Left on the disk, so that it is full only after some copies. */
const LEFT_BYTES = 64 * 1024;
/** Parcels: enough to need more of the index than is left. */
const MISSED_MIN = 50;
/** Stores are looked at every minute. */
const LOOKED_MS_MAX = 150_000;
/** The log is long by then, and is read whole each time. */
const READ_LOG_EVERY_MS = 2_000;
/** With what is copied before and after that look. */
const TEST_MS_MAX = 480_000;

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

test('a holder whose state disk is full gives the copies that it had, and takes more once there is room', async t => {
  t.timeout(TEST_MS_MAX);
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const cluster = new RealCluster(t);
  mountSmallDisk(t, cluster.makeFolder('b.state', { mode: 0o700 }), DISK_BYTES);
  const [old, fresh] = [cluster.makeFolder('old'), cluster.makeFolder('fresh')];
  makePlainTree(old, { files: 300, name: 'old' });
  const [a, b] = await cluster.found(['a', 'b']);
  const sourceOf = (path: string) => ({ path, watch: false, every: '24h' });
  await cluster.apply({
    hosts: {
      a: { sources: { old: sourceOf(old), fresh: sourceOf(fresh) } },
      b: { stores: [{ path: cluster.makeFolder('b.store'), limit: '1 GB' }] },
    },
    defaults: { copies: 1 },
  });
  await a.ok('backup', 'old', '--wait', '--timeout', '60s');
  const { parcels = 0 } = await heldBy(b);
  // What is to be copied is known before the disk is full, since nothing is taken in then.
  await b.ok('pause', '1h');
  makePlainTree(fresh, { files: 4_000, name: 'fresh' });
  await a.ok('backup', 'fresh');
  await b.sees('what it lacks', ({ sources }) => sources.some(source => source.parcels.under > MISSED_MIN));
  const filling = join(b.state, 'filling');
  fillDisk(filling);
  truncateSync(filling, statSync(filling).size - LEFT_BYTES);
  const { pid } = b;
  await b.ok('resume');
  // Its line of a look at the stores, at which it is not unmounted.
  const isBehind = async () => b.log().some(({ code }) => code === 'STORE_BEHIND') || undefined;
  await cluster.until('that b looks at a store that is behind', isBehind, {
    withinMs: LOOKED_MS_MAX,
    everyMs: READ_LOG_EVERY_MS,
  });
  t.is(b.pid, pid);
  const held = await heldBy(b);
  t.true(held.mounted);
  t.true((held.parcels ?? 0) >= parcels);
  await a.ok('restore', 'old', '--target', cluster.path('restored'));
  await b.sees('the alarm', ({ alarms }) => alarms.some(({ code }) => code === 'INDEX_REFUSED'));
  rmSync(filling);
  await a.ok('status', '--wait', 'protected', '--timeout', '180s');
});

async function heldBy(host: RealHost) {
  const { hosts } = await host.status();
  const [store] = hosts.find(({ name }) => name === host.name)?.stores ?? [];
  if (store === undefined) throw new Error(`${host.name} tells of no store`);
  return store;
}

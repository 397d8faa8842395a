/**
 * Old image: a host and its store are put back together to how they were days ago. Nobody but the others can tell, and
 * what they remember must not count.
 */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { contentsOf, countCopies, type StorePlace } from '../helpers/count-copies.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { makePlainTree } from './plain-tree.js';

test.serial('a host restored from an old image holds what it announces again, and is listened to', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 50, name: 'early' });
  const stores: StorePlace[] = ['b', 'c'].map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));
  const [a, b] = await cluster.found(['a', 'b', 'c']);
  await cluster.apply({
    defaults: { copies: 2 },
    hosts: {
      a: { sources: { pics: { path: source } } },
      ...Object.fromEntries(stores.map(({ host, path }) => [host, { stores: [{ path, limit: '1 GB' }] }])),
    },
  });
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');

  const parts = [b.state, join(cluster.folder, 'b.store')];
  const imageOf = (path: string): string => `${path}.image`;
  const copy = (from: string, to: string): void => {
    rmSync(to, { recursive: true, force: true });
    cpSync(from, to, { recursive: true, preserveTimestamps: true });
  };
  await b.stop();
  for (const part of parts) copy(part, imageOf(part));
  await b.up();
  await b.stop();
  await b.up();
  makePlainTree(source, { files: 50, name: 'late' });
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
  await a.ok('status', '--wait', 'settled', '--timeout', '60s');
  await b.stop();
  for (const part of parts) copy(imageOf(part), part);

  await b.up();
  await cluster.until('b has ended', () => b.pid === undefined);
  const lines = JSON.stringify(b.log());
  t.regex(lines, /other hosts remember operation/);
  t.regex(lines, /BOOT_BEHIND/);
  await b.up();
  await a.sees('b is heard, and everything protected and settled', status => {
    return status.protected && status.settled && status.hosts.every(({ state }) => state === 'active');
  });
  const contents = await contentsOf(source);
  await cluster.until('every file is twice on disk', async () => {
    const { copies, wrong } = await countCopies(stores);
    t.deepEqual(wrong, []);
    return [...contents.keys()].every(hash => copies.get(hash)?.hosts.length === 2);
  });
});

/**
 * Namespaces: machines that share nothing but a switch find each other by mDNS alone, and again after a cable was out.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { StatusReport } from '../../src/daemon/service.js';
import { compareTrees } from '../helpers/compare-trees.js';
import { contentsOf, countCopies } from '../helpers/count-copies.js';
import { Namespaces } from '../helpers/namespaces.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { skip } from '../helpers/skip.js';
import { makePlainTree } from './plain-tree.js';

const allThere = ({ hosts }: StatusReport): boolean => hosts.every(({ state }) => state === 'active');

test.serial('hosts on one switch find each other by mDNS alone, and recover after a cable was unplugged', async t => {
  const names = ['a', 'b', 'c'] as const;
  const made = Namespaces.make(t, names);
  if (made.kind === 'impossible') {
    return skip(t, made.because);
  }
  const { net } = made;
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 200, name: 'files' });
  const stores = ['b', 'c'].map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));
  const launches = Object.fromEntries(
    names.map(name => [name, { by: net.on(name), up: ['--listen', '/ip4/0.0.0.0/tcp/4747'] }]),
  );
  const hosts = await cluster.found(names, launches);
  const [a, b, c] = hosts;
  await cluster.apply({
    defaults: { copies: 2 },
    hosts: Object.fromEntries(stores.map(({ host, path }) => [host, { stores: [{ path, limit: '1 GB' }] }])),
  });
  const { configVersion } = await a.status();
  for (const host of hosts) await host.sees('the policy', status => status.configVersion === configVersion);

  // Nobody remembers where anybody was, and nobody is told.
  for (const host of hosts) {
    await host.stop();
    rmSync(join(host.state, 'peers.json'));
  }
  await Promise.all(hosts.map(host => host.up()));
  for (const host of hosts) await host.sees('all others', allThere);
  for (const [host, others] of [
    [a, [b, c]],
    [b, [a, c]],
    [c, [a, b]],
  ] as const) {
    await cluster.until('addresses of all others', () => {
      const file = join(host.state, 'peers.json');
      const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
      return others.every(({ name }) => text.includes(`/ip4/${net.addressOf(name)}/tcp/4747`));
    });
  }

  await a.ok('config', 'add-source', 'a', 'pics', source);
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');

  // One cable out: what is new has one copy, and status says so; the hosts see that one is missing.
  net.cut('c');
  makePlainTree(source, { files: 100, name: 'more' });
  await b.sees('c gone', s => s.hosts.find(({ name }) => name === 'c')?.state !== 'active');
  await a.ok('backup', 'pics');
  await a.sees('one copy of what is new', ({ sources }) => {
    const [pics] = sources;
    return pics !== undefined && pics.parcels.haveMin === 1 && pics.parcels.under > 0;
  });
  t.is((await a.run('status')).code, 20);
  await c.sees('nobody', s => s.hosts.every(({ self, state }) => self || state !== 'active'));

  // Back in: they meet again by themselves.
  net.heal('c');
  for (const host of hosts) await host.sees('all others', allThere);
  await a.ok('status', '--wait', 'protected', '--timeout', '60s');
  const contents = [...(await contentsOf(source)).keys()];
  const { copies, wrong } = await countCopies(stores);
  t.deepEqual(wrong, []);
  t.deepEqual(
    contents.filter(hash => copies.get(hash)?.hosts.join() !== 'b,c'),
    [],
  );
  await c.sees('the last snapshot', ({ sources }) => sources[0]?.lastSnapshot?.files === 300);

  await a.kill();
  await c.ok('restore', 'pics', '--target', cluster.path('out'));
  t.deepEqual(compareTrees(source, cluster.path('out')), []);
});

/**
 * Admission: a host that joins while no admin is there is let in by whoever is, for the time being; what it holds counts
 * once an admin host has met it, by itself.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { compareTrees } from '../helpers/compare-trees.js';
import { contentsOf, countCopies } from '../helpers/count-copies.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { makePlainTree } from './plain-tree.js';

test.serial('while the admin is away another host admits a new one, which counts when the admin is back', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 100, name: 'files' });
  const stores = ['b', 'c'].map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));
  const [a, b] = await cluster.found(['a', 'b']);
  // The policy names c already: it is a name, and c may come when it likes.
  await cluster.apply({
    defaults: { copies: 2 },
    hosts: {
      a: { sources: { pics: { path: source } } },
      ...Object.fromEntries(stores.map(({ host, path }) => [host, { stores: [{ path, limit: '1 GB' }] }])),
    },
  });
  // A token names every member that its maker has met: here, both.
  await a.sees('b', ({ hosts }) => hosts.every(({ state }) => state === 'active'));
  await b.sees('the policy', ({ sources }) => sources.length === 1);
  const token = await a.invite();
  await a.kill();

  const c = cluster.add('c');
  const [joined] = await c.records('join', token, '--host', 'c', '--no-mdns');
  t.like(joined, { message_type: 'join', host: 'c', standing: 'provisional', admitted_by: 'b' });
  await c.up();
  const standing = (name: string) => (status: { hosts: readonly { name: string; state: string }[] }) =>
    status.hosts.find(host => host.name === name)?.state;
  await b.sees('c, for the time being', status => standing('c')(status) === 'provisional');
  await c.sees('itself, for the time being', status => standing('c')(status) === 'provisional');
  // It grants nothing and admits nobody.
  t.is((await c.run('invite')).code, 12);

  await a.up();
  for (const host of [a, b, c]) await host.sees('c as a member', status => standing('c')(status) === 'active');
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
  const contents = [...(await contentsOf(source)).keys()];
  const { copies, wrong } = await countCopies(stores);
  t.deepEqual(wrong, []);
  t.deepEqual(
    contents.filter(hash => copies.get(hash)?.hosts.join() !== 'b,c'),
    [],
  );
  await a.kill();
  await b.kill();
  await c.ok('restore', 'pics', '--target', cluster.path('out'));
  t.deepEqual(compareTrees(source, cluster.path('out')), []);
});

test.serial('a store of an untrusted host is told to be of no use, and is no room', async t => {
  const cluster = new RealCluster(t);
  const [a] = await cluster.found(['a']);
  const guest = cluster.add('guest');
  await guest.join(await a.invite(1, '--trust', 'untrusted'));
  await guest.up();
  await a.sees('the guest', ({ hosts }) => hosts[1]?.state === 'active');
  const store = cluster.makeFolder('guest.store');
  const added = await a.run('config', 'add-store', 'guest', store);
  t.is(added.code, 0);
  t.regex(added.err, /hosts\.guest is untrusted: its stores get no copies, and lend no room/);
  const { hosts } = await a.sees('the store', status => status.hosts[1]?.stores.length === 1);
  t.like(hosts[1], { trust: 'untrusted', lentBytes: 0, freeBytes: 0 });
  await guest.sees('its store', status => status.hosts[1]?.stores[0]?.mounted === true);
  for (const host of [a, guest])
    t.regex(await host.ok('hosts'), /^guest(?: \(here\))?\tactive, untrusted\t0 B\t0 B\t0 B\t/m);
});

test.serial(
  'an untrusted host that comes late sees who has the copies of its own sources, and waits for them',
  async t => {
    const cluster = new RealCluster(t);
    const [a] = await cluster.found(['a', 'b', 'c']);
    const pics = cluster.makeFolder('pics');
    writeFileSync(join(pics, 'old'), 'before the guest came');
    for (const host of ['a', 'b', 'c']) await a.ok('config', 'add-store', host, cluster.makeFolder(`${host}.store`));
    await a.ok('config', 'add-source', 'a', 'pics', pics);
    await a.ok('backup', 'pics', '--wait', '--timeout', '60s');

    const guest = cluster.add('guest');
    await guest.join(await a.invite(1, '--trust', 'untrusted'));
    await guest.up();
    const work = cluster.makeFolder('work');
    writeFileSync(join(work, 'thesis'), 'mine');
    await a.sees('the guest', ({ hosts }) => hosts.some(({ name, state }) => name === 'guest' && state === 'active'));
    await a.ok('config', 'add-source', 'guest', 'work', work);
    await guest.sees('its source', ({ sources }) => sources.length === 1);
    await guest.ok('backup', 'work', '--wait', '--timeout', '60s');
    const { sources } = await guest.sees('its copies', status => status.protected);
    t.like(sources, [{ source: 'work', copies: 2, parcels: { haveMin: 2, under: 0 } }]);
    t.regex(await guest.ok('ls-replicas', 'work:thesis'), /^2\t2\twork\tthesis\t/);
  },
);

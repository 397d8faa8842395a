/**
 * Revoked: a machine was stolen, and shut out. What it had backed up stays, also for who comes after it; what somebody signs with
 * its key from then on is no word of its.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { decodeHead, encodeHead } from '../../src/catalog/head.js';
import { loadIdentity } from '../../src/membership/identity.js';
import { compareTrees } from '../helpers/compare-trees.js';
import { type Plan, RealCluster } from '../helpers/real-cluster.js';
import { makePlainTree } from './plain-tree.js';

test.serial(
  'a host that joins after the origin was revoked takes copies of its sources and restores them, also from its own disk alone',
  async t => {
    const cluster = new RealCluster(t);
    const pics = cluster.makeFolder('pics');
    const docs = cluster.makeFolder('docs');
    makePlainTree(pics, { files: 60, name: 'pics' });
    makePlainTree(docs, { files: 10, name: 'docs' });
    const storeOf = (host: string): string => cluster.makeFolder(`${host}.store`);
    const plan = (...lending: readonly string[]): Plan => ({
      defaults: { copies: 2 },
      hosts: {
        a: { sources: { docs: { path: docs } } },
        laptop: { sources: { pics: { path: pics } } },
        ...Object.fromEntries(lending.map(host => [host, { stores: [{ path: storeOf(host) }] }])),
      },
    });
    const [a, laptop, b] = await cluster.found(['a', 'laptop', 'b']);
    await cluster.apply(plan('b'));
    await a.sees('that b has a copy of everything', ({ sources }) => {
      return sources.length === 2 && sources.every(({ parcels }) => parcels.wanted > 0 && parcels.haveMin === 1);
    });
    const [snapshot] = await a.records('snapshots', 'pics');
    await laptop.stop();
    await a.ok('revoke', 'laptop', '--yes');
    const again = await a.run('revoke', 'laptop', '--yes');
    t.is(again.code, 2);
    t.regex(again.err, /"laptop" was revoked, .*\(there are: a, b\); nothing was changed/);
    const backup = await a.run('backup', 'pics');
    t.is(backup.code, 1);
    t.regex(backup.err, /laptop, the origin of pics, was revoked, .* can be restored/);

    const c = cluster.add('c');
    await c.join(await a.invite());
    await c.up();
    await cluster.apply(plan('b', 'c'));
    await c.sees('that all is protected and settled', ({ sources, settled, protected: isProtected }) => {
      return sources.length === 2 && isProtected && settled;
    });
    t.is((await c.records('snapshots', 'pics'))[0]?.id, snapshot?.id);

    await b.stop();
    await c.ok('restore', 'pics', '--target', cluster.path('from-c'), '--verify');
    t.deepEqual(compareTrees(pics, cluster.path('from-c')), []);
    const fromStore = cluster.path('from-store');
    await c.ok('restore', 'pics', '--from-store', storeOf('c'), '--target', fromStore, '--verify');
    t.deepEqual(compareTrees(pics, fromStore), []);

    // Who has the laptop signs that there is nothing; and the head of another source is lost from the same disk.
    const heads = join(storeOf('b'), '.catalog', 'heads');
    for (const name of readdirSync(heads)) {
      const file = join(heads, name);
      const head = decodeHead(readFileSync(file));
      const stolen = await loadIdentity(laptop.state);
      if (stolen === undefined) return t.fail();
      if (name.endsWith('pics'))
        writeFileSync(file, encodeHead({ ...head, seq: head.seq + 1, snapshots: [] }, stolen.signer));
      else rmSync(file);
    }
    await b.up();
    await cluster.until('the head that was lost is there again', () => readdirSync(heads).length === 2);
    t.regex(JSON.stringify(b.log()), /HEAD_OF_REVOKED/);
    t.is((await b.records('snapshots', 'pics'))[0]?.id, snapshot?.id);
  },
);

test.serial(
  'a member with a later head than the last valid one returns to the valid one, and loses no copy',
  async t => {
    const cluster = new RealCluster(t);
    const pics = cluster.makeFolder('pics');
    makePlainTree(pics, { files: 10, name: 'pics' });
    const store = cluster.makeFolder('b.store');
    const blobs = () =>
      readdirSync(join(store, '.blobs'), { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
        .length;
    const [a, laptop, b] = await cluster.found(['a', 'laptop', 'b']);
    await cluster.apply({
      defaults: { copies: 1 },
      hosts: {
        laptop: { sources: { pics: { path: pics } } },
        b: { stores: [{ path: store }] },
      },
    });
    const idsOn = async (host: typeof a) => (await host.records('snapshots', 'pics')).map(({ id }) => id);
    await a.sees(
      'that the first snapshot is protected',
      ({ sources, protected: isProtected }) => sources.length === 1 && isProtected,
    );
    const first = await idsOn(a);
    await a.stop();
    writeFileSync(join(pics, 'later'), 'later');
    await laptop.ok('backup', 'pics', '--wait');
    t.is((await idsOn(b)).length, 2);
    const held = blobs();
    for (const host of [b, laptop]) await host.stop();

    await a.up();
    await a.ok('revoke', 'laptop', '--yes');
    await b.up();
    await cluster.until('b has what is valid', async () => (await idsOn(b)).length === 1);
    t.deepEqual([await idsOn(a), await idsOn(b), blobs()], [first, first, held]);
  },
);

test.serial('who revokes a host is told what is left to do, and nothing of it is stale or waited for', async t => {
  const cluster = new RealCluster(t);
  const docs = cluster.makeFolder('docs');
  makePlainTree(docs, { files: 10, name: 'docs' });
  const b = { stores: [{ path: cluster.makeFolder('b.store') }] };
  const [a, nas] = await cluster.found(['a', 'nas', 'b']);
  const plan: Plan = {
    defaults: { copies: 1 },
    hosts: {
      nas: {
        stores: [{ path: cluster.makeFolder('nas.store') }],
        sources: {
          docs: { path: docs, every: '1s', jitter: '0s' },
          none: { path: cluster.path('no such folder'), every: '1s', jitter: '0s' },
        },
      },
      b,
    },
  };
  await cluster.apply(plan);
  const docsIn = ({ sources }: Awaited<ReturnType<typeof a.status>>) => sources.find(({ source }) => source === 'docs');
  await a.sees('a copy', status => docsIn(status)?.lastSnapshot?.protected === true);
  await nas.stop();
  await a.sees('that it is stale', status => docsIn(status)?.fresh === false);

  const revoked = await a.run('revoke', 'nas', '--yes');
  t.is(revoked.code, 0, revoked.err);
  t.regex(
    revoked.err,
    /nas is still in the policy, .* Take hosts\.nas out: 'cluster config show > policy\.yaml', .*apply.*\(docs, none\).*'cluster forget SOURCE --archived --yes'/,
  );
  const status = await a.run('status', '--check');
  t.is(status.code, 0, status.out);
  t.regex(status.out, /docs\tnas\t1\/1.*, origin revoked\n/);
  t.regex(status.out, /protected · settled/);

  const forget = ['forget', 'docs', '--archived', '--yes'];
  const early = await a.run(...forget);
  t.is(early.code, 2);
  t.regex(early.err, /docs is not archived: it is in the policy, as hosts\.nas\.sources\.docs\. Take it out first/);
  // Applied again as it was, it is told again; its stores are no loss any more.
  const again = await a.run('config', 'apply', cluster.policyFile({ ...plan, defaults: { copies: 2 } }));
  t.regex(again.err, /hosts\.nas was revoked: its section does nothing\. Take it out/);
  const file = cluster.policyFile({ defaults: { copies: 2 }, hosts: { b } });
  const asked = await a.run('config', 'apply', file);
  t.is(asked.code, 2);
  t.regex(asked.err, /--yes.*\n {2}nas\/docs \(.*\n {2}nas\/none \(/);
  const without = await a.run('config', 'apply', file, '--yes');
  t.is(without.code, 0, without.err);
  t.notRegex(without.err, /nas was revoked/);
  await a.ok(...forget);
});

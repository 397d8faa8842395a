/** Draining: who lets a host be emptied is told what that needs, how much is left, and when it can leave. */
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { countCopies } from '../helpers/count-copies.js';
import { type Plan, RealCluster } from '../helpers/real-cluster.js';

test('a host that is drained while its copies have nowhere to go says so at once, and becomes empty when there is room elsewhere', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  writeFileSync(`${source}/file`, 'content');
  const [a, b, c] = await cluster.found(['a', 'b', 'c']);
  const lender = (host: string) => ({ [host]: { stores: [{ path: cluster.makeFolder(`${host}.store`) }] } });
  const plan = (lenders: Plan['hosts']): Plan => ({
    defaults: { copies: 1 },
    hosts: { a: { sources: { pics: { path: source } } }, ...lenders },
    timing: { surplus: '1s', dropBackOff: '200ms', attempt: '10s' },
  });
  await cluster.apply(plan(lender('b')));
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');

  const early = await a.run('drain', 'b', '--wait', '--timeout', '1s');
  t.is(early.code, 20);
  t.regex(
    early.err,
    /^until other hosts have copied them again, parcels with fewer copies than wanted: 1; with no copy elsewhere: 1\n/,
  );
  t.regex(early.err, /\nsource pics wants 1 copies, but without b only 0 other host\(s\) lend room: add a store/);
  t.regex(early.err, /\nb: 1 parcel left\n.*b is not empty \(1 parcel left\) after 1 s/s);
  t.regex(await a.ok('hosts'), /^b\tdraining\t.*\t1; 1 parcel left$/m);
  t.regex(await b.ok('hosts'), /^b \(here\)\tdraining\t.*\t1; 1 parcel left$/m);

  await cluster.apply(plan({ ...lender('b'), ...lender('c') }));
  const done = await a.run('drain', 'b', '--wait', '--timeout', '60s');
  t.is(done.code, 0, done.err);
  t.regex(done.out, /\nb is empty\n$/);
  for (const host of [a, b]) t.like((await host.records('hosts'))[1], { name: 'b', parcels_left: 0 });
  t.regex(await c.ok('hosts'), /^b\tdraining\t.*\t1; empty$/m);

  await b.stop();
  await a.stop();
  await a.up();
  t.like((await a.records('hosts'))[1], { name: 'b', parcels_left: null }, 'not heard since the start');
});

test('the only copy there is leaves a store that is drained for another one of the same host', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  const contents = ['first', 'second', Buffer.alloc(3_000_000, 7)];
  for (const [n, content] of contents.entries()) writeFileSync(`${source}/file-${n}`, content);
  const [a, b, c] = await cluster.found(['a', 'b', 'c']);
  const [leaving, staying] = ['b.leaving', 'b.staying'].map(name => cluster.makeFolder(name)) as [string, string];
  const plan = (...stores: readonly string[]): Plan => ({
    defaults: { copies: 1 },
    hosts: { c: { sources: { pics: { path: source } } }, b: { stores: stores.map(path => ({ path })) } },
    timing: { surplus: '1s', dropBackOff: '200ms', attempt: '10s' },
  });
  await cluster.apply(plan(leaving));
  await c.sees('a first snapshot that is protected', status => status.protected && status.sources.length === 1);
  await c.kill();
  await cluster.apply(plan(leaving, staying));
  await b.sees('both stores', ({ hosts }) =>
    hosts.some(({ stores }) => stores.filter(({ mounted }) => mounted).length === 2),
  );

  await a.ok('drain', `b:${leaving}`);
  const copiesIn = async (path: string) => (await countCopies([{ host: 'b', path }])).copies.size;
  await cluster.until('the store is empty', async () => (await copiesIn(leaving)) === 0);
  t.is(await copiesIn(staying), contents.length);
  t.deepEqual((await countCopies([{ host: 'b', path: staying }])).wrong, []);
  await b.ok('restore', 'pics', '--target', cluster.path('restored'));
  for (const [n, content] of contents.entries())
    t.deepEqual(readFileSync(cluster.path('restored', `file-${n}`)), Buffer.from(content));
});

/** Unseen store: what the policy has of another host, and that host does not report, is told of and not left out. */
import test from 'ava';
import { RealCluster } from '../helpers/real-cluster.js';

test('a store that its host does not report is shown as not seen mounted, by its path where that is known', async t => {
  const cluster = new RealCluster(t);
  const [a, b] = await cluster.found(['a', 'b']);
  const absent = cluster.path('no such folder');
  const lineOfB = async (): Promise<string> =>
    (await a.ok('hosts')).split('\n').find(line => line.startsWith('b\t')) ?? '';
  await cluster.apply({ hosts: { b: { stores: [{ path: absent }] } } });
  await a.sees('the store', ({ hosts }) => hosts[1]?.stores.length === 1);
  t.true((await lineOfB()).endsWith(`\t0; ${absent}: not seen mounted`));

  const there = cluster.makeFolder('b.store');
  await cluster.apply({ hosts: { b: { stores: [{ path: absent }, { path: there }] } } });
  await a.sees('the store that is there', ({ hosts }) => hosts[1]?.stores.some(({ mounted }) => mounted) === true);
  t.true((await lineOfB()).endsWith(`\t1; 1 of ${absent}, ${there}: not seen mounted`));

  await b.stop();
  await a.stop();
  await a.up();
  t.regex(await lineOfB(), /^b\tsuspect\t.*\tnot since start\t0$/, 'nothing is known of its stores');
});

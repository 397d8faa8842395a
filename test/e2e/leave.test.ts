/** A host leaves: it says what is at stake, is drained by an admin, waits until it is ready, and is let go without a loss. */
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { RealCluster } from '../helpers/real-cluster.js';

test('a host that leaves takes nothing with it', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  const own = cluster.makeFolder('own');
  writeFileSync(`${source}/file`, 'content');
  writeFileSync(`${own}/file`, 'its own');
  const [a, b, c] = await cluster.found(['a', 'b', 'c']);
  const store = (host: string) => [{ path: cluster.makeFolder(`${host}.store`) }];
  await cluster.apply({
    defaults: { copies: 1 },
    hosts: {
      a: { sources: { pics: { path: source } } },
      b: { sources: { own: { path: own } }, stores: store('b') },
    },
    timing: { surplus: '1s', dropBackOff: '200ms', attempt: '10s' },
  });
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');

  const keyless = await b.run('leave');
  t.is(keyless.code, 12, keyless.err);
  t.regex(
    keyless.err,
    /b has to be emptied first, and only an admin can do that: 'cluster drain b' on a, then this again/,
  );
  t.regex(keyless.err, /\n {2}until other hosts have copied them again, .*: 1; with no copy elsewhere: 1\n/);
  t.like((await b.records('leave', '--dry-run'))[0], { ready: false, parcels_left: 1, uncopied: ['own'] });

  await a.ok('drain', 'b');
  await b.sees('that it is drained', ({ hosts }) => hosts.some(({ self, state }) => self && state === 'draining'));
  const early = await b.run('leave', '--timeout', '1s');
  t.is(early.code, 20, early.err);

  await cluster.apply({
    defaults: { copies: 1 },
    hosts: {
      a: { sources: { pics: { path: source } } },
      b: { sources: { own: { path: own } }, stores: store('b') },
      c: { stores: store('c') },
    },
    timing: { surplus: '1s', dropBackOff: '200ms', attempt: '10s' },
  });
  await b.ok('backup', 'own');
  t.regex(
    await b.ok('leave', '--timeout', '60s'),
    /^b may leave: .*\n {2}the last snapshot of own, .*\nend its membership: 'cluster revoke b' on a\n/,
  );

  await a.sees('that b is empty', ({ hosts }) =>
    hosts.some(({ name, parcelsLeft }) => name === 'b' && parcelsLeft === 0),
  );
  await a.ok('status', '--wait', 'protected', '--timeout', '60s');
  await a.ok('revoke', 'b');
  await b.stop();
  await c.ok('restore', 'own', '--target', cluster.path('own.back'));
  await c.ok('restore', 'pics', '--target', cluster.path('pics.back'));
});

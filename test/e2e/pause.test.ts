/** A pause: a host that is paused takes no copies and no snapshots of its own accord, over a restart, and stays up. */
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { RealCluster } from '../helpers/real-cluster.js';

test('a paused host is live, takes nothing, keeps its pause over a restart, and takes up all when it is over', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  const own = cluster.makeFolder('own');
  writeFileSync(`${source}/file`, 'content');
  const [a, b] = await cluster.found(['a', 'b']);
  await b.ok('pause', '1h');
  await cluster.apply({
    defaults: { copies: 1 },
    hosts: {
      a: { sources: { pics: { path: source } }, stores: [{ path: cluster.makeFolder('a.store') }] },
      b: { sources: { own: { path: own, every: '1h' } }, stores: [{ path: cluster.makeFolder('b.store') }] },
    },
  });
  await a.ok('backup', 'pics');
  await b.sees('what is short of copies', ({ sources }) => sources.some(({ parcels }) => parcels.under === 1));
  await b.stop();
  await b.up();
  t.regex(await b.ok('status').catch((error: Error) => error.message), / · paused until /);
  const waited = await a.run('status', '--wait', 'protected', '--timeout', '6s');
  t.is(waited.code, 20, 'b is the only host that could take it');
  const paused = await a.sees('b', ({ hosts }) => hosts.some(({ name, state }) => name === 'b' && state === 'active'));
  t.false(paused.sources.some(({ source: name, lastSnapshot }) => name === 'own' && lastSnapshot !== undefined));

  t.is(await b.ok('resume'), 'the pause is over\n');
  await a.ok('status', '--wait', 'protected', '--timeout', '60s');
  const after = await b.sees('its own snapshot', ({ sources }) =>
    sources.every(({ lastSnapshot }) => lastSnapshot !== undefined),
  );
  t.is(after.pausedUntilMs, undefined);
});

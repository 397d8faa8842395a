/** A second admin: it governs without a restart, lets the first go, and what joins then is written down by it. */
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { RealCluster } from '../helpers/real-cluster.js';

test('a second admin goes on when the first machine is lost', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  writeFileSync(`${source}/file`, 'content');
  const [a, b, c] = await cluster.found(['a', 'b', 'c']);
  const line = (await b.ok('admin', 'request')).trim();
  const refused = await c.run('admin', 'add', 'b', line);
  t.is(refused.code, 12);
  t.regex(refused.err, /Do it on: a/);
  t.is((await a.run('admin', 'add', 'c', line)).code, 2);
  t.regex(await a.ok('admin', 'add', 'b', line), /^b is an admin, too \(configuration \d+\)\n$/);
  t.regex(await a.ok('admin', 'add', 'b', line), /^b was an admin already/);

  const { configVersion } = await a.status();
  await b.sees('that it is an admin', status => status.configVersion === configVersion);
  // Who joined through `a` alone learns from the others' own frames where they are.
  await b.sees('c for itself', ({ hosts }) => hosts.some(({ name, state }) => name === 'c' && state === 'active'));
  await a.kill();
  await b.ok('revoke', 'a', '--yes');
  const d = cluster.add('d');
  await d.join(await b.invite());
  await d.up();
  await b.sees('d as a member', ({ hosts }) => hosts.some(({ name, state }) => name === 'd' && state === 'active'));
  await cluster.apply(
    {
      defaults: { copies: 1 },
      hosts: { b: { sources: { pics: { path: source } } }, c: { stores: [{ path: cluster.makeFolder('c.store') }] } },
    },
    { by: b, yes: true },
  );
  await b.ok('backup', 'pics', '--wait', '--timeout', '60s');
  const none = await c.run('invite');
  t.is(none.code, 12);
  t.regex(none.err, /Do it on: b$/m);
});

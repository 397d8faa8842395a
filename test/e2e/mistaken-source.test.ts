/** Mistaken source: one that was added by a slip and taken out again before anything of it was there leaves nothing that is red for good. */
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { RealCluster } from '../helpers/real-cluster.js';

test('a source that left the policy without any snapshot is shown, and counts neither as stale nor as unprotected', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  writeFileSync(`${source}/file`, 'content');
  const [a, b] = await cluster.found(['a', 'b']);
  const plan = {
    defaults: { copies: 1 },
    hosts: { a: { sources: { pics: { path: source } } }, b: { stores: [{ path: cluster.makeFolder('b.store') }] } },
  };
  await cluster.apply(plan);
  await a.ok('status', '--wait', 'protected', '--timeout', '60s');
  await a.ok('config', 'add-source', 'a', 'typo', cluster.path('no such folder'));
  t.is((await a.run('status')).code, 21);
  const early = await a.run('status', '--wait', 'protected', '--timeout', '1s');
  t.is(early.code, 20, 'while the policy has it, it is waited for');

  const applied = await a.run('config', 'apply', cluster.policyFile(plan), '--yes');
  t.regex(applied.err, /^a\/typo \(.*no such folder\) is no longer in the policy/);
  for (const host of [a, b]) {
    await host.sees('that it has left', ({ sources }) => sources.some(({ archived }) => archived === true));
    t.regex(await host.ok('status'), /^typo\ta\t.*\tnone, archived$/m);
    await host.ok('status', '--wait', 'protected', '--timeout', '30s');
  }
  await a.ok('drill', '--files', '1');

  // What has snapshots is as short of copies as before when its source leaves.
  await cluster.apply({ ...plan, hosts: { b: plan.hosts.b } }, { yes: true });
  t.regex(await a.ok('status'), /^pics\ta\t.* ago, archived$/m);
  await b.stop();
  await a.sees('that its copy is gone', ({ protected: isProtected }) => !isProtected);
  t.is((await a.run('status')).code, 20);
});

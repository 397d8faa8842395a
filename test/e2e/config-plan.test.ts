/** A plan of a policy: a host without the key is told what it would move; then it is applied, and that is what moves. */
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { type Plan, RealCluster } from '../helpers/real-cluster.js';

test('what a plan says would move is what moves when the policy is applied', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  writeFileSync(`${source}/file`, Buffer.alloc(300_000, 1));
  const [a, b, c] = await cluster.found(['a', 'b', 'c']);
  const lender = (host: string) => ({ stores: [{ path: cluster.makeFolder(`${host}.store`), limit: '1 GB' }] });
  const policy = (copies: number): Plan => ({
    defaults: { copies },
    hosts: { a: { sources: { pics: { path: source } } }, b: lender('b'), c: lender('c') },
  });
  await cluster.apply(policy(1));
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
  await c.sees('all of it', ({ protected: is, sources }) => is && sources.length === 1);
  const { configVersion } = await c.status();

  const records = await c.records('config', 'plan', cluster.policyFile(policy(2)));
  t.like(records[0], { message_type: 'config_plan', changed: true, changes: ['policy for all'], needs_yes: false });
  const moves = records.filter(({ message_type }) => message_type === 'plan_move');
  t.deepEqual(
    moves.filter(({ host }) => host !== 'a').map(({ copies_then }) => copies_then),
    [1, 1],
  );
  t.is((await c.status()).configVersion, configVersion);
  const three = await c.run('config', 'plan', cluster.policyFile(policy(3)));
  t.is(three.code, 20, three.err);

  await cluster.apply(policy(2));
  const held = await b.sees('two copies', ({ sources, protected: is }) => is && sources[0]?.copies === 2);
  t.true(held.protected);
  const { text: madeFrom } = await a.service().configDraft(AbortSignal.timeout(10_000));
  const edited = { text: `${madeFrom}# mine\n`, fileName: 'policy.yaml', yes: false };
  const applied = (from: string) => a.service().configApply({ ...edited, madeFrom: from }, AbortSignal.timeout(10_000));
  await t.throwsAsync(applied(`${madeFrom}# older\n`), { code: 'POLICY_CHANGED' });
  t.is((await applied(madeFrom)).version, configVersion + 2);
  await t.throwsAsync(c.service().configDraft(AbortSignal.timeout(10_000)), { code: 'NO_ADMIN_KEY', message: /: a$/ });
  await cluster.apply(policy(2));
  const again = await a.ok('config', 'plan', cluster.policyFile(policy(2)));
  t.regex(again, /^this policy is in force already\nno copy would be made or dropped because of it\n$/);
});

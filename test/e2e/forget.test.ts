/**
 * Forget: with an admin's key, and only so, unlisted snapshots go before their hold has run out, and so does a source that has
 * left the policy. It may come back, and begins anew.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { compareTrees } from '../helpers/compare-trees.js';
import { type Plan, RealCluster, type SourcePlan } from '../helpers/real-cluster.js';

test('an admin ends the hold of unlisted snapshots, and lets an archived source go; the source starts over when it is back', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  const secret = join(source, 'secret');
  mkdirSync(join(source, 'kept'));
  writeFileSync(join(source, 'kept', 'one'), 'one');
  writeFileSync(secret, 'secret');
  const store = cluster.makeFolder('b.store');
  const [a, b] = await cluster.found(['a', 'b']);
  const policy = (sources: Readonly<Record<string, SourcePlan>>): Plan => ({
    defaults: { copies: 1 },
    hosts: { a: { sources }, b: { stores: [{ path: store }] } },
    timing: { gcGrace: '1s', trash: '1s', treeQuiet: '1s', treeEvery: '1s' },
  });
  await cluster.apply(policy({ pics: { path: source } }));
  const blobs = (): string[] =>
    readdirSync(join(store, '.blobs'), { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(({ name }) => name);
  const states = async (): Promise<{ listed: unknown[]; held: unknown[] }> => {
    const all = await b.records('snapshots', 'pics', '--held');
    const idsOf = (held: boolean) => all.filter(snapshot => snapshot.held === held).map(({ id }) => id);
    return { listed: idsOf(false), held: idsOf(true) };
  };
  const areListed = (...ids: readonly unknown[]): Promise<unknown> =>
    cluster.until(`${ids} are listed`, async () => `${(await states()).listed}` === `${ids}`);
  const backUp = async (): Promise<unknown> =>
    (await a.records('backup', 'pics', '--wait', '--timeout', '60s')).at(-1)?.id;

  const first = await backUp();
  rmSync(secret);
  const second = await backUp();
  await a.ok('forget', 'pics', '--keep-last', '1', '--yes');
  await areListed(second);
  const { held } = await states();
  t.true(held.includes(first));

  const stranger = await b.run('forget', 'pics', '--now', '--yes');
  t.is(stranger.code, 12);
  t.regex(stranger.err, /needs an admin key, which this host does not have; nothing was changed. Do it on: a/);
  const plan = await a.records('forget', 'pics', '--now', '--dry-run');
  t.deepEqual(
    plan.map(({ id, keep, held: isHeld }) => [id, keep, isHeld]),
    [[second, true, false], ...held.map(id => [id, false, true])],
  );
  const unsure = await a.run('forget', 'pics', '--now');
  t.is(unsure.code, 2);
  t.regex(unsure.err, /that are unlisted already \(\d\): nobody could get them back. Nothing was changed/);
  t.deepEqual(await states(), { listed: [second], held });

  await a.ok('forget', 'pics', '--now', '--yes');
  await cluster.until('nothing is held any longer', async () => (await states()).held.length === 0);
  await cluster.until('its bytes are gone', () => !blobs().includes(hashHex(Buffer.from('secret'))));
  await b.ok('restore', 'pics', '--target', cluster.path('out'));
  t.deepEqual(compareTrees(source, cluster.path('out')), []);

  const inForce = await a.run('forget', 'pics', '--archived', '--yes');
  t.is(inForce.code, 2);
  t.regex(
    inForce.err,
    /pics is not archived: it is in the policy, as hosts\.a\.sources\.pics\. Take it out first: .*config apply/,
  );
  await cluster.until('it has a tree', () => existsSync(join(store, 'a', 'pics.snapshot')));
  await cluster.apply(policy({}), { yes: true });
  const careless = await a.run('forget', 'pics', '--archived');
  t.is(careless.code, 2);
  t.regex(careless.err, /the copies of pics \(snapshots: 1\) may be all that is left of it/);
  t.not(blobs().length, 0);
  await a.ok('forget', 'pics', '--archived', '--yes');
  await b.stop();
  await b.up();
  await cluster.until('every byte of it is gone', () => blobs().length === 0);
  await cluster.until('its tree is gone', () => readdirSync(join(store, 'a')).length === 0);
  const heads = join(store, '.catalog', 'heads');
  await cluster.until('its head is gone', () => readdirSync(heads).length === 0);
  t.is((await b.run('snapshots', 'pics')).code, 2);

  await cluster.apply(policy({ pics: { path: source } }));
  const third = await backUp();
  const { listed } = await cluster.until('it is backed up anew', async () => {
    const now = await states();
    return now.listed.at(-1) === third && now;
  });
  t.false(listed.includes(second));
  await b.ok('restore', 'pics', '--target', cluster.path('anew'));

  // A store that has lost a head gets it again: from it alone all must come back.
  await b.stop();
  for (const name of readdirSync(heads)) rmSync(join(heads, name));
  await b.up();
  await cluster.until('its head is there again', () => readdirSync(heads).length === 1);
  t.deepEqual(compareTrees(source, cluster.path('anew')), []);
});

/**
 * Retention: snapshots that the policy does not keep are unlisted once newer ones are safe, and none is after so much left at
 * once that a person should look. What nothing leads to any more leaves the catalogs.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readIfThere } from '../../src/platform/durable.js';
import { compareTrees } from '../helpers/compare-trees.js';
import { RealCluster, type RealHost } from '../helpers/real-cluster.js';

const FILES = 120;

test('the rules of the policy unlist what newer snapshots replace, and a mass deletion stops that', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  const many = join(source, 'many');
  mkdirSync(many);
  for (let i = 0; i < FILES; i += 1) writeFileSync(join(many, `${i}`), `file ${i}`);
  const store = cluster.makeFolder('b.store');
  const [a, b] = await cluster.found(['a', 'b']);
  await cluster.apply({
    defaults: { copies: 1 },
    hosts: {
      a: { sources: { pics: { path: source, keep: { last: 2 } } } },
      b: { stores: [{ path: store }] },
    },
    timing: { gcGrace: '1s' },
  });
  const listed = async (host: RealHost): Promise<unknown[]> =>
    (await host.records('snapshots', 'pics')).map(({ id }) => id);
  let note = 0;
  const backUp = async (...options: string[]): Promise<unknown> => {
    note += 1;
    writeFileSync(join(source, 'note'), `note ${note}`);
    return (await a.records('backup', 'pics', '--wait', '--timeout', '60s', ...options)).at(-1)?.id;
  };
  const areListed = (host: RealHost, ids: readonly unknown[]): Promise<unknown> =>
    cluster.until(`${host.name} lists ${ids.length} snapshots`, async () => `${await listed(host)}` === `${ids}`);

  // A new source is backed up at once.
  const [first] = await cluster.until('a first snapshot', async () => {
    const all = await listed(a);
    return all.length > 0 && all;
  });
  const second = await backUp();
  const third = await backUp();
  // The third was not safe yet when it was taken, so it took nobody's place.
  await areListed(a, [first, second, third]);
  const fourth = await backUp();
  await areListed(a, [second, third, fourth]);
  await areListed(b, [second, third, fourth]);

  const plan = await a.records('forget', 'pics', '--dry-run');
  t.deepEqual(
    plan.map(({ id, keep, reasons }) => [id, keep, reasons]),
    [
      [second, false, []],
      [third, true, ['last']],
      [fourth, true, ['last', 'newest', 'newest protected', 'newest complete']],
    ],
  );
  t.deepEqual(await listed(a), [second, third, fourth], 'a dry run changes nothing');
  const refused = await a.run('forget', 'pics', '--keep-last', '1');
  t.is(refused.code, 2);
  t.regex(refused.err, /these rules would unlist 2 of 3 snapshots of pics; nothing was changed/);
  const nothing = await a.run('forget', 'pics', '--keep-last', '0', '--yes');
  t.is(nothing.code, 2);
  t.regex(nothing.err, /these rules keep nothing/);
  const elsewhere = await b.run('forget', 'pics');
  t.is(elsewhere.code, 2);
  t.regex(elsewhere.err, /decided on a, its origin/);
  await a.ok('forget', 'pics');
  t.deepEqual(await listed(a), [third, fourth]);
  const tree = (): unknown =>
    readIfThere(join(store, 'a', 'pics.snapshot'))
      ?.toString()
      .trim();
  await cluster.until('the tree is that of the fourth', () => tree() === fourth);

  rmSync(many, { recursive: true });
  writeFileSync(join(source, 'note'), 'after all that');
  const braking = await b.run('--json', 'backup', 'pics', '--wait', '--timeout', '60s');
  t.regex(
    braking.err,
    /^so much of pics disappeared or changed that its brake is on: .* 'cluster status' on a says how much$/m,
  );
  const { id: fifth, braked } = JSON.parse(braking.out.trim().split('\n').at(-1) ?? '') as Record<string, unknown>;
  t.true(braked);
  const sixth = await backUp();
  const alarms = async (): Promise<void> => {
    const alarm = await cluster.until('an alarm', async () =>
      (await a.status()).alarms.find(({ code }) => code === 'MASS_CHANGE'),
    );
    t.regex(alarm.text, /^source pics: .*'cluster backup pics --accept-changes'/);
  };
  await alarms();
  const stopped = await a.run('forget', 'pics', '--keep-last', '1', '--yes');
  t.is(stopped.code, 1);
  t.regex(stopped.err, /of 121 files 120 left and 1 changed at once/);
  await a.kill();
  await a.up();
  await alarms();
  const seventh = await backUp();
  t.deepEqual(await listed(a), [third, fourth, fifth, sixth, seventh]);
  t.is(tree(), fourth, 'nobody has accepted what came after');
  t.is(readFileSync(join(store, 'a', 'pics', 'many', '7'), 'utf8'), 'file 7');

  // It was meant.
  const eighth = await backUp('--accept-changes');
  await cluster.until('the tree goes on', () => tree() === eighth);
  t.false(existsSync(join(store, 'a', 'pics', 'many')));
  await areListed(a, [sixth, seventh, eighth]);
  t.false((await a.status()).alarms.some(({ code }) => code === 'MASS_CHANGE'));

  // What nothing leads to goes from every catalog, and nothing else does.
  const folders = [join(a.state, 'catalog/objects'), join(b.state, 'catalog/objects'), join(store, '.catalog/objects')];
  const strays = folders.map((folder, n) => {
    const id = `${n}${'5'.repeat(63)}`;
    writeFileSync(join(folder, id.slice(0, 2), id), 'left by somebody');
    return join(folder, id.slice(0, 2), id);
  });
  await cluster.until('the strays are gone', async () => strays.every(stray => !existsSync(stray)));
  const heldIn = (folder: string): boolean => existsSync(join(folder, String(third).slice(0, 2), String(third)));
  t.deepEqual(folders.map(heldIn), [true, true, true], 'unlisted, and in its hold');
  await a.kill();
  const kept = await b.records('snapshots', 'pics', '--held');
  t.deepEqual(
    kept.map(({ id, held }) => [id, held]),
    [
      ...[first, second, third, fourth, fifth].map(id => [id, true]),
      ...[sixth, seventh, eighth].map(id => [id, false]),
    ],
  );
  await b.ok('restore', `pics@${String(third).slice(0, 8)}`, '--target', cluster.path('third'));
  t.is(readFileSync(join(cluster.path('third'), 'many', '7'), 'utf8'), 'file 7');
  await b.ok('restore', 'pics', '--target', cluster.path('out'));
  t.deepEqual(compareTrees(source, cluster.path('out')), []);
});

test('while the only holder of a snapshot is away the snapshot stays listed, whatever is taken meanwhile', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  writeFileSync(join(source, 'file'), 'one');
  const [a, b] = await cluster.found(['a', 'b']);
  await cluster.apply({
    defaults: { copies: 1 },
    hosts: {
      a: { sources: { pics: { path: source, every: '1d', keep: { last: 2 } } } },
      b: { stores: [{ path: cluster.makeFolder('b.store') }] },
    },
    timing: { dead: '6s', deadMax: '6s', lastPlace: 0 },
  });
  await a.ok('status', '--wait', 'protected', '--timeout', '60s');
  const listed = async (): Promise<unknown[]> => (await a.records('snapshots', 'pics')).map(({ id }) => id);
  const [first] = await listed();
  await b.stop();
  await cluster.until('b is dead', async () => (await a.records('hosts')).some(({ state }) => state === 'dead'));

  for (const text of ['two', 'three', 'four']) {
    writeFileSync(join(source, 'file'), text);
    await a.ok('backup', 'pics');
  }
  const plan = await a.records('forget', 'pics');
  t.deepEqual(plan[0]?.reasons, ['last', 'newest copied']);
  const kept = await listed();
  t.is(kept.length, 3);
  t.is(kept[0], first);

  await b.up();
  await a.kill();
  await b.ok('restore', `pics@${String(first).slice(0, 8)}`, '--target', cluster.path('out'));
  t.is(readFileSync(join(cluster.path('out'), 'file'), 'utf8'), 'one');
});

/**
 * Torn: files that change, vanish or become unreadable between the scan and the fetch. The origin has no second copy of
 * them, so the snapshot is cut anew without them; the rest of it is as safe as ever.
 */
import { chmodSync, chownSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { compareTrees } from '../helpers/compare-trees.js';
import { contentsOf, countCopies } from '../helpers/count-copies.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { unprivileged } from '../helpers/unprivileged.js';
import { makePlainTree } from './plain-tree.js';

/** A whole second, which can be set again exactly. */
const LONG_AGO_S = 1_700_000_000;

/** Everything below a folder to its new owner. */
function give(path: string, owner: number): void {
  chownSync(path, owner, owner);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) give(join(path, entry.name), owner);
    else chownSync(join(path, entry.name), owner, owner);
  }
}

test.serial('only files that change, vanish or are locked before any host has them leave the snapshot', async t => {
  const cluster = new RealCluster(t);
  const launch = unprivileged();
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 300, name: 'files' });
  for (const name of ['changes', 'grows', 'vanishes', 'is locked', 'stays']) writeFileSync(join(source, name), name);
  utimesSync(join(source, 'changes'), LONG_AGO_S, LONG_AGO_S);
  if (launch.owner !== undefined) give(source, launch.owner);
  const stores = ['b', 'c'].map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));
  const [a, b, c] = await cluster.found(['a', 'b', 'c'], { a: launch });

  // Nobody can fetch anything while the snapshot is taken and the files are changed.
  await b.stop();
  await c.stop();
  await cluster.apply({
    defaults: { copies: 2 },
    hosts: {
      a: { sources: { pics: { path: source } } },
      ...Object.fromEntries(stores.map(({ host, path }) => [host, { stores: [{ path, limit: '1 GB' }] }])),
    },
  });
  const waiting = a.run('backup', 'pics', '--wait', '--timeout', '80s');
  // The first is taken by itself, for the source is new.
  const before = await cluster.until('both snapshots', async () => {
    const snapshots = await a.records('snapshots', 'pics');
    return snapshots.length === 2 && snapshots;
  });
  for (const snapshot of before) t.like(snapshot, { files: 305, partial: false, protected: false });

  // Of the same size and time as before: only the change time tells.
  writeFileSync(join(source, 'changes'), 'CHANGES');
  utimesSync(join(source, 'changes'), LONG_AGO_S, LONG_AGO_S);
  writeFileSync(join(source, 'grows'), 'has grown since');
  rmSync(join(source, 'vanishes'));
  chmodSync(join(source, 'is locked'), 0);
  await Promise.all([b.up(), c.up()]);

  // Who waits is told of the snapshot that took the other's place, and that it is not whole.
  const waited = await waiting;
  t.is(waited.code, 3, waited.err);
  t.regex(waited.err, /takes the snapshot's place/);
  const listed = await a.records('snapshots', 'pics');
  t.is(listed.length, 2);
  for (const snapshot of listed) t.like(snapshot, { files: 301, partial: true });
  t.false(listed.some(({ id }) => before.some(snapshot => snapshot.id === id)));
  await a.ok('status', '--wait', 'protected', '--timeout', '60s');
  t.like((await a.status()).sources[0]?.lastSnapshot, { partial: true, protected: true, files: 301 });

  // A backup says what it could not read, and is 3 to a script; what can be read again is there again.
  const backup = await a.run('backup', 'pics', '--wait', '--timeout', '60s');
  t.is(backup.code, 3, backup.err);
  t.regex(backup.err, /not read: is locked: EACCES/);
  t.regex(backup.out, /partial/);
  const [, , newest] = await a.records('snapshots', 'pics');
  t.like(newest, { files: 303, partial: true, protected: true });

  // What the hosts hold, they hold whole; and it is all that can be read.
  const { copies, wrong } = await countCopies(stores);
  t.deepEqual(wrong, []);
  chmodSync(join(source, 'is locked'), 0o644);
  const readable = await contentsOf(source);
  t.deepEqual(
    [...readable.keys()].filter(hash => copies.get(hash)?.hosts.length !== 2).length,
    1,
    'all but the locked one',
  );

  await a.kill();
  const [oldest] = listed;
  await c.ok('restore', `pics@${String(oldest?.id).slice(0, 12)}`, '--target', cluster.path('first'));
  const torn = ['changes', 'grows', 'vanishes', 'is locked'];
  t.deepEqual(compareTrees(source, cluster.path('first'), { except: [...torn, ''] }), []);
  t.deepEqual(compareTrees(join(source, 'files'), cluster.path('first', 'files')), []);
  t.false(readdirSync(cluster.path('first')).some(name => torn.includes(name)));
  await c.ok('restore', 'pics', '--target', cluster.path('last'));
  t.deepEqual(readdirSync(cluster.path('last')).sort(), ['changes', 'files', 'grows', 'stays']);
  for (const name of ['changes', 'grows']) {
    t.deepEqual(compareTrees(join(source, name), cluster.path('last', name)), []);
  }
});

/**
 * The main job: real hosts keep N copies of a real folder, and give it back byte for byte when its origin is gone.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { compareTrees } from '../helpers/compare-trees.js';
import { contentsOf, countCopies } from '../helpers/count-copies.js';
import { whyNoXattrs } from '../helpers/raw-xattrs.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { makeAwkwardTree, SPARSE } from './awkward-tree.js';

test.serial('a folder with everything awkward in it comes back the same when its origin is gone', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.path('src');
  makeAwkwardTree(source);
  const stores = ['b', 'c'].map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));
  const [a, , , d] = await cluster.found(['a', 'b', 'c', 'd']);
  await cluster.apply({
    defaults: { copies: 2 },
    hosts: {
      a: { sources: { pics: { path: source } } },
      ...Object.fromEntries(stores.map(({ host, path }) => [host, { stores: [{ path, limit: '1 GB' }] }])),
    },
  });
  const backup = await a.records('backup', 'pics', '--wait', '--timeout', '60s');
  t.like(backup.at(-1), { message_type: 'snapshot', protected: true, partial: false });

  // Not by the program's word: by what lies on the disks.
  const contents = await contentsOf(source);
  const { copies, wrong } = await countCopies(stores);
  t.deepEqual(wrong, []);
  t.deepEqual(
    [...contents.keys()].filter(hash => copies.get(hash)?.hosts.length !== 2),
    [],
    'every content lies on both hosts',
  );
  t.deepEqual(
    [...copies.keys()].filter(hash => !contents.has(hash)),
    [],
    'and nothing else does',
  );

  // The one that restores lends nothing and holds nothing: all that it gives comes from the two.
  await d.sees('a snapshot that is protected', ({ sources }) => sources[0]?.lastSnapshot?.protected === true);
  await a.kill();
  const restore = await d.records('restore', 'pics', '--target', cluster.path('out'), '--verify');
  t.like(restore.at(-1), { message_type: 'restore', failed: 0, not_set: 0 });
  t.deepEqual(compareTrees(source, cluster.path('out')), []);
  for (const path of SPARSE) {
    const { size, blocks } = statSync(join(cluster.path('out'), path));
    t.true(blocks * 512 < size / 10, `${path} has its holes`);
  }
  const because = whyNoXattrs();
  if (because !== undefined) t.log(`SKIPPED, no extended attributes were tested: ${because}`);
});
